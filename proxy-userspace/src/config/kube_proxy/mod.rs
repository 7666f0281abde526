//! kube-proxy's configuration file, as kubeadm and others write it: what it asks for, and what of it is ignored. As in kube-proxy,
//! only what means something and can't be read is an error: whoever replaces an image must
//! not stop a whole cluster.

mod configuration;
mod document;
mod ignored;
mod scalars;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

pub use self::{
    configuration::{Conntrack, KubeProxyConfiguration},
    ignored::Ignored,
};

pub(super) const VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";
pub(super) const KIND: &str = "KubeProxyConfiguration";

/// A file that has been read.
#[derive(Clone, Debug)]
pub struct KubeProxyFile {
    /// Its path.
    pub path: PathBuf,
    /// What it asks for.
    pub configuration: KubeProxyConfiguration,
    /// What else it says.
    pub ignored: Ignored,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("read the configuration file {} (is it mounted there?)", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is no such file.
    #[error("use the configuration file {}: {fault}", path.display())]
    Content {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and what would be right.
        fault: String,
    },
}

impl KubeProxyFile {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        let (configuration, ignored) =
            decode(&text).map_err(|fault| FileError::Content { path: path.to_owned(), fault })?;
        Ok(Self { path: path.to_owned(), configuration, ignored })
    }
}

/// A configuration file with this text, without the file: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_text(text: &str) -> Option<KubeProxyFile> {
    let (configuration, ignored) = decode(text).ok()?;
    Some(KubeProxyFile { path: PathBuf::from("config.conf"), configuration, ignored })
}

/// The text of a file. The error names the field, its value and what is right.
fn decode(text: &str) -> Result<(KubeProxyConfiguration, Ignored), String> {
    let document = document::parse(text)?;
    for (field, right) in [("apiVersion", VERSION), ("kind", KIND)] {
        let given = document.fields.get(field).unwrap_or(&Value::Null);
        if given != right {
            return Err(format!("{field}: {given} is not {right:?}"));
        }
    }
    let configuration = typed(&document.fields)?;
    Ok((configuration, Ignored::of(&document.fields, document.repeated)))
}

fn typed(fields: &Map<String, Value>) -> Result<KubeProxyConfiguration, String> {
    serde_path_to_error::deserialize(Value::Object(fields.clone()))
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))
}
