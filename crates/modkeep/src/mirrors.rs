//! Measures mirrors: what the `doctor` crate's choice rests on.
//!
//! Small things are asked of all mirrors at once, the zip of one after the other: they would share
//! one line and measure each other.

use crate::boot::Links;
use doctor::mirrors::{Bytes, Measured, Relay};
use gomod::list::{LIST_BYTES_MAX, VersionList};
use gomod::version::ModuleVersion;
use gomod::zip::MAX_ZIP_FILE;
use std::io::Cursor;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use upstream::{Encoding, Failure, Reach, show};
use url::Url;

/// Small requests, of which the median counts: one that meets a pause does not move it.
const SMALL: usize = 5;

/// A sample's zip is held in memory: this is more than any sample should have.
const ZIP_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(ZIP_BYTES_MAX < MAX_ZIP_FILE);

/// What to measure with.
#[derive(Clone, Debug)]
pub struct Task {
    /// The version that is fetched.
    pub sample: ModuleVersion,
    /// The zip's proved hash, where there is one.
    pub recorded: Option<String>,
    /// The checksum database's name.
    pub sumdb: String,
    /// Time for each mirror's small requests, and for its zip.
    pub patience: Duration,
}

/// Measures all, in their order.
pub async fn measure(links: &Links, mirrors: &[Url], task: &Task) -> Vec<Measured> {
    let mut running = JoinSet::new();
    for (place, url) in mirrors.iter().enumerate() {
        let (links, url, task) = (links.clone(), url.clone(), task.clone());
        running.spawn(async move { (place, small(&links, &url, &task).await) });
    }
    let mut measured: Vec<(usize, Measured)> = Vec::new();
    while let Some(done) = running.join_next().await {
        measured.extend(done.ok());
    }
    measured.sort_by_key(|(place, _)| *place);
    let mut measured: Vec<Measured> = measured.into_iter().map(|(_, m)| m).collect();
    for (one, url) in measured
        .iter_mut()
        .zip(mirrors)
        .filter(|(m, _)| m.error.is_none())
    {
        zip(links, url, task, one).await;
    }
    measured
}

/// Whether the checksum database itself answers.
pub async fn reaches(links: &Links, url: &Url, patience: Duration) -> bool {
    let asking = Asking {
        links,
        base: url,
        deadline: Instant::now() + patience,
    };
    asking
        .get("latest", 1 << 20)
        .await
        .is_ok_and(|(status, _)| status == 200)
}

/// One mirror, until a deadline.
struct Asking<'a> {
    links: &'a Links,
    base: &'a Url,
    deadline: Instant,
}

impl Asking<'_> {
    /// Status and body of a path below the mirror.
    async fn get(&self, path: &str, limit: u64) -> Result<(u16, Vec<u8>), Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.base.path().trim_end_matches('/')
        ));
        let net = self.links.net();
        let mut answer = net
            .get(
                &url,
                Reach::Named(self.base),
                Encoding::Identity,
                self.deadline,
            )
            .await?;
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        loop {
            match tokio::time::timeout_at(self.deadline, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok((status, body)),
                Ok(Err(_)) => return Err(Failure::Failed("the answer was cut".into())),
                Err(_) => return Err(Failure::TimedOut("too slow".into())),
            }
            if body.len() as u64 > limit {
                return Err(Failure::Failed(format!(
                    "the answer is larger than {limit} bytes"
                )));
            }
        }
    }
}

async fn small(links: &Links, url: &Url, task: &Task) -> Measured {
    let mut measured = Measured {
        url: show(url),
        ..Measured::default()
    };
    let asking = Asking {
        links,
        base: url,
        deadline: Instant::now() + task.patience,
    };
    let (path, number) = (
        task.sample.path().escaped(),
        task.sample.version().escaped(),
    );
    let info = format!("{path}/@v/{number}.info");
    let mut times = Vec::new();
    for round in 0..=SMALL {
        let began = Instant::now();
        match asking.get(&info, 1 << 20).await {
            Ok(_) if round == 0 => measured.first_ms = Some(millis(began)),
            Ok(_) => times.push(millis(began)),
            Err(failure) => {
                measured.error = Some(crate::compare::short(&failure));
                return measured;
            }
        }
    }
    times.sort_unstable();
    measured.latency_ms = times.get(times.len() / 2).copied();
    if let Ok((200, body)) = asking
        .get(&format!("{path}/@v/list"), LIST_BYTES_MAX as u64)
        .await
        && let Ok(list) = VersionList::parse(&body)
    {
        measured.versions = Some(list.entries().len());
        measured.newest = list.latest().map(|v| v.as_str().to_owned());
    }
    measured.sumdb = match asking
        .get(&format!("sumdb/{}/supported", task.sumdb), 1 << 20)
        .await
    {
        Ok((200, _)) => Relay::Yes,
        Ok((404 | 410, _)) => Relay::No,
        Ok((status, _)) => Relay::Broken(status),
        Err(_) => Relay::Unknown,
    };
    measured
}

async fn zip(links: &Links, url: &Url, task: &Task, measured: &mut Measured) {
    let asking = Asking {
        links,
        base: url,
        deadline: Instant::now() + task.patience,
    };
    let (path, number) = (
        task.sample.path().escaped(),
        task.sample.version().escaped(),
    );
    let began = Instant::now();
    let got = asking
        .get(&format!("{path}/@v/{number}.zip"), ZIP_BYTES_MAX)
        .await;
    let took = began.elapsed();
    measured.bytes = match got {
        Err(failure) => Bytes::Failed(crate::compare::short(&failure)),
        Ok((404 | 410, _)) => Bytes::Absent,
        Ok((200, body)) => {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
            measured.bytes_per_s = Some((body.len() as u64).saturating_mul(1_000_000) / micros);
            judge(body, task.recorded.as_deref()).await
        }
        Ok((status, _)) => Bytes::Failed(format!("it answered {status}")),
    };
}

async fn judge(body: Vec<u8>, recorded: Option<&str>) -> Bytes {
    let hashed = tokio::task::spawn_blocking(move || gomod::zip::hash_zip(Cursor::new(body)));
    match (hashed.await, recorded) {
        (Ok(Ok(h1)), Some(recorded)) if h1.to_string() == recorded => Bytes::Correct,
        (Ok(Ok(h1)), Some(_)) => Bytes::Wrong(h1.to_string()),
        (Ok(Ok(_)), None) => Bytes::Unproved,
        (Ok(Err(e)), _) => Bytes::Wrong(e.to_string()),
        (Err(_), _) => Bytes::Unknown,
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
