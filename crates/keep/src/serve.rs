//! Where a request is answered from: memory, the store, a flight under way, or the upstreams.

use crate::ahead::Ahead;
use crate::alarm::Alarms;
use crate::counters::Counters;
use crate::database::Databases;
use crate::flight::Flights;
use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Origin, Reply, Small};
use crate::zip::ZipStage;
use gomod::path::ModulePath;
use gomod::pattern::Patterns;
use gomod::request::Request;
use gomod::version::{ModuleVersion, Revision};
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use store::{FileKey, Kind, Store};
use upstream::{Chain, ProxyList};

/// How a keep behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Modules never named to a public upstream.
    pub private: Patterns,
    /// Dial nobody.
    pub offline: bool,
    /// Fetch the small files that a go command will ask next.
    pub look_ahead: bool,
    /// How long lists, `@latest` and branch queries are fresh.
    pub fresh: Duration,
    /// How long "not found" is remembered.
    pub not_found: Duration,
    /// Every client is answered within this time.
    pub answer: Duration,
    /// Memory for small files, in bytes.
    pub memory: u64,
    /// Refuse public files while no checksum database proves them, instead of marking them.
    pub verify_strict: bool,
    /// Between two rounds over what no checksum database has proved yet.
    pub verify_again: Duration,
    /// Where alarms are posted.
    pub webhook: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private: Patterns::default(),
            offline: false,
            look_ahead: true,
            fresh: Duration::from_secs(60),
            not_found: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            memory: 16 << 20,
            verify_strict: false,
            verify_again: Duration::from_secs(60),
            webhook: None,
        }
    }
}

/// "Not found" answers remembered at most. Each is a short text: some megabytes in all.
const NOT_FOUND_MAX: u64 = 20_000;

/// The keep: everything needed to answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keep {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub settings: Settings,
    pub store: Store,
    pub chain: Chain,
    pub private_chain: Chain,
    pub memory: Cache<Request, Arc<Small>>,
    pub not_found: Cache<Request, Refusal>,
    pub small_flights: Flights<Result<(), Refusal>>,
    pub zip_flights: Flights<ZipStage>,
    /// Modules whose tags were compared with the kept versions lately.
    pub origins_seen: Cache<ModulePath, ()>,
    pub ahead: Ahead,
    pub databases: Databases,
    pub alarms: Alarms,
    pub counters: Counters,
}

/// What a request asks of the store: a file of a version, or an answer that may change.
pub(crate) enum Wanted {
    File(FileKey),
    Answer(ModulePath, String),
}

impl Keep {
    /// What is kept.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// A keep over a store and a chain of upstreams. Private modules go straight to version control,
    /// whatever the chain says. Needs a running tokio runtime.
    pub fn new(
        settings: Settings,
        store: Store,
        chain: Chain,
        private_chain: Chain,
        databases: Databases,
    ) -> Self {
        let weigh = |_: &Request, small: &Arc<Small>| {
            u32::try_from(small.body.len() + 256).unwrap_or(u32::MAX)
        };
        let memory = Cache::builder()
            .max_capacity(settings.memory)
            .weigher(weigh)
            .build();
        let not_found = Cache::builder()
            .max_capacity(NOT_FOUND_MAX)
            .time_to_live(settings.not_found)
            .build();
        let origins_seen = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(settings.fresh)
            .build();
        let (ahead, jobs) = Ahead::new(settings.look_ahead && !settings.offline);
        let inner = Arc::new(Inner {
            settings,
            store,
            chain,
            private_chain,
            memory,
            not_found,
            small_flights: Flights::default(),
            zip_flights: Flights::default(),
            origins_seen,
            ahead,
            databases,
            alarms: Alarms::default(),
            counters: Counters::default(),
        });
        let keep = Self { inner };
        keep.start_ahead(jobs);
        keep.start_proving();
        keep.start_cosigning();
        keep
    }

    /// The list of upstreams for private modules: version control and nobody else.
    pub fn private_upstreams() -> ProxyList {
        ProxyList {
            entries: vec![upstream::Entry {
                place: upstream::Place::Direct,
                on_any_error: false,
            }],
        }
    }

