//! No program exceeds what the committed file allows, as the verifier counts it.

use aya::programs::Program;
use harness::{
    instructions::{Committed, Counts, series},
    lab::Lab,
};
use proxy_userspace::{
    attach::{Group, ProgramSet},
    commands::cleanup,
    config::{DataplaneConfig, MapSizes},
    succession::loader,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-ebpf/verified-instructions.txt");
const TEXT: &str = include_str!("../../../../proxy-ebpf/verified-instructions.txt");

/// The environment variable that makes the test write the file instead of comparing with it.
const UPDATE: &str = "WAGGLE_UPDATE_INSTRUCTIONS";

/// Loads every program of the object as the agent does, and asks the kernel for its count.
fn measure(machine: &Lab) -> Counts {
    let instance = format!("{}-budget", machine.id());
    let sizes = MapSizes::default();
    let config =
        DataplaneConfig { instance: instance.clone(), cgroup: "/".into(), sizes, constants: Vec::new(), log_level: 0 };
    let counts = loader::load(&config).map(|(_, loaded)| {
        let folder = loaded.set.succession.folder().clone();
        let program_set = ProgramSet::new(loaded.set.ebpf, &folder, &Group::ALL, &Group::ALL);
        program_set
            .expect("load the programs")
            .ebpf()
            .programs()
            .map(|(name, program)| (name.to_owned(), count(program)))
            .collect()
    });
    cleanup::cleanup(&instance, true).expect("remove the instance");
    counts.expect("load the object")
}

fn count(program: &Program) -> u32 {
    let info = program.info().expect("the kernel describes a loaded program");
    info.verified_instruction_count().expect("the kernel counts verified instructions")
}

#[test]
fn verified_instructions_stay_within_the_committed_budget() {
    let machine = Lab::new("budget").expect("make the machine ready");
    let measured = measure(&machine);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("read the kernel's version");
    let kernel = series(release.trim());
    println!("verified instructions on kernel {kernel}:");
    for (program, count) in &measured {
        println!("{program} {count}");
    }

    if std::env::var_os(UPDATE).is_some() {
        let text = Committed { kernel, counts: measured }.render();
        return std::fs::write(FILE, text).expect("write the file");
    }
    let committed = Committed::parse(TEXT);
    if committed.kernel != kernel {
        return println!("not compared: the file counts for kernel {}", committed.kernel);
    }
    let faults = committed.faults(&measured);
    assert!(faults.is_empty(), "{faults:#?}\nif it is worth it, run this test with {UPDATE}=1 to rewrite {FILE}");
}
