//! The whole download of one module, request by request: what `modkeep trace` shows.
//!
//! What was measured are the facts of the network probes; here they are put into words, pictures and
//! a document, and private names are taken out for a bug report.

mod hide;
mod show;
mod words;

pub use hide::{Here, Hidden};
use words::Fallback;

use crate::Lang;
use crate::check::Report;
use crate::net::{Exchange, Fault, NetFacts, Step, Try, What};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The way to one address, router by router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// The name that was asked for.
    pub host: String,
    /// The address.
    pub address: String,
    /// Routers in their order; one that did not answer has no address.
    pub hops: Vec<RouteHop>,
    /// Whether the address itself answered.
    pub reached: bool,
    /// Why there is no route.
    pub unavailable: Option<String>,
}

/// A router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteHop {
    /// How many routers before it, and itself.
    pub ttl: u8,
    /// Its address, if it said so.
    pub address: Option<String>,
    /// Milliseconds until it answered.
    pub took_ms: f64,
}

/// Everything about one download.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// What was asked for: `M@V`, `M`, or `M@QUERY`.
    pub asked: &'a str,
    /// What was measured.
    pub net: &'a NetFacts,
    /// The way to the last host that was asked.
    pub route: Option<&'a Route>,
    /// What follows from it.
    pub report: &'a Report,
}

/// How the download ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All files came.
    Complete,
    /// One did not.
    Failed,
    /// The time ended first.
    Unknown,
}

impl Outcome {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        }
    }
}

impl Trace<'_> {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        let sumdb_bad = self.net.sumdb.as_ref().is_some_and(|s| s.problem.is_some());
        if self.net.nothing.is_some() || sumdb_bad || self.sums_differ() {
            return Outcome::Failed;
        }
        let Some(last) = self.net.steps.iter().rev().find(|s| !s.what.is_sumdb()) else {
            return Outcome::Unknown;
        };
        let came = |step: &Step| step.answered().is_some();
        if !came(last) {
            let late = last.tries.last().is_some_and(|t| match &t.vcs {
                Some(run) => run.late,
                None => t.exchange.is_late(),
            });
            return if late || last.tries.is_empty() {
                Outcome::Unknown
            } else {
                Outcome::Failed
            };
        }
        match last.what == What::Zip {
            true => Outcome::Complete,
            // What comes after the last file that was asked for was not come to.
            false => Outcome::Unknown,
        }
    }

    fn sums_differ(&self) -> bool {
        let mut sums = self.net.sums.iter().filter_map(|s| s.zip.as_ref());
        sums.next()
            .is_some_and(|first| sums.any(|other| other != first))
    }

    /// The address that the way is asked of: where a request failed, else the last one.
    pub fn last_address(&self) -> Option<(String, String)> {
        let hops = || {
            let tries = self.net.steps.iter().flat_map(|s| &s.tries);
            let all = tries.flat_map(|t| t.before.iter().chain([&t.exchange]));
            all.flat_map(|exchange| &exchange.hops)
        };
        let failed = hops().rfind(|h| h.failure.is_some());
        let hop = failed.or_else(|| hops().next_back())?;
        let connected = hop.tcp.iter().rev().find(|t| t.connected);
        let tried = connected.or_else(|| hop.tcp.last());
        let address = tried.map(|t| t.address.clone()).or_else(|| {
            let named = hop.dns.as_ref()?.addresses.first()?;
            Some(named.clone())
        });
        // A connection that was used again was made by an earlier hop to the same host.
        let address = address.or_else(|| {
            let same = hops().filter(|h| h.host == hop.host && h.port == hop.port);
            let mut made = same.flat_map(|h| &h.tcp).filter(|t| t.connected);
            made.next().map(|t| t.address.clone())
        })?;
        // Addresses are the forward proxy's, if there is one in between.
        let forward = hop.forward.as_ref().map(|forward| forward.url.clone());
        Some((forward.unwrap_or_else(|| hop.host.clone()), address))
    }

    /// Milliseconds until the last answer.
    pub fn took_ms(&self) -> u64 {
        let tries = self.net.steps.iter().flat_map(|s| &s.tries);
        let ends = tries.flat_map(|one| {
            let exchanges = one.before.iter().chain([&one.exchange]);
            let requests = exchanges.map(|e| e.at_ms.saturating_add(e.took_ms));
            requests.chain(
                one.vcs
                    .iter()
                    .map(|run| run.at_ms.saturating_add(run.took_ms)),
            )
        });
        ends.max().unwrap_or(0)
    }

    /// Bytes of all bodies.
    pub fn bytes(&self) -> u64 {
        let tries = self.net.steps.iter().flat_map(|s| &s.tries);
        let exchanges = tries.flat_map(|one| one.before.iter().chain([&one.exchange]));
        let hops = exchanges.flat_map(|e| &e.hops);
        hops.filter_map(|hop| hop.http.as_ref())
            .map(|http| http.bytes)
            .sum()
    }

    /// The text for a person.
    pub fn text(&self, lang: Lang, color: bool) -> String {
        show::text(self, lang, color)
    }

    /// The `modkeep.trace/1` document.
    pub fn json(&self, lang: Lang) -> Value {
        let document = serde_json::to_value(self.report.document(lang)).unwrap_or_default();
        let steps: Vec<Value> = self.net.steps.iter().map(step_json).collect();
        json!({
            "schema": "modkeep.trace/1",
            "asked": self.asked,
            "outcome": self.outcome().word(),
            "took_ms": self.took_ms(),
            "bytes": self.bytes(),
            "version": self.net.version,
            "goproxy": self.net.goproxy,
            "private": self.net.private,
            "resolvers": self.net.resolvers,
            "steps": steps,
            "sumdb": self.net.sumdb,
            "sums": self.net.sums,
            "route": self.route,
            "nothing": self.net.nothing,
            "findings": document.get("findings"),
        })
    }
}

