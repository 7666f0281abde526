//! Compiles the benchmark's own eBPF programs into `OUT_DIR/bench-ebpf`.

#[path = "../../xtask/build/ebpf.rs"]
mod ebpf;

fn main() {
    ebpf::build(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "bench-ebpf", "tests/bench/ebpf", &[]);
}
