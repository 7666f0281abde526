//! Compiles the eBPF programs into `OUT_DIR/proxy-ebpf`.

#[path = "../xtask/build/ebpf.rs"]
mod ebpf;

fn main() {
    let features: &[&str] = if cfg!(feature = "other-abi") { &["other-abi"] } else { &[] };
    ebpf::build(concat!(env!("CARGO_MANIFEST_DIR"), "/.."), "proxy-ebpf", "proxy-ebpf", features);
}
