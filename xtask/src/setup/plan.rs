//! Decides what to install. Pure.

use std::fmt;

use super::{
    facts::Facts,
    packages::{CLIPPY, Package},
};
use crate::ebpf_toolchain::EbpfToolchain;

/// One thing to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Install Debian packages.
    Packages(Vec<Package>),
    /// Link /usr as a rustup toolchain.
    LinkDebian,
    /// Install rustup's nightly with the sources of `core`.
    Nightly,
    /// Install bpf-linker from crates.io, for this toolchain.
    Linker(EbpfToolchain),
    /// Install components of the toolchain in use.
    Components(Vec<&'static str>),
}

/// The steps in order, and what blocks them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    blocked: Option<String>,
}

impl Plan {
    /// Makes a plan that installs everything that the machine described by `facts` lacks.
    pub(crate) fn new(facts: &Facts) -> Self {
        let toolchain = facts.toolchain.unwrap_or(if facts.apt && facts.offered {
            EbpfToolchain::Debian
        } else {
            EbpfToolchain::Nightly
        });
        let packages = packages(facts, toolchain);
        let blocked = blocked(facts, &packages);
        let mut steps = Vec::new();
        if !packages.is_empty() {
            steps.push(Step::Packages(packages));
        }
        match (facts.toolchain, toolchain) {
            (Some(EbpfToolchain::Nightly), _) if !facts.ebpf_clippy => steps.push(Step::Nightly),
            (Some(_), _) => {}
            (None, EbpfToolchain::Debian) => steps.push(Step::LinkDebian),
            (None, EbpfToolchain::Nightly) => steps.push(Step::Nightly),
        }
        if !facts.linker {
            steps.push(Step::Linker(toolchain));
        }
        if !facts.components.is_empty() {
            steps.push(Step::Components(facts.components.clone()));
        }
        Self { steps, blocked }
    }

    /// True if nothing is missing.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.blocked.is_none()
    }

    /// Returns the steps, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns why the steps can't be carried out, and what to type; `None` if they can.
    pub(crate) fn blocked(&self) -> Option<&str> {
        self.blocked.as_deref()
    }
}

fn packages(facts: &Facts, toolchain: EbpfToolchain) -> Vec<Package> {
    let mut packages = Vec::new();
    if toolchain == EbpfToolchain::Debian {
        if facts.toolchain.is_none() {
            packages.extend(&facts.compiler_packages);
        }
        if !facts.linker {
            packages.extend(&facts.linker_packages);
        }
        if !facts.ebpf_clippy {
            packages.push(CLIPPY);
        }
    }
    packages.extend(facts.programs.iter().map(|program| program.package));
    packages
}

fn blocked(facts: &Facts, packages: &[Package]) -> Option<String> {
    let names = packages.iter().map(|package| package.name).collect::<Vec<_>>().join(" ");
    if !facts.rustup {
        let how = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y";
        return Some(format!("rustup is not installed (https://rustup.rs); install it with\n  {how}"));
    }
    if packages.is_empty() || (facts.root && facts.apt) {
        return None;
    }
    if facts.apt {
        let install = format!("apt-get install -y --no-install-recommends {names}");
        return Some(format!(
            "installing packages needs root; type\n  sudo apt-get update && sudo {install} && cargo xtask setup"
        ));
    }
    let programs = facts.programs.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
    Some(format!("install these programs with your system's package tool (Debian's names: {names}): {programs}"))
}

/// Formats the steps, a line each, without what blocks them.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Packages(packages) => {
                    for package in packages {
                        writeln!(formatter, "missing: {} ({})", package.name, package.why)?;
                    }
                }
                Step::LinkDebian => writeln!(formatter, "missing: a rustup name for Debian's compiler")?,
                Step::Nightly => {
                    writeln!(formatter, "missing: nightly Rust with rust-src (compiles the eBPF programs)")?;
                }
                Step::Linker(_) => writeln!(formatter, "missing: bpf-linker (links the eBPF programs)")?,
                Step::Components(names) => writeln!(formatter, "missing: {} of the Rust toolchain", names.join(", "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
