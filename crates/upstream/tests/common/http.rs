//! A real `git http-backend` behind a tiny HTTP server that wants a password and remembers who
//! asked for what.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub authorization: Option<String>,
    pub reply_bytes: usize,
}

/// What to do instead of serving.
#[derive(Clone, Default)]
pub struct Rules {
    /// `user:password` in base64, if one is wanted.
    pub basic: Option<String>,
    /// Redirect everything to this base.
    pub moved: Option<String>,
    /// A text to look for in all command lines while a request is served.
    pub hidden: Option<String>,
}

pub struct GitServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    leaks: Arc<Mutex<Vec<String>>>,
}

impl GitServer {
    pub fn start(root: PathBuf, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, leaks) = (Arc::default(), Arc::default());
        let server = Self {
            address,
            seen: Arc::clone(&seen),
            leaks: Arc::clone(&leaks),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, rules) = (root.clone(), rules.clone());
                let (seen, leaks) = (Arc::clone(&seen), Arc::clone(&leaks));
                std::thread::spawn(move || serve(stream.unwrap(), &root, &rules, &seen, &leaks));
            }
        });
        server
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Command lines that held what had to be hidden.
    pub fn leaks(&self) -> Vec<String> {
        self.leaks.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    root: &std::path::Path,
    rules: &Rules,
    seen: &Mutex<Vec<Seen>>,
    leaks: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, v)| v.clone())
    };
    let length: usize = header("content-length")
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if let Some(hidden) = &rules.hidden {
        leaks
            .lock()
            .unwrap()
            .extend(command_lines().into_iter().filter(|l| l.contains(hidden)));
    }
    let reply = reply(root, rules, &method, &target, &header, &body);
    seen.lock().unwrap().push(Seen {
        method,
        target,
        authorization: header("authorization"),
        reply_bytes: reply.len(),
    });
    let mut stream = stream;
    let _ = stream.write_all(&reply);
}

fn reply(
    root: &std::path::Path,
    rules: &Rules,
    method: &str,
    target: &str,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
) -> Vec<u8> {
    if let Some(base) = &rules.moved {
        return format!(
            "HTTP/1.1 301 Moved\r\nLocation: {base}{target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .into_bytes();
    }
    let wanted = rules.basic.as_ref().map(|basic| format!("Basic {basic}"));
    if wanted.is_some() && header("authorization") != wanted {
        return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            header("content-encoding").unwrap_or_default(),
        )
        .env("GIT_PROTOCOL", header("git-protocol").unwrap_or_default())
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().unwrap().stdout;
    let split = output
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .unwrap_or(0);
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK")
        .to_owned();
    let content = &output[(split + 4).min(output.len())..];
    let mut reply = format!(
        "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )
    .into_bytes();
    reply.extend_from_slice(content);
    reply
}

/// The command lines of all processes.
fn command_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) {
            lines.push(String::from_utf8_lossy(&bytes).replace('\0', " "));
        }
    }
    lines
}
