//! Our own checksum database: one log for private modules, public ones and toolchains.
//!
//! A version's record is appended, durably, before its zip is visible; a lookup is then a read. What a
//! foreign database covers is logged with the record that this database proved, and with no other: our
//! log never says more of a public version than was proved, and it needs no zip for that. What none
//! covers (private modules, `--no-sumdb`) is logged with the sums of the `.mod` and the `.zip` that are
//! kept here, so a version of which only the `.mod` was asked has no record until somebody needs one:
//! then its zip is fetched first. So one record, once, is all that a version ever needs.

use crate::alarm::AlarmKind;
use crate::cosigning::{Shown, Witnesses, Witnessing};
use crate::database::Sums;
use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use crate::small::lost;
use crate::sumdb::Subject;
use bytes::Bytes;
use gomod::h1::H1;
use gomod::request::Request;
use gomod::version::ModuleVersion;
use ledger::{Ledger, LedgerError, NewRecord, Reader};
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use store::{FileKey, Kind};
use tlog::Tile;
use tlog::record::{SumOf, go_sum_lines};
use tlog::tile::{HEIGHT, Level};
use tokio::time::Instant;

/// Our log, and its witnesses.
#[derive(Debug)]
pub struct OwnLog {
    pub(crate) ledger: Ledger,
    pub(crate) witnessing: Option<Witnessing>,
}

impl OwnLog {
    /// A log that is served, and whose heads these witnesses are asked to cosign.
    pub fn new(ledger: Ledger, witnesses: Option<Witnesses>) -> Self {
        let witnessing = witnesses.map(|witnesses| Witnessing::new(witnesses, &ledger));
        Self { ledger, witnessing }
    }

    /// The verifier key: what clients set as GOSUMDB.
    pub fn key(&self) -> String {
        self.ledger.reader().key().to_string()
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        self.ledger.reader().key().name()
    }
}

/// What may lead to a fetch, which may lead here again: so its type has to be spelled out.
type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;

/// A question for the log that is a read, checked.
enum Question {
    Latest,
    Checkpoint,
    Tile(Tile),
    Entries { n: u64, width: u32 },
}

impl Question {
    fn parse(rest: &str) -> Option<Self> {
        Some(match rest {
            "latest" => Self::Latest,
            "checkpoint" => Self::Checkpoint,
            // The go command's paths first: they are no C2SP paths, and no C2SP path is one of them.
            _ => match (Tile::parse(rest), Tile::parse_c2sp(rest)) {
                (Ok(tile), _) if tile.height() == HEIGHT => Self::Tile(tile),
                (_, Ok(tile)) if tile.level() == Level::Data => Self::Entries {
                    n: tile.n(),
                    width: tile.width(),
                },
                (_, Ok(tile)) => Self::Tile(tile),
                _ => return None,
            },
        })
    }

    fn media(&self) -> Media {
        match self {
            Self::Latest | Self::Checkpoint => Media::Text,
            Self::Tile(_) | Self::Entries { .. } => Media::Bytes,
        }
    }

    /// Whether the answer is the same for ever.
    fn is_fixed(&self) -> bool {
        matches!(self, Self::Tile(_) | Self::Entries { .. })
    }
}

impl Keep {
    /// Our own log.
    pub fn own_log(&self) -> Option<&OwnLog> {
        self.inner.databases.own.as_ref()
    }

    /// Answers a request under `/sumdb/OUR-NAME/`.
    pub(crate) async fn own_sumdb(
        &self,
        request: &Request,
        log: &OwnLog,
        rest: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        if rest == "supported" {
            return Ok(self.log_reply(request, Bytes::new(), Media::Text, false, Origin::Hit));
        }
        if let Some(escaped) = rest.strip_prefix("lookup/") {
            return self.own_lookup(request, log, escaped, cached_only).await;
        }
        let question = Question::parse(rest).ok_or_else(|| {
            Refusal::new(
                Blame::Malformed,
                format!("{rest}: not a question for a checksum database"),
            )
        })?;
        let (media, fixed) = (question.media(), question.is_fixed());
        let (reader, shown) = (log.ledger.reader().clone(), log.shown()?);
        let read = blocking(move || read(&reader, &question, &shown));
        match read.await.map_err(|e| broken(log, &e))? {
            Some(bytes) => Ok(self.log_reply(request, bytes, media, fixed, Origin::Hit)),
            None => Err(Refusal::new(
                Blame::NotYet,
                format!("{}: the log has no {rest} (yet)", log.name()),
            )),
        }
    }

