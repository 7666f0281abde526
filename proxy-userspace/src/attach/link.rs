//! Pinned links of all kinds of hooks. A link that an earlier agent has pinned gets the new program atomically, so that no packet
//! passes untranslated.

use std::{fs, os::fd::BorrowedFd, path::Path};

use super::AttachError;
use crate::node::bpf::{self, LinkInfo};

/// How a program was put on a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The program is attached for the first time.
    Attached,
    /// The program has replaced an earlier one.
    Replaced,
}

/// A program and its hook: the arguments of [`bpf::create_link`], and the path of the pin.
pub(super) struct Attachment<'a> {
    pub name: &'static str,
    pub program: BorrowedFd<'a>,
    pub target: u32,
    /// The target as messages name it.
    pub shown: &'a str,
    pub attach_type: u32,
    pub flags: u32,
    pub pin: &'a Path,
}

impl Attachment<'_> {
    /// Attaches the program, or replaces the program of the link at the pin. A link for which `belongs` returns false is unpinned,
    /// which detaches it: its target has been replaced by another one of the same name.
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
