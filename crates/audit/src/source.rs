//! Where a log is.
//!
//! A log is a handful of static files under one address: heads and tiles, in Go's spelling
//! (`latest`, `tile/8/L/N`, `tile/8/data/N`), in that of C2SP (`checkpoint`, `tile/L/N`,
//! `tile/entries/N`), or in both. Whoever serves them is believed nothing.

use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tlog::client::DATA_TILE_BYTES_MAX;
use tlog::entries::parse_entry_bundle;
use tlog::record::parse_data_tile;
use tlog::tile::{Level, Tile};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use upstream::{Net, Reach};
use url::Url;

/// Signed heads and lookups are at most this long, in bytes.
pub const NOTE_BYTES_MAX: usize = 128 << 10;

/// Bundles have two bytes for each record where data tiles have one.
const RECORDS_BYTES_MAX: usize = DATA_TILE_BYTES_MAX + 512;

/// One file must be there within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file is asked for so often before it counts as not to be found out, with longer and longer
/// pauses: 0.25 s, 0.5 s, 1 s.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How a log's files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// As Go's checksum databases do.
    Go,
    /// As C2SP tlog-tiles says.
    C2sp,
}

/// Why a file is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The log does not have it.
    Absent,
    /// It could not be found out.
    Failed(String),
}

/// A log's address.
#[derive(Clone, Debug)]
pub enum Source {
    /// Over HTTP.
    Url {
        /// The client.
        net: Net,
        /// The address, without a slash at its end.
        base: Arc<str>,
        /// The same, parsed.
        named: Arc<Url>,
    },
    /// Files.
    Dir(Arc<PathBuf>),
    /// A log that this process has open: asked by path like any other, so that its check sees what
    /// clients would see. The string is its name.
    Open(Arc<str>, OpenLog),
}

/// The files of an open log: `Ok(None)` for one that is not there, an error in words.
#[derive(Clone)]
pub struct OpenLog(pub Arc<Answer>);

/// Answers a path. May block on the disk for some microseconds.
pub type Answer = dyn Fn(&str) -> Result<Option<Bytes>, String> + Send + Sync;

impl std::fmt::Debug for OpenLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenLog")
    }
}

impl Form {
    /// Both, Go's first.
    pub const ALL: [Self; 2] = [Self::Go, Self::C2sp];

    /// The name of the signed head.
    pub fn head(self) -> &'static str {
        match self {
            Self::Go => "latest",
            Self::C2sp => "checkpoint",
        }
    }

    /// The name of a tile.
    pub fn path(self, tile: Tile) -> String {
        match self {
            Self::Go => tile.path(),
            // Only tiles of another height have no such name, and none is asked for here.
            Self::C2sp => tile.c2sp_path().unwrap_or_else(|| tile.path()),
        }
    }

    /// The records in a file of this form.
    pub fn records(self, bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
        match self {
            Self::Go => parse_data_tile(bytes)
                .map(|records| records.into_iter().map(str::as_bytes).collect())
                .map_err(|e| e.to_string()),
            Self::C2sp => parse_entry_bundle(bytes).map_err(|e| e.to_string()),
        }
    }
}

impl Source {
    /// A URL or a directory.
    pub fn parse(text: &str, net: impl FnOnce() -> Result<Net, String>) -> Result<Self, String> {
        if !text.contains("://") {
            let dir = PathBuf::from(text);
            return match dir.is_dir() {
                true => Ok(Self::Dir(Arc::new(dir))),
                false => Err(format!(
                    "{text}: no such directory (a URL begins with https://)"
                )),
            };
        }
        let base = text.trim_end_matches('/');
        let named = Url::parse(base).map_err(|e| format!("{text}: {e}"))?;
        if !matches!(named.scheme(), "http" | "https") {
            return Err(format!("{text}: a log is read over http or https"));
        }
        if named.query().is_some() || named.fragment().is_some() {
            return Err(format!(
                "{text}: a log's address has no query and no fragment"
            ));
        }
        Ok(Self::Url {
            net: net()?,
            base: base.into(),
            named: Arc::new(named),
        })
    }

    /// The host, of a URL.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Url { named, .. } => named.host_str(),
            Self::Dir(_) | Self::Open(..) => None,
        }
    }

    /// A file's content; one longer than `max` bytes comes cut behind them, so that it is no longer
    /// what it should be.
    pub async fn get(&self, path: &str, max: usize) -> Result<Bytes, Lack> {
        match self {
            Self::Dir(dir) => read(dir.join(path), max).await,
            Self::Open(_, log) => match (log.0)(path) {
                Ok(bytes) => bytes.ok_or(Lack::Absent),
                Err(what) => Err(Lack::Failed(what)),
            },
            Self::Url { net, base, named } => {
                let url = Url::parse(&format!("{base}/{path}"))
                    .map_err(|e| Lack::Failed(format!("{path}: {e}")))?;
                let mut pause = FIRST_PAUSE;
                let mut tries = 1;
                loop {
                    match fetch(net, named, &url, max).await {
                        Err(Trouble::Passing(_)) if tries < TRIES => {}
                        Err(Trouble::Passing(what) | Trouble::Lasting(what)) => {
                            return Err(Lack::Failed(what));
                        }
                        Err(Trouble::Absent) => return Err(Lack::Absent),
                        Ok(bytes) => return Ok(bytes),
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    tries += 1;
                }
            }
        }
    }

    /// A tile; where a partial one is gone the full one, which then is longer than asked for.
    pub async fn tile(&self, form: Form, tile: Tile) -> Result<Bytes, Lack> {
        let max = match tile.level() {
            Level::Data => RECORDS_BYTES_MAX,
            Level::Hashes(_) => tile.full().byte_len(),
        };
        match self.get(&form.path(tile), max).await {
            Err(Lack::Absent) if !tile.is_full() => self.get(&form.path(tile.full()), max).await,
            got => got,
        }
    }

    /// A tile of hashes, as wide as asked for.
    pub async fn hashes(&self, form: Form, tile: Tile) -> Result<Bytes, Lack> {
        let got = self.tile(form, tile).await?;
        let (exact, full) = (tile.byte_len(), tile.full().byte_len());
        Ok(match got.len() == full {
            true => got.slice(..exact),
            false => got,
        })
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { named, .. } => f.write_str(&upstream::show(named)),
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Open(name, _) => f.write_str(name),
        }
    }
}

/// Why a request brought nothing.
enum Trouble {
    Absent,
    Passing(String),
    Lasting(String),
}

async fn fetch(net: &Net, named: &Url, url: &Url, max: usize) -> Result<Bytes, Trouble> {
    let got = net
        .fetch(url, Reach::Named(named), max, Instant::now() + PATIENCE)
        .await
        .map_err(|failure| Trouble::Passing(failure.text().to_owned()))?;
    let said = || format!("{} answered {}", upstream::show(url), got.status);
    match got.status {
        200 => Ok(got.body),
        404 | 410 => Err(Trouble::Absent),
        429 | 500.. => Err(Trouble::Passing(said())),
        _ => Err(Trouble::Lasting(said())),
    }
}

async fn read(path: PathBuf, max: usize) -> Result<Bytes, Lack> {
    let lack = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Lack::Absent,
        _ => Lack::Failed(format!("{}: {e}", path.display())),
    };
    let file = tokio::fs::File::open(&path).await.map_err(lack)?;
    let mut bytes = Vec::new();
    let most = max as u64 + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .await
        .map_err(lack)?;
    Ok(bytes.into())
}
