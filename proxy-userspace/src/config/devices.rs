//! Which devices are served, and how.

use std::{fmt, str::FromStr};

use clap::ValueEnum;

/// Which devices are served, and how.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// Which devices are served.
    pub choice: DeviceChoice,
    /// Which kind of program serves them.
    pub mode: DeviceMode,
    /// Host ends of pods whose sockets belong to another kernel (virtual machines).
    pub pod_interfaces: Vec<Pattern>,
    /// How TC programs are attached.
    pub tc_attach: TcAttach,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            choice: DeviceChoice::Auto,
            mode: DeviceMode::Auto,
            pod_interfaces: Vec::new(),
            tc_attach: TcAttach::Auto,
        }
    }
}

/// `--devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// Devices with an address of the node, a default route or a link-local gateway.
    Auto,
    /// Devices whose names match one of these patterns.
    Named(Vec<Pattern>),
}

/// `--device-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceMode {
    /// Native XDP on network cards; TC on devices without it, or where packets that XDP sends may be lost (veth)
    Auto,
    /// Native XDP only
    Xdp,
    /// Generic XDP: works everywhere, no faster than TC
    XdpGeneric,
    /// TC only
    Tc,
    /// No device is served, only sockets on this node
    Off,
}

/// `--tc-attach`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TcAttach {
    /// TCX where the kernel has it (Linux 6.6), else clsact
    Auto,
    /// TCX links
    Tcx,
    /// Filters of the device's clsact qdisc
    Clsact,
}

/// A device's name, in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Returns the name if the pattern has no wildcards.
    pub fn name(&self) -> Option<&str> {
        (!self.0.contains(['*', '?'])).then_some(&self.0)
    }

    /// True if a device of this name matches.
    pub fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        ([b'?', rest @ ..], [_, others @ ..]) => matches(rest, others),
        ([first, rest @ ..], [other, others @ ..]) => first == other && matches(rest, others),
        _ => false,
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        /// `IFNAMSIZ` without the terminating NUL.
        const LONGEST: usize = 15;
        let is_literal = !text.contains('*');
        if text.is_empty() || text.contains(['/', ',', ':', ' ']) || (is_literal && text.len() > LONGEST) {
            return Err(format!(
                "{text:?} is not a device name: give 1 to {LONGEST} characters without `/`, `:` and space"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        Ok(Self::Named(text.split(',').map(|name| name.trim().parse()).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, yes, no) in [
            ("eth*", ["eth", "eth0", "eth0.100"], ["veth0", "et", ""]),
            ("e?h*1", ["eth1", "exh01", "e.h11"], ["eh1", "eth10", "eth"]),
            ("eth0", ["eth0", "eth0", "eth0"], ["eth00", "eth", "Eth0"]),
            ("*", ["", "a", "b*"], ["", "", ""]),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert!(yes.iter().all(|name| parsed.matches(name)), "{pattern}");
            assert!(pattern == "*" || !no.iter().any(|name| parsed.matches(name)), "{pattern}");
        }
    }

    #[test]
    fn choices_are_auto_or_names() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        let named = ["eth0", "bond*"].map(|name| Pattern(name.to_owned())).into();
        assert_eq!("eth0, bond*".parse(), Ok(DeviceChoice::Named(named)));
        for bad in ["", "eth0,", "a/b", "sixteencharacter", "eth0:1"] {
            assert!(bad.parse::<DeviceChoice>().is_err(), "{bad}");
        }
    }
}
