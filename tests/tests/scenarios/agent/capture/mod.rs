//! `waggle capture`: what it refuses, and that its files can be read; in `traced.rs`, what is in them beside real agents, and what
//! is left behind.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod frames;
mod running;
mod traced;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use etherparse::PacketBuilder;
use harness::{
    lab::{find_program, typed::Page},
    scene::{Family, Setup, expect, web, web_slice},
};
use nix::pty::openpty;
use proxy_common::{
    Counter,
    capture::{Captured, bits},
};
use proxy_userspace::commands::capture::{Packet, PacketFile, Stage};
use tempfile::NamedTempFile;

#[test]
fn what_is_not_there_can_not_be_captured() {
    let scene = Setup::new("capture-ask").backends(1).start();
    scene.put(&web("web", [Family::Ipv4.cluster_ip(1)]).build());
    scene.put(&web_slice("web", Family::Ipv4).pod(scene.pod(1)).build());
    expect(&scene.from_pod, Family::Ipv4.frontend(1), &["p1"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.pcapng");
    for (arguments, wanted) in [
        (&["svc/no"][..], "capture packets of Service default/no: nothing of it is in the maps"),
        (
            &["svc/web", "--device", "no0"],
            "capture packets of device \"no0\": it has no programs of this instance; devices",
        ),
        (&["--reason", "bad_mood"], "no such reason; the reasons are no_backend"),
    ] {
        let (success, text) = scene.cli(&[&["capture", "-w", file.to_str().unwrap()], arguments].concat());
        assert!(!success && text.contains(wanted), "{text}");
    }
    assert!(!file.exists());
    let terminal = openpty(None, None).unwrap();
    let mut command = Command::new(find_program("waggle", "WAGGLE_BIN").unwrap());
    command.args(["capture", "-w", "-", "--instance", &scene.node.instance()]).stdout(terminal.slave);
    let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("write packets to a terminal: they are no text"), "{errors}");
}

/// A file with a packet that XDP has sent back out of eth0.
fn with_a_packet() -> NamedTempFile {
    let (client, frontend, backend) = ([192, 0, 2, 9], [192, 168, 50, 1], [10, 244, 2, 1]);
    let syn = |from, to, port| {
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(from, to, 64).tcp(40000, port, 1, 1024).syn();
        packet.write(&mut bytes, &[]).unwrap();
        bytes
    };
    let (received, left) = (syn(client, frontend, 30080), syn(frontend, backend, 8080));
    let length = u32::try_from(received.len()).unwrap();
    let mut captured = Captured {
        received_at: 123_456_789,
        sent_at: 123_457_000,
        counters: bits(Counter::PacketForwarded),
        action: 3,
        received_length: length,
        sent_length: length,
        bytes: length,
        head_length: length,
        ..Captured::default()
    };
    captured.head[..received.len()].copy_from_slice(&received);
    let mut file = NamedTempFile::new().unwrap();
    let mut packets = PacketFile::new(file.as_file_mut(), 1500).unwrap();
    let packet = Packet::new(captured, &left, Stage::Xdp, false);
    packets.write(packet, "eth0", "default/shop → 10.244.2.1:8080", Duration::from_secs(1_000_000_000)).unwrap();
    assert_eq!(packets.finish(0, Duration::from_secs(1_000_000_001)).unwrap(), 2);
    file.flush().unwrap();
    file
}

#[test]
fn tshark_reads_interfaces_comments_and_times() {
    let file = with_a_packet();
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-E", "separator=|", "-r"]).arg(file.path());
    for field in ["frame.interface_name", "frame.time_epoch", "ip.src", "ip.dst", "tcp.dstport", "frame.comment"] {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().expect("run tshark");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "eth0 xdp in|1000000000.123456789|192.0.2.9|192.168.50.1|30080|default/shop → 10.244.2.1:8080\n\
         eth0 xdp out|1000000000.123457000|192.168.50.1|10.244.2.1|8080|default/shop → 10.244.2.1:8080\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The command of the page separates fields by tabs.
    assert_eq!(
        as_documented(file.path()),
        "eth0 xdp in\t192.0.2.9\t192.168.50.1\tdefault/shop → 10.244.2.1:8080\n\
         eth0 xdp out\t192.168.50.1\t10.244.2.1\tdefault/shop → 10.244.2.1:8080\n"
    );
}

/// What the page's command prints for a file.
fn as_documented(file: &Path) -> String {
    let [line] = Page::Commands.commands("waggle capture", "tshark ").unwrap();
    let line = line.replace("shop.pcapng", &file.display().to_string());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
