//! Starts the real modkeep, speaks raw HTTP to it, stops it.
//!
//! Everything blocks: the upstreams of `testkit` run on threads of their own, and a test that reads
//! byte by byte is easier to follow without a runtime.

#![allow(dead_code, reason = "each subject uses its own part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The longest that anything is waited for before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A modkeep command in a clean environment and an empty directory: nothing of the machine's own
/// settings, proxies or credentials reaches it.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modkeep"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// Runs a modkeep command to its end.
pub fn run(args: &[&str]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    run_in(home.path(), args, &[])
}

/// The same with a home directory and variables.
pub fn run_in(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
    let output = command(home)
        .args(args)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A server to be started: settings first, then [`Launch::start`].
pub struct Launch {
    command: Command,
    home: Arc<TempDir>,
    data: PathBuf,
}

impl Launch {
    /// On a free port, with its own empty data directory, without look-ahead and without a checksum
    /// database, so that a test counts only the questions it asked itself.
    pub fn new() -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let data = home.path().join("data");
        Self::at(home, data)
    }

    /// A witness with this name, on a free port, with its own empty data directory.
    pub fn witness(name: &str) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let data = home.path().join("data");
        Self::witness_at(home, data).args(["--name", name])
    }

    /// The same witness, which has ended.
    pub fn witness_again(ended: &Ended) -> Self {
        Self::witness_at(Arc::clone(&ended.home), ended.data.clone())
    }

    fn witness_at(home: Arc<TempDir>, data: PathBuf) -> Self {
        let mut command = command(home.path());
        command
            .args(["witness", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data);
        Self {
            command,
            home,
            data,
        }
    }

    /// Over the data of a server that has ended.
    pub fn again(ended: &Ended) -> Self {
        Self::at(Arc::clone(&ended.home), ended.data.clone())
    }

    fn at(home: Arc<TempDir>, data: PathBuf) -> Self {
        let mut command = command(home.path());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("MODKEEP_LOOK_AHEAD", "off")
            .env("MODKEEP_UPSTREAM", "off")
            .env("MODKEEP_SUMDB", "off");
        Self {
            command,
            home,
            data,
        }
    }

    /// Where the server will keep things.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server's home and working directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn upstream(self, list: &str) -> Self {
        self.args(["--upstream", list])
    }

    pub fn look_ahead(self) -> Self {
        self.args(["--look-ahead", "on"])
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts and waits for the ready line. Panics with what the server said when none comes.
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(ran) => panic!("modkeep did not start: {ran:?}"),
        }
    }

    /// Starts; an error is a server that ended before it was ready.
    pub fn try_start(mut self) -> Result<Server, Ran> {
        let began = Instant::now();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let draining = drain(child.stderr.take().unwrap(), Arc::clone(&stderr));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("modkeep ready ") else {
            let status = child.wait().unwrap();
            draining.join().unwrap();
            let stderr = String::from_utf8_lossy(&stderr.lock().unwrap()).into_owned();
            return Err(Ran {
                code: status.code(),
                stdout: line,
                stderr,
            });
        };
        let base = url.split_once("://").map_or("", |(_, rest)| rest);
        let host = base.split_once('/').map_or(base, |(host, _)| host);
        Ok(Server {
            address: host.parse().ok(),
            url: url.to_owned(),
            ready_after: began.elapsed(),
            child: Some(child),
            stdout: Some(stdout),
            stderr,
            draining: Some(draining),
            home: self.home,
            data: self.data,
        })
    }
}

fn drain(mut from: impl Read + Send + 'static, to: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            to.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    })
}

/// A running modkeep. Dropping it kills it.
pub struct Server {
    address: Option<SocketAddr>,
    /// As in the ready line.
    pub url: String,
    /// From spawn to the ready line.
    pub ready_after: Duration,
    child: Option<Child>,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    draining: Option<JoinHandle<()>>,
    home: Arc<TempDir>,
    data: PathBuf,
}

/// What a server leaves.
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stderr: String,
    pub data: PathBuf,
    home: Arc<TempDir>,
}

impl Server {
    /// With these upstreams and nothing else special.
    pub fn over(upstream: &str) -> Self {
        Launch::new().upstream(upstream).start()
    }

    pub fn address(&self) -> SocketAddr {
        self.address.expect("a TCP listener")
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// The next line of standard output.
    pub fn stdout_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// Asks and reads the whole answer. Panics when none begins; a body that is cut shows in
    /// [`Answer::whole`].
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.follow(method, path, headers).finish()
    }

    /// Asks and reads the head only: the body is read as it comes.
    pub fn follow(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Follow {
        let mut connection = Connection::open(self.address());
        connection.send(method, path, headers, b"");
        connection.head(method == "HEAD")
    }

    pub fn post_json(&self, path: &str, body: &str) -> Answer {
        self.post(path, &[("Content-Type", "application/json")], body)
    }

    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut connection = Connection::open(self.address());
        connection.send("POST", path, headers, body.as_bytes());
        connection.head(false).finish()
    }

