//! Keeps programs of an old set on a cgroup beside the new ones for a while. Only the old maps may know a socket that connected
//! before its hooks got new programs. Until the contents of the old maps are copied, the old programs translate the addresses that
//! such a socket sees, and forget it when it closes. Both programs of a hook run, one after the other; neither knows an address
//! that the other has translated. The links of the old programs are pinned in `next/beside/` and removed with that folder, so they
//! stay attached if the agent dies in between.

use std::{fs, io, path::Path};

use aya::programs::loaded_programs;
use tracing::warn;

use super::cgroup::Cgroup;
use crate::{
    logging::errors::Report,
    maps::PinFolder,
    node::{bpf, capabilities},
};

/// Attaches the program of the pinned link `name` a second time to its cgroup, to be called before the link gets a program of the
/// set in `new`. Logs a failure: sockets may then see their backend instead of the frontend for a moment.
pub(super) fn keep_attached(new: &PinFolder, name: &str, attach_type: u32, cgroup: &Cgroup) {
    let link = new.links().join(name);
    if let Err(error) = attach_again(&link, &new.old_links(), name, attach_type, cgroup) {
        warn!(
            pin = %link.display(), error = %Report(&error),
            "some sockets may see their backend instead of the frontend for a moment"
        );
    }
}

fn attach_again(link: &Path, folder: &Path, name: &str, attach_type: u32, cgroup: &Cgroup) -> io::Result<()> {
    // A start that died may have done this already, and given the link its new program.
    if !link.exists() || folder.join(name).exists() {
        return Ok(());
    }
    let info = bpf::link_info(bpf::open_pin(link)?)?;
    if !cgroup.has(&info) {
        return Ok(());
    }
    let find = || loaded_programs().flatten().find(|program| program.id() == info.program)?.fd().ok();
    let program = capabilities::with_all_programs_visible(find);
    let program = program.ok_or_else(|| io::Error::other("its program can't be found (this takes CAP_SYS_ADMIN)"))?;
    let again = bpf::create_link(program, cgroup.target(), attach_type, 0)?;
    fs::create_dir_all(folder)?;
    bpf::pin(again, &folder.join(name))
}
