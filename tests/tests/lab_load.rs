//! The verifier accepts every program as it is really loaded: with and without their log lines, which
//! changes what is left of them. And each is one that the agent attaches.

use clap::Parser;
use proxy_userspace::{
    attach, cleanup,
    config::{DataplaneConfig, MapSizes},
    loader,
};

#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    sizes: MapSizes,
}

#[test]
fn the_verifier_accepts_every_program_quiet_and_talking() {
    let _machine = harness::lab::Lab::new("load").unwrap();
    for log_level in [0, 5] {
        let instance = format!("load-{}-{log_level}", std::process::id());
        let sizes = Defaults::parse_from(["test"]).sizes;
        let config =
            DataplaneConfig { instance: instance.clone(), cgroup: "/".into(), sizes, constants: Vec::new(), log_level };
        let loaded = loader::load(&config).map(|mut loaded| {
            attach::cgroup::load(&mut loaded.ebpf)?;
            attach::Programs::load(&mut loaded.ebpf, &loaded.folder)?;
            Ok::<_, attach::AttachError>(loaded.ebpf.programs().all(|(_, program)| program.fd().is_ok()))
        });
        cleanup::cleanup(&instance, true).unwrap();
        assert!(loaded.unwrap().unwrap(), "every program of the object is one that the agent loads");
    }
}
