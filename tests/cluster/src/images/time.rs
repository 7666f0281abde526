//! The time of everything in an image, so that equal files make an equal image: SOURCE_DATE_EPOCH (reproducible-builds.org), in
//! seconds since 1970. Without the variable, an image has the times of its files and of its making.

use std::{env, path::Path, process::Command};

use anyhow::Result;

use crate::command::output;

/// The time.
pub(super) struct Time(Option<Given>);

/// The time that the variable gives.
struct Given {
    epoch: String,
    /// The time in the format of RFC 3339.
    date: String,
}

impl Time {
    /// Reads the variable.
    pub(super) fn new() -> Result<Self> {
        let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") else { return Ok(Self(None)) };
        let mut date = Command::new("date");
        date.args(["--utc", "+%Y-%m-%dT%H:%M:%SZ", &format!("--date=@{epoch}")]);
        let date = output(&mut date)?.trim().to_owned();
        Ok(Self(Some(Given { epoch, date })))
    }

    /// Sets the time of all files below `folder`.
    pub(super) fn set(&self, folder: &Path) -> Result<()> {
        if let Some(Given { epoch, .. }) = &self.0 {
            let date = format!("--date=@{epoch}");
            output(Command::new("find").arg(folder).args(["-exec", "touch", "--no-dereference", &date, "{}", "+"]))?;
        }
        Ok(())
    }

    /// Options of umoci for the history of an image.
    pub(super) fn of_history(&self) -> Vec<String> {
        self.0.iter().map(|given| format!("--history.created={}", given.date)).collect()
    }

    /// Options of umoci for the image itself.
    pub(super) fn of_image(&self) -> Vec<String> {
        self.0.iter().map(|given| format!("--created={}", given.date)).collect()
    }

    /// Options of tar.
    pub(super) fn of_archive(&self) -> Vec<String> {
        let options = |given: &Given| {
            let time = format!("--mtime=@{}", given.epoch);
            ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time].map(str::to_owned)
        };
        self.0.iter().flat_map(options).collect()
    }
}
