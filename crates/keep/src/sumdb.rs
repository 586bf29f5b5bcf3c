//! Checksum databases of others: relayed, proved, kept.
//!
//! No answer is handed on or kept before it is proved against the pinned key and the newest proved tree
//! head, which is itself kept with the same care as a module. What was proved stays true, so it is served
//! for ever, with the database gone as well. A database that contradicts itself is an alarm, and from
//! then on only what was proved before is served.

use crate::alarm::AlarmKind;
use crate::database::{Database, Sums, Trouble};
use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use crate::small::lost;
use bytes::Bytes;
use gomod::escape::{escape_path, escape_version, unescape_path, unescape_version};
use gomod::path::ModulePath;
use gomod::request::Request;
use gomod::version::Revision;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::StoreError;
use tlog::Tile;
use tlog::client::{Error, Session, SignedHead, Step, Supply};
use tlog::tile::Level;
use tokio::time::Instant;
use upstream::Failure;

/// Where the newest proved head is kept.
const HEAD: &str = "head";

/// What a lookup asks about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub module: ModulePath,
    pub version: Revision,
}

impl Subject {
    /// Reads `PATH@VERSION`, both escaped.
    pub fn parse(escaped: &str) -> Result<Self, Refusal> {
        let malformed = || {
            Refusal::new(
                Blame::Malformed,
                format!("lookup/{escaped}: not a version of a module"),
            )
        };
        let (path, version) = escaped.split_once('@').ok_or_else(malformed)?;
        // The request has been decoded, but keeps the `!` of upper-case letters.
        let module = unescape_path(path).map_err(|_| malformed())?;
        let version = unescape_version(version).map_err(|_| malformed())?;
        match version.as_version() {
            Some(_) => Ok(Self { module, version }),
            None => Err(malformed()),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.module, self.version.as_str())
    }
}

/// Sessions are run again when the held head changed meanwhile; that often is enough for any race.
const RACES: usize = 8;

impl Keep {
    /// Answers a request under `/sumdb/NAME/`.
    pub(crate) async fn relay_sumdb(
        &self,
        name: &str,
        rest: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let request = Request::Sumdb {
            name: name.into(),
            rest: rest.into(),
        };
        if let Some(log) = self.own_log().filter(|log| log.name() == name) {
            return self.own_sumdb(&request, log, rest, cached_only).await;
        }
        let Some(database) = self.database(name) else {
            // The go command goes on to the next proxy, or asks the database itself.
            return Err(Refusal::new(
                Blame::Absent,
                format!("checksum database {name} is not relayed here"),
            ));
        };
        match rest {
            "supported" => Ok(self.sum_reply(&request, Bytes::new(), false, Origin::Hit)),
            "latest" => self.sum_latest(&request, database, cached_only).await,
            _ => match (rest.strip_prefix("lookup/"), Tile::parse(rest)) {
                (Some(version), _) => {
                    self.sum_lookup(&request, database, version, cached_only)
                        .await
                }
                (None, Ok(tile)) => self.sum_tile(&request, database, tile, cached_only).await,
                (None, Err(_)) => Err(Refusal::new(
                    Blame::Malformed,
                    format!("{rest}: not a checksum database request"),
                )),
            },
        }
    }

    /// What the first database proves of a version.
    pub async fn sums(&self, module: &ModulePath, version: &str) -> Sums {
        let databases = &self.inner.databases;
        let Some(database) = databases.all.first() else {
            return Sums::NotAsked;
        };
        if self.is_private(module) || databases.skip.matches(module.as_str()) {
            return Sums::NotAsked;
        }
        let path = lookup_path(module, version);
        if let Some(sums) = database.proved.get(&path) {
            return Sums::Known(sums);
        }
        // By the same way as a client's question: asked once however many need it, and kept.
        match self.relay_sumdb(database.name(), &path, false).await {
            Ok(_) if let Some(sums) = database.proved.get(&path) => Sums::Known(sums),
            Ok(_) => match self.lookup(database, module, version).await {
                Ok((_, sums)) => Sums::Known(sums),
                Err(trouble) => Sums::Unavailable(
                    self.refuse_sum(database, &format!("{module}@{version}"), trouble)
                        .text,
                ),
            },
            Err(refusal) if matches!(refusal.blame, Blame::Absent | Blame::Gone) => Sums::Unknown,
            Err(refusal) => Sums::Unavailable(refusal.text),
        }
    }