    async fn own_lookup(
        &self,
        request: &Request,
        log: &OwnLog,
        escaped: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let subject = Subject::parse(escaped)?;
        let (module, version) = (subject.module.as_str(), subject.version.as_str());
        if let Some(answer) = log.answer(module, version).await? {
            return Ok(self.log_reply(request, answer, Media::Text, true, Origin::Hit));
        }
        self.refuse_unless_fetching(request, cached_only)?;
        let absent = || {
            Refusal::new(
                Blame::Absent,
                format!("not found: {subject}: the module can have no such version"),
            )
        };
        let version = subject.version.as_version().ok_or_else(absent)?;
        let version = ModuleVersion::new(subject.module.clone(), version).map_err(|_| absent())?;
        let asked = request.clone();
        self.sum_miss(request, |keep| async move {
            let refused = |refusal: Refusal| {
                keep.remember_absence(&asked, &refusal);
                refusal
            };
            keep.complete(&version).await.map_err(refused)?;
            let log = keep.own_log().ok_or_else(|| lost(&asked))?;
            let (module, version) = (version.path().as_str(), version.version().as_str());
            let answer = log.answer(module, version).await?;
            let answer = answer.ok_or_else(|| lost(&asked))?;
            Ok(keep.log_reply(&asked, answer, Media::Text, true, Origin::Miss))
        })
        .await
    }

    /// Gets a version its record: from the foreign database that covers it, or from its own files.
    fn complete<'a>(&'a self, version: &'a ModuleVersion) -> Work<'a> {
        Box::pin(self.complete_once(version))
    }

    async fn complete_once(&self, version: &ModuleVersion) -> Result<(), Refusal> {
        let key = |kind| FileKey {
            module: version.path().clone(),
            version: version.version().clone(),
            kind,
        };
        match self.sums(version.path(), version.version().as_str()).await {
            Sums::Known(sums) => {
                self.agrees_with_kept(&key(Kind::Mod), &sums)?;
                self.agrees_with_kept(&key(Kind::Zip), &sums)?;
                self.append(record_of(&key(Kind::Zip), &sums)?).await
            }
            Sums::NotAsked => {
                self.whole(&Request::Zip(version.clone())).await?;
                // A zip that was kept before there was a log has not been logged on its way in.
                let meta = self.meta(&key(Kind::Zip))?;
                match meta.and_then(|m| m.h1) {
                    Some(h1) => {
                        self.log_file(&key(Kind::Zip), H1(h1), &Sums::NotAsked)
                            .await
                    }
                    None => Err(lost(&Request::Zip(version.clone()))),
                }
            }
            Sums::Unknown => Err(Refusal::new(
                Blame::Absent,
                format!(
                    "not found: {version}: the public checksum database has no record of it, so it is not logged here\n\
                     if it is private, the server needs --private for it"
                ),
            )),
            Sums::Unavailable(why) => Err(Refusal {
                retry_after: Some(Duration::from_secs(10)),
                ..Refusal::new(Blame::Busy, format!("{version}: not logged yet: {why}"))
            }),
        }
    }

    /// A kept file that differs from a proved record is not covered by logging the record.
    fn agrees_with_kept(&self, key: &FileKey, sums: &tlog::client::Sums) -> Result<(), Refusal> {
        let Some(meta) = self.meta(key)?.filter(|m| !m.withheld) else {
            return Ok(());
        };
        match meta.h1 {
            Some(h1) => self
                .judge(key, H1(h1), "kept here", &Sums::Known(sums.clone()))
                .map(drop),
            None => Ok(()),
        }
    }

