//! While Services change, no client sees an intermediate state.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use harness::scene::{Family, Scene, Setup, over_both, web, web_slice};

/// Talks to `family`'s frontend without a pause while `change` runs again and again.
fn under_load(scene: &Scene, family: Family, change: impl Fn(usize)) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                scene.hold(family.frontend(10), &["p1"]);
            }
        });
        for round in 0..60 {
            change(round);
        }
        stop.store(true, Ordering::Relaxed);
        load.join().expect("no other backend answers, and no client is refused");
    });
}

#[test]
fn s33_a_change_of_policy_or_list_loses_no_connection() {
    let scene = Setup::new("switch").backends(2).start();
    over_both(|family| {
        let name = family.name("web");
        let service = || web(&name, [family.cluster_ip(10)]);
        let slice = || web_slice(&name, family).pod(scene.pod(1));
        scene.put(&service().build());
        scene.put(&slice().build());
        scene.expect(family.frontend(10), &["p1"]);
        under_load(&scene, family, |round| {
            let local = service().internal_local();
            scene.put(&(if round % 2 == 0 { local } else { service() }).build());
            let draining = slice().draining();
            scene.put(&(if round % 3 == 0 { draining } else { slice() }).build());
            thread::sleep(std::time::Duration::from_millis(25));
        });
    });
}
