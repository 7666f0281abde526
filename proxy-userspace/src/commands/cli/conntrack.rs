//! The flags for flows of packets.

use clap::Args;
use proxy_common::{AssociationTimeouts, Timeouts};

use crate::config::{FlowConfig, duration::whole_seconds, kube_proxy::Conntrack};

const DEFAULT: Timeouts = Timeouts::DEFAULT;
const SCTP: AssociationTimeouts = AssociationTimeouts::DEFAULT;

/// Settings of flows. Timeouts have the names of nf_conntrack and the defaults that kube-proxy sets there. The four that
/// kube-proxy has itself may also be in its file.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Flows")]
pub struct FlowArgs {
    /// Seconds until a TCP connection to which the backend has not replied is forgotten
    #[arg(long = "conntrack-tcp-timeout-syn-sent", value_name = "S", default_value_t = DEFAULT.tcp_syn_sent)]
    pub tcp_syn_sent: u32,
    /// Seconds until a TCP connection whose client has not confirmed the reply is forgotten
    #[arg(long = "conntrack-tcp-timeout-syn-recv", value_name = "S", default_value_t = DEFAULT.tcp_syn_received)]
    pub tcp_syn_received: u32,
    /// Seconds until an idle established TCP connection is forgotten [default: 86400]
    #[arg(long = "conntrack-tcp-timeout-established", value_name = "S", value_parser = seconds)]
    pub tcp_established: Option<u32>,
    /// Seconds until a TCP connection that one side has closed and the other has not acknowledged is forgotten
    #[arg(long = "conntrack-tcp-timeout-fin-wait", value_name = "S", default_value_t = DEFAULT.tcp_fin_wait)]
    pub tcp_fin_wait: u32,
    /// Seconds until a TCP connection that only one side has closed is forgotten (kube-proxy's
    /// conntrack.tcpCloseWaitTimeout) [default: 3600]
    #[arg(long = "conntrack-tcp-timeout-close-wait", value_name = "S", value_parser = seconds)]
    pub tcp_close_wait: Option<u32>,
    /// Seconds until a TCP connection that both sides have closed is forgotten
    #[arg(long = "conntrack-tcp-timeout-time-wait", value_name = "S", default_value_t = DEFAULT.tcp_time_wait)]
    pub tcp_time_wait: u32,
    /// Seconds until a TCP connection that was reset is forgotten
    #[arg(long = "conntrack-tcp-timeout-close", value_name = "S", default_value_t = DEFAULT.tcp_close)]
    pub tcp_close: u32,
    /// Seconds until an idle UDP flow is forgotten [default: 30]
    #[arg(long = "conntrack-udp-timeout", value_name = "S", value_parser = seconds)]
    pub udp: Option<u32>,
    /// Seconds until an idle UDP flow that both sides have confirmed is forgotten [default: 120]
    #[arg(long = "conntrack-udp-timeout-stream", value_name = "S", value_parser = seconds)]
    pub udp_stream: Option<u32>,
    /// Seconds until an SCTP association that has ended is forgotten
    #[arg(long = "conntrack-sctp-timeout-closed", value_name = "S", default_value_t = SCTP.closed)]
    pub sctp_closed: u32,
    /// Seconds until an SCTP association whose client has not confirmed the reply is forgotten
    #[arg(long = "conntrack-sctp-timeout-cookie-wait", value_name = "S", default_value_t = SCTP.cookie_wait)]
    pub sctp_cookie_wait: u32,
    /// Seconds until an idle established SCTP association is forgotten
    #[arg(long = "conntrack-sctp-timeout-established", value_name = "S", default_value_t = SCTP.established)]
    pub sctp_established: u32,
    /// Seconds until an SCTP association that the client has closed is forgotten
    #[arg(long = "conntrack-sctp-timeout-shutdown-sent", value_name = "S", default_value_t = SCTP.shutdown_sent)]
    pub sctp_shutdown_sent: u32,
    /// Seconds until an SCTP association that the backend has closed is forgotten
    #[arg(long = "conntrack-sctp-timeout-shutdown-recd", value_name = "S", default_value_t = SCTP.shutdown_received)]
    pub sctp_shutdown_received: u32,
    /// Seconds until an SCTP association that both sides have closed is forgotten
    #[arg(long = "conntrack-sctp-timeout-shutdown-ack-sent", value_name = "S", default_value_t = SCTP.shutdown_ack_sent)]
    pub sctp_shutdown_ack_sent: u32,
    /// Answer pings to the addresses of Services that have a usable backend
    #[arg(long, value_name = "BOOL", default_value_t = FlowConfig::DEFAULT.answer_echo, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub answer_echo: bool,
    /// The most rejects (RST, ICMP) per second and CPU; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = FlowConfig::DEFAULT.reject_rate)]
    pub reject_rate: u32,
}

/// Parses seconds, given as a number or as a duration in kube-proxy's form.
fn seconds(text: &str) -> Result<u32, String> {
    text.parse().or_else(|_| whole_seconds(text)).map_err(|_| "give seconds, or a duration such as 1h0m0s".to_owned())
}

impl FlowArgs {
    /// Returns the settings: from the flags first, then from kube-proxy's file, then the defaults. 0 means the default, as in
    /// kube-proxy, which then leaves the kernel's setting alone.
    pub fn config(self, file: &Conntrack) -> FlowConfig {
        let args = self;
        let of = |flag: Option<u32>, file, default| flag.or(file).filter(|seconds| *seconds != 0).unwrap_or(default);
        let timeouts = Timeouts {
            tcp_syn_sent: args.tcp_syn_sent,
            tcp_syn_received: args.tcp_syn_received,
            tcp_established: of(args.tcp_established, file.tcp_established_timeout, DEFAULT.tcp_established),
            tcp_fin_wait: args.tcp_fin_wait,
            tcp_close_wait: of(args.tcp_close_wait, file.tcp_close_wait_timeout, DEFAULT.tcp_close_wait),
            tcp_time_wait: args.tcp_time_wait,
            tcp_close: args.tcp_close,
            udp: of(args.udp, file.udp_timeout, DEFAULT.udp),
            udp_stream: of(args.udp_stream, file.udp_stream_timeout, DEFAULT.udp_stream),
        };
        let associations = AssociationTimeouts {
            closed: args.sctp_closed,
            cookie_wait: args.sctp_cookie_wait,
            established: args.sctp_established,
            shutdown_sent: args.sctp_shutdown_sent,
            shutdown_received: args.sctp_shutdown_received,
            shutdown_ack_sent: args.sctp_shutdown_ack_sent,
        };
        FlowConfig { timeouts, associations, answer_echo: args.answer_echo, reject_rate: args.reject_rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_that_help_texts_say_are_the_defaults() {
        let command = FlowArgs::augment_args(clap::Command::new("flows"));
        for (name, default) in [
            ("tcp_established", DEFAULT.tcp_established),
            ("tcp_close_wait", DEFAULT.tcp_close_wait),
            ("udp", DEFAULT.udp),
            ("udp_stream", DEFAULT.udp_stream),
        ] {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name).unwrap();
            let help = argument.get_help().unwrap().to_string();
            assert!(help.ends_with(&format!(" [default: {default}]")), "{name}: {help}");
        }
    }
}
