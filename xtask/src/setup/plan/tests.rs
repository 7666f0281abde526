//! Checks the plans for different machines.

use super::*;
use crate::setup::packages::{COMPILER, LINKER, PROGRAMS};

fn complete() -> Facts {
    Facts {
        root: true,
        apt: true,
        offered: true,
        rustup: true,
        toolchain: Some(EbpfToolchain::Debian),
        linker: true,
        compiler_packages: Vec::new(),
        linker_packages: Vec::new(),
        ebpf_clippy: true,
        programs: Vec::new(),
        components: Vec::new(),
    }
}

fn bare() -> Facts {
    Facts {
        toolchain: None,
        linker: false,
        compiler_packages: COMPILER.to_vec(),
        linker_packages: LINKER.to_vec(),
        ebpf_clippy: false,
        programs: PROGRAMS.to_vec(),
        components: vec!["clippy"],
        ..complete()
    }
}

fn names(plan: &Plan) -> Vec<&'static str> {
    let Some(Step::Packages(packages)) = plan.steps().first() else { return Vec::new() };
    packages.iter().map(|package| package.name).collect()
}

#[test]
fn a_complete_machine_needs_nothing() {
    assert!(Plan::new(&complete()).is_empty());
}

#[test]
fn bare_debian_gets_packages_then_link_then_linker() {
    let plan = Plan::new(&bare());
    assert_eq!(plan.blocked(), None);
    assert_eq!(
        names(&plan)[..6],
        ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "llvm-22-dev", "libpolly-22-dev", "rust-web-clippy"]
    );
    assert_eq!(
        plan.steps()[1..],
        [Step::LinkDebian, Step::Linker(EbpfToolchain::Debian), Step::Components(vec!["clippy"])]
    );
}

#[test]
fn a_lost_link_alone_installs_no_package() {
    let plan = Plan::new(&Facts { toolchain: None, ..complete() });
    assert_eq!(plan.steps(), [Step::LinkDebian]);
}

#[test]
fn where_debian_does_not_offer_the_compiler_nightly_is_used() {
    let facts = Facts { offered: false, programs: Vec::new(), ..bare() };
    let plan = Plan::new(&facts);
    assert_eq!(plan.steps()[..2], [Step::Nightly, Step::Linker(EbpfToolchain::Nightly)]);
}

#[test]
fn without_root_the_one_command_is_named() {
    let plan = Plan::new(&Facts { root: false, programs: PROGRAMS[1..2].to_vec(), ..complete() });
    let blocked = plan.blocked().expect("packages need root");
    assert!(blocked.contains("sudo apt-get install -y --no-install-recommends iproute2 && cargo xtask setup"));
}

#[test]
fn without_root_what_needs_none_is_still_done() {
    let plan = Plan::new(&Facts { root: false, linker: false, ..complete() });
    assert_eq!(plan.blocked(), None);
    assert_eq!(plan.steps(), [Step::Linker(EbpfToolchain::Debian)]);
}

#[test]
fn a_missing_rustup_comes_first() {
    let plan = Plan::new(&Facts { rustup: false, root: false, ..bare() });
    assert!(plan.blocked().expect("nothing works without rustup").starts_with("rustup is not installed"));
}
