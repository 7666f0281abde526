//! How long flows of packets are remembered and what is refused or answered in place: the load-time constants of
//! the packet programs, from the command line.

use std::io;

use clap::Args;
use proxy_common::{AssociationTimeouts, Timeouts};

use crate::node::jiffies;

const DEFAULT: Timeouts = Timeouts::DEFAULT;
const SCTP: AssociationTimeouts = AssociationTimeouts::DEFAULT;
/// Ends of flows are compared modulo 2³²: this is far enough from ambiguity.
const LONGEST: u32 = 1 << 30;

/// Settings of flows. Timeouts have nf_conntrack's names, and the defaults that kube-proxy gives it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Flows")]
pub struct FlowArgs {
    /// Seconds until a TCP connection is forgotten while the backend has not replied
    #[arg(long = "conntrack-tcp-timeout-syn-sent", value_name = "S", default_value_t = DEFAULT.tcp_syn_sent)]
    pub tcp_syn_sent: u32,
    /// Seconds until a TCP connection is forgotten while the client has not confirmed the reply
    #[arg(long = "conntrack-tcp-timeout-syn-recv", value_name = "S", default_value_t = DEFAULT.tcp_syn_received)]
    pub tcp_syn_received: u32,
    /// Seconds until an established TCP connection is forgotten when it is silent
    #[arg(long = "conntrack-tcp-timeout-established", value_name = "S", default_value_t = DEFAULT.tcp_established)]
    pub tcp_established: u32,
    /// Seconds until a TCP connection is forgotten that one side has closed and the other has not acknowledged
    #[arg(long = "conntrack-tcp-timeout-fin-wait", value_name = "S", default_value_t = DEFAULT.tcp_fin_wait)]
    pub tcp_fin_wait: u32,
    /// Seconds until a TCP connection is forgotten that one side only has closed (kube-proxy's
    /// conntrack.tcpCloseWaitTimeout)
    #[arg(long = "conntrack-tcp-timeout-close-wait", value_name = "S", default_value_t = DEFAULT.tcp_close_wait)]
    pub tcp_close_wait: u32,
    /// Seconds until a TCP connection is forgotten that both sides have closed
    #[arg(long = "conntrack-tcp-timeout-time-wait", value_name = "S", default_value_t = DEFAULT.tcp_time_wait)]
    pub tcp_time_wait: u32,
    /// Seconds until a TCP connection is forgotten that was reset
    #[arg(long = "conntrack-tcp-timeout-close", value_name = "S", default_value_t = DEFAULT.tcp_close)]
    pub tcp_close: u32,
    /// Seconds until a silent UDP flow is forgotten
    #[arg(long = "conntrack-udp-timeout", value_name = "S", default_value_t = DEFAULT.udp)]
    pub udp: u32,
    /// Seconds until a silent UDP flow is forgotten that has gone both ways more than once
    #[arg(long = "conntrack-udp-timeout-stream", value_name = "S", default_value_t = DEFAULT.udp_stream)]
    pub udp_stream: u32,
    /// Seconds until an SCTP association is forgotten that has ended
    #[arg(long = "conntrack-sctp-timeout-closed", value_name = "S", default_value_t = SCTP.closed)]
    pub sctp_closed: u32,
    /// Seconds until an SCTP association is forgotten while the client has not confirmed the reply
    #[arg(long = "conntrack-sctp-timeout-cookie-wait", value_name = "S", default_value_t = SCTP.cookie_wait)]
    pub sctp_cookie_wait: u32,
    /// Seconds until an established SCTP association is forgotten when it is silent
    #[arg(long = "conntrack-sctp-timeout-established", value_name = "S", default_value_t = SCTP.established)]
    pub sctp_established: u32,
    /// Seconds until an SCTP association is forgotten that the client has closed
    #[arg(long = "conntrack-sctp-timeout-shutdown-sent", value_name = "S", default_value_t = SCTP.shutdown_sent)]
    pub sctp_shutdown_sent: u32,
    /// Seconds until an SCTP association is forgotten that the backend has closed
    #[arg(long = "conntrack-sctp-timeout-shutdown-recd", value_name = "S", default_value_t = SCTP.shutdown_received)]
    pub sctp_shutdown_received: u32,
    /// Seconds until an SCTP association is forgotten that both sides have closed
    #[arg(long = "conntrack-sctp-timeout-shutdown-ack-sent", value_name = "S", default_value_t = SCTP.shutdown_ack_sent)]
    pub sctp_shutdown_ack_sent: u32,
    /// Answer pings of Services' addresses while a backend is usable
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub answer_echo: bool,
    /// Refusals (RST, ICMP) a second and processor; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub reject_rate: u32,
}

