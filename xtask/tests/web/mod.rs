//! A web server on loopback that misbehaves as told, and a data set that it publishes.
#![allow(dead_code)] // Each test file uses a part of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path of the address.
    pub path: String,
    /// First byte of `Range: bytes=FIRST-`.
    pub first: Option<usize>,
    /// `If-Range`.
    pub if_range: Option<String>,
}

/// What it gets.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers as sent.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub cut: Option<usize>,
    /// A pause after every 4096 bytes of the body.
    pub pause: Duration,
}

impl Reply {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }.header("Content-Length", 0)
    }

    /// The whole file.
    pub fn whole(body: &[u8]) -> Self {
        let length = body.len();
        Self { status: 200, body: body.to_vec(), ..Self::default() }
            .header("Content-Length", length)
    }

    /// What a good server answers: the rest where a rest is asked for.
    pub fn good(request: &Request, file: &[u8]) -> Self {
        let Some(first) = request.first else { return Self::whole(file) };
        let range = format!("bytes {first}-{}/{}", file.len() - 1, file.len());
        Self { status: 206, ..Self::whole(&file[first..]) }.header("Content-Range", range)
    }

    /// With another header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// Cut after some bytes of the body.
    pub fn cut(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    fn send(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        self.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let end = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        for piece in self.body[..end].chunks(4096) {
            stream.write_all(piece)?;
            thread::sleep(self.pause);
        }
        Ok(())
    }
}

/// A server and what it was asked.
pub struct Server {
    /// `http://127.0.0.1:PORT/`.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request, which it gets with its number from 0.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || {
                    let Some(request) = read_request(&stream) else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // A client that has gone away is part of the tests.
                    let _ = answer(&request, number).send(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { url, requests }
    }

    /// What was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_string();
    let mut request = Request { path, first: None, if_range: None };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            return Some(request);
        }
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let first = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                request.first = Some(first.parse().ok()?);
            }
            "if-range" => request.if_range = Some(value.to_string()),
            _ => {}
        }
    }
    None
}

/// A data set `x` in a folder of its own, published at some address.
pub struct DataSet {
    folder: tempfile::TempDir,
}

impl DataSet {
    /// With files of these names and contents; `holds` as in the manifest.
    pub fn new(url: &str, files: &[(&str, &str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = format!(
            "title = \"t\"\nlicence = \"l\"\nlayout = \"cc359\"\ndomains = [\"GE_3\"]\n\
             access = {{ kind = \"open\", base_url = \"{url}\" }}\n\
             splits = {{ kind = \"published\", rule = \"r\" }}\n"
        );
        for (name, holds, content) in files {
            manifest += &format!(
                "[[files]]\nname = \"{name}\"\nholds = \"{holds}\"\nbytes = {}\nmd5 = \"{}\"\n",
                content.len(),
                md5(content)
            );
        }
        fs::create_dir_all(folder.path().join("sets/x")).unwrap();
        fs::write(folder.path().join("sets/x/manifest.toml"), manifest).unwrap();
        Self { folder }
    }

    /// With a single file `a.zip`, its content the same on every call.
    pub fn of_one(url: &str) -> Self {
        Self::new(url, &[("a.zip", "images", &content())])
    }

    /// Its folder of downloads, and what it is prepared into.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A download's place.
    pub fn archive(&self, name: &str) -> PathBuf {
        self.data().join("archives").join(name)
    }

    /// `xtask data ACTION x` with more arguments.
    pub fn command(&self, action: &[&str]) -> Command {
        self.command_in(Path::new(env!("CARGO_BIN_EXE_xtask")), &[], action)
    }

    /// The same through another program that runs it.
    pub fn command_in(&self, program: &Path, before: &[&str], action: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(before).args(["data", action[0], "x", "--manifests"]);
        command.arg(self.folder.path().join("sets")).arg("--data").arg(self.data());
        command.args(&action[1..]);
        command
    }

    /// `xtask data fetch x`, impatient.
    pub fn fetch(&self) -> Output {
        self.command(&FETCH).output().unwrap()
    }

    /// Fetches with success; nothing but the file itself is left behind.
    pub fn fetch_well(&self) {
        let output = self.fetch();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(fs::read(self.archive("a.zip")).unwrap(), content());
        assert_eq!(fs::read_dir(self.data().join("archives")).unwrap().count(), 1);
    }

    /// Fetches without success, for this reason; the file's name is not there.
    pub fn fetch_badly(&self, reason: &str) {
        let output = self.fetch();
        let said = said(&output);
        assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
        assert!(!self.archive("a.zip").exists(), "half a file under its final name");
    }
}

/// A fetch that gives up soon.
pub const FETCH: [&str; 7] = ["fetch", "--attempts", "3", "--wait", "0.01", "--silence", "1"];

/// What a command said.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// 100 kB that do not repeat.
pub fn content() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads everything, for callers that hold a pipe open.
pub fn drain(mut from: impl Read) -> String {
    let mut text = String::new();
    let _ = from.read_to_string(&mut text);
    text
}
