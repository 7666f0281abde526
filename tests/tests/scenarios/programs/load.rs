//! The verifier accepts every program as it is loaded with and without log lines, which changes the code that is left
//! after constants are known.

use proxy_userspace::{
    attach::{Group, ProgramSet},
    commands::cleanup,
    config::{DataplaneConfig, MapSizes},
    succession::loader,
};

#[test]
fn the_verifier_accepts_every_program_quiet_and_talking() {
    let machine = harness::lab::Lab::new("load").unwrap();
    for log_level in [0, 5] {
        let instance = format!("{}-load{log_level}", machine.id());
        let sizes = MapSizes::default();
        let config =
            DataplaneConfig { instance: instance.clone(), cgroup: "/".into(), sizes, constants: Vec::new(), log_level };
        let loaded = loader::load(&config).map(|(_, loaded)| {
            let folder = loaded.set.succession.folder().clone();
            ProgramSet::new(loaded.set.ebpf, &folder, &Group::ALL, &Group::ALL).map(drop)
        });
        cleanup::cleanup(&instance, true).unwrap();
        loaded.unwrap().unwrap();
    }
}