/// Why a setting can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// Out of bounds.
    #[error("use --{flag} {seconds}: give 1 to {} seconds", .longest)]
    Timeout {
        /// The flag.
        flag: &'static str,
        /// What was given.
        seconds: u32,
        /// The most that this kernel's clock allows.
        longest: u32,
    },
    /// The kernel's tick can't be read.
    #[error("read the resolution of CLOCK_MONOTONIC_COARSE: {0}")]
    Clock(io::Error),
}

/// A load-time constant: its name in the eBPF object and its value.
pub type Constant = (&'static str, u32);

impl FlowArgs {
    /// The constants, for this kernel.
    pub fn constants(&self) -> Result<Vec<Constant>, FlowError> {
        self.constants_at(jiffies::per_second().map_err(FlowError::Clock)?)
    }

    fn constants_at(&self, jiffies_per_second: u32) -> Result<Vec<Constant>, FlowError> {
        let timeouts = [
            ("TIMEOUT_TCP_SYN_SENT", "conntrack-tcp-timeout-syn-sent", self.tcp_syn_sent),
            ("TIMEOUT_TCP_SYN_RECEIVED", "conntrack-tcp-timeout-syn-recv", self.tcp_syn_received),
            ("TIMEOUT_TCP_ESTABLISHED", "conntrack-tcp-timeout-established", self.tcp_established),
            ("TIMEOUT_TCP_FIN_WAIT", "conntrack-tcp-timeout-fin-wait", self.tcp_fin_wait),
            ("TIMEOUT_TCP_CLOSE_WAIT", "conntrack-tcp-timeout-close-wait", self.tcp_close_wait),
            ("TIMEOUT_TCP_TIME_WAIT", "conntrack-tcp-timeout-time-wait", self.tcp_time_wait),
            ("TIMEOUT_TCP_CLOSE", "conntrack-tcp-timeout-close", self.tcp_close),
            ("TIMEOUT_UDP", "conntrack-udp-timeout", self.udp),
            ("TIMEOUT_UDP_STREAM", "conntrack-udp-timeout-stream", self.udp_stream),
            ("TIMEOUT_SCTP_CLOSED", "conntrack-sctp-timeout-closed", self.sctp_closed),
            ("TIMEOUT_SCTP_COOKIE_WAIT", "conntrack-sctp-timeout-cookie-wait", self.sctp_cookie_wait),
            ("TIMEOUT_SCTP_ESTABLISHED", "conntrack-sctp-timeout-established", self.sctp_established),
            ("TIMEOUT_SCTP_SHUTDOWN_SENT", "conntrack-sctp-timeout-shutdown-sent", self.sctp_shutdown_sent),
            ("TIMEOUT_SCTP_SHUTDOWN_RECEIVED", "conntrack-sctp-timeout-shutdown-recd", self.sctp_shutdown_received),
            ("TIMEOUT_SCTP_SHUTDOWN_ACK_SENT", "conntrack-sctp-timeout-shutdown-ack-sent", self.sctp_shutdown_ack_sent),
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
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: FlowArgs,
    }

    fn constants(line: &str, jiffies_per_second: u32) -> Result<Vec<Constant>, FlowError> {
        let args = Line::try_parse_from(["test"].into_iter().chain(line.split_whitespace())).unwrap().args;
        args.constants_at(jiffies_per_second)
    }

    #[test]
    fn timeouts_are_jiffies_of_this_kernel() {
        let found = constants("--conntrack-udp-timeout 7 --answer-echo false --reject-rate 5", 250).unwrap();
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
        assert!(constants("", 1000).is_ok(), "the defaults fit every kernel");
        let refused = constants("--conntrack-tcp-timeout-established 1073742", 1000).unwrap_err();
        assert!(refused.to_string().contains("--conntrack-tcp-timeout-established 1073742: give 1 to 1073741 seconds"));
        assert!(constants("--conntrack-tcp-timeout-close 0", 250).is_err());
    }
}
