//! Programs of an old set that stay on a cgroup beside their successors for a while. A socket that has connected before
//! its hooks got new programs may be known to the old maps alone; until what these hold is copied, the old programs
//! translate what this socket is shown, and forget it when it closes. Both programs of a hook run, one after the other:
//! what one has translated the other does not know.

use std::{io, os::fd::OwnedFd, path::Path};

use aya::programs::loaded_programs;
use tracing::warn;

use crate::{
    logging::errors::Report,
    node::{
        bpf::{self, LinkInfo},
        capabilities,
    },
};

/// Links of old programs. They have no pins, so they end with this, or with the agent.
#[derive(Debug, Default)]
pub struct Beside(Vec<OwnedFd>);

impl Beside {
    /// Attaches the program of a pinned link once more to the link's cgroup, which is `target`, before the link gets a new
    /// program. Without it, sockets may be shown their backend instead of the frontend for a moment.
    pub(super) fn keep(&mut self, pin: &Path, (target, attach_type): (u32, u32), belongs: impl Fn(&LinkInfo) -> bool) {
        match attach_again(pin, (target, attach_type), belongs) {
            Ok(link) => self.0.extend(link),
            Err(error) => warn!(
                pin = %pin.display(), error = %Report(&error),
                "some sockets may be shown their backend instead of the frontend for a moment"
            ),
        }
    }
}

fn attach_again(
    pin: &Path,
    (target, attach_type): (u32, u32),
    belongs: impl Fn(&LinkInfo) -> bool,
) -> io::Result<Option<OwnedFd>> {
    if !pin.exists() {
        return Ok(None);
    }
    let info = bpf::link_info(bpf::open_pin(pin)?)?;
    if !belongs(&info) {
        return Ok(None);
    }
    let find = || loaded_programs().flatten().find(|program| program.id() == info.program)?.fd().ok();
    let program = capabilities::looking_at_all_programs(find);
    let program = program.ok_or_else(|| io::Error::other("its program can't be found (this takes CAP_SYS_ADMIN)"))?;
    bpf::create_link(program, target, attach_type, 0).map(Some)
}
