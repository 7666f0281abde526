//! Starts whose XDP programs the kernel refuses, after a start that had them.

use super::*;

/// Whether a device has XDP of this instance.
fn has_xdp(folder: &PinFolder) -> bool {
    let mut links = std::fs::read_dir(folder.links()).unwrap();
    links.any(|link| link.unwrap().file_name().to_string_lossy().starts_with("xdp-"))
}

#[test]
fn w01_nothing_is_lost_when_the_kernel_refuses_xdp() {
    let (built, agent) = (agents::built(), RefusedAgent::new(&["xdp_refresh"]));
    let refused = agents::text(agent.path());
    under_load(&["xdp"], "refused", |starts, source, tally| {
        let (cgroup, folder) = (starts.cgroup, PinFolder::new(&starts.outside.scene.node.instance()));
        for dies in [false, true, false, true] {
            starts.mode = "xdp";
            run(starts, &Round::Serves(&built, &[]), source, "", tally);
            assert!(has_xdp(&folder));
            starts.mode = "auto";
            if dies {
                // It dies after its set is complete and before its first hook: the next start puts that set in place.
                starts.cgroup = Path::new("/nowhere");
                starts.start(&refused, source, &[]);
                assert!(!starts.process.take().unwrap().wait(START).unwrap().success());
                assert!(folder.next().maps().join("complete").exists() && has_xdp(&folder));
                starts.cgroup = cgroup;
                // A later start that waits for ever has put nothing of its own in place.
                run(starts, &Round::Waits(&refused, &[]), source, &Files::new("refused").silent_api_server(), tally);
                assert!(!has_xdp(&folder));
            }
            run(starts, &Round::Serves(&refused, &[]), source, "", tally);
            assert!(!has_xdp(&folder));
            wait_for_answers(tally);
        }
    });
}