    /// A sample of `/-/metrics`; its labels are part of the name. 0 when it is not there.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.get("/-/metrics").text();
        let sample = text.lines().find_map(|l| l.strip_prefix(name));
        sample.map_or(0, |rest| rest.trim().parse::<f64>().unwrap() as u64)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// Tells it to stop and waits until it has.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        let status = wait_for(&mut child);
        self.draining.take().unwrap().join().unwrap();
        Ended {
            code: status.code(),
            stderr: self.stderr(),
            data: self.data.clone(),
            home: Arc::clone(&self.home),
        }
    }
}

fn wait_for(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("modkeep did not end in {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- modkeep said:\n{}---", self.stderr());
        }
    }
}

/// A client's connection, for what a well-behaved client would not do.
pub struct Connection {
    pub stream: TcpStream,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// To a server that may die at any moment.
    pub fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream })
    }

    /// One request, with the target as it is, asking for the connection to be closed after it.
    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
            text.push_str("Host: modkeep.test\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Any bytes at all.
    pub fn send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads an answer's head. `bodiless`: no body follows, whatever the head says.
    pub fn head(self, bodiless: bool) -> Follow {
        self.try_head(bodiless).expect("an answer's head")
    }

    /// The same; an error when the connection ends without one.
    pub fn try_head(self, bodiless: bool) -> std::io::Result<Follow> {
        let mut input = BufReader::new(self.stream);
        let bad = |line: &str| std::io::Error::other(format!("not a head: {line:?}"));
        let mut line = String::new();
        input.read_line(&mut line)?;
        let status: u16 = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|l| l.get(..3)?.parse().ok())
            .ok_or_else(|| bad(&line))?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad(line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let left = if bodiless || matches!(status, 204 | 304) {
            Left::Bytes(0)
        } else if find("transfer-encoding").is_some_and(|v| v == "chunked") {
            Left::Chunks
        } else {
            find("content-length").map_or(Left::UntilClose, |v| Left::Bytes(v.parse().unwrap()))
        };
        Ok(Follow {
            input,
            left,
            cut: false,
            answer: Answer {
                status,
                headers,
                body: Vec::new(),
                whole: false,
            },
        })
    }
}

#[derive(Debug)]
enum Left {
    Bytes(u64),
    Chunks,
    UntilClose,
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Follow {
    input: BufReader<TcpStream>,
    left: Left,
    cut: bool,
    /// The head, and the body so far.
    pub answer: Answer,
}

impl Follow {
    /// Reads what comes next. False: nothing more will.
    pub fn more(&mut self) -> bool {
        let read = self.next();
        match read {
            Ok(0) => self.answer.whole = !self.cut,
            Ok(_) => return true,
            Err(error) if would_block(&error) => panic!("nothing came in {PATIENCE:?}"),
            Err(_) => self.cut = true,
        }
        false
    }

    /// Reads until so many bytes of the body are there, or its end.
    pub fn until(&mut self, bytes: usize) -> &mut Self {
        while self.answer.body.len() < bytes && self.more() {}
        self
    }

    /// Reads what comes within this time.
    pub fn for_a_time(&mut self, time: Duration) -> &mut Self {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.input.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.next() {
                Ok(0) => {
                    self.answer.whole = !self.cut;
                    break;
                }
                Ok(_) => {}
                Err(error) if would_block(&error) => break,
                Err(_) => {
                    self.cut = true;
                    break;
                }
            }
        }
        self.input
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
        self
    }

    /// Reads to the end, whole or cut.
    pub fn finish(mut self) -> Answer {
        while self.more() {}
        self.answer
    }

    fn next(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let read = match &mut self.left {
            Left::Bytes(0) => 0,
            Left::Bytes(left) => {
                let want = usize::try_from(*left).unwrap().min(buffer.len());
                let n = self.input.read(&mut buffer[..want])?;
                if n == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                *left -= n as u64;
                n
            }
            Left::Chunks => return self.chunk(),
            Left::UntilClose => self.input.read(&mut buffer)?,
        };
        self.answer.body.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    fn chunk(&mut self) -> std::io::Result<usize> {
        let eof = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(|_| eof())?;
        let mut chunk = vec![0; size + 2];
        self.input.read_exact(&mut chunk)?;
        self.answer.body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            self.left = Left::Bytes(0);
        }
        Ok(size)
    }
}

fn would_block(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}

/// An answer, as far as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Panics unless it is a whole 200 with these bytes.
    #[track_caller]
    pub fn is(&self, body: impl AsRef<[u8]>) {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.whole, "the body was cut");
        assert!(
            self.body == body.as_ref(),
            "other bytes: {:?}",
            self.text().chars().take(200).collect::<String>()
        );
    }

    /// Panics unless it has this status and its text has this part.
    #[track_caller]
    pub fn refuses(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(
            self.text().contains(part),
            "{part:?} is not in {:?}",
            self.text()
        );
    }
}

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same question from many clients at once; their answers.
pub fn at_once(server: &Server, clients: usize, path: &str) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|_| scope.spawn(|| server.get(path)))
            .collect();
        asking.into_iter().map(|a| a.join().unwrap()).collect()
    })
}
