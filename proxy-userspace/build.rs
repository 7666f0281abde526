//! Compiles the eBPF programs into `OUT_DIR/proxy-ebpf`.

#[path = "../xtask/build/ebpf.rs"]
mod ebpf;

fn main() {
    ebpf::build(concat!(env!("CARGO_MANIFEST_DIR"), "/.."), "proxy-ebpf", "proxy-ebpf");
}
