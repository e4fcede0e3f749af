//! Headless Chromium through chromedriver (W3C WebDriver over plain HTTP on the loopback address).
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Set where a missing browser is a failure, as in CI.
const REQUIRED: &str = "UDAS_REQUIRE_CHROMIUM";

/// A browser window, closed when dropped.
pub struct Browser {
    /// One browser at a time: machines of two cores drive several badly.
    _turn: MutexGuard<'static, ()>,
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Waits for its turn. None, with a word on standard error, where no Chromium is installed.
    pub fn start() -> Option<Self> {
        let found = (program("chromium"), program("chromedriver"));
        let (Some(chromium), Some(chromedriver)) = found else {
            assert!(std::env::var_os(REQUIRED).is_none(), "chromium or chromedriver is missing");
            eprintln!("skipped: install chromium and chromium-driver to test pages in a browser");
            return None;
        };
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed leaves nothing behind that the next one could trip over.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver = Command::new(chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = loop {
            let line = lines.next().expect("chromedriver says its port").expect("text");
            let port = line.split("started successfully on port ").nth(1);
            if let Some(port) = port {
                break port.trim_end_matches('.').parse().expect("a port");
            }
        };
        // The pipe is read to its end, so that the driver never waits for a reader.
        std::thread::spawn(move || lines.count());
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push("about:blank".into());
        let mut browser =
            Self { _turn: turn, driver, port, session: String::new(), _profile: profile };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": 120_000, "pageLoad": 120_000},
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let answer = browser.call("POST", "/session", &wanted);
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    /// Opens a file.
    pub fn open(&self, page: &Path) {
        self.post("/url", &json!({"url": format!("file://{}", page.display())}));
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Clicks what a person would click, after scrolling to it.
    pub fn click(&self, css: &str) {
        self.post(&format!("/element/{}/click", self.find(css)), &json!({}));
    }

    /// Types into a control.
    pub fn type_into(&self, css: &str, text: &str) {
        self.post(&format!("/element/{}/value", self.find(css)), &json!({"text": text}));
    }

    /// Presses the tabulator key.
    pub fn press_tab(&self) {
        let keys = [
            json!({"type": "keyDown", "value": "\u{e004}"}),
            json!({"type": "keyUp", "value": "\u{e004}"}),
        ];
        self.post(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": keys}]}),
        );
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// A window of a phone: width and height in CSS pixels.
    pub fn become_phone(&self, width: u32, height: u32) {
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.devtools("Emulation.setDeviceMetricsOverride", screen);
    }

    /// Chooses `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Messages of the console since the last call.
    pub fn console(&self) -> Vec<String> {
        self.log("browser")
    }

    /// Addresses asked for since the last call.
    pub fn requests(&self) -> Vec<String> {
        let parsed = |line: String| {
            let entry: Value = serde_json::from_str(&line).expect("a message");
            let message = &entry["message"];
            let asked = message["method"] == "Network.requestWillBeSent";
            // The browser's own pages, such as the empty tab it starts with.
            let own =
                message["params"]["documentURL"].as_str().is_some_and(|u| u.starts_with("chrome:"));
            (asked && !own)
                .then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        self.log("performance").into_iter().filter_map(parsed).collect()
    }

    /// What the window shows, as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        decode(&self.call("GET", &format!("/session/{}/screenshot", self.session), &Value::Null))
    }

    /// Shows the page as it will be printed.
    pub fn become_paper(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        let media = json!({"media": "print", "features": [feature]});
        self.devtools("Emulation.setEmulatedMedia", media);
    }

    /// The page on A4 paper, as PDF.
    pub fn print(&self) -> Vec<u8> {
        // In inches. The driver's own command gives up after ten seconds, which a busy machine needs.
        let paper = json!({"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": true});
        decode(&self.devtools("Page.printToPDF", paper)["data"])
    }

    fn log(&self, kind: &str) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": kind}));
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].as_str().expect("text").to_owned()).collect()
    }

    fn find(&self, css: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": css}));
        let id = found.as_object().and_then(|object| object.values().next()?.as_str());
        id.expect("an element").to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// One request a connection; the driver answers with the length of its body.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("a request");
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            if line.trim().is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().expect("a length");
                }
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("an answer");
        let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A panic while a panic unwinds would hide the first one.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        // The driver ends its browser when it is told to end.
        let _ = Command::new("kill").arg(self.driver.id().to_string()).status();
        let _ = self.driver.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn decode(value: &Value) -> Vec<u8> {
    use base64::Engine;
    let text = value.as_str().expect("base64");
    base64::prelude::BASE64_STANDARD.decode(text).expect("base64")
}
