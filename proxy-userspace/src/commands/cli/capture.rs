//! The arguments of `waggle capture`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{InstanceArgs, Transport};

pub(super) const AFTER_HELP: &str = "\
Examples:
  waggle capture -w packets.pcapng
  waggle capture svc/web -n shop --device eth0 --count 100 -w web.pcapng
  waggle capture --verdict rejected --verdict dropped -w refused.pcapng
  waggle capture -w - | wireshark -k -i -
  waggle capture --port 30080 -w - | tshark -r - -T fields -e frame.interface_name -e frame.comment

In the file, each device and hook has two interfaces: \"eth0 xdp in\" has what the program received, \"eth0 xdp out\" what it \
sent, or passed on changed. A packet's comment names the Service and the verdict. \
Exit code: 0, also after Ctrl-C, or 1 if a Service, device or reason is not there, or the instance was removed meanwhile.";

/// `waggle capture`.
#[derive(Args, Clone, Debug)]
pub struct CaptureArgs {
    /// Only packets of this Service: svc/NAME or NAMESPACE/NAME
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// The file to write, in the format pcapng; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    pub write: PathBuf,
    /// The namespace of svc/NAME
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Only packets that programs on this device get; may be repeated
    #[arg(long, short = 'i', value_name = "NAME")]
    pub device: Vec<String>,
    /// Only packets with this source or destination address, before or after translation
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// Only packets with this source or destination port, before or after translation
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Only packets of this protocol
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<Transport>,
    /// Only packets with this verdict; may be repeated
    #[arg(long, value_name = "VERDICT")]
    pub verdict: Vec<PacketVerdict>,
    /// Only packets that were refused for this reason, as `waggle get drops` names it; may be repeated
    #[arg(long, value_name = "REASON")]
    pub reason: Vec<String>,
    /// Also packets that belong to no Service, and that programs pass as they are
    #[arg(long)]
    pub all: bool,
    /// End after this many packets
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// The most bytes of a packet
    #[arg(long, short, value_name = "BYTES", default_value_t = proxy_common::capture::SNAPLEN_MAX,
        value_parser = clap::value_parser!(u32).range(64..=i64::from(proxy_common::capture::SNAPLEN_MAX)))]
    pub snaplen: u32,
    /// The instance to look at
    #[command(flatten)]
    pub instance: InstanceArgs,
}

/// What a program has decided about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum PacketVerdict {
    /// Translated, and sent on by the program
    Forwarded,
    /// Translated, and left to the stack
    Translated,
    /// Answered in a frontend's name
    EchoReply,
    /// Refused with an error that the client sees
    Rejected,
    /// Refused silently
    Dropped,
    /// Left as it was
    Passed,
}
