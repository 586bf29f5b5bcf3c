//! D04 and D05: is GOPROXY written as meant, and does its order make sense?
//!
//! Source of the grammar: `proxyList` and `newProxyRepo` of cmd/go/internal/modfetch. The go
//! command stops at the first bad entry without saying where in the value it stands; here the
//! place is shown with a caret, and what Go would do instead of what was meant.

use super::settings::place;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{EnvFacts, Setting};

/// One entry of the list with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its text, trimmed.
    pub text: &'a str,
    /// Byte offset of `text` in the value.
    pub at: usize,
    /// The separator after it.
    pub separator: Option<char>,
}

impl Entry<'_> {
    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        !matches!(self.text, "direct" | "off")
    }

    /// Its address, with the scheme that Go adds.
    pub fn url(&self) -> String {
        let bare = self.text.contains(['.', ':', '/'])
            && !self.text.contains(":/")
            && !self.text.starts_with('/');
        match bare {
            true => format!("https://{}", self.text),
            false => self.text.to_owned(),
        }
    }

    /// Host and port, without a login.
    pub fn host_port(&self) -> String {
        let url = self.url();
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let bare = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        bare.to_owned()
    }
}

/// The entries as Go splits them; empty ones are skipped.
pub fn entries(value: &str) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for (end, separator) in value
        .char_indices()
        .filter(|(_, c)| matches!(c, ',' | '|'))
        .map(|(end, c)| (end, Some(c)))
        .chain([(value.len(), None)])
    {
        let part = &value[start..end];
        let text = part.trim();
        if !text.is_empty() {
            let at = start + (part.len() - part.trim_start().len());
            found.push(Entry {
                text,
                at,
                separator,
            });
        }
        start = end + 1;
    }
    found
}

/// A mistake and where it stands.
struct Mistake {
    at: usize,
    width: usize,
    what: String,
    label: &'static str,
    /// Whether a go command fails on it.
    fatal: bool,
}

pub fn checks(env: &EnvFacts) -> Vec<Check> {
    let setting = env.setting("GOPROXY");
    let entries = entries(&setting.value);
    let mistake = mistake(&setting.value, &entries);
    let mut checks = vec![match &mistake {
        Some(mistake) => written_wrong(mistake, &setting, env),
        None => Check::ok("D04", "GOPROXY", reading(&entries)),
    }];
    // The order of a list that is not what was meant says nothing.
    if mistake.is_none_or(|mistake| !mistake.fatal) {
        checks.push(order(&setting, &entries, env));
    }
    checks
}

