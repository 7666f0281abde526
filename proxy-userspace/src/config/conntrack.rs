//! How long flows are tracked, and which packets are rejected or answered in place: the load-time constants of the packet
//! programs.

use std::io;

use proxy_common::{AssociationTimeouts, Timeouts};

use crate::node::jiffies;

/// The longest timeout, in jiffies. The programs compare the ends of flows modulo 2³², so a timeout must stay well below 2³¹.
pub(super) const LONGEST: u32 = 1 << 30;

/// How flows are treated. Timeouts have the names of nf_conntrack and the defaults that kube-proxy sets there.
#[derive(Clone, Copy, Debug)]
pub struct FlowConfig {
    /// Timeouts of TCP and UDP flows, in seconds.
    pub timeouts: Timeouts,
    /// Timeouts of SCTP associations, in seconds.
    pub associations: AssociationTimeouts,
    /// Whether echo requests to the address of a Service with a usable backend are answered.
    pub answer_echo: bool,
    /// The most rejects (RST, ICMP) per second on one CPU; 0 is no limit.
    pub reject_rate: u32,
}

impl FlowConfig {
    /// The configuration without any flags.
    pub const DEFAULT: Self = Self {
        timeouts: Timeouts::DEFAULT,
        associations: AssociationTimeouts::DEFAULT,
        answer_echo: true,
        reject_rate: 1000,
    };
}

/// Why a setting can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The timeout is 0 or too long.
    #[error("use --{flag} {seconds}: give 1 to {} seconds", .longest)]
    Timeout {
        /// The flag.
        flag: &'static str,
        /// The timeout that was given.
        seconds: u32,
        /// The longest timeout at this kernel's HZ, in seconds.
        longest: u32,
    },
    /// The length of the kernel's jiffy can't be read.
    #[error("read the resolution of CLOCK_MONOTONIC_COARSE")]
    Clock(#[source] io::Error),
}

/// A load-time constant: its name in the eBPF object and its value.
pub type Constant = (&'static str, u32);

impl FlowConfig {
    /// Returns the constants for this kernel: timeouts in jiffies, and the other settings.
    ///
    /// Fails if a timeout is 0 or too long, or if the length of a jiffy can't be read.
    pub fn constants(&self) -> Result<Vec<Constant>, FlowError> {
        self.constants_at(jiffies::per_second().map_err(FlowError::Clock)?)
    }

    fn constants_at(&self, jiffies_per_second: u32) -> Result<Vec<Constant>, FlowError> {
        let Self { timeouts: flow, associations: sctp, .. } = self;
        let timeouts = [
            ("TIMEOUT_TCP_SYN_SENT", "conntrack-tcp-timeout-syn-sent", flow.tcp_syn_sent),
            ("TIMEOUT_TCP_SYN_RECEIVED", "conntrack-tcp-timeout-syn-recv", flow.tcp_syn_received),
            ("TIMEOUT_TCP_ESTABLISHED", "conntrack-tcp-timeout-established", flow.tcp_established),
            ("TIMEOUT_TCP_FIN_WAIT", "conntrack-tcp-timeout-fin-wait", flow.tcp_fin_wait),
            ("TIMEOUT_TCP_CLOSE_WAIT", "conntrack-tcp-timeout-close-wait", flow.tcp_close_wait),
            ("TIMEOUT_TCP_TIME_WAIT", "conntrack-tcp-timeout-time-wait", flow.tcp_time_wait),
            ("TIMEOUT_TCP_CLOSE", "conntrack-tcp-timeout-close", flow.tcp_close),
            ("TIMEOUT_UDP", "conntrack-udp-timeout", flow.udp),
            ("TIMEOUT_UDP_STREAM", "conntrack-udp-timeout-stream", flow.udp_stream),
            ("TIMEOUT_SCTP_CLOSED", "conntrack-sctp-timeout-closed", sctp.closed),
            ("TIMEOUT_SCTP_COOKIE_WAIT", "conntrack-sctp-timeout-cookie-wait", sctp.cookie_wait),
            ("TIMEOUT_SCTP_ESTABLISHED", "conntrack-sctp-timeout-established", sctp.established),
            ("TIMEOUT_SCTP_SHUTDOWN_SENT", "conntrack-sctp-timeout-shutdown-sent", sctp.shutdown_sent),
            ("TIMEOUT_SCTP_SHUTDOWN_RECEIVED", "conntrack-sctp-timeout-shutdown-recd", sctp.shutdown_received),
            ("TIMEOUT_SCTP_SHUTDOWN_ACK_SENT", "conntrack-sctp-timeout-shutdown-ack-sent", sctp.shutdown_ack_sent),
        ];
        let longest = LONGEST / jiffies_per_second;
        let mut constants = vec![
            ("JIFFIES_PER_SECOND", jiffies_per_second),
            ("ANSWER_ECHO", self.answer_echo.into()),
            ("REJECT_RATE", self.reject_rate),
        ];
        for (name, flag, seconds) in timeouts {
            if !(1..=longest).contains(&seconds) {
                return Err(FlowError::Timeout { flag, seconds, longest });
            }
            constants.push((name, seconds * jiffies_per_second));
        }
        Ok(constants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_jiffies_of_this_kernel() {
        let timeouts = Timeouts { udp: 7, ..Timeouts::DEFAULT };
        let config = FlowConfig { timeouts, answer_echo: false, reject_rate: 5, ..FlowConfig::DEFAULT };
        let found = config.constants_at(250).unwrap();
        for wanted in [
            ("JIFFIES_PER_SECOND", 250),
            ("TIMEOUT_UDP", 1750),
            ("TIMEOUT_UDP_STREAM", 30_000),
            ("TIMEOUT_TCP_ESTABLISHED", 21_600_000),
            ("TIMEOUT_TCP_CLOSE_WAIT", 900_000),
            ("ANSWER_ECHO", 0),
            ("REJECT_RATE", 5),
        ] {
            assert!(found.contains(&wanted), "{wanted:?} in {found:?}");
        }
        assert_eq!(found.len(), 18);
    }

    #[test]
    fn timeouts_that_would_wrap_are_refused() {
        assert!(FlowConfig::DEFAULT.constants_at(1000).is_ok(), "the defaults fit every kernel");
        let refused = |change: fn(&mut Timeouts), jiffies| {
            let mut config = FlowConfig::DEFAULT;
            change(&mut config.timeouts);
            config.constants_at(jiffies).unwrap_err().to_string()
        };
        let text = refused(|timeouts| timeouts.tcp_established = 1_073_742, 1000);
        assert!(text.contains("--conntrack-tcp-timeout-established 1073742: give 1 to 1073741 seconds"), "{text}");
        assert!(refused(|timeouts| timeouts.tcp_close = 0, 250).contains("--conntrack-tcp-timeout-close 0"));
    }
}
