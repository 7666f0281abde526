//! What the kernel is and can do: its version, its settings for eBPF, and the types of programs and maps that Waggle needs, which
//! are tried by loading one of each and discarding it.

use std::{fs, io, path::Path};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
    util::KernelVersion,
};
use proxy_common::{MAPS, MapKind};

use super::finding::Finding;
use crate::{attach::tc_links_are_known, logging::errors::Report};

/// The programs that Waggle loads.
const PROGRAMS: [(&str, ProgramType); 4] = [
    ("cgroup_sock_addr", ProgramType::CgroupSockAddr),
    ("cgroup_sock", ProgramType::CgroupSock),
    ("sched_cls", ProgramType::SchedClassifier),
    ("xdp", ProgramType::Xdp),
];

/// Looks at the kernel.
pub(super) fn findings() -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let is_new = KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 1, 0));
    vec![
        version(&release, is_new),
        type_information(Path::new("/sys/kernel/btf/vmlinux").exists()),
        jit(&read("/proc/sys/net/core/bpf_jit_enable")),
        unprivileged(&read("/proc/sys/kernel/unprivileged_bpf_disabled")),
        types("program types", PROGRAMS.map(|(name, kind)| (name, tried(is_program_supported(kind))))),
        types("map types", map_types().map(|(name, kind)| (name, tried(is_map_supported(kind))))),
        tcx(tc_links_are_known()),
    ]
}

fn version(release: &str, is_new: bool) -> Finding {
    if is_new {
        Finding::ok("kernel", format!("Linux {release}"))
    } else {
        let found = format!("Linux {release}, older than 6.1: its verifier may refuse programs");
        Finding::missing("kernel", found, "install Linux 6.1 or newer")
    }
}

fn type_information(exists: bool) -> Finding {
    if exists {
        Finding::ok("BTF", "/sys/kernel/btf/vmlinux")
    } else {
        let found = "the kernel has no type information (CONFIG_DEBUG_INFO_BTF)";
        Finding::missing("BTF", found, "install a distribution's kernel: those of the last years have it")
    }
}

fn jit(value: &io::Result<String>) -> Finding {
    match value.as_deref() {
        Ok("0") => Finding::warning(
            "BPF JIT",
            "net.core.bpf_jit_enable is 0: programs are interpreted, which costs several times as much CPU time",
            "set it with `sysctl -w net.core.bpf_jit_enable=1`",
        ),
        Ok(value) => Finding::ok("BPF JIT", format!("net.core.bpf_jit_enable is {value}")),
        // The kernel has this setting in its first network namespace only.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::warning(
            "BPF JIT",
            "not seen: net.core.bpf_jit_enable is not in this network namespace",
            "see in the host's network namespace that it is 1 or 2",
        ),
        Err(error) => Finding::unseen("BPF JIT", Report(error)),
    }
}

