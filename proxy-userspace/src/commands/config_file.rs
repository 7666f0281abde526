//! Reads kube-proxy's configuration file at the start, and follows it while the agent runs. When a used field changes, the agent
//! exits, as kube-proxy does, and is restarted with the new file; the data plane serves without it (S31). Changes of ignored
//! fields do not end the agent, nor does a file that becomes invalid: that would stop every agent of a cluster at once.

use std::{
    future::pending,
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::cli::RunArgs;
use crate::{
    config::{
        Config,
        kube_proxy::{FileError, Ignored, KubeProxyFile},
    },
    logging::errors::Report,
    watch::folder_watch::FolderWatch,
};

/// Returns the configuration from the command line and the file, and the names of ignored flags.
pub fn configure(args: RunArgs) -> Result<(Config, Vec<&'static str>), FileError> {
    let file = args.config_file().map(KubeProxyFile::read).transpose()?;
    let flags = args.kube_proxy.ignored.0.clone();
    Ok((args.config(file), flags))
}

/// Logs one warning that names the ignored flags and fields, if there are any.
pub fn warn_of_ignored(file: Option<&KubeProxyFile>, flags: &[&str]) {
    let ignored = file.map(|file| file.ignored.clone()).unwrap_or_default();
    if flags.is_empty() && ignored == Ignored::default() {
        return;
    }
    let flags: Vec<_> = flags.iter().map(|flag| format!("--{flag}")).collect();
    warn!(
        file = file.map(|file| file.path.display().to_string()),
        fields = list(&ignored.meaningless),
        unknown = list(&ignored.unknown),
        repeated = list(&ignored.repeated),
        flags = list(&flags),
        "ignoring flags and fields that only kube-proxy uses, and fields that KubeProxyConfiguration does not have; the last of \
         repeated fields counts"
    );
}

fn list(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// Returns when the used fields of the file differ from those at the start. Without a file, never returns.
pub async fn changed(file: Option<KubeProxyFile>) {
    let Some(file) = file else { return pending().await };
    let mut watch = FolderWatch::shallow(folder_of(&file.path));
    let mut last = None;
    loop {
        // In a mounted ConfigMap the file is a symlink. An update replaces the link's target, which is an event in the folder.
        watch.renew();
        let path = file.path.clone();
        let Ok(read) = spawn_blocking(move || KubeProxyFile::read(&path)).await else { return pending().await };
        match read {
            Ok(now) if now.configuration != file.configuration => return,
            Ok(_) if last.take().is_some() => {
                info!(file = %file.path.display(), "the configuration file can be used again");
            }
            Ok(_) => {}
            Err(error) => {
                let error = Report(&error).to_string();
                if last.as_ref() != Some(&error) {
                    warn!(
                        error,
                        "the configuration file has changed and can't be used: the agent keeps its configuration"
                    );
                }
                last = Some(error);
            }
        }
        watch.changed(true).await;
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
