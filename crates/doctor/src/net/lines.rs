//! What works, one line for each subject.

use std::collections::BTreeSet;

use super::{Exchange, Hop, KeptHead, NetFacts, What};
use crate::check::Check;

/// The checks that are good, and those that only inform.
pub fn checks(net: &NetFacts) -> Vec<Check> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for exchange in exchanges(net) {
        for hop in &exchange.hops {
            of_hop(hop, &mut seen, &mut found);
        }
    }
    for step in &net.steps {
        if let Some(one) = step.answered() {
            found.extend(answered(step.what, &one.exchange));
        }
    }
    found.extend(sumdb(net));
    found
}

/// A download that was not walked to its end.
pub fn unfinished(net: &NetFacts) -> Option<Check> {
    let answered = |what| {
        let mut steps = net.steps.iter().filter(move |step| step.what == what);
        steps.any(|step| step.answered().is_some())
    };
    if answered(What::Zip) {
        return None;
    }
    let last = net.steps.last()?;
    let at = format!("{} of the download", last.what.word());
    let direct = last.tries.iter().any(|one| one.place == "direct");
    Some(match direct {
        true if last.answered().is_some() => Check::ok(
            "D25",
            "direct",
            "the module's repository answers; git fetches from it",
        ),
        true => Check::unknown(
            "D25",
            "direct",
            "the module's own host gives nothing without a login",
        ),
        false => Check::unknown("D25", at, "not found out within the time budget"),
    })
}

fn exchanges(net: &NetFacts) -> impl Iterator<Item = &Exchange> {
    net.steps
        .iter()
        .flat_map(|step| &step.tries)
        .map(|one| &one.exchange)
}

fn of_hop(hop: &Hop, seen: &mut BTreeSet<(&'static str, String)>, found: &mut Vec<Check>) {
    let mut add = |check: Check| {
        if seen.insert((check.id, check.subject.clone())) {
            found.push(check);
        }
    };
    if let Some(dns) = hop.dns.as_ref().filter(|dns| !dns.addresses.is_empty()) {
        let detail = format!("{} in {} ms", dns.addresses.join(" "), dns.took_ms);
        add(Check::ok("D20", dns.name.clone(), detail).took(dns.took_ms));
    }
    if let Some(tcp) = hop.tcp.iter().find(|tried| tried.connected) {
        let detail = format!("connected in {} ms", tcp.took_ms);
        add(Check::ok("D21", tcp.address.clone(), detail).took(tcp.took_ms));
    }
    if let Some(tls) = hop.tls.as_ref().filter(|tls| tls.version.is_some()) {
        let version = tls.version.as_deref().unwrap_or_default();
        let issuer = tls
            .chain
            .first()
            .map(|own| own.issuer.as_str())
            .unwrap_or_default();
        let detail = format!("{version}, certificate by {issuer}, {} ms", tls.took_ms);
        add(Check::ok("D23", tls.sni.clone(), detail).took(tls.took_ms));
    }
}

fn answered(what: What, exchange: &Exchange) -> Option<Check> {
    let hop = exchange.last();
    let Some(http) = hop.and_then(|hop| hop.http.as_ref()) else {
        return Some(Check::ok("D25", exchange.url.clone(), "there"));
    };
    let id = match what {
        What::Supported => "D32",
        What::Lookup | What::Head => "D33",
        // A line for each tile tells nothing; they are counted with the proof.
        What::Tile => return None,
        _ if exchange.hops.len() > 1 => "D27",
        What::Zip => "D28",
        _ => "D25",
    };
    let rate = match what {
        What::Zip => format!(", {} bytes in {} ms", http.bytes, http.body_ms),
        _ => String::new(),
    };
    let detail = format!(
        "{} {} after {} ms{rate}",
        http.version, http.status, http.first_byte_ms
    );
    Some(Check::ok(id, exchange.url.clone(), detail).took(exchange.took_ms))
}

fn sumdb(net: &NetFacts) -> Vec<Check> {
    let Some(seen) = net.sumdb.as_ref().filter(|seen| seen.problem.is_none()) else {
        return Vec::new();
    };
    let Some(size) = seen.size else {
        return Vec::new();
    };
    let tiles = net
        .steps
        .iter()
        .filter(|step| step.what == What::Tile)
        .count();
    let mut found = vec![Check::ok(
        "D33",
        seen.name.clone(),
        format!("proved with the pinned key in a tree of {size} records, {tiles} tiles"),
    )];
    if let Some(KeptHead::Continued(kept)) = &seen.kept {
        let detail = format!("its tree continues the {kept} records that this machine knows");
        found.push(Check::ok("D33", format!("{} latest", seen.name), detail));
    }
    found
}
