use aya_build::{Package, Toolchain};
fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=../proxy-common/src");
    aya_build::build_ebpf(
        [Package { name: "proxy-ebpf", root_dir: "../proxy-ebpf", ..Default::default() }],
        Toolchain::Custom("waggle-ebpf"),
    )
}
