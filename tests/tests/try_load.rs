//! temporary
use clap::Parser;
use proxy_userspace::{
    cleanup,
    config::{DataplaneConfig, MapSizes},
    loader,
};
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    sizes: MapSizes,
}
#[test]
fn try_load() {
    let _machine = harness::lab::Lab::new("load").unwrap();
    let instance = format!("try-{}", std::process::id());
    let sizes = Defaults::parse_from(["test"]).sizes;
    let config = DataplaneConfig { instance: instance.clone(), cgroup: "/".into(), sizes, log_level: 0 };
    let mut loaded = loader::load(&config).unwrap();
    for (name, program) in loaded.ebpf.programs_mut() {
        let result = match program {
            aya::programs::Program::Xdp(p) => p.load(),
            aya::programs::Program::SchedClassifier(p) => p.load(),
            _ => continue,
        };
        match result {
            Ok(()) => {
                let info = match program {
                    aya::programs::Program::Xdp(p) => p.info(),
                    aya::programs::Program::SchedClassifier(p) => p.info(),
                    _ => continue,
                }
                .unwrap();
                println!(
                    "{name}: {:?} verified, xlated {:?}",
                    info.verified_instruction_count(),
                    info.size_translated()
                );
            }
            Err(e) => {
                let text = format!("{e:?}");
                let text = text.replace("\\n", "\n").replace("\\t", " ");
                let lines: Vec<&str> = text.lines().collect();
                let n = lines.len();
                println!("{name}: FAILED");
                for l in &lines[n.saturating_sub(45)..] {
                    println!("{l}");
                }
            }
        }
    }
    cleanup::cleanup(&instance, true).unwrap();
}
