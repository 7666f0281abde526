//! Agents with kube-proxy's configuration file, mounted from a ConfigMap as the kubelet does.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use harness::{
    agents::built,
    lab::{LogLine, Source, Waggle, scratch},
    scene::{Origin, Scene, Setup, WAIT_LIMIT, cluster_ips, dual, until},
};
use serde_json::Value;

/// The configuration as `kubeadm init` writes it.
const KUBEADM: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy-userspace/src/config/kube_proxy/samples/kubeadm.yaml"));

/// The token that the API server requires, as of a pod's service account.
const TOKEN: &str = "a-token";

/// The kubeconfig as kubeadm writes it, except for the paths: the certificate authority is that of the tests' API server.
fn kubeconfig(server: &str, authority: &str, token: &str) -> String {
    let clusters = format!(
        "clusters:\n- cluster:\n    certificate-authority: {authority}\n    server: {server}\n  name: default\n"
    );
    let contexts =
        "contexts:\n- context:\n    cluster: default\n    namespace: default\n    user: default\n  name: default\n";
    let users = format!("users:\n- name: default\n  user:\n    tokenFile: {token}\n");
    format!("apiVersion: v1\nkind: Config\n{clusters}{contexts}current-context: default\n{users}")
}

/// A mounted ConfigMap: its files are links into a folder that is replaced as a whole. Removed when it is dropped.
struct Mount {
    folder: PathBuf,
    number: u32,
    kubeconfig: String,
}

impl Mount {
    /// kubeadm's two files: the configuration and the kubeconfig that it names, which leads to the scene's API server.
    fn new(scene: &Scene) -> Self {
        let folder = scratch(&format!("mount-{}", scene.node.instance()));
        fs::create_dir_all(&folder).unwrap();
        for file in ["config.conf", "kubeconfig.conf"] {
            symlink(format!("..data/{file}"), folder.join(file)).unwrap();
        }
        let token = folder.join("token");
        fs::write(&token, TOKEN).unwrap();
        let authority = folder.join("ca.crt");
        fs::write(&authority, scene.api().certificate().unwrap()).unwrap();
        let [authority, token] = [&authority, &token].map(|path| path.to_str().unwrap());
        let kubeconfig = kubeconfig(&scene.api().url(), authority, token);
        let mut mount = Self { folder, number: 0, kubeconfig };
        mount.replace(&mount.text());
        mount
    }

