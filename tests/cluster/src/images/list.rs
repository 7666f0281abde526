//! The images that the cluster needs, with the names by which Kubernetes' tests and manifests know them.

use std::path::{Path, PathBuf};

use crate::programs::Programs;

/// An image: its content and the program that it starts.
#[derive(Default)]
pub struct Image {
    /// The image's name, registry included.
    pub name: &'static str,
    /// The image's tag.
    pub tag: &'static str,
    /// Files of this machine, and their paths in the image.
    pub files: Vec<(PathBuf, &'static str)>,
    /// Programs of this machine, by name; they are in `/bin` of the image.
    pub tools: &'static [&'static str],
    /// Whether the image has busybox, for all other programs that a shell calls.
    pub has_busybox: bool,
    /// Symbolic links and their targets.
    pub links: &'static [(&'static str, &'static str)],
    /// The program that the image starts.
    pub entrypoint: &'static [&'static str],
    /// The program's arguments, if a pod gives no others.
    pub command: &'static [&'static str],
}

/// The image whose process holds a pod's namespaces.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10.1";

/// Programs that Kubernetes' tests call in a pod and that busybox lacks or has only in part. busybox's shell prefers
/// its own programs to those in `PATH`, and busybox dies when it looks up a name, since it is linked statically.
const TOOLS: &[&str] = &["bash", "curl", "dig", "ip", "iperf", "nc.openbsd", "nslookup", "ping", "sh", "ss", "wget"];

/// Waggle's image: name and tag, as `deploy/` has them.
pub const WAGGLE: (&str, &str) = ("docker.io/library/waggle", "0.1.0");

/// Waggle's image, made of its program.
pub fn waggle(program: &Path) -> Image {
    Image {
        files: vec![(program.to_owned(), "/usr/local/bin/waggle")],
        entrypoint: &["/usr/local/bin/waggle"],
        ..image(WAGGLE.0, WAGGLE.1)
    }
}

/// All other images.
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

/// The images that Kubernetes' tests ask for, in the version that is built.
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
