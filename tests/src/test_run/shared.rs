//! Bench nodes that tests of one process use by turns: loading the programs takes seconds, a table much less. The last
//! test that holds one takes it away, so that nothing stays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{BenchNode, places::Member};

/// A hold on the shared node: it lives as long as somebody has one.
pub struct Shared(Arc<Mutex<BenchNode>>);

/// The first node, which is made if nobody has it.
pub fn shared() -> Shared {
    static CURRENT: Mutex<Weak<Mutex<BenchNode>>> = Mutex::new(Weak::new());
    hold(&CURRENT, || BenchNode::new("tables"))
}

/// The second one.
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
    /// Waits for the node, and gives it as if it were new.
    pub fn lock(&self) -> MutexGuard<'_, BenchNode> {
        // A test that has failed has left nothing that matters.
        let mut node = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        node.renew();
        node
    }
}