    /// kubeadm's configuration, for this folder.
    fn text(&self) -> String {
        assert!(KUBEADM.contains("/var/lib/kube-proxy/kubeconfig.conf"));
        KUBEADM.replace("/var/lib/kube-proxy", self.folder.to_str().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.folder.join("config.conf")
    }

    /// Replaces the folder in the kubelet's order: a new folder, the link renamed, the old folder removed.
    fn replace(&mut self, text: &str) {
        let past = format!("..{}", self.number);
        self.number += 1;
        let new = format!("..{}", self.number);
        fs::create_dir(self.folder.join(&new)).unwrap();
        fs::write(self.folder.join(&new).join("config.conf"), text).unwrap();
        fs::write(self.folder.join(&new).join("kubeconfig.conf"), &self.kubeconfig).unwrap();
        symlink(&new, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        let removed = fs::remove_dir_all(self.folder.join(past));
        assert!(removed.is_ok() || self.number == 1);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A Service with a backend in an API server, and the mount by which an agent finds it.
fn scene(name: &str) -> (Scene, Mount) {
    let scene = Setup::new(name).origin(Origin::Api).backends(1).build();
    scene.put(&dual("web", 10).named_port("tcp", "TCP", 80, 8080).named_port("udp", "UDP", 80, 8080).build());
    scene.endpoints(
        "web",
        |slice| slice.named_port("tcp", "TCP", 8080).named_port("udp", "UDP", 8080),
        &[scene.pod(1)],
    );
    scene.api().set_token(Some(TOKEN));
    let mount = Mount::new(&scene);
    (scene, mount)
}

fn is_served(scene: &Scene) {
    for to in cluster_ips(10, 80) {
        scene.hold(to, &["p1"]);
    }
}

/// The warnings, except the one about the lab's cgroup.
fn warnings(waggle: &Waggle) -> Vec<LogLine> {
    let lines = waggle.log().since(0).into_iter();
    lines.filter(|line| line.field("level") == Some(&Value::from("WARN")) && line.field("cgroup").is_none()).collect()
}

/// Whether something listens there, seen from the node.
fn listens(scene: &Scene, to: &str) -> bool {
    let to: SocketAddr = to.parse().unwrap();
    let patience = Duration::from_secs(5);
    scene.node.netns().inside(|| TcpStream::connect_timeout(&to, patience).is_ok()).unwrap()
}

#[test]
fn field_s14_kubeadm_s_file_and_flags_are_enough_and_make_one_warning() {
    let (scene, mount) = scene("kubeadm");
    let command = scene.node.waggle(&Source::Configuration(mount.file()));
    let waggle = command.args(["--feature-gates=", "--oom-score-adj=-998", "--v=2"]).start().unwrap();
    is_served(&scene);
    let warnings = warnings(&waggle);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for (field, wanted) in [
        ("file", mount.file().to_str()),
        ("fields", Some("clusterCIDR")),
        ("flags", Some("--feature-gates, --oom-score-adj")),
        ("unknown", None),
        ("repeated", None),
    ] {
        assert_eq!(warnings[0].field(field).and_then(Value::as_str), wanted, "{field}: {warnings:?}");
    }
    for to in ["127.0.0.1:10249", "127.0.0.1:10256", "[::1]:10256"] {
        until(to, || listens(&scene, to));
    }
    assert!(!listens(&scene, &format!("{}:10249", scene.node.v4())), "metrics are for the node only");
}

#[test]
fn field_s14_unknown_and_repeated_fields_are_in_the_same_warning_and_the_last_value_counts() {
    let (scene, mut mount) = scene("oddfile");
    let text = mount.text() + "metricsBindAddress: 127.0.0.1:10300\nudpIdleTimeout: 250ms\n";
    mount.replace(&text);
    let waggle = scene.node.waggle(&Source::Configuration(mount.file())).start().unwrap();
    is_served(&scene);
    let warnings = warnings(&waggle);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for (field, wanted) in
        [("fields", "clusterCIDR"), ("unknown", "udpIdleTimeout"), ("repeated", "metricsBindAddress")]
    {
        assert_eq!(warnings[0].field(field).and_then(Value::as_str), Some(wanted), "{field}: {warnings:?}");
    }
    until("metrics at the last address", || listens(&scene, "127.0.0.1:10300"));
}

#[test]
fn s31_an_agent_whose_file_asks_for_something_else_ends_and_the_data_plane_serves() {
    let (scene, mut mount) = scene("config");
    let text = mount.text();
    let mut waggle = scene.node.waggle(&Source::Configuration(mount.file())).start().unwrap();

    mount.replace(&text.replace("bindAddress: 0.0.0.0", "bindAddress: eth0"));
    let refused = |line: &LogLine| line.text.contains("can't be used") && line.text.contains("bindAddress: ");
    waggle.wait_log(WAIT_LIMIT, refused).unwrap();
    // A setting that has no meaning here changes nothing.
    mount.replace(&text.replace("mode: \"\"", "mode: ipvs"));
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("can be used again")).unwrap();
    assert!(waggle.process().is_running());
    is_served(&scene);

    mount.replace(&text.replace("metricsBindAddress: \"\"", "metricsBindAddress: 127.0.0.1:10300"));
    // As kube-proxy does: a supervisor that restarts only what has failed restarts it, too.
    assert_eq!(waggle.process().wait(WAIT_LIMIT).unwrap().code(), Some(1));
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("the configuration file has changed; a restart")).unwrap();
    is_served(&scene);
    waggle.restart().unwrap();
    until("metrics at their new address", || listens(&scene, "127.0.0.1:10300"));
    is_served(&scene);
}

#[test]
fn a_port_that_cannot_be_bound_ends_the_agent_only_if_the_file_says_so() {
    let (scene, mut mount) = scene("hard-fail");
    let _taken = scene.node.netns().inside(|| TcpListener::bind("127.0.0.1:10249")).unwrap().unwrap();
    let text = mount.text();
    let mut waggle = scene.node.waggle(&Source::Configuration(mount.file())).start().unwrap();
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("the metrics port is not served")).unwrap();
    assert!(waggle.process().is_running());
    mount.replace(&text.replace("bindAddressHardFail: false", "bindAddressHardFail: true"));
    assert_eq!(waggle.process().wait(WAIT_LIMIT).unwrap().code(), Some(1));
    drop(waggle);

    let mut waggle = scene.node.waggle(&Source::Configuration(mount.file())).start_unready().unwrap();
    assert_eq!(waggle.process().wait(WAIT_LIMIT).unwrap().code(), Some(1));
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("bind the metrics port to 127.0.0.1:10249")).unwrap();
}

