//! Pinned links, whatever they are attached to: a link that an earlier agent has pinned gets the new program in one
//! step, so that nothing passes untranslated.

use std::{fs, os::fd::BorrowedFd, path::Path};

use super::AttachError;
use crate::node::bpf::{self, LinkInfo};

/// What was done to a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The program is there for the first time.
    Attached,
    /// It has taken an earlier one's place.
    Replaced,
}

/// A program and where it belongs, in the words of [`bpf::create_link`].
pub(super) struct Place<'a> {
    pub name: &'static str,
    pub program: BorrowedFd<'a>,
    pub target: u32,
    /// The target for people.
    pub shown: &'a str,
    pub attach_type: u32,
    pub flags: u32,
    pub pin: &'a Path,
}

impl Place<'_> {
    /// Puts the program there. A link at the pin that does not belong there, as its target was replaced by another
    /// of the same name, is unpinned, which detaches it.
    pub(super) fn put(&self, belongs: impl FnOnce(&LinkInfo) -> bool) -> Result<Put, AttachError> {
        if self.pin.exists() && self.replace(belongs)? {
            return Ok(Put::Replaced);
        }
        let link = bpf::create_link(self.program, self.target, self.attach_type, self.flags)
            .map_err(|source| AttachError::Attach { name: self.name, target: self.shown.to_owned(), source })?;
        bpf::pin(&link, self.pin).map_err(|source| AttachError::Pin { path: self.pin.into(), source })?;
        Ok(Put::Attached)
    }

    fn replace(&self, belongs: impl FnOnce(&LinkInfo) -> bool) -> Result<bool, AttachError> {
        let error = |source| AttachError::Replace { path: self.pin.into(), source };
        let link = bpf::open_pin(self.pin).map_err(error)?;
        if belongs(&bpf::link_info(&link).map_err(error)?) {
            bpf::update_link(&link, self.program).map_err(error)?;
            return Ok(true);
        }
        fs::remove_file(self.pin).map_err(error)?;
        Ok(false)
    }
}
