//! Answers that say no: by status, after looking at which server said it.

use super::blame::Blame;
use super::network::is_public_host;
use super::{Content, Exchange, Http, NetFacts, What};
use crate::facts::Facts;

/// What is to blame for an answer of a proxy with a status other than 200.
pub fn blame(facts: &Facts, net: &NetFacts, what: What, exchange: &Exchange) -> Option<Blame> {
    let hop = exchange.last()?;
    let http = hop.http.as_ref()?;
    let seen = line(exchange, http);
    Some(match http.status {
        407 => Blame::new("D15", "http_proxy_auth", 0.95)
            .seen(seen)
            .also(by_proxy(exchange)),
        403 if hop.forward.is_some() && hop.url.starts_with("http://") => {
            Blame::new("D15", "http_proxy_denied", 0.7)
                .seen(seen)
                .also(by_proxy(exchange))
        }
        511 => Blame::new("D30", "captive_or_hijacked_response", 0.95).seen(seen),
        401 => unauthorized(net, exchange, seen),
        403 | 451 => forbidden(what, exchange, seen),
        404 | 410 => absent(facts, net, exchange, seen),
        429 => Blame::new("D31", "proxy_rate_limited", 0.97)
            .seen(seen)
            .also(limits(http)),
        500.. => Blame::new("D25", "upstream_5xx", 0.95)
            .seen(seen)
            .also(control_line(net, exchange)),
        _ => Blame::new("D25", "proxy_404_missing_version", 0.4)
            .seen(seen)
            .seen("a module proxy does not answer so: the address may lead to something else"),
    })
}

/// An answer of the module's own host.
pub fn direct(exchange: &Exchange) -> Option<Blame> {
    let http = exchange.last()?.http.as_ref()?;
    let seen = line(exchange, http);
    match http.status {
        500.. => Some(Blame::new("D25", "vanity_server_error", 0.85).seen(seen)),
        429 => Some(Blame::new("D31", "proxy_rate_limited", 0.9).seen(seen)),
        // It may exist for who has a login: git knows, we do not.
        _ => None,
    }
}

/// The answer in one line: status, who said it, how long it took.
pub fn line(exchange: &Exchange, http: &Http) -> String {
    let hop = exchange.last();
    let url = hop.map_or(&exchange.url, |hop| &hop.url);
    let after = match exchange.hops.len() {
        0 | 1 => String::new(),
        _ => format!(" (redirected from {})", exchange.url),
    };
    let who = http.header("server").or(http.header("via"));
    let who = who.map(|who| format!(", server {who}")).unwrap_or_default();
    format!(
        "{url}{after}: status {}{who}, {} ms",
        http.status, http.first_byte_ms
    )
}

fn by_proxy(exchange: &Exchange) -> Option<String> {
    let forward = exchange.last()?.forward.as_ref()?;
    Some(format!(
        "by the forward proxy {}={}",
        forward.variable, forward.url
    ))
}

fn unauthorized(net: &NetFacts, exchange: &Exchange, seen: String) -> Blame {
    let blame = Blame::new("D26", "proxy_auth_401", 0.95);
    if let Some(sent) = &exchange.credential {
        let sent = format!(
            "the login {} from {} was sent and not accepted",
            sent.login, sent.source
        );
        return blame.variant("rejected").seen(seen).seen(sent);
    }
    match &net.credentials {
        Some(unused) => blame.variant("netrc_not_matched").seen(seen).seen(format!(
            "netrc has \"machine {}\", which was not used: {}",
            unused.machine, unused.why
        )),
        None => blame
            .seen(seen)
            .seen("no login was sent, and none is known for this host"),
    }
}

fn forbidden(what: What, exchange: &Exchange, seen: String) -> Blame {
    let blame = Blame::new("D27", "proxy_forbidden", 0.93).seen(seen);
    match exchange.hops.len() {
        0 | 1 if what != What::Zip => Blame { id: "D25", ..blame },
        0 | 1 => blame
            .variant("hop")
            .seen(".info and .mod of the same version were given, the zip is not"),
        _ => blame
            .variant("hop")
            .seen("the proxy itself answered; the host it redirects to refuses"),
    }
}

