//! `modkeep serve` as a child process: started on a free port, ready when it says so.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::sh::{self, Running};

/// How long a server may take until it is ready, on a machine that does other things too.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long it may finish what it is doing after SIGTERM.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A server that said `modkeep ready`.
pub struct Server {
    /// `http://HOST:PORT`.
    pub url: String,
    /// From the start of the process to its ready line.
    pub ready_after: Duration,
    running: Running,
}

impl Server {
    /// Starts the release build on a free port, without a checksum database: generated modules are
    /// in none. Its log goes to a file beside the data.
    pub fn start(data: &Path, upstream: &str) -> Result<Self> {
        Self::start_with(data, upstream, &[("MODKEEP_SUMDB", "off")])
    }

    /// The same with these settings, as environment variables.
    pub fn start_with(data: &Path, upstream: &str, settings: &[(&str, &str)]) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let log = std::fs::File::create(data.with_extension("log"))?;
        let mut command = sh::command(binary());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(["--upstream", upstream])
            .envs(settings.iter().copied())
            .current_dir(data)
            .env("HOME", data)
            .stderr(log);
        Self::from_command(&mut command, READY_LIMIT)
            .with_context(|| format!("its log is {}", data.with_extension("log").display()))
    }

    /// Starts any command that ends up as `modkeep serve`.
    pub fn from_command(command: &mut Command, limit: Duration) -> Result<Self> {
        let begun = Instant::now();
        let mut running = Running::start(command.stdout(Stdio::piped()))?;
        let out = running.stdout().context("no stdout")?;
        let (send, lines) = mpsc::channel();
        // Reads on after the ready line: a full pipe would stop the server.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = send.send((line, Instant::now()));
            }
        });
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            match lines.recv_timeout(left) {
                Ok((line, at)) => {
                    if let Some(url) = line.strip_prefix("modkeep ready ") {
                        return Ok(Self {
                            url: url.trim().to_owned(),
                            ready_after: at - begun,
                            running,
                        });
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("{}: not ready after {limit:?}", sh::shown(command))
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = running.wait(Duration::from_secs(5))?;
                    bail!("{}: {status} before it was ready", sh::shown(command));
                }
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where it listens, for those who speak raw TCP.
    pub fn address(&self) -> Result<SocketAddr> {
        let host = self.url.trim_start_matches("http://");
        host.parse()
            .with_context(|| format!("{}: not an address", self.url))
    }

    /// SIGTERM, and exit status 0 wanted.
    pub fn stop(self) -> Result<()> {
        self.running.terminate(STOP_LIMIT)
    }
}

/// The release build, where README's command puts it.
pub fn binary() -> PathBuf {
    sh::target().join("release/modkeep")
}

/// Builds it, exactly as README's command does.
pub fn build() -> Result<()> {
    sh::run(sh::cargo().args(["build", "--release", "--locked"]))
}
