//! The images that the cluster needs, with the names by which Kubernetes' tests and manifests know them.

use std::path::{Path, PathBuf};

use crate::programs::Programs;

/// An image: what is in it and what it starts.
#[derive(Default)]
pub struct Image {
    /// Its name, registry included.
    pub name: &'static str,
    /// Its tag.
    pub tag: &'static str,
    /// Files of this machine and where they lie in the image.
    pub files: Vec<(PathBuf, &'static str)>,
    /// Programs of this machine, by name, which lie in `/bin`.
    pub tools: &'static [&'static str],
    /// Whether it has busybox, for every other program of a shell.
    pub has_busybox: bool,
    /// Symbolic links and where they lead.
    pub links: &'static [(&'static str, &'static str)],
    /// What it starts.
    pub entrypoint: &'static [&'static str],
    /// With these arguments, if a pod gives no others.
    pub command: &'static [&'static str],
}

/// The image that a pod's namespaces are held by.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

/// What Kubernetes' tests call in a pod and busybox has not, or has not all of. Its shell calls its own programs whatever lies in
/// `PATH`, and what it looks up by name ends it, as it is static.
const TOOLS: &[&str] = &["bash", "curl", "dig", "ip", "iperf", "nc.openbsd", "nslookup", "ping", "sh", "ss", "wget"];

/// Waggle's image: name and tag, as `deploy/` has them.
pub const WAGGLE: (&str, &str) = ("docker.io/library/waggle", "0.1.0");

/// Waggle's image, of its program.
pub fn waggle(program: &Path) -> Image {
    Image {
        files: vec![(program.to_owned(), "/usr/local/bin/waggle")],
        entrypoint: &["/usr/local/bin/waggle"],
        ..image(WAGGLE.0, WAGGLE.1)
    }
}

/// All others.
pub fn others(programs: &Programs) -> Vec<Image> {
    let file = |name: &str, to| vec![(programs.path(name), to)];
    let mut images = vec![
        Image {
            files: file("agnhost", "/agnhost"),
            entrypoint: &["/agnhost"],
            command: &["pause"],
            ..image("registry.k8s.io/pause", "3.10.1")
        },
        Image {
            files: file("coredns", "/coredns"),
            entrypoint: &["/coredns"],
            ..image("registry.k8s.io/coredns/coredns", "lab")
        },
    ];
    images.extend(of_tests(programs));
    images
}

/// Those that Kubernetes' tests of the version that is built ask for.
fn of_tests(programs: &Programs) -> [Image; 3] {
    let [agnhost, coredns] =
        [("agnhost", "/agnhost"), ("coredns", "/coredns")].map(|(name, to)| (programs.path(name), to));
    [
        Image {
            files: vec![agnhost, coredns],
            tools: TOOLS,
            has_busybox: true,
            links: &[("/agnhost-2", "agnhost"), ("/bin/nc", "nc.openbsd")],
            entrypoint: &["/agnhost"],
            command: &["pause"],
            ..image("registry.k8s.io/e2e-test-images/agnhost", "2.63.0")
        },
        Image { has_busybox: true, command: &["sh"], ..image("registry.k8s.io/e2e-test-images/busybox", "1.37.0-1") },
        Image {
            files: vec![(programs.path("regression-issue-74839"), "/regression-issue-74839")],
            entrypoint: &["/regression-issue-74839"],
            ..image("registry.k8s.io/e2e-test-images/regression-issue-74839", "1.4")
        },
    ]
}

fn image(name: &'static str, tag: &'static str) -> Image {
    Image { name, tag, ..Image::default() }
}
