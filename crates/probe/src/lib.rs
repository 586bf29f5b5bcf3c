//! Gathers the facts that `doctor` judges: this machine, this project, the network.
//!
//! The law of this crate: it looks and never touches. No file is written, no setting changed, no
//! go command is let onto the network, and no secret gets into the facts. Everything has a bound,
//! and all parts run side by side within one time budget: what is not ready in time is left
//! unknown, which is never bad.

pub mod local;
pub mod net;
pub mod route;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doctor::facts::{Asked, Facts, Group, LocalFacts, ProjectFacts, SCHEMA};
use tokio::task::JoinSet;

use local::Settings;

/// For late parts to be dropped, once the budget is spent.
const DROP_TIME: Duration = Duration::from_millis(500);

/// What to gather.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project's directory, or any below it.
    pub dir: PathBuf,
    /// The module that the user asks about.
    pub asked: Option<Asked>,
    /// Which groups; empty means all.
    pub groups: Vec<Group>,
    /// Time for everything together.
    pub budget: Duration,
    /// DNS servers to ask instead of the system's; empty means the system's.
    pub resolvers: Vec<SocketAddr>,
    /// The download of the module to its end, and nobody asked besides.
    pub replay: Option<net::Replay>,
}

/// What a live view is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A part has begun.
    Began(&'static str),
    /// A part is done.
    Done(&'static str),
}

/// Told of progress, from any thread.
pub type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// Time for the parts to hand over what they have, once somebody has had enough.
const HANDING_OVER: Duration = Duration::from_millis(300);

/// Gathers facts. Returns when all parts are done or the budget is spent.
///
/// Must be called in a tokio runtime with time and I/O. A part that the operating system does not
/// let go (a hanging network file system) goes on in the background: end the runtime with
/// `shutdown_background`.
pub async fn gather(request: &Request, watcher: &Watcher) -> Facts {
    let began = Instant::now();
    let mut settings = Settings::read();
    local::find_goroot(&mut settings, request.budget / 3).await;
    let settings = Arc::new(settings);
    let facts = Arc::new(Mutex::new(start(request, &settings)));
    let mut parts = JoinSet::new();
    for part in local::parts(request) {
        let (settings, facts) = (Arc::clone(&settings), Arc::clone(&facts));
        let (request, watcher) = (request.clone(), Arc::clone(watcher));
        parts.spawn(async move {
            run(
                part.name(),
                &facts,
                &watcher,
                part.look(&request, &settings),
            )
            .await;
        });
    }
    if wants(request, Group::Net) {
        let targets = net::Targets {
            resolvers: request.resolvers.clone(),
            replay: request.replay.clone(),
            ..net::Targets::new(&settings, request.asked.as_ref(), &request.dir)
        };
        let budget = request.budget.saturating_sub(began.elapsed());
        let (facts, watcher) = (Arc::clone(&facts), Arc::clone(watcher));
        parts.spawn(async move {
            let look = async {
                let found = net::gather(&targets, budget).await;
                Box::new(move |facts: &mut Facts| facts.net = Some(found)) as Found
            };
            run("net", &facts, &watcher, look).await;
        });
    }
    let left = request.budget.saturating_sub(began.elapsed());
    tokio::select! {
        _ = tokio::time::timeout(left, ended(&mut parts)) => {}
        () = net::Replay::stopped(request.replay.as_ref()) => {}
    }
    if request.replay.is_some() {
        // A walk that was stopped ends by itself and hands over what it has.
        let _late = tokio::time::timeout(HANDING_OVER, ended(&mut parts)).await;
    }
    // Programs that are still running are ended when what waits for them is dropped: that must have
    // happened before this process may go.
    let _dropped = tokio::time::timeout(DROP_TIME, parts.shutdown()).await;
    let gathered = facts
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    gathered.clone()
}

async fn ended(parts: &mut JoinSet<()>) {
    while parts.join_next().await.is_some() {}
}

/// Puts what a part found into the facts.
pub(crate) type Found = Box<dyn FnOnce(&mut Facts) + Send>;

async fn run(
    name: &'static str,
    facts: &Mutex<Facts>,
    watcher: &Watcher,
    look: impl Future<Output = Found> + Send,
) {
    watcher(Progress::Began(name));
    let began = Instant::now();
    let found = look.await;
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    {
        let mut facts = facts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        found(&mut facts);
        facts.took_ms.insert(name.to_owned(), took);
    }
    watcher(Progress::Done(name));
}

/// The facts that are there at once.
fn start(request: &Request, settings: &Settings) -> Facts {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Facts {
        schema: SCHEMA.into(),
        taken_at: now.ok().map(|now| now.as_secs()),
        asked: request.asked.clone(),
        groups: request.groups.clone(),
        // Rules of every group ask for settings.
        env: Some(settings.masked()),
        local: wants(request, Group::Local).then(LocalFacts::default),
        project: wants(request, Group::Project).then(|| ProjectFacts {
            dir: request.dir.display().to_string(),
            ..ProjectFacts::default()
        }),
        ..Facts::default()
    }
}

/// Words of variables' names whose values are secrets.
const SECRET: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSW",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
];

/// Passwords and tokens of this machine's settings, to be taken out of what servers and programs said.
/// Never shown, never saved.
pub fn secrets() -> Vec<String> {
    let settings = Settings::read();
    let targets = net::Targets::new(&settings, None, std::path::Path::new("/"));
    let mut found = settings.secrets();
    found.extend(targets.credentials.secrets());
    for (name, value) in std::env::vars_os() {
        let (name, value) = (
            name.to_string_lossy().to_uppercase(),
            value.to_string_lossy().into_owned(),
        );
        if SECRET.iter().any(|word| name.contains(word)) {
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= 6);
            found.extend(lines.map(str::to_owned));
        }
    }
    // Names that everybody uses in the place of one's own.
    let common = [
        "oauth2",
        "token",
        "x-access-token",
        "x-oauth-basic",
        "gitlab-ci-token",
        "user",
        "username",
    ];
    found.retain(|secret| secret.len() >= 4 && !common.contains(&secret.as_str()));
    found
}

fn wants(request: &Request, group: Group) -> bool {
    request.groups.is_empty() || request.groups.contains(&group)
}