    fn meta(&self, key: &FileKey) -> Result<Option<store::Meta>, Refusal> {
        let read = self.inner.store.meta(key);
        read.map_err(|e| Refusal::from_store(&key.to_string(), &e))
    }

    /// Logs a file that is about to be kept, or holds it against the record that is there already.
    ///
    /// A `.mod` that no database covers waits for its zip. What could not be proved yet is logged
    /// when it is.
    pub(crate) fn log_file<'a>(&'a self, key: &'a FileKey, h1: H1, sums: &'a Sums) -> Work<'a> {
        Box::pin(self.log_kept(key, h1, sums))
    }

    async fn log_kept(&self, key: &FileKey, h1: H1, sums: &Sums) -> Result<(), Refusal> {
        let Some(log) = self.own_log() else {
            return Ok(());
        };
        let (reader, at) = (log.ledger.reader().clone(), key.clone());
        let found = blocking(move || reader.lookup(at.module.as_str(), at.version.as_str()));
        if let Some(found) = found.await.map_err(|e| broken(log, &e))? {
            return self.agrees(key, h1, &found.text);
        }
        match (sums, key.kind) {
            (Sums::Known(sums), _) => self.append(record_of(key, sums)?).await,
            (Sums::NotAsked, Kind::Zip) => {
                let go_mod = self.mod_sum(key).await?;
                let (module, version) = (key.module.as_str(), key.version.as_str());
                let record =
                    NewRecord::go_sum(module, version, &h1.to_string(), &go_mod.to_string());
                self.append(record.map_err(|e| broken(log, &e))?).await
            }
            (Sums::NotAsked, Kind::Mod | Kind::Info)
            | (Sums::Unknown | Sums::Unavailable(_), _) => Ok(()),
        }
    }

    /// The sum of the version's `.mod`, which is fetched if it is not kept.
    async fn mod_sum(&self, key: &FileKey) -> Result<H1, Refusal> {
        let key = FileKey {
            kind: Kind::Mod,
            ..key.clone()
        };
        let no_version = |_| Refusal::new(Blame::Ours, format!("{key}: not a version"));
        let version =
            ModuleVersion::new(key.module.clone(), key.version.clone()).map_err(no_version)?;
        let request = Request::Mod(version);
        if self.meta(&key)?.is_none_or(|m| m.withheld) {
            self.bring(&request, &key).await?;
        }
        let sum = self.meta(&key)?.and_then(|m| m.h1);
        sum.map(H1).ok_or_else(|| lost(&request))
    }

    /// Holds a file against our own record of its version.
    fn agrees(&self, key: &FileKey, h1: H1, record: &str) -> Result<(), Refusal> {
        let (of, suffix) = match key.kind {
            Kind::Mod => (SumOf::GoMod, "/go.mod"),
            Kind::Zip | Kind::Info => (SumOf::Zip, ""),
        };
        let recorded = recorded(record, key, of);
        if recorded.as_deref() == Some(&*h1.to_string()) {
            return Ok(());
        }
        let recorded = recorded.unwrap_or_else(|| "no hash of this file".into());
        let name = self.own_log().map_or("", OwnLog::name);
        let text = format!(
            "{}@{}{suffix}: checksum mismatch\n  fetched now: {h1}\n  {name}: {recorded}\n\
             not kept: the log records the first bytes for ever; make a new version",
            key.module, key.version
        );
        self.inner.counters.check_failed.add();
        self.alarm(AlarmKind::Mismatch, &key.to_string(), &text, None);
        Err(Refusal::new(Blame::Upstream, text))
    }

    /// Appends a record. When it returns, the record is durable and public.
    pub(crate) async fn append(&self, record: NewRecord) -> Result<(), Refusal> {
        let Some(log) = self.own_log() else {
            return Ok(());
        };
        let (module, version) = (record.module().to_owned(), record.version().to_owned());
        match log.ledger.append(vec![record]).await {
            Ok(_) => {
                self.inner.counters.logged.add();
                Ok(())
            }
            Err(error @ LedgerError::Conflict { .. }) => {
                let text = format!("{module}@{version}: {error}");
                self.alarm(
                    AlarmKind::Mismatch,
                    &format!("{module}@{version}"),
                    &text,
                    None,
                );
                Err(Refusal::new(Blame::Upstream, text))
            }
            Err(error) => Err(broken(log, &error)),
        }
    }

    fn log_reply(
        &self,
        request: &Request,
        body: Bytes,
        media: Media,
        fixed: bool,
        origin: Origin,
    ) -> Reply {
        let small = Arc::new(Small {
            etag: etag(&Sha256::digest(&body).into()),
            media,
            body,
            fresh_until: (!fixed).then(Instant::now),
            // Names of private modules are in lookups and data tiles.
            public: self.inner.settings.private.is_empty(),
        });
        if fixed {
            let kept = Arc::clone(&small);
            self.inner.memory.insert(request.clone(), kept);
        }
        Reply {
            content: Content::Small(small),
            origin,
        }
    }
}

