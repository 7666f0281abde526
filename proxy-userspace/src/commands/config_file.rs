//! kube-proxy's configuration file of a running agent. It is read at the start. When it later asks for something else, the agent
//! ends, as kube-proxy does: what starts it again starts it with the new file, and meanwhile the data plane serves (S31). A change
//! of what means nothing here, or to what can't be used, does not end it: that would stop every agent of a cluster at once.

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

/// What the command line and the file say, and the ignored flags.
pub fn configure(args: RunArgs) -> Result<(Config, Vec<&'static str>), FileError> {
    let file = args.config_file().map(KubeProxyFile::read).transpose()?;
    let flags = args.kube_proxy.ignored.0.clone();
    Ok((args.config(file), flags))
}

/// Says in one line what is ignored, if anything is.
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
        "ignores what means something to kube-proxy only, and fields that KubeProxyConfiguration lacks; of repeated fields the \
         last one counts"
    );
}

fn list(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// Returns when the file asks for something else than at the start. Without a file it never does.
pub async fn changed(file: Option<KubeProxyFile>) {
    let Some(file) = file else { return pending().await };
    let mut watch = FolderWatch::shallow(folder_of(&file.path));
    let mut last = None;
    loop {
        // In a mounted ConfigMap the file is a link whose target is replaced, with an event in its folder.
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
                    warn!(error, "the configuration file has changed and can't be used: the agent goes on as before");
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