    /// The counts since the start.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// A fresh answer from memory, without waiting for anything. Most requests end here.
    pub fn hit(&self, request: &Request) -> Option<Reply> {
        let small = self.inner.memory.get(request)?;
        let fresh = small
            .fresh_until
            .is_none_or(|until| until > tokio::time::Instant::now());
        fresh.then_some(Reply {
            content: Content::Small(small),
            origin: Origin::Hit,
        })
    }

    /// Answers a request from wherever it can be answered best. With `cached_only` nothing is
    /// fetched.
    pub async fn serve(&self, request: &Request, cached_only: bool) -> Result<Reply, Refusal> {
        // Boxed: a miss is a long way, and hits should not carry its size around.
        let work = Box::pin(self.answer(request, cached_only || self.inner.settings.offline));
        match tokio::time::timeout(self.inner.settings.answer, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal {
                retry_after: Some(Duration::from_secs(5)),
                ..Refusal::new(
                    Blame::Slow,
                    format!(
                        "{}: still being fetched; repeat the request in a moment",
                        request.to_path()
                    ),
                )
            }),
        }
    }

    async fn answer(&self, request: &Request, cached_only: bool) -> Result<Reply, Refusal> {
        if let Some(reply) = self.hit(request) {
            return Ok(reply);
        }
        match request {
            Request::Sumdb { name, rest } => self.relay_sumdb(name, rest, cached_only).await,
            Request::Zip(version) => self.zip(request, version, cached_only).await,
            _ => match wanted(request) {
                Some(Wanted::File(key)) => self.small_file(request, key, cached_only).await,
                Some(Wanted::Answer(module, question)) => {
                    self.changeable(request, &module, &question, cached_only)
                        .await
                }
                None => Err(Refusal::new(Blame::Malformed, "not a GOPROXY request")),
            },
        }
    }

    /// The upstreams that may be asked for a module.
    pub(crate) fn chain_for(&self, module: &ModulePath) -> &Chain {
        if self.is_private(module) {
            &self.inner.private_chain
        } else {
            &self.inner.chain
        }
    }

    /// Whether a module's name must stay here.
    pub(crate) fn is_private(&self, module: &ModulePath) -> bool {
        self.inner.settings.private.matches(module.as_str())
    }

    /// The remembered absence of something, or its absence because nobody may be asked.
    pub(crate) fn refuse_unless_fetching(
        &self,
        request: &Request,
        cached_only: bool,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.inner.not_found.get(request) {
            return Err(refusal);
        }
        if !cached_only {
            return Ok(());
        }
        let why = if self.inner.settings.offline {
            "not kept here, and module lookup is disabled (--offline, or --upstream off)"
        } else {
            "not kept here, and the request forbids fetching"
        };
        Err(Refusal::new(
            Blame::Absent,
            format!(
                "not found: {}: {why}",
                request.to_path().trim_start_matches('/')
            ),
        ))
    }

    /// Remembers proved absence, and nothing else.
    pub(crate) fn remember_absence(&self, request: &Request, refusal: &Refusal) {
        if matches!(refusal.blame, Blame::Absent | Blame::Gone) {
            self.inner
                .not_found
                .insert(request.clone(), refusal.clone());
        }
    }
}

/// What a request asks of the store; `None` for a checksum database.
pub(crate) fn wanted(request: &Request) -> Option<Wanted> {
    let file = |version: &ModuleVersion, kind| {
        Wanted::File(FileKey {
            module: version.path().clone(),
            version: version.version().clone(),
            kind,
        })
    };
    Some(match request {
        Request::List(module) => Wanted::Answer(module.clone(), "list".into()),
        Request::Latest(module) => Wanted::Answer(module.clone(), "latest".into()),
        Request::Info(module, revision) => match exact(module, revision) {
            Some(version) => file(&version, Kind::Info),
            None => Wanted::Answer(module.clone(), format!("={}", revision.as_str())),
        },
        Request::Mod(version) => file(version, Kind::Mod),
        Request::Zip(version) => file(version, Kind::Zip),
        Request::Sumdb { .. } => return None,
    })
}

/// The version that a revision names, if it is a version this module can have: only then is the
/// answer the same for ever. (`v2.0.0` of a module without `/v2` is answered with another one.)
fn exact(module: &ModulePath, revision: &Revision) -> Option<ModuleVersion> {
    ModuleVersion::new(module.clone(), revision.as_version()?).ok()
}
