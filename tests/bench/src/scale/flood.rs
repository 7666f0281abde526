//! Changes of the other Services' slices, evenly over time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use harness::objects::ApiCluster;

use super::{Size, cluster::other_slice};

/// Changes one slice after the other, round and round.
#[derive(Debug)]
pub struct Turns {
    size: Size,
    next: u32,
}

impl Turns {
    /// Begins with Service 1. All endpoints are as at the start.
    pub const fn new(size: Size) -> Self {
        Self { size, next: 0 }
    }

    /// The number of the next Service, and how often its slice has been changed then.
    fn step(&mut self) -> (u32, u32) {
        let at = self.next;
        self.next += 1;
        (at % self.size.services + 1, at / self.size.services + 1)
    }

    /// Changes a slice.
    pub fn change(&mut self, server: &ApiCluster) {
        let (number, changes) = self.step();
        server.put(other_slice(number, self.size, changes));
    }

    /// Restores each slice that this has changed.
    pub fn restore(&mut self, server: &ApiCluster) {
        for number in 1..=self.next.min(self.size.services) {
            server.put(other_slice(number, self.size, 0));
        }
        self.next = 0;
    }
}

/// Changes `per_second` slices a second until `end` is set. Returns the rate that it has reached.
pub fn flood(server: &ApiCluster, turns: &mut Turns, per_second: u32, end: &AtomicBool) -> f64 {
    let begin = Instant::now();
    let mut changed = 0;
    while !end.load(Ordering::Relaxed) {
        turns.change(server);
        changed += 1;
        let due = Duration::from_secs(1) * changed / per_second;
        sleep(due.saturating_sub(begin.elapsed()));
    }
    f64::from(changed) / begin.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_changes_another_slice_until_all_have_changed() {
        let mut turns = Turns::new(Size { services: 2, endpoints: 1 });
        let steps: Vec<_> = (0..5).map(|_| turns.step()).collect();
        assert_eq!(steps, [(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]);
    }
}