    /// One miss however many ask: the work runs in a flight of its own and leaves its answer in memory.
    pub(crate) async fn sum_miss<F>(
        &self,
        request: &Request,
        work: impl FnOnce(Keep) -> F,
    ) -> Result<Reply, Refusal>
    where
        F: Future<Output = Result<Reply, Refusal>> + Send + 'static,
    {
        let work = work(self.clone());
        let (mut passenger, began) =
            self.inner
                .small_flights
                .join(request, |publisher| async move {
                    publisher.publish(work.await.map(drop));
                });
        passenger
            .wait(|_| true)
            .await
            .unwrap_or_else(|| Err(lost(request)))?;
        let small = self
            .inner
            .memory
            .get(request)
            .ok_or_else(|| lost(request))?;
        Ok(Reply {
            content: Content::Small(small),
            origin: if began { Origin::Miss } else { Origin::Joined },
        })
    }

    async fn sum_lookup(
        &self,
        request: &Request,
        database: &Database,
        escaped: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let subject = Subject::parse(escaped)?;
        let Subject { module, version } = subject.clone();
        if self.is_private(&module) {
            return Err(Refusal::new(
                Blame::Denied(403),
                format!(
                    "{module}: private here (--private), so no checksum database is asked about it\n\
                     set GONOSUMDB={module} (or GOPRIVATE) where this go command runs"
                ),
            ));
        }
        let subject = subject.to_string();
        let path = lookup_path(&module, version.as_str());
        let kept = self.read_sum(database, &path);
        if let Some(answer) = kept
            .await
            .map_err(|e| self.refuse_sum(database, &subject, e))?
        {
            return Ok(self.sum_reply(request, answer, true, Origin::Hit));
        }
        self.refuse_sum_unless_asking(request, database, cached_only)?;
        let (asked, name) = (request.clone(), database.name().to_owned());
        self.sum_miss(request, |keep| async move {
            let Some(database) = keep.database(&name) else {
                return Err(lost(&asked));
            };
            match keep.lookup(database, &module, version.as_str()).await {
                Ok((answer, _)) => Ok(keep.sum_reply(&asked, answer, true, Origin::Miss)),
                Err(trouble) => {
                    let refusal = keep.refuse_sum(database, &subject, trouble);
                    keep.remember_absence(&asked, &refusal);
                    Err(refusal)
                }
            }
        })
        .await
    }

    /// Refuses what is not kept here when nobody may be asked. That is no absence: a client that is told
    /// "not found" would take it for the database's own word.
    fn refuse_sum_unless_asking(
        &self,
        request: &Request,
        database: &Database,
        cached_only: bool,
    ) -> Result<(), Refusal> {
        if cached_only && self.inner.settings.offline {
            let path = request.to_path();
            return Err(Refusal::new(
                Blame::Busy,
                format!(
                    "{}: not known here, and {} is not asked (--offline, or --upstream off)",
                    path.trim_start_matches('/'),
                    database.name()
                ),
            ));
        }
        self.refuse_unless_fetching(request, cached_only)
    }