fn limits(http: &Http) -> Vec<String> {
    let told = http
        .headers
        .iter()
        .filter(|(name, _)| name == "retry-after" || name.contains("ratelimit"));
    told.map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

fn control_line(net: &NetFacts, exchange: &Exchange) -> Option<String> {
    let control = net.deep.as_ref()?.control.as_ref()?;
    let status = control.status()?;
    (control.url != exchange.url)
        .then(|| format!("{} on the same server: status {status}", control.url))
}

/// "Not here": which of the five reasons.
fn absent(facts: &Facts, net: &NetFacts, exchange: &Exchange, seen: String) -> Blame {
    let module = facts
        .asked
        .as_ref()
        .map(|asked| asked.module.as_str())
        .unwrap_or_default();
    let host = module.split('/').next().unwrap_or_default();
    if let Some(line) = meant_private(facts, module) {
        return Blame::new("D25", "goprivate_pattern_invalid", 0.9)
            .seen(seen)
            .seen(line);
    }
    let deep = net.deep.clone().unwrap_or_default();
    let origin = deep.origin.clone().unwrap_or_default();
    let versions = deep.versions.clone().unwrap_or_default();
    let control = control_line(net, exchange);
    let control_works = deep.control.as_ref().is_some_and(Exchange::is_good);
    if origin.has_version == Some(true) && (control_works || !versions.is_empty()) {
        let repository = origin.repository.unwrap_or_default();
        return Blame::new("D35", "proxy_stale_negative_cache", 0.9)
            .seen(seen)
            .seen(format!("{repository} has the version's tag"))
            .also(control);
    }
    if !versions.is_empty() {
        let newest = versions
            .iter()
            .rev()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ");
        let here = format!(
            "the same proxy lists {} other versions: {newest}",
            versions.len()
        );
        return Blame::new("D35", "unknown_revision", 0.85)
            .seen(seen)
            .seen(here);
    }
    let private = format!("{host} is no public code host, and the proxy has nothing of {module}");
    let unseen = || Blame::new("D25", "proxy_404_private_module", 0.85);
    if origin.private_address == Some(true) {
        let inside = format!("{host} has addresses of a private network only");
        return unseen().seen(seen).seen(inside).also(control);
    }
    if !is_public_host(host) {
        return unseen().seen(seen).seen(private).also(control);
    }
    if origin.readable == Some(false) {
        let repository = origin.repository.unwrap_or_default();
        let closed = format!("{repository} cannot be read without a login either");
        return unseen().seen(seen).seen(closed).also(control);
    }
    Blame::new("D25", "proxy_404_missing_version", 0.75)
        .seen(seen)
        .also(control)
}

/// A pattern that was meant to cover a module and covers nothing, because it is an address.
pub fn meant_private(facts: &Facts, module: &str) -> Option<String> {
    for name in ["GOPRIVATE", "GONOPROXY", "GONOSUMDB"] {
        let value = facts
            .setting(name)
            .map(|setting| setting.value)
            .unwrap_or_default();
        for pattern in value.split(',').map(str::trim) {
            let Some((_, bare)) = pattern.split_once("://") else {
                continue;
            };
            let bare = bare.trim_end_matches(['/', '*']).trim_start_matches("*.");
            let host = module.split('/').next().unwrap_or_default();
            let covers = module == bare
                || module.starts_with(&format!("{bare}/"))
                || host.ends_with(&format!(".{bare}"));
            if covers && !bare.is_empty() {
                return Some(format!(
                    "{name} has {pattern:?}: a pattern is a module path without scheme, so it covers nothing"
                ));
            }
        }
    }
    None
}

/// Whether a page came where data should be.
pub fn is_page(exchange: &Exchange) -> bool {
    exchange.content == Some(Content::Html)
}
