//! Simulates a folder with one file whose text changes, without touching the disk: for fuzz targets.

use std::{path::Path, sync::Arc};

use ipnet::IpNet;

use super::{
    allocate::{Allocations, Ranges},
    assemble,
    diff::Reported,
    folder,
};
use crate::objects::Event;

/// The known state of the folder.
#[derive(Default)]
pub(crate) struct Revisions {
    allocations: Allocations,
    reported: Reported,
}

impl Revisions {
    /// Returns the events after the file's text changes to `text`. A text that can't be read changes nothing.
    pub(crate) fn read(&mut self, text: &[u8], node_name: &str) -> Vec<Event> {
        let Ok(content) = folder::content(&Arc::from(Path::new("a.yaml")), text.to_vec()) else { return Vec::new() };
        let cidrs = vec![IpNet::new_assert([10, 96, 0, 0].into(), 16)];
        let ranges = Ranges { cidrs, node_ports: 30000..=32767 };
        let assembled = assemble::assemble([&content], &ranges, node_name, &self.allocations);
        self.allocations = assembled.allocations;
        self.reported.replace(assembled.objects).into_iter().map(Event::from).collect()
    }
}