fn read(reader: &Reader, question: &Question, shown: &Shown) -> Result<Option<Bytes>, LedgerError> {
    let is_shown = |level, n, width| {
        let whole = Tile::in_tree(HEIGHT, level, n, shown.size);
        whole.is_some_and(|whole| width <= whole.width())
    };
    match question {
        Question::Latest => Ok(Some(shown.latest.clone())),
        Question::Checkpoint => Ok(Some(shown.checkpoint.clone())),
        Question::Entries { n, width } if is_shown(Level::Data, *n, *width) => {
            reader.entries(*n, *width)
        }
        Question::Tile(tile) if is_shown(tile.level(), tile.n(), tile.width()) => {
            match tile.level() {
                Level::Data => reader.data_tile(tile.n(), tile.width()),
                Level::Hashes(level) => reader.tile(level, tile.n(), tile.width()),
            }
        }
        Question::Entries { .. } | Question::Tile(_) => Ok(None),
    }
}

impl OwnLog {
    /// The answer to a lookup: number, record, and a head that covers it; `None` without a record.
    async fn answer(&self, module: &str, version: &str) -> Result<Option<Bytes>, Refusal> {
        let reader = self.ledger.reader().clone();
        let (module, version) = (module.to_owned(), version.to_owned());
        let found = blocking(move || reader.lookup(&module, &version));
        let Some(found) = found.await.map_err(|e| broken(self, &e))? else {
            return Ok(None);
        };
        let shown = self.shown_with(found.id).await?;
        let mut answer = format!("{}\n{}\n", found.id, found.text).into_bytes();
        answer.extend_from_slice(&shown.latest);
        Ok(Some(answer.into()))
    }
}

/// The sum of a file in a record.
fn recorded(record: &str, key: &FileKey, of: SumOf) -> Option<String> {
    let (module, version) = (key.module.as_str(), key.version.as_str());
    let mut lines = go_sum_lines(record, module, version, of);
    let sum = lines.next()?.rsplit(' ').next()?;
    Some(sum.to_owned())
}

/// The record to log for a proved one: the zip's line first, whatever its order was.
fn record_of(version: &FileKey, sums: &tlog::client::Sums) -> Result<NewRecord, Refusal> {
    let (module, at) = (version.module.as_str(), version.version.as_str());
    let record = match (sums.h1(SumOf::Zip), sums.h1(SumOf::GoMod)) {
        (Some(zip), Some(go_mod)) => NewRecord::go_sum(module, at, zip, go_mod),
        _ => NewRecord::new(format!("{}\n", sums.lines().join("\n"))),
    };
    record.map_err(|e| {
        Refusal::new(
            Blame::Upstream,
            format!("{module}@{at}: its proved record cannot be logged: {e}"),
        )
    })
}

fn broken(log: &OwnLog, error: &LedgerError) -> Refusal {
    tracing::error!(sumdb.name = log.name(), %error, "our log");
    Refusal {
        retry_after: Some(Duration::from_secs(10)),
        ..Refusal::new(Blame::Busy, format!("our log {}: {error}", log.name()))
    }
}

/// Reads of the log block on the disk for some microseconds.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(LedgerError::Closed))
}
