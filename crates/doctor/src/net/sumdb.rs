//! The checksum database: which road failed, or what does not fit.

use super::blame::{Blame, captive};
use super::{Exchange, Fault, Hop, NetFacts, Phase, SumdbFault, SumdbSeen, Try, What};
use super::{network, status};
use crate::facts::Facts;

/// What is to blame for a checksum database that gives no proof.
pub fn blame(facts: &Facts, net: &NetFacts) -> Option<Blame> {
    let seen = net.sumdb.as_ref()?;
    let problem = seen.problem.as_ref()?;
    let base = seen.base.clone().unwrap_or_else(|| seen.name.clone());
    let told = format!("{base}: {}", problem.text);
    let found = match problem.kind {
        SumdbFault::Key => Blame::new("D33", "sumdb_key_mismatch", 0.97)
            .seen(told)
            .seen(format!("the pinned key of {} did not sign this", seen.name)),
        SumdbFault::Fork => Blame::new("D33", "sumdb_divergent", 0.97).seen(told),
        SumdbFault::Inconsistent => Blame::new("D34", "sumdb_mirror_inconsistent", 0.93)
            .seen(told)
            .also(tiles(net)),
        SumdbFault::Malformed => match page(net) {
            Some(exchange) => captive(exchange, &exchange.url),
            None => Blame::new("D34", "sumdb_mirror_inconsistent", 0.8).seen(told),
        },
        SumdbFault::Request => request(facts, net, seen)?,
    };
    Some(Blame {
        subject: base,
        ..found
    })
}

fn page(net: &NetFacts) -> Option<&Exchange> {
    let steps = net.steps.iter().filter(|step| step.what.is_sumdb());
    let mut asked = steps.flat_map(|step| &step.tries).map(|one| &one.exchange);
    asked.find(|exchange| status::is_page(exchange))
}

fn tiles(net: &NetFacts) -> Vec<String> {
    let steps = net.steps.iter().filter(|step| step.what == What::Tile);
    let missing = steps
        .flat_map(|step| &step.tries)
        .filter(|one| one.exchange.is_absent());
    missing
        .map(|one| format!("{}: not found", one.exchange.url))
        .take(3)
        .collect()
}

/// A request that failed.
fn request(facts: &Facts, net: &NetFacts, seen: &SumdbSeen) -> Option<Blame> {
    let step = net
        .steps
        .iter()
        .rev()
        .find(|step| step.what.is_sumdb() && failed(step.what, &step.tries).is_some())?;
    let one = failed(step.what, &step.tries)?;
    let exchange = &one.exchange;
    let hop = exchange.last()?;
    if let Some(failure) = &hop.failure {
        if failure.fault == Fault::Late {
            return None;
        }
        let found = network::blame(net, step.what, exchange, hop)?;
        return Some(by_road(net, seen, step.what, hop, found).about(exchange));
    }
    let http = hop.http.as_ref()?;
    if status::is_page(exchange) && http.status == 200 {
        return Some(captive(exchange, &status::line(exchange, http)).about(exchange));
    }
    let line = status::line(exchange, http);
    let blame = match (step.what, http.status) {
        (_, 407) => Blame::new("D15", "http_proxy_auth", 0.95).seen(line),
        (_, 429) => Blame::new("D31", "proxy_rate_limited", 0.95).seen(line),
        (What::Supported, _) => Blame::new("D32", "sumdb_mirror_inconsistent", 0.95)
            .seen(line)
            .seen("the go command goes on to another road only after 404 and 410"),
        (What::Lookup, 404 | 410) => unknown_module(facts, line),
        (What::Tile, 400..=499) => Blame::new("D34", "sumdb_mirror_inconsistent", 0.9).seen(line),
        _ => Blame::new("D32", "sumdb_upstream_error", 0.93).seen(line),
    };
    Some(blame.about(exchange))
}

fn failed(what: What, tries: &[Try]) -> Option<&Try> {
    let fine = |one: &&Try| {
        one.exchange.is_good()
            || (one.exchange.is_absent() && matches!(what, What::Supported | What::Tile))
            || (what == What::Supported && one.exchange.is_answered())
    };
    tries.iter().rev().find(|one| !fine(one))
}

/// At its own address, a road that is blocked means that no road is left.
fn by_road(net: &NetFacts, seen: &SumdbSeen, what: What, hop: &Hop, found: Blame) -> Blame {
    let own = seen.explicit
        || seen
            .base
            .as_deref()
            .is_some_and(|base| base.trim_end_matches('/') == format!("https://{}", seen.name));
    let blocked = matches!(
        found.label,
        Some(
            "dns_failure"
                | "connect_refused"
                | "connect_timeout"
                | "no_route"
                | "connection_reset"
                | "tls_handshake_timeout"
                | "tls_closed"
                | "dns_hijack"
                | "ipv6_broken"
        )
    );
    let before_answer = hop.failure.as_ref().is_some_and(|f| f.phase != Phase::Body);
    if what == What::Supported || !own || !blocked || !before_answer {
        return found;
    }
    let why = match seen.explicit {
        true => "GOSUMDB names this address itself, so no proxy is asked to relay it".to_owned(),
        false => format!("no proxy of GOPROXY relays {}", seen.name),
    };
    let relays = net.steps.iter().filter(|step| step.what == What::Supported);
    let said = relays.flat_map(|step| &step.tries).filter_map(|one| {
        let status = one.exchange.status()?;
        Some(format!("{}: status {status}", one.exchange.url))
    });
    Blame {
        id: "D32",
        label: Some("sumdb_unreachable"),
        variant: None,
        ..found
    }
    .seen(why)
    .also(said)
}

fn unknown_module(facts: &Facts, line: String) -> Blame {
    let module = facts
        .asked
        .as_ref()
        .map(|asked| asked.module.as_str())
        .unwrap_or_default();
    match status::meant_private(facts, module) {
        Some(meant) => Blame::new("D32", "goprivate_pattern_invalid", 0.93)
            .seen(line)
            .seen(meant),
        None => Blame::new("D32", "sumdb_private_410", 0.85)
            .seen(line)
            .seen(format!(
                "the proxy has {module} and the checksum database cannot see it: it is private"
            )),
    }
}
