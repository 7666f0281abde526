//! The rates of the last samples. Pure.

use std::collections::{BTreeMap, VecDeque};

use super::rates::{Figures, Rates};
use crate::commands::get::ServicePort;

/// The number of samples that are kept.
pub const SAMPLES: usize = 60;

/// Values of the last samples, the oldest first.
type Ring<T> = VecDeque<T>;

fn push<T>(ring: &mut Ring<T>, value: T) {
    if ring.len() == SAMPLES {
        ring.pop_front();
    }
    ring.push_back(value);
}

/// The rates of the last samples.
#[derive(Clone, Debug, Default)]
pub struct History {
    total: Ring<Rates>,
    refused: Ring<f64>,
    ports: BTreeMap<ServicePort, Ring<Option<Rates>>>,
}

impl History {
    /// Adds the rates of a sample, and forgets ports that are gone.
    pub fn push(&mut self, figures: &Figures) {
        push(&mut self.total, figures.total);
        push(&mut self.refused, figures.refused);
        let mut before = std::mem::take(&mut self.ports);
        for port in &figures.ports {
            let mut ring = before.remove(&port.port).unwrap_or_default();
            push(&mut ring, port.rates);
            self.ports.insert(port.port.clone(), ring);
        }
    }

    /// Replaces the rates of the last sample, if there is one: it has been compared once more, for other Services.
    pub fn replace_last(&mut self, figures: &Figures) {
        if self.total.pop_back().is_some() {
            self.refused.pop_back();
            for ring in self.ports.values_mut() {
                ring.pop_back();
            }
            self.push(figures);
        }
    }

    /// Returns the sums over all ports, the oldest first.
    pub fn total(&self) -> impl Iterator<Item = Rates> {
        self.total.iter().copied()
    }

    /// Returns the sums over all reasons to refuse something, the oldest first.
    pub fn refused(&self) -> impl Iterator<Item = f64> {
        self.refused.iter().copied()
    }

    /// Returns the rates of a port, the oldest first; `None` where they were not known.
    pub fn of(&self, port: &ServicePort) -> impl Iterator<Item = Option<Rates>> {
        self.ports.get(port).into_iter().flatten().copied()
    }
}
