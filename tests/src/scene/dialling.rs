//! Connections without a pause while something else happens.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{Family, Scene};

/// Sets a flag when it is dropped, also by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Scene {
    /// Runs `during` while the client in the pod opens TCP connections, one after the other, to frontend 10, which must serve them,
    /// and to frontend 11, which must refuse them.
    pub fn while_dialling(&self, during: impl FnOnce()) {
        let (client, is_over) = (&*self.from_pod, AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    client.tcp(Family::Ipv4.frontend(10)).expect("an answer");
                    client.tcp(Family::Ipv4.frontend(11)).expect_err("a refusal");
                }
            });
            let _over = SetOnDrop(&is_over);
            during();
        });
    }
}
