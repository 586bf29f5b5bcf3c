//! Probes of the network: the requests that the go command would send, phase by phase.
//!
//! `walk` decides what is asked of whom, `hop` measures one request to one server, `deep`
//! asks what tells causes apart once something failed. What is asked goes only to hosts that the
//! settings and the module name: no private name reaches anybody new.

mod answer;
mod auth;
mod deep;
mod dns;
mod fetch;
mod forward;
mod goauth;
mod hop;
mod limits;
mod origin;
mod plan;
mod prober;
mod query;
mod roots;
mod sumdb;
mod targets;
mod tcp;
mod tls;
mod vcs;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use doctor::net::NetFacts;
use gomod::path::ModulePath;
use gomod::version::ModuleVersion;

pub(crate) use auth::{basic, decoded};
pub use dns::Resolver;
pub use limits::Limits;
pub use targets::{Replay, Targets, Told};
pub use tls::Clock;

use prober::Prober;
use tls::Handshakes;
use walk::{Growing, Walk};

/// Probes what the go command would ask, in at most `budget`. What is not ready in time is left
/// out.
pub async fn gather(targets: &Targets, budget: Duration) -> NetFacts {
    gather_at(targets, budget, Arc::new(SystemTime::now)).await
}

/// The same with another clock, for tests of certificates.
pub async fn gather_at(targets: &Targets, budget: Duration, clock: Clock) -> NetFacts {
    // What gathers this gives up at the end of the budget.
    let time = budget.saturating_sub(budget / 16 + Duration::from_millis(50));
    let facts: Growing = Mutex::default();
    tokio::select! {
        _ = tokio::time::timeout(time, all(targets, time, clock, &facts)) => {}
        () = Replay::stopped(targets.replay.as_ref()) => {}
    }
    if let Some(replay) = &targets.replay {
        let mut secrets = replay
            .secrets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        secrets.extend(targets.credentials.secrets());
    }
    facts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

async fn all(targets: &Targets, time: Duration, clock: Clock, facts: &Growing) {
    let note = |change: &dyn Fn(&mut NetFacts)| {
        change(&mut facts.lock().unwrap_or_else(PoisonError::into_inner));
    };
    note(&|facts| facts.goproxy = Some(doctor::mask::logins(&targets.goproxy)));
    let entries = match plan::proxies(&targets.goproxy) {
        Ok(entries) => entries,
        Err(text) => return note(&|facts| facts.nothing = Some(text.clone())),
    };
    let sumdb = match plan::sumdb(&targets.gosumdb) {
        Ok(sumdb) => sumdb,
        Err(text) => return note(&|facts| facts.nothing = Some(text.clone())),
    };
    let mut prober = prober(targets, time, clock).await;
    if targets.replay.is_some()
        && prober.credentials.has_commands()
        && let Ok(patience) = prober.left(Duration::from_secs(10))
    {
        prober.credentials.ask_commands(None, patience).await;
    }
    prober.told = targets
        .replay
        .as_ref()
        .map(|replay| Arc::clone(&replay.told));
    note(&|facts| {
        facts.resolvers = Some(prober.resolver.servers());
        facts.roots = Some(prober.roots.clone());
    });
    let walk = Walk {
        prober: &prober,
        targets,
        entries: &entries,
        sumdb: sumdb.as_ref(),
        facts,
    };
    let mut module = None;
    match &targets.asked {
        Some(asked) => {
            let Ok(path) = ModulePath::parse(&asked.module) else {
                return note(&|facts| facts.nothing = Some("the module path is malformed".into()));
            };
            walk.download(&path, asked.version.as_deref()).await;
            let version = asked.version.as_deref().unwrap_or_default();
            module = ModuleVersion::parse(&format!("{path}@{version}")).ok();
        }
        None => walk.endpoints().await,
    }
    deep::look(&walk, module.as_ref()).await;
}

async fn prober(targets: &Targets, time: Duration, clock: Clock) -> Prober {
    let resolver = match targets.resolvers.as_slice() {
        [] => Resolver::system(),
        servers => Resolver::of(servers),
    };
    let (file, dirs) = targets.roots.clone();
    let loaded = tokio::task::spawn_blocking(move || roots::load(file.as_deref(), dirs.as_deref()));
    let (store, roots) = loaded
        .await
        .unwrap_or_else(|_| roots::load(Some(""), Some("")));
    let forwards = (targets.forwards.clone(), targets.credentials.clone());
    Prober::new(
        resolver,
        (Handshakes::new(store, clock), roots),
        forwards,
        time,
    )
}
