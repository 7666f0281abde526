//! Reads kube-proxy's configuration file, as kubeadm and others write it. As in kube-proxy, only a field that is used and can't be
//! parsed is an error. Other fields only cause warnings, so that replacing kube-proxy's image does not stop a whole cluster.

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

#[cfg(test)]
pub(crate) use self::{configuration::FIELDS, ignored::defaults as ignored_defaults};
pub use self::{
    configuration::{Conntrack, KubeProxyConfiguration},
    ignored::Ignored,
};

pub(super) const VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";
pub(super) const KIND: &str = "KubeProxyConfiguration";

/// A configuration file that has been read.
#[derive(Clone, Debug)]
pub struct KubeProxyFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The fields that are used.
    pub configuration: KubeProxyConfiguration,
    /// The fields that are ignored.
    pub ignored: Ignored,
}

/// Why a file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be read.
    #[error("read the configuration file {} (is it mounted there?)", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a valid KubeProxyConfiguration.
    #[error("use the configuration file {}: {fault}", path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        fault: String,
    },
}

impl KubeProxyFile {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        let (configuration, ignored) =
            decode(&text).map_err(|fault| FileError::Content { path: path.to_owned(), fault })?;
        Ok(Self { path: path.to_owned(), configuration, ignored })
    }
}

/// Returns a configuration file with this text, or `None` if it is invalid, without touching the disk: for fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_text(text: &str) -> Option<KubeProxyFile> {
    let (configuration, ignored) = decode(text).ok()?;
    Some(KubeProxyFile { path: PathBuf::from("config.conf"), configuration, ignored })
}

/// Decodes the text of a file. The error names the field, its value and what would be right.
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
