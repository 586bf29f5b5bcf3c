//! Which request failed, and what is to blame.

use super::{Content, Exchange, NetFacts, Step, Stop, Try, What};
use super::{mismatch, network, status, sumdb};
use crate::check::{Check, State};
use crate::explain::Subject;
use crate::facts::Facts;

/// A named cause, or a failure that the rules have no name for.
#[derive(Clone, Debug, PartialEq)]
pub struct Blame {
    /// The check that proves it.
    pub id: &'static str,
    /// The label; `None` means that it fails and no cause is proved.
    pub label: Option<&'static str>,
    /// Its variant.
    pub variant: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// Host or place.
    pub subject: String,
    /// What was measured, first the sentence that sums it up.
    pub evidence: Vec<String>,
    /// The request.
    pub url: Option<String>,
}

impl Blame {
    /// A cause proved by `check`.
    pub fn new(id: &'static str, label: &'static str, confidence: f64) -> Self {
        Self {
            id,
            label: Some(label),
            variant: None,
            confidence,
            subject: String::new(),
            evidence: Vec::new(),
            url: None,
        }
    }

    /// A failure without a name.
    pub fn nameless(id: &'static str) -> Self {
        Self {
            label: None,
            ..Self::new(id, "", 0.0)
        }
    }

    /// With a variant.
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        self.variant = Some(variant.to_owned());
        self
    }

    /// With a line of evidence.
    #[must_use]
    pub fn seen(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// With lines of evidence.
    #[must_use]
    pub fn also(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(lines);
        self
    }

    /// About a request.
    #[must_use]
    pub fn about(mut self, exchange: &Exchange) -> Self {
        let hop = exchange.last();
        if self.subject.is_empty() {
            self.subject = hop.map_or_else(|| exchange.url.clone(), |hop| hop.host.clone());
        }
        self.url
            .get_or_insert_with(|| hop.map_or(&exchange.url, |hop| &hop.url).clone());
        self
    }

    /// The check.
    pub fn check(self, state: State, mut subject: Subject) -> Check {
        let detail = self.evidence.first().cloned().unwrap_or_default();
        let host = self.url.as_deref().and_then(host_of);
        (subject.host, subject.url) = (host, self.url);
        let check = Check::new(self.id, state, self.subject, detail);
        let Some(label) = self.label else {
            return check;
        };
        let check = check.because(label, self.confidence, self.evidence);
        match self.variant {
            Some(variant) => check.variant(variant).about(subject),
            None => check.about(subject),
        }
    }
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
        _ => host,
    };
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Why a download fails.
pub fn of_download(facts: &Facts, net: &NetFacts) -> Option<Blame> {
    for step in net.steps.iter().filter(|step| !step.what.is_sumdb()) {
        if step.answered().is_some() {
            continue;
        }
        // The database is asked between go.mod and the zip.
        let before_zip = step.what == What::Zip;
        if let Some(blame) = before_zip.then(|| sumdb::blame(facts, net)).flatten() {
            return Some(blame);
        }
        return of_step(facts, net, step);
    }
    sumdb::blame(facts, net).or_else(|| mismatch::blame(net))
}

/// What is wrong with the endpoints, each for itself: the first entry of GOPROXY fails downloads,
/// a later one may.
pub fn of_endpoints(facts: &Facts, net: &NetFacts) -> Vec<(State, Blame)> {
    let mut found = Vec::new();
    let controls = net.steps.iter().filter(|step| step.what == What::Control);
    let any_good = controls.clone().any(|step| step.answered().is_some());
    for (index, step) in controls.enumerate() {
        let Some(one) = step.tries.first() else {
            continue;
        };
        // A proxy need not have the control module: that it said so in good order is enough.
        let works = one.exchange.is_good() || one.exchange.is_absent();
        let spare = one.on_any_error && any_good && one.exchange.is_network();
        if works || spare {
            continue;
        }
        if let Some(blame) = of_exchange(facts, net, step.what, one) {
            let state = if index == 0 { State::Fail } else { State::Warn };
            found.push((state, blame));
        }
    }
    if let Some(blame) = sumdb::blame(facts, net) {
        found.push((State::Fail, blame));
    }
    found
}

fn of_step(facts: &Facts, net: &NetFacts, step: &Step) -> Option<Blame> {
    let failed = failed_try(step)?;
    let mut blame = of_exchange(facts, net, step.what, failed)?;
    let others = step
        .tries
        .iter()
        .filter(|one| one.beyond && one.exchange.is_good());
    for other in others {
        blame.evidence.push(format!(
            "{} has it: it would work with | instead of , after {}",
            other.place, failed.place
        ));
    }
    Some(blame)
}