fn unprivileged(value: &io::Result<String>) -> Finding {
    const NAME: &str = "unprivileged BPF";
    match value.as_deref() {
        Ok("0") => Finding::warning(
            NAME,
            "kernel.unprivileged_bpf_disabled is 0: every user may load programs",
            "set it with `sysctl -w kernel.unprivileged_bpf_disabled=2`; Waggle does not need it",
        ),
        Ok(value) => Finding::ok(NAME, format!("kernel.unprivileged_bpf_disabled is {value}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::ok(NAME, "the kernel refuses it"),
        Err(error) => Finding::unseen(NAME, Report(error)),
    }
}

/// Returns the error in words.
fn tried<E: std::error::Error + 'static>(result: Result<bool, E>) -> Result<bool, String> {
    result.map_err(|error| Report(&error).to_string())
}

/// Returns the types of maps that Waggle has, in the kernel's words.
fn map_types() -> [(&'static str, MapType); 8] {
    let known = [
        ("array", MapType::Array),
        ("percpu_array", MapType::PerCpuArray),
        ("hash", MapType::Hash),
        ("lru_hash", MapType::LruHash),
        ("lpm_trie", MapType::LpmTrie),
        ("sk_storage", MapType::SkStorage),
        ("prog_array", MapType::ProgramArray),
        ("ringbuf", MapType::RingBuf),
    ];
    debug_assert!(MAPS.iter().all(|map| known.iter().any(|(_, kind)| *kind == map_type(map.kind))));
    known
}

const fn map_type(kind: MapKind) -> MapType {
    match kind {
        MapKind::Array | MapKind::MappedArray => MapType::Array,
        MapKind::PerCpuArray => MapType::PerCpuArray,
        MapKind::Hash | MapKind::SparseHash => MapType::Hash,
        MapKind::LruHash => MapType::LruHash,
        MapKind::LpmTrie => MapType::LpmTrie,
        MapKind::SkStorage => MapType::SkStorage,
        MapKind::ProgramArray => MapType::ProgramArray,
        MapKind::RingBuf => MapType::RingBuf,
    }
}

/// Returns what follows from trying these types.
fn types(subject: &str, tried: impl IntoIterator<Item = (&'static str, Result<bool, String>)>) -> Finding {
    let tried: Vec<_> = tried.into_iter().collect();
    if let Some((name, Err(error))) = tried.iter().find(|(_, result)| result.is_err()) {
        return Finding::unseen(subject, format!("{name} could not be tried: {error}"));
    }
    let names = |wanted: bool| {
        let found = tried.iter().filter(|(_, result)| *result == Ok(wanted)).map(|(name, _)| *name);
        found.collect::<Vec<_>>().join(", ")
    };
    if tried.iter().all(|(_, result)| *result == Ok(true)) {
        Finding::ok(subject, names(true))
    } else {
        Finding::missing(subject, format!("the kernel does not have {}", names(false)), "use a kernel that has them")
    }
}

fn tcx(known: io::Result<bool>) -> Finding {
    match known {
        Ok(true) => Finding::ok("TCX", "TC programs are attached by links"),
        Ok(false) => Finding::ok("TCX", "the kernel has none (Linux 6.6): TC programs are filters of clsact"),
        Err(error) => Finding::unseen("TCX", Report(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    fn errno(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn an_old_kernel_is_missing_and_slow_settings_are_warned_of() {
        assert_eq!([version("6.1.0", true).level, version("5.15.0", false).level], [Level::Ok, Level::Missing]);
        assert_eq!([type_information(true).level, type_information(false).level], [Level::Ok, Level::Missing]);
        let value = |text: &str| Ok(text.to_owned());
        let jits = [value("1"), value("2"), value("0"), Err(errno(libc::ENOENT))].map(|value| jit(&value).level);
        assert_eq!(jits, [Level::Ok, Level::Ok, Level::Warning, Level::Warning]);
        assert!(jit(&Err(errno(libc::EACCES))).found.starts_with("not seen: Permission denied"));
        let allowed = [value("0"), value("2"), Err(errno(libc::ENOENT))].map(|value| unprivileged(&value).level);
        assert_eq!(allowed, [Level::Warning, Level::Ok, Level::Ok]);
    }

    #[test]
    fn types_that_the_kernel_lacks_are_named() {
        let found = types("map types", [("array", Ok(true)), ("lpm_trie", Ok(false)), ("hash", Ok(false))]);
        assert_eq!((found.level, &*found.found), (Level::Missing, "the kernel does not have lpm_trie, hash"));
        assert_eq!(
            types("map types", [("array", Ok(true)), ("hash", Ok(true))]),
            Finding::ok("map types", "array, hash")
        );
        let refused = types("map types", [("array", Ok(false)), ("hash", Err("EPERM".to_owned()))]);
        assert!(refused.level == Level::Warning && refused.found.contains("hash could not be tried: EPERM"));
        assert!(MAPS.iter().all(|map| map_types().iter().any(|(_, kind)| *kind == map_type(map.kind))));
    }

    #[test]
    fn a_kernel_without_tcx_serves_by_filters() {
        assert_eq!(
            [tcx(Ok(true)).level, tcx(Ok(false)).level, tcx(Err(errno(libc::EPERM))).level],
            [Level::Ok, Level::Ok, Level::Warning]
        );
    }
}