fn reading(entries: &[Entry<'_>]) -> String {
    let words = entries.iter().map(|entry| {
        let after = match entry.separator {
            Some(',') => ", then if it has no such module: ",
            Some('|') => ", then after any failure: ",
            _ => "",
        };
        format!("{}{after}", entry.url())
    });
    words.collect::<String>()
}

fn written_wrong(mistake: &Mistake, setting: &Setting, env: &EnvFacts) -> Check {
    let before = setting.value[..mistake.at].chars().count();
    let width = mistake.width.max(1);
    let detail = format!(
        "{}\n{}\n{}{}",
        mistake.what,
        setting.value,
        " ".repeat(before),
        "^".repeat(width)
    );
    let evidence = [
        format!(
            "GOPROXY={} from the {}",
            setting.value,
            place(setting.origin, env)
        ),
        mistake.what.clone(),
    ];
    let check = match mistake.fatal {
        true => Check::fail("D04", "GOPROXY", detail),
        false => Check::warn("D04", "GOPROXY", detail),
    };
    check.because(mistake.label, 0.97, evidence)
}

fn mistake(value: &str, entries: &[Entry<'_>]) -> Option<Mistake> {
    let wrong = |at: usize, text: &str, what: String, fatal: bool| Mistake {
        at,
        width: text.chars().count(),
        what,
        label: "goproxy_syntax_invalid",
        fatal,
    };
    if let Some((at, c)) = value.char_indices().find(|(_, c)| FOREIGN.contains(c)) {
        let what = format!(
            "{c:?} is no separator and no part of an address: use ',' or '|'; Go takes it as part of the entry"
        );
        return Some(wrong(at, &c.to_string(), what, true));
    }
    if entries.is_empty() {
        let what = "GOPROXY list is not the empty string, but contains no entries".to_owned();
        return Some(wrong(0, value, what, true));
    }
    entries.iter().find_map(|entry| {
        entry_mistake(entry).map(|(what, label, fatal)| Mistake {
            label,
            ..wrong(entry.at, entry.text, what, fatal)
        })
    })
}

/// Characters that got in from web pages and shells.
const FOREIGN: &[char] = &[
    ';', '"', '\'', '`', '“', '”', '‘', '’', '，', '；', '、', '｜', '\u{feff}', '\u{a0}',
    '\u{200b}', '\r', '\n',
];

fn entry_mistake(entry: &Entry<'_>) -> Option<(String, &'static str, bool)> {
    let syntax = "goproxy_syntax_invalid";
    let text = entry.text;
    if matches!(text, "direct" | "off") {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    if matches!(&*lower, "direct" | "off") {
        return Some((
            format!("invalid proxy URL missing scheme: {text}: it is written {lower}"),
            syntax,
            true,
        ));
    }
    if text.contains(char::is_whitespace) {
        return Some((
            format!("a space inside an entry: {text}: entries are separated by ',' or '|'"),
            syntax,
            true,
        ));
    }
    let url = entry.url();
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some(match url.contains(":/") {
            true => (
                format!("one slash is missing after the scheme: {text}"),
                syntax,
                true,
            ),
            false => (
                format!("invalid proxy URL missing scheme: {text}"),
                syntax,
                true,
            ),
        });
    };
    let scheme = scheme.to_ascii_lowercase();
    match &*scheme {
        "http" | "https" => {}
        "file" => {
            return (!rest.starts_with('/')).then(|| {
                (
                    format!("invalid file:// proxy URL with non-path elements: {text}"),
                    syntax,
                    true,
                )
            });
        }
        _ => {
            let what = format!("invalid proxy URL scheme (must be https, http, file): {text}");
            return Some((what, syntax, true));
        }
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority_mistake(authority, &scheme, text).or_else(|| tail_mistake(rest, text))
}

fn authority_mistake(
    authority: &str,
    scheme: &str,
    text: &str,
) -> Option<(String, &'static str, bool)> {
    let syntax = "goproxy_syntax_invalid";
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    if login.is_some() && scheme == "http" {
        let what = format!(
            "refusing to pass credentials to insecure URL: {text}: Go sends a login over https only"
        );
        return Some((what, "proxy_auth_401", true));
    }
    if host.is_empty() || host.starts_with(':') {
        return Some((format!("no host in {text}"), syntax, true));
    }
    let port = match host.rfind(']') {
        Some(end) => host[end + 1..].strip_prefix(':'),
        None => host.rsplit_once(':').map(|(_, port)| port),
    };
    let bad_port = |port: &&str| port.parse::<u16>().is_err() && !port.is_empty();
    if let Some(port) = port.filter(bad_port) {
        return Some((
            format!("invalid port {port:?} after host: {text}"),
            syntax,
            true,
        ));
    }
    if !host.starts_with('[') && host.matches(':').count() > 1 {
        return Some((
            format!("an IPv6 address stands in brackets, https://[::1]:8080: {text}"),
            syntax,
            true,
        ));
    }
    None
}

fn tail_mistake(rest: &str, text: &str) -> Option<(String, &'static str, bool)> {
    if rest.contains("://") {
        let what = format!("two addresses in one entry: {text}: a separator is missing");
        return Some((what, "goproxy_syntax_invalid", true));
    }
    if rest.contains(['?', '#']) {
        let what = format!(
            "the module path is put behind the address's path, so '?' and '#' do not belong here: {text}"
        );
        return Some((what, "goproxy_syntax_invalid", false));
    }
    None
}

fn order(setting: &Setting, entries: &[Entry<'_>], env: &EnvFacts) -> Check {
    let from = place(setting.origin, env);
    let evidence = || vec![format!("GOPROXY={} from the {from}", setting.value)];
    let end = entries.iter().position(|entry| !entry.is_server());
    let behind = end.map_or(&[][..], |end| &entries[end + 1..]);
    match end {
        Some(0) if entries[0].text == "off" => {
            let detail = format!(
                "off (from the {from}): no module that is not in the cache can be downloaded"
            );
            Check::fail("D05", "GOPROXY", detail).because("goproxy_off", 0.95, evidence())
        }
        Some(0) if !behind.is_empty() => {
            let detail =
                "direct comes first and ends the list: the entries behind it are never asked";
            Check::warn("D05", "GOPROXY", detail).because(
                "goproxy_order_direct_first",
                0.95,
                evidence(),
            )
        }
        Some(end) if !behind.is_empty() => {
            let detail = format!(
                "{} ends the list: {} is never asked",
                entries[end].text, behind[0].text
            );
            Check::warn("D05", "GOPROXY", detail).because(
                "goproxy_order_direct_first",
                0.6,
                evidence(),
            )
        }
        _ => twice(entries).unwrap_or_else(|| Check::ok("D05", "GOPROXY", advice(entries))),
    }
}

fn twice(entries: &[Entry<'_>]) -> Option<Check> {
    let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
    let again = entries.iter().enumerate().find(|(index, entry)| {
        entries[..*index]
            .iter()
            .any(|earlier| same(&earlier.url(), &entry.url()))
    });
    let (_, entry) = again?;
    Some(Check::warn(
        "D05",
        "GOPROXY",
        format!("{} is named twice", entry.text),
    ))
}

fn advice(entries: &[Entry<'_>]) -> String {
    let comma = entries
        .iter()
        .any(|entry| entry.is_server() && entry.separator == Some(','));
    match comma {
        true => "',' goes on only after 404 or 410; after a failure (500, time-out) it stops, '|' would go on".to_owned(),
        false => format!("{} entries", entries.len()),
    }
}

/// What commands about the first server of the list are filled with.
pub fn first_server(env: &EnvFacts) -> Subject {
    let setting = env.setting("GOPROXY");
    let first = entries(&setting.value).into_iter().find(Entry::is_server);
    Subject {
        proxy: first.as_ref().map(Entry::url),
        host: first.as_ref().map(Entry::host_port),
        ..Subject::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::State;

    fn with(value: &str) -> Vec<Check> {
        checks(&EnvFacts {
            os: Some([("GOPROXY".to_owned(), value.to_owned())].into()),
            ..EnvFacts::default()
        })
    }

    #[test]
    fn good_lists_are_good() {
        for value in [
            "https://proxy.golang.org,direct",
            "https://goproxy.cn|https://proxy.golang.org|direct",
            "http://127.0.0.1:8080",
            "proxy.example/go,direct",
            " https://a.example/ , direct ",
            "https://a.example,,direct",
            "https://u:p@a.example/x",
            "file:///srv/proxy",
            "https://[::1]:8080",
        ] {
            let states: Vec<State> = with(value).iter().map(|check| check.state).collect();
            assert_eq!(states, [State::Ok, State::Ok], "{value}");
        }
    }

    #[test]
    fn mistakes_are_shown_where_they_stand() {
        for (value, caret) in [
            ("https://a.example;direct", 17),
            ("https://a.example， direct", 17),
            ("https://a.example,Direct", 18),
            ("goproxy,direct", 0),
            ("https://a.example,ftp://b", 18),
            ("https:/a.example", 0),
            ("https://a.example https://b.example", 0),
            ("https://a.example:80a", 0),
            ("http://u:p@a.example", 0),
            (",|", 0),
            ("file://host/x", 0),
            ("https://", 0),
            ("https://a.examplehttps://b.example", 0),
        ] {
            let check = with(value).remove(0);
            assert_eq!(check.state, State::Fail, "{value}");
            let carets = check.detail.lines().nth(2).unwrap();
            assert_eq!(carets.find('^'), Some(caret), "{value}: {}", check.detail);
        }
    }

    #[test]
    fn the_order_is_judged() {
        let label = |value: &str| {
            let check = with(value).remove(1);
            check.finding.map(|finding| finding.label)
        };
        assert_eq!(label("off"), Some("goproxy_off"));
        assert_eq!(
            label("direct,https://a.example"),
            Some("goproxy_order_direct_first")
        );
        assert_eq!(
            label("https://a.example,off,https://b.example"),
            Some("goproxy_order_direct_first")
        );
        assert_eq!(label("https://a.example,off"), None);
        assert_eq!(label("direct"), None);
    }
}
