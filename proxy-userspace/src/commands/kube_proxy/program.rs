//! Runs the node's programs that remove what can't easily be removed over netlink.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, ErrorKind, Write as _},
    process::{Command, Output, Stdio},
};

use super::KubeProxyError;

/// A program and its package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub name: &'static str,
    pub package: &'static str,
}

impl Program {
    /// Runs the program and returns its standard output. `what` names, for errors, the object that should be removed.
    pub(super) fn output(self, arguments: &[&str], what: &str) -> Result<String, KubeProxyError> {
        let output = self.command().args(arguments).stdin(Stdio::null()).output();
        let output = self.check(output, what)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the program with `text` as its standard input.
    pub(super) fn feed(self, arguments: &[&str], text: &str, what: &str) -> Result<(), KubeProxyError> {
        self.check(self.run_with(arguments, text), what).map(drop)
    }

    fn command(self) -> Command {
        let mut command = Command::new(self.name);
        command.env("PATH", search_path(env::var_os("PATH").as_deref()));
        command
    }

    fn run_with(self, arguments: &[&str], text: &str) -> io::Result<Output> {
        let mut command = self.command();
        let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = piped.spawn()?;
        // If the program fails, its own error says more than a failed write.
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        if output.status.success() { written.map(|()| output) } else { Ok(output) }
    }

    fn check(self, output: io::Result<Output>, what: &str) -> Result<Output, KubeProxyError> {
        let Self { name, package } = self;
        let what = what.to_owned();
        let output = output.map_err(|source| match source.kind() {
            ErrorKind::NotFound => KubeProxyError::Missing { name, package, what: what.clone() },
            _ => KubeProxyError::Start { name, source },
        })?;
        if output.status.success() {
            return Ok(output);
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(KubeProxyError::Program { name, what, message })
    }
}

/// Where programs are looked for: in a container and in a user's shell `PATH` may lack the folders of those that only root needs.
fn search_path(path: Option<&OsStr>) -> OsString {
    let others = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"].map(OsStr::new);
    path.into_iter().chain(others).collect::<Vec<_>>().join(OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_root_are_found_without_a_path() {
        assert!(search_path(None).to_str().unwrap().starts_with("/usr/local/sbin:/usr/sbin:/sbin:"));
        assert!(search_path(Some(OsStr::new("/a:/b"))).to_str().unwrap().starts_with("/a:/b:/usr/local/sbin:"));
    }

    const CAT: Program = Program { name: "cat", package: "coreutils" };

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let missing = Program { name: "waggle-no-such-program", package: "nowhere" };
        let error = missing.output(&[], "the table nat").unwrap_err().to_string();
        assert_eq!(
            error,
            "remove the table nat: this needs the program waggle-no-such-program (install the package nowhere)"
        );
    }

    #[test]
    fn a_failed_program_is_quoted() {
        let error = CAT.output(&["/nonexistent/file"], "x").unwrap_err().to_string();
        assert!(error.starts_with("remove x: cat says: ") && error.contains("/nonexistent/file"), "{error}");
    }

    #[test]
    fn a_text_larger_than_a_pipe_is_read() {
        CAT.feed(&[], &"x".repeat(1 << 20), "x").unwrap();
    }
}
