//! The modkeep in front of one go command.

use crate::boot;
use crate::exit::Failed;
use crate::goenv::{GoEnv, list_text, split_list};
use crate::run::words::Seen;
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use keep::Keep;
use server::{AccessFormat, AccessLog, Address, Server};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Failed requests that are remembered. The first is what counts; a build asks for hundreds more.
const SEEN_MAX: usize = 1000;

/// A running front.
pub struct Front {
    url: String,
    tail: String,
    upstreams: Vec<String>,
    keep: Keep,
    lines: Receiver<Vec<u8>>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Front {
    /// Starts one on a free loopback port, for the proxies of the go command's GOPROXY. `None` when
    /// it names no proxy before `direct` or `off`: then there is nothing to stand in front of.
    pub async fn start(env: &GoEnv, data: &Path) -> Result<Option<Self>, Failed> {
        let (proxies, tail) = split_list(&env.proxies()?);
        if proxies.entries.is_empty() {
            return Ok(None);
        }
        let mut settings = env.settings(data, &list_text(&proxies))?;
        // The go command asks the database itself, through here; nobody else shall.
        settings.no_sumdb = Patterns::parse("*").map_err(Failed::usage)?;
        // The go command alone would wait for ever: here a stall has an end and a cause.
        settings.patience.answer = Duration::from_secs(60);
        settings.keep.answer = Duration::from_secs(65);
        settings.server.listen = vec!["127.0.0.1:0".parse::<Address>().map_err(Failed::usage)?];
        settings.server.grace = Duration::from_millis(200);
        let keep = boot::keep(&settings)?;
        let (lines, seen) = channel();
        let log = AccessLog::start(AccessFormat::Json, Box::new(Lines(lines)))
            .map_err(Failed::unknown)?;
        let server = Server::bind(settings.server.clone(), keep.clone(), Some(log))
            .await
            .map_err(Failed::unknown)?;
        let url = server
            .urls()
            .map_err(Failed::unknown)?
            .pop()
            .unwrap_or_default();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let upstreams = proxies
            .entries
            .iter()
            .map(|e| e.place.to_string())
            .collect();
        Ok(Some(Self {
            url,
            tail,
            upstreams,
            keep,
            lines: seen,
            stop,
            serving,
        }))
    }

    /// What GOPROXY has to be for the child.
    pub fn goproxy(&self) -> String {
        format!("{}{}", self.url, self.tail)
    }

    /// Its own address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Who delivered a version's zip, or its go.mod where the zip was not asked for.
    pub fn source_of(&self, version: &ModuleVersion) -> Option<String> {
        let report = self.keep.version_report(version).ok()?;
        let of = |kind: &str| report.files.iter().find(|f| f.file.ends_with(kind));
        of("zip").or_else(|| of("mod")).map(|f| f.source.clone())
    }

    /// Stops it and gives what it has seen.
    pub async fn stop(self) -> Seen {
        let _ = self.stop.send(());
        let _ = self.serving.await;
        let down = self.keep.upstream_status().into_iter();
        let down = down.filter_map(|s| Some((s.name, s.reason?)));
        // The log's thread ends when the last line is out; a line that is late is not waited for.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let lines = self
            .lines
            .try_iter()
            .take(64 * SEEN_MAX)
            .collect::<Vec<_>>()
            .concat();
        Seen {
            url: self.url,
            upstreams: self.upstreams,
            calls: self
                .keep
                .upstream_calls()
                .into_iter()
                .map(|c| (c.name, c.asked, c.failed))
                .collect(),
            down: down.collect(),
            failed: failed(&lines),
        }
    }
}

/// Paths that were not served, with their status, in order.
fn failed(log: &[u8]) -> Vec<(String, u16)> {
    let lines = log
        .split(|b| *b == b'\n')
        .filter_map(|l| serde_json::from_slice::<serde_json::Value>(l).ok());
    let failed = lines.filter_map(|line| {
        let status = u16::try_from(line.get("status")?.as_u64()?).ok()?;
        Some((line.get("path")?.as_str()?.to_owned(), status))
    });
    failed
        .filter(|(_, status)| *status >= 400)
        .take(SEEN_MAX)
        .collect()
}

/// Where the access log goes: to who asks in the end.
struct Lines(Sender<Vec<u8>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // Nobody may want them any more.
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