    /// The proved answer for a version, from the store or the database.
    async fn lookup(
        &self,
        database: &Database,
        module: &ModulePath,
        version: &str,
    ) -> Result<(Bytes, tlog::client::Sums), Trouble> {
        let path = lookup_path(module, version);
        if let Some(answer) = self.read_sum(database, &path).await? {
            // Proved before, in the tree of the head that it carries: those tiles are kept too.
            let session = database
                .verifier
                .lookup(None, module.as_str(), version, &answer)?;
            let sums = self.prove(database, session).await?.sums;
            database.proved.insert(path, sums.clone());
            return Ok((answer, sums));
        }
        let answer = self.ask(database, &path).await?;
        for _ in 0..RACES {
            let held = self.held(database).await?;
            let session =
                database
                    .verifier
                    .lookup(held.as_ref(), module.as_str(), version, &answer)?;
            let proved = self.prove(database, session).await?;
            let answer = Bytes::from(proved.answer());
            let mut rows = tile_rows(&proved.tiles);
            rows.push((path.clone(), answer.clone()));
            if self
                .advance(database, held, proved.newer.clone(), rows)
                .await?
            {
                database.proved.insert(path, proved.sums.clone());
                return Ok((answer, proved.sums));
            }
        }
        Err(Trouble::Raced)
    }

    async fn sum_latest(
        &self,
        request: &Request,
        database: &Database,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let refuse = |trouble| self.refuse_sum(database, database.name(), trouble);
        let held = self.held(database).await.map_err(refuse)?;
        let newest = if cached_only {
            Err(Trouble::Raced)
        } else {
            self.refresh_head(database).await
        };
        match (newest, held) {
            (Ok(head), _) => Ok(self.sum_reply(request, head.note().clone(), false, Origin::Miss)),
            // What was proved before is still true.
            (Err(trouble), Some(held)) => {
                if !cached_only {
                    let _ = refuse(trouble);
                }
                Ok(self.sum_reply(request, held.note().clone(), false, Origin::Stale))
            }
            (Err(trouble), None) => Err(refuse(trouble)),
        }
    }

    /// Asks for the newest head and proves it.
    async fn refresh_head(&self, database: &Database) -> Result<SignedHead, Trouble> {
        let note = self.ask(database, "latest").await?;
        for _ in 0..RACES {
            let held = self.held(database).await?;
            let session = database.verifier.head(held.as_ref(), &note)?;
            let proved = self.prove(database, session).await?;
            if self
                .advance(database, held, proved.newer, tile_rows(&proved.tiles))
                .await?
            {
                return Ok(proved.head);
            }
        }
        Err(Trouble::Raced)
    }

    async fn sum_tile(
        &self,
        request: &Request,
        database: &Database,
        tile: Tile,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let refuse = |trouble| self.refuse_sum(database, &tile.path(), trouble);
        if tile.height() != tlog::tile::HEIGHT {
            return Err(Refusal::new(
                Blame::Absent,
                "only tiles of height 8 are relayed",
            ));
        }
        if let Some(bytes) = self.kept_tile(database, tile).await.map_err(refuse)? {
            return Ok(self.sum_reply(request, bytes, true, Origin::Hit));
        }
        self.refuse_sum_unless_asking(request, database, cached_only)?;
        let (asked, name) = (request.clone(), database.name().to_owned());
        self.sum_miss(request, |keep| async move {
            let Some(database) = keep.database(&name) else {
                return Err(lost(&asked));
            };
            match keep.prove_tile(database, tile).await {
                Ok(bytes) => Ok(keep.sum_reply(&asked, bytes, true, Origin::Miss)),
                Err(trouble) => Err(keep.refuse_sum(database, &tile.path(), trouble)),
            }
        })
        .await
    }

    fn database(&self, name: &str) -> Option<&Database> {
        self.inner.databases.all.iter().find(|d| d.name() == name)
    }

