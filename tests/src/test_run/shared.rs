//! Bench nodes that the tests of one process use in turn: loading the programs takes seconds, a table much less. The
//! last test that holds a node drops it, so that nothing stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{BenchNode, places::Member};

/// A hold on a shared node, which exists as long as a test has one.
pub struct Shared(Arc<Mutex<BenchNode>>);

/// The first node; makes it if no test holds it.
pub fn shared() -> Shared {
    static CURRENT: Mutex<Weak<Mutex<BenchNode>>> = Mutex::new(Weak::new());
    hold(&CURRENT, || BenchNode::new("tables"))
}

/// The second node; makes it if no test holds it.
pub fn shared_second() -> Shared {
    static CURRENT: Mutex<Weak<Mutex<BenchNode>>> = Mutex::new(Weak::new());
    hold(&CURRENT, || BenchNode::make("tables", Member::Second, &super::SIZES, super::UNLIMITED))
}

fn hold(current: &Mutex<Weak<Mutex<BenchNode>>>, make: impl FnOnce() -> BenchNode) -> Shared {
    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
    let node = current.upgrade().unwrap_or_else(|| Arc::new(Mutex::new(make())));
    *current = Arc::downgrade(&node);
    Shared(node)
}

impl Shared {
    /// Waits for the node, and resets it.
    pub fn lock(&self) -> MutexGuard<'_, BenchNode> {
        // A failed test leaves nothing that the reset does not remove.
        let mut node = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        node.renew();
        node
    }
}