fn step_json(step: &Step) -> Value {
    let tries: Vec<Value> = step
        .tries
        .iter()
        .enumerate()
        .map(|(index, one)| {
            json!({
                "place": one.place,
                "fallback": fallback(step, index).map(|next| next.text(Lang::En)),
                "only_for_comparison": one.beyond,
                "good": one.is_good(),
                "rate": rate(&one.exchange),
                "before": one.before,
                "exchange": one.exchange,
                "version_control": one.vcs,
            })
        })
        .collect();
    json!({ "what": step.what.word(), "tries": tries })
}

/// Bytes per second of the last hop's body, if it took long enough to tell.
fn rate(exchange: &Exchange) -> Option<u64> {
    let http = exchange.last()?.http.as_ref()?;
    (http.body_ms > 0).then(|| http.bytes.saturating_mul(1000) / http.body_ms)
}

/// Why the go command goes on after a try, or stops there; none when it was good.
fn fallback(step: &Step, index: usize) -> Option<Fallback> {
    let one = step.tries.get(index)?;
    if one.beyond || one.is_good() {
        return None;
    }
    let more = step.tries.get(index + 1).is_some_and(|next| !next.beyond);
    Some(match (more, one.is_absent(), one.on_any_error) {
        (true, true, _) => Fallback::AbsentLeadsOn,
        (true, false, _) => Fallback::BarLeadsOn,
        (false, _, _) if one.place == "direct" => Fallback::OriginEnds,
        (false, false, false) if !step.what.is_sumdb() => Fallback::CommaStops,
        (false, _, _) => Fallback::ListEnds,
    })
}

/// What came of a try, in a few words.
fn outcome_of(one: &Try, words: &words::Words) -> String {
    let exchange = &one.exchange;
    if let Some(run) = &one.vcs {
        let error = run.error.as_deref();
        return error.map_or(words.fetched.into(), |error| {
            error.lines().next().unwrap_or("failed").to_owned()
        });
    }
    if let Some(error) = &exchange.file_error {
        return error.clone();
    }
    if let Some(stop) = &exchange.stopped {
        return show::stopped(stop);
    }
    let Some(last) = exchange.last() else {
        return if exchange.is_good() {
            "read".into()
        } else {
            "not asked".into()
        };
    };
    if let Some(failure) = &last.failure {
        return match failure.fault {
            Fault::Late => "not finished in time".into(),
            _ => failure.text.clone(),
        };
    }
    let status = exchange.status().map_or(String::new(), |s| s.to_string());
    match show::content(exchange.content.as_ref()) {
        Some(wrong) if exchange.status() == Some(200) => format!("{status}, but {wrong}"),
        _ => status,
    }
}

#[cfg(test)]
mod tests;