/// The source whose error the go command shows: `direct` before a proxy's error before "not here".
pub fn failed_try(step: &Step) -> Option<&Try> {
    let asked = || step.tries.iter().filter(|one| !one.beyond);
    let direct = asked().find(|one| one.place == "direct");
    let hard = asked().rev().find(|one| !one.is_absent());
    direct.or(hard).or_else(|| asked().next_back())
}

/// What is to blame for one request.
fn of_exchange(facts: &Facts, net: &NetFacts, what: What, one: &Try) -> Option<Blame> {
    let exchange = &one.exchange;
    if exchange.is_late() {
        return None;
    }
    if let Some(error) = &exchange.file_error {
        let missing = Blame::new("D25", "proxy_404_missing_version", 0.7);
        return Some(
            missing
                .seen(format!("{}: {error}", exchange.url))
                .about(exchange),
        );
    }
    let found = match (&exchange.stopped, exchange.last()) {
        (Some(stop), _) => stopped(exchange, stop),
        (None, Some(hop)) if hop.failure.is_some() => network::blame(net, what, exchange, hop)?,
        (None, _) if exchange.status() == Some(200) || exchange.hops.is_empty() => {
            content(what, exchange)?
        }
        _ if one.place == "direct" => status::direct(exchange)?,
        _ => status::blame(facts, net, what, exchange)?,
    };
    Some(found.about(exchange))
}

fn stopped(exchange: &Exchange, stop: &Stop) -> Blame {
    let way: Vec<&str> = exchange.hops.iter().map(|hop| hop.host.as_str()).collect();
    match stop {
        Stop::Loop => Blame::new("D27", "redirect_loop", 0.97)
            .seen(format!(
                "{} redirects and no end: {}",
                way.len(),
                exchange.url
            ))
            .also(
                exchange
                    .hops
                    .last()
                    .map(|hop| format!("the last one leads from {}", hop.url)),
            ),
        Stop::Insecure(to) => Blame::new("D27", "insecure_redirect", 0.97).seen(format!(
            "{} redirects to {to}: from https to http",
            exchange.url
        )),
        Stop::Malformed(to) => Blame::nameless("D27").seen(format!(
            "{} redirects to {to:?}, which is no address",
            exchange.url
        )),
    }
}

/// A body that is not what was asked for.
fn content(what: What, exchange: &Exchange) -> Option<Blame> {
    let content = exchange.content.as_ref()?;
    let corrupt = || Blame::new("D25", "proxy_corrupt_content", 0.95);
    let size = exchange
        .last()
        .and_then(|hop| hop.http.as_ref())
        .map_or(0, |http| http.bytes);
    let kind = exchange
        .last()
        .and_then(|hop| hop.http.as_ref()?.header("content-type"))
        .unwrap_or("no type");
    let answer = format!("{}: status 200, {size} bytes, {kind}", exchange.url);
    Some(match content {
        Content::Good | Content::Unread => return None,
        Content::Html if what == What::Zip => corrupt()
            .variant("html")
            .seen(format!("{answer}: a web page instead of a zip")),
        Content::Html => captive(exchange, &answer),
        Content::Empty => corrupt()
            .variant("empty")
            .seen(format!("{answer}: nothing in it")),
        Content::CutZip => corrupt().variant("cut").seen(format!(
            "{answer}: a zip without its end, sent as if it were whole"
        )),
        Content::Prefix(name) => corrupt().variant("prefix").seen(format!(
            "{answer}: a zip with {name}, outside the module's directory"
        )),
        Content::Bad(why)
            if matches!(what, What::Discovery | What::Refs) || why.starts_with("no tag") =>
        {
            Blame::new("D35", "unknown_revision", 0.8).seen(format!("{}: {why}", exchange.url))
        }
        Content::Bad(why) if why.starts_with("no go-import") => {
            Blame::nameless("D25").seen(format!("{}: {why}", exchange.url))
        }
        Content::Bad(why) => corrupt().seen(format!("{answer}: {why}")),
    })
}

/// A web page where data should be.
pub fn captive(exchange: &Exchange, answer: &str) -> Blame {
    let hop = exchange.last();
    let header = |name: &str| hop.and_then(|hop| hop.http.as_ref()?.header(name));
    let who = ["server", "via"].into_iter().filter_map(|name| {
        let value = header(name)?;
        Some(format!("{name}: {value}"))
    });
    Blame::new("D30", "captive_or_hijacked_response", 0.93)
        .seen(format!("{answer}: a web page where module data should be"))
        .also(who)
}
