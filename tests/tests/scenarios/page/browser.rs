//! A headless Chromium in a node's network namespace, driven by Debian's chromedriver as the W3C's WebDriver protocol says.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harness::{
    lab::{Netns, eventually, scratch},
    scene::WAIT_LIMIT,
};
use serde_json::{Value, json};

const PORT: u16 = 9515;
const TIMEOUT: Duration = Duration::from_mins(1);
/// The member of an object that says which element it is.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Whether browser and driver are installed. Prints a line if they are not.
pub(super) fn is_there() -> bool {
    let found = ["chromium", "chromedriver"].into_iter().all(|program| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    });
    if !found {
        println!("skipped: chromium and chromedriver are missing (cargo xtask setup --for page)");
    }
    found
}

/// A key that WebDriver knows by a character of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    Tab,
    Enter,
}

/// A running browser, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Browser<'a> {
    netns: &'a Netns,
    driver: Child,
    folder: PathBuf,
    session: String,
}

impl<'a> Browser<'a> {
    /// Starts a browser in a network namespace. Its window has this size.
    pub(super) fn start(netns: &'a Netns, (width, height): (u32, u32)) -> Self {
        let folder = scratch(&format!("browser-{}", netns.name()));
        fs::create_dir_all(&folder).expect("make a folder");
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={PORT}")).env("TMPDIR", &folder).env("HOME", &folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = netns.inside(|| command.spawn()).expect("enter a namespace").expect("start chromedriver");
        let mut browser = Self { netns, driver, folder, session: String::new() };
        let is_ready = eventually(WAIT_LIMIT, || browser.request("GET", "/status", None).is_ok());
        assert!(is_ready, "chromedriver does not answer");
        browser.session = browser.open_session(width, height);
        browser
    }

    fn open_session(&self, width: u32, height: u32) -> String {
        let data = self.folder.join("profile");
        // Root has no sandbox. All that is left out would ask hosts elsewhere.
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", data.display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let opened = self.request("POST", "/session", Some(&wanted)).expect("open a session");
        opened["sessionId"].as_str().expect("a session").to_owned()
    }

    /// Opens an address.
    pub(super) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page; returns what it returns.
    pub(super) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(super) fn until(&self, expression: &str) {
        let is_true = eventually(WAIT_LIMIT, || self.run(&format!("return Boolean({expression})")) == json!(true));
        assert!(is_true, "{expression} does not become true in\n{}", self.text("body"));
    }

    /// The visible text of the first element that a selector finds.
    pub(super) fn text(&self, selector: &str) -> String {
        let quoted = json!(selector);
        let text = self.run(&format!("return document.querySelector({quoted})?.innerText ?? ''"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The visible texts of all elements that a selector finds.
    pub(super) fn texts(&self, selector: &str) -> Vec<String> {
        let quoted = json!(selector);
        let texts = self.run(&format!("return [...document.querySelectorAll({quoted})].map((one) => one.innerText)"));
        serde_json::from_value(texts).expect("texts")
    }

    /// Clicks on the element that a selector finds, as a user does: it has to be visible.
    pub(super) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Replaces the text of a field by typing.
    pub(super) fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("element/{element}/clear"), &json!({}));
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a key wherever the focus is.
    pub(super) fn press(&self, key: Key) {
        let value = match key {
            Key::Tab => "\u{e004}",
            Key::Enter => "\u{e007}",
        };
        let keys = [json!({ "type": "keyDown", "value": value }), json!({ "type": "keyUp", "value": value })];
        self.post("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }));
    }

    /// Types a text wherever the focus is.
    pub(super) fn type_text(&self, text: &str) {
        let press = |key: char| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let keys: Vec<Value> = text.chars().flat_map(press).collect();
        self.post("actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] }));
    }

    /// Calls a method of Chromium's own protocol.
    pub(super) fn chromium(&self, method: &str, parameters: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }));
    }

    /// Writes what the window shows to a file, if the variable WAGGLE_SCREENSHOTS names a folder.
    pub(super) fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("WAGGLE_SCREENSHOTS") else { return };
        let picture = self.get("screenshot");
        let (encoded, file) = (self.folder.join("picture"), PathBuf::from(folder).join(format!("{name}.png")));
        fs::write(&encoded, picture.as_str().expect("a picture")).expect("write a picture");
        let decoded = Command::new("base64").arg("--decode").arg(&encoded).output().expect("start base64");
        fs::write(file, decoded.stdout).expect("write a screenshot");
    }

    /// The lines that the page has written to the console since the last call.
    pub(super) fn console(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "browser" }));
        lines.as_array().expect("lines").iter().map(|line| line["message"].to_string()).collect()
    }

    /// The addresses that the browser has asked for in the name of the page since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "performance" }));
        let messages = lines.as_array().expect("lines").iter().filter_map(|line| {
            let line: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let message = &line["message"];
            (message["method"] == "Network.requestWillBeSent")
                .then(|| message["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
        });
        messages.collect()
    }

    fn find(&self, selector: &str) -> String {
        let found = self.post("element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        let answer = self.request("POST", &format!("/session/{}/{command}", self.session), Some(body));
        answer.unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    fn get(&self, command: &str) -> Value {
        self.request("GET", &format!("/session/{}/{command}", self.session), None).expect("an answer")
    }

    /// Makes a request of the driver; returns the value in its response.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let (code, text) = self.netns.inside(|| exchange(method, path, &body)).map_err(io::Error::other)??;
        let mut answer: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
        if code == 200 { Ok(answer["value"].take()) } else { Err(io::Error::other(answer["value"].to_string())) }
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // Ends the browser; the driver may be gone.
        let _ = self.request("DELETE", &format!("/session/{}", self.session), None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a request on a new connection; returns the status and the body of the response.
fn exchange(method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (mut code, mut length) = (0, 0);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        let lower = line.trim().to_ascii_lowercase();
        if let Some(status) = lower.strip_prefix("http/1.1 ") {
            code = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default();
        }
        if let Some(given) = lower.strip_prefix("content-length:") {
            length = given.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    String::from_utf8(body).map(|body| (code, body)).map_err(io::Error::other)
}