    async fn prove_tile(&self, database: &Database, tile: Tile) -> Result<Bytes, Trouble> {
        let mut refreshed = false;
        loop {
            let held = match self.held(database).await? {
                Some(held) => held,
                None => self.refresh_head(database).await?,
            };
            match database.verifier.tile(&held, tile) {
                Ok(session) => {
                    let proved = self.prove(database, session).await?;
                    self.inner
                        .store
                        .keep_sums(database.name(), tile_rows(&proved.tiles))
                        .await?;
                    return Ok(proved.bytes);
                }
                // The client knows a newer tree than we do.
                Err(Error::TileBeyondHead { .. }) if !refreshed => {
                    refreshed = true;
                    self.refresh_head(database).await?;
                }
                Err(Error::TileBeyondHead { .. }) => {
                    let text = format!(
                        "{} is beyond the newest tree of {}",
                        tile.path(),
                        database.name()
                    );
                    return Err(Trouble::Upstream(Failure::Absent { status: 404, text }));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Drives a session: gives it the tiles that it needs, kept ones before fetched ones.
    async fn prove<T>(&self, database: &Database, mut session: Session<T>) -> Result<T, Trouble> {
        loop {
            let requests = match session.step()? {
                Step::Done(done) => return Ok(done),
                Step::Need(requests) => requests,
            };
            let fetches = requests.into_iter().map(|wanted| async move {
                if !wanted.fresh
                    && let Some(bytes) = self.kept_tile(database, wanted.tile).await?
                {
                    return Ok((wanted.tile, Supply::Kept(bytes)));
                }
                match self.ask(database, &wanted.tile.path()).await {
                    Ok(bytes) => Ok((wanted.tile, Supply::Fetched(bytes))),
                    Err(Trouble::Upstream(failure)) if failure.is_absent() => {
                        Ok((wanted.tile, Supply::NotFound))
                    }
                    Err(trouble) => Err(trouble),
                }
            });
            for (tile, supply) in futures_util::future::try_join_all(fetches).await? {
                session.supply(tile, supply);
            }
        }
    }

    /// A kept tile of this width: kept as it is, or the front of the full one.
    async fn kept_tile(&self, database: &Database, tile: Tile) -> Result<Option<Bytes>, Trouble> {
        if let Some(bytes) = self.read_sum(database, &tile.path()).await? {
            return Ok(Some(bytes));
        }
        if tile.is_full() || tile.level() == Level::Data {
            return Ok(None);
        }
        let mut wider = self.read_sum(database, &tile.full().path()).await?;
        if wider.is_none()
            && let Some(path) = self.wider_tile(database, tile).await?
        {
            wider = self.read_sum(database, &path).await?;
        }
        Ok(wider
            .filter(|b| b.len() >= tile.byte_len())
            .map(|b| b.slice(..tile.byte_len())))
    }

    /// Where a tile of more hashes, as the tree grew, is kept.
    async fn wider_tile(&self, database: &Database, tile: Tile) -> Result<Option<String>, Trouble> {
        let path = tile.path();
        let Some((partial, _)) = path.rsplit_once('/') else {
            return Ok(None);
        };
        let (keep, name, below) = (self.clone(), database.name().to_owned(), partial.to_owned());
        let read = tokio::task::spawn_blocking(move || keep.inner.store.sums_below(&name, &below));
        let paths = read.await.map_err(|_| StoreError::Stopped)??;
        let wide_enough = |path: &String| Tile::parse(path).is_ok_and(|t| t.width() > tile.width());
        Ok(paths.into_iter().find(wide_enough))
    }

    async fn read_sum(&self, database: &Database, path: &str) -> Result<Option<Bytes>, Trouble> {
        let (keep, name, path) = (self.clone(), database.name().to_owned(), path.to_owned());
        let read = tokio::task::spawn_blocking(move || keep.inner.store.sum(&name, &path));
        read.await
            .map_err(|_| StoreError::Stopped)?
            .map_err(Trouble::from)
    }

    /// Asks the database, unless it contradicted itself or nobody may be asked.
    async fn ask(&self, database: &Database, rest: &str) -> Result<Bytes, Trouble> {
        let refused = |text: String| Trouble::Upstream(Failure::Failed(text));
        if database.is_forked() {
            return Err(refused(format!(
                "{} contradicted itself and is not asked any more",
                database.name()
            )));
        }
        if self.inner.settings.offline {
            return Err(refused("modkeep runs with --offline".into()));
        }
        let _slot = database.slots.acquire().await;
        database
            .source
            .get(rest)
            .await
            .map(|(bytes, _)| bytes)
            .map_err(Trouble::Upstream)
    }

    /// The newest proved head.
    async fn held(&self, database: &Database) -> Result<Option<SignedHead>, Trouble> {
        let mut held = database.held.lock().await;
        if !held.loaded {
            if let Some(note) = self.read_sum(database, HEAD).await? {
                held.head = Some(database.verifier.open_head(&note)?);
            }
            held.loaded = true;
        }
        Ok(held.head.clone())
    }

    /// Keeps what was proved, and the newer head if the one it was proved against is still held. False:
    /// another one is held now, and the proof has to be made again.
    async fn advance(
        &self,
        database: &Database,
        proved_against: Option<SignedHead>,
        newer: Option<SignedHead>,
        mut rows: Vec<(String, Bytes)>,
    ) -> Result<bool, Trouble> {
        let mut held = database.held.lock().await;
        if held.head != proved_against {
            return Ok(false);
        }
        if let Some(head) = &newer {
            rows.push((HEAD.into(), head.note().clone()));
        }
        if !rows.is_empty() {
            self.inner.store.keep_sums(database.name(), rows).await?;
        }
        if newer.is_some() {
            held.head = newer;
        }
        Ok(true)
    }

    /// What trouble means for the client, with an alarm where the database is to blame.
    fn refuse_sum(&self, database: &Database, subject: &str, trouble: Trouble) -> Refusal {
        let name = database.name();
        let later = |text: String| Refusal {
            retry_after: Some(std::time::Duration::from_secs(10)),
            ..Refusal::new(Blame::Busy, text)
        };
        match trouble {
            Trouble::Upstream(failure @ Failure::Absent { .. }) => {
                Refusal::from_upstream(subject, failure)
            }
            Trouble::Upstream(failure) => later(format!(
                "{subject}: checksum database {name}: {failure}\nnot known here yet; try again"
            )),
            Trouble::Store(error) => Refusal::from_store(subject, &error),
            Trouble::Raced => later(format!(
                "{subject}: {name} has nothing proved yet; try again"
            )),
            Trouble::Proof(error) => {
                let text = format!("{name}: {error}");
                match &*error {
                    Error::Fork(evidence) => {
                        database.forked.store(true, Ordering::Relaxed);
                        self.alarm(AlarmKind::Fork, name, &text, Some(evidence.to_string()));
                    }
                    _ => self.alarm(
                        AlarmKind::BadAnswer,
                        name,
                        &format!("{subject}: {text}"),
                        None,
                    ),
                }
                self.inner.counters.check_failed.add();
                Refusal::new(
                    Blame::Upstream,
                    format!(
                        "{subject}: checksum database {text}\nits answer is not proved, so it is not handed on"
                    ),
                )
            }
        }
    }

    fn sum_reply(&self, request: &Request, body: Bytes, forever: bool, origin: Origin) -> Reply {
        let is_tile = matches!(request, Request::Sumdb { rest, .. } if rest.starts_with("tile/"));
        let fresh_until = (!forever).then(|| Instant::now() + self.inner.settings.fresh);
        let small = Arc::new(Small {
            etag: etag(&Sha256::digest(&body).into()),
            media: if is_tile { Media::Bytes } else { Media::Text },
            body,
            fresh_until,
            public: true,
        });
        self.inner
            .memory
            .insert(request.clone(), Arc::clone(&small));
        Reply {
            content: Content::Small(small),
            origin,
        }
    }

    /// Loads what each database had proved; says early if a kept head does not fit its key.
    pub async fn check_held_heads(&self) -> Result<(), Refusal> {
        for database in &self.inner.databases.all {
            if let Err(trouble) = self.held(database).await {
                return Err(self.refuse_sum(database, database.name(), trouble));
            }
        }
        Ok(())
    }
}

fn lookup_path(module: &ModulePath, version: &str) -> String {
    let module = escape_path(module.as_str()).unwrap_or_default();
    format!(
        "lookup/{module}@{}",
        escape_version(version).unwrap_or_default()
    )
}

fn tile_rows(tiles: &[(Tile, Bytes)]) -> Vec<(String, Bytes)> {
    tiles
        .iter()
        .map(|(tile, bytes)| (tile.path(), bytes.clone()))
        .collect()
}
