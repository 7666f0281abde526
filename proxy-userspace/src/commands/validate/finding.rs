//! What is wrong with manifests: each finding has a line of text, or an object in JSON.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::{
    model::diagnostic::Diagnostic,
    objects::ObjectRef,
    watch::manifests::once::{Ignored, Listing, Refusal},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Something is not served as it is written.
    Error,
    /// Something has no effect, which may be a mistake.
    Warning,
}

/// One thing that is wrong. The order is that of files and lines; findings without a file come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    /// The file; `None` if no file has the object, as for EndpointSlices that are made from Pods.
    pub(super) file: Option<PathBuf>,
    /// The line, counted from 1.
    pub(super) line: Option<u64>,
    pub(super) severity: Severity,
    /// The object, as in `Service default/web`; `None` if a whole file is refused.
    pub(super) object: Option<String>,
    /// The path of the field; `None` if the object as a whole is meant.
    pub(super) field: Option<String>,
    /// What is wrong, and what follows.
    pub(super) reason: String,
}

impl Finding {
    /// A file or an object that is refused as a whole.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let object = given(&refusal.object);
        let reason = match &object {
            Some(_) => refusal.reason.clone(),
            None => format!("file not read: {}", refusal.reason),
        };
        Self {
            file: Some(refusal.file.clone()),
            line: Some(refusal.line),
            severity: Severity::Error,
            object,
            field: given(&refusal.field),
            reason,
        }
    }

    /// A part of an object that is not served.
    pub(super) fn skipped(diagnostic: &Diagnostic, listing: &Listing) -> Self {
        let Diagnostic { object, field, reason } = diagnostic;
        Self { severity: Severity::Error, ..Self::about(object, field, reason.clone(), listing) }
    }

    /// An object of a kind that has no effect.
    pub(super) fn ignored(ignored: &Ignored) -> Self {
        Self {
            file: Some(ignored.file.to_path_buf()),
            line: Some(ignored.line),
            severity: Severity::Warning,
            object: Some(ignored.identity.to_string()),
            field: None,
            reason: ignored.reason().to_owned(),
        }
    }

    /// There are no manifests at all.
    pub(super) fn nothing() -> Self {
        Self {
            file: None,
            line: None,
            severity: Severity::Warning,
            object: None,
            field: None,
            reason: "there are no manifests, which are files that end in .yaml, .yml or .json".to_owned(),
        }
    }

    /// A warning about a field.
    pub(super) fn about(object: &ObjectRef, field: &str, reason: String, listing: &Listing) -> Self {
        let (file, line) = listing.origin(object, field).unzip();
        Self {
            file: file.map(PathBuf::from),
            line,
            severity: Severity::Warning,
            object: Some(object.to_string()),
            field: Some(field.to_owned()),
            reason,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            write!(f, " ")?;
        }
        if self.severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        for part in [&self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        write!(f, "{}", self.reason)
    }
}