/// The agent's lines from its start, with a refused file, to its end.
fn life(name: &str, flags: &[&str]) -> Vec<LogLine> {
    let (scene, mut mount) = scene(name);
    let text = mount.text();
    let command = scene.node.waggle(&Source::Configuration(mount.file())).args(flags.iter().copied());
    let mut waggle = command.start_unready().unwrap();
    until("it listens", || listens(&scene, "127.0.0.1:10249"));
    mount.replace(&text.replace("bindAddress: 0.0.0.0", "bindAddress: eth0"));
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains("can't be used")).unwrap();
    mount.replace(&text.replace("metricsBindAddress: \"\"", "metricsBindAddress: 127.0.0.1:10300"));
    assert_eq!(waggle.process().wait(WAIT_LIMIT).unwrap().code(), Some(1));
    waggle.wait_log(WAIT_LIMIT, |line| line.text.contains(END)).unwrap();
    waggle.log().since(0)
}

const END: &str = "the configuration file has changed; a restart of the agent applies it";

#[test]
fn every_line_is_json_where_that_is_asked_for_to_the_last() {
    let lines = life("json", &["--log-format", "json"]);
    for line in &lines {
        assert!(serde_json::from_str::<Value>(&line.text).is_ok_and(|line| line.is_object()), "{}", line.text);
    }
    let ends: Vec<_> = lines.iter().filter(|line| line.text.contains(END)).collect();
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    let field = |name: &str| end.field(name).and_then(Value::as_str);
    assert_eq!((field("level"), field("message"), field("error")), (Some("ERROR"), Some("the agent ends"), Some(END)));
}

#[test]
fn people_read_once_why_an_agent_ends_whatever_its_level() {
    let lines = life("text", &["--log-format", "text", "--log-level", "proxy_userspace::commands=warn"]);
    let ends: Vec<_> = lines.iter().filter(|line| line.text.contains(END)).collect();
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(end.text.contains("ERROR") && end.text.contains("the agent ends error="), "{}", end.text);
}

#[test]
fn an_error_before_the_configuration_is_known_is_a_line_of_the_json_log() {
    for (arguments, wanted) in [
        (["--config", "/nonexistent/config.conf"], "read the configuration file /nonexistent/config.conf"),
        (["--log-level", "a=b=c"], "use --log-level \"a=b=c\": give off, error"),
    ] {
        let output = Command::new(built()).args(["run", "--log-format", "json"]).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(line["error"].as_str().is_some_and(|error| error.starts_with(wanted)), "{text}");
        assert_eq!((&line["level"], output.status.code()), (&Value::from("ERROR"), Some(1)));
    }
}
