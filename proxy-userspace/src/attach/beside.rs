//! Programs of an old set that stay on a cgroup beside their successors for a while. A socket that has connected before
//! its hooks got new programs may be known to the old maps alone; until what these hold is copied, the old programs
//! translate what this socket is shown, and forget it when it closes. Both programs of a hook run, one after the other:
//! what one has translated the other does not know. Their links are pinned in `next/beside/` and go with that folder, so that
//! they are there, too, while no agent runs because one has died amid all this.

use std::{fs, io, path::Path};

use aya::programs::loaded_programs;
use tracing::warn;

use super::cgroup::Cgroup;
use crate::{
    logging::errors::Report,
    maps::PinFolder,
    node::{bpf, capabilities},
};

/// Attaches the program of a pinned link once more to the link's cgroup, before the link gets a program of the set in `new`.
/// Without it, sockets may be shown their backend instead of the frontend for a moment.
pub(super) fn keep(new: &PinFolder, name: &str, attach_type: u32, cgroup: &Cgroup) {
    let link = new.links().join(name);
    if let Err(error) = attach_again(&link, &new.beside(), name, attach_type, cgroup) {
        warn!(
            pin = %link.display(), error = %Report(&error),
            "some sockets may be shown their backend instead of the frontend for a moment"
        );
    }
}

fn attach_again(link: &Path, beside: &Path, name: &str, attach_type: u32, cgroup: &Cgroup) -> io::Result<()> {
    // A start that died may have kept it, and given the link its new program.
    if !link.exists() || beside.join(name).exists() {
        return Ok(());
    }
    let info = bpf::link_info(bpf::open_pin(link)?)?;
    if !cgroup.has(&info) {
        return Ok(());
    }
    let find = || loaded_programs().flatten().find(|program| program.id() == info.program)?.fd().ok();
    let program = capabilities::looking_at_all_programs(find);
    let program = program.ok_or_else(|| io::Error::other("its program can't be found (this takes CAP_SYS_ADMIN)"))?;
    let again = bpf::create_link(program, cgroup.target(), attach_type, 0)?;
    fs::create_dir_all(beside)?;
    bpf::pin(again, &beside.join(name))
}
