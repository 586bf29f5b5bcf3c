//! Secrets never reach a screen, a facts file or a bug report.

/// Text with the logins of its URLs taken out: `https://u:p@host` becomes `https://***:***@host`,
/// `https://token@host` becomes `https://***@host`. That a login stood there stays visible, since
/// some checks are about it. What stands behind `?` is taken out as well: it signs addresses of
/// storage hosts, and some proxies take a token there.
pub fn logins(text: &str) -> String {
    queries(&userinfo(text))
}

fn userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '/' | ',' | '|' | '"' | '\'' | '?' | '#');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(end) => {
                let hidden = match authority[..end].contains(':') {
                    true => "***:***",
                    false => "***",
                };
                out.push_str(hidden);
                &after[end..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// Queries of URLs that are questions of the go command or of git, and no secret.
fn is_plain(query: &str) -> bool {
    query == "go-get=1" || query.starts_with("service=git-") || query == "***"
}

fn queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let url = &after[..url_len(after)];
        rest = &after[url.len()..];
        match url.split_once('?') {
            Some((path, query)) if !is_plain(query) && !query.is_empty() => {
                out.push_str(path);
                out.push_str("?***");
            }
            _ => out.push_str(url),
        }
    }
    out.push_str(rest);
    out
}

/// Where a URL ends within a text or a list: signed addresses have commas of their own.
fn url_len(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || matches!(c, '|' | '"' | '\'' | '<' | '>' | ')' | ';');
    let whole = text.find(ends).unwrap_or(text.len());
    let next = |rest: &str| {
        let rest = rest.trim_start();
        let scheme = rest.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_scheme = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
        is_scheme || rest.is_empty() || rest.starts_with("direct") || rest.starts_with("off")
    };
    let text = &text[..whole];
    let commas = text.match_indices(',').map(|(at, _)| at);
    let mut ends = commas.filter(|at| next(&text[at + 1..]));
    ends.next().unwrap_or(whole)
}

/// GOAUTH with what its commands are told taken out: `helper --token x` becomes `helper ***`.
pub fn auth(text: &str) -> String {
    let command = |command: &str| {
        let mut words = command.split_whitespace();
        let first = words.next().unwrap_or_default();
        match words.next() {
            None => command.to_owned(),
            Some(_) if first == "git" => command.to_owned(),
            Some(_) => format!("{first} ***"),
        }
    };
    logins(&text.split(';').map(command).collect::<Vec<_>>().join(";"))
}

/// A name of which only the first letter and the length are shown.
pub fn name(name: &str) -> String {
    let first: String = name.chars().take(1).collect();
    format!("{first}***({})", name.chars().count())
}

/// Flags with the values of those that can carry secrets taken out (`-ldflags=-X main.token=...`).
pub fn flags(text: &str) -> String {
    let hidden = |word: &str| match word.split_once('=') {
        Some((name, _)) if name.trim_start_matches(['-', '\'', '"']).ends_with("flags") => {
            format!("{name}=***")
        }
        _ if word.contains("main.") => "***".to_owned(),
        _ => word.to_owned(),
    };
    text.split(' ').map(hidden).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_names_and_link_flags_are_hidden() {
        let list = "https://u:p@w@a.example/x,https://tok@b.example|http://c.example:1,direct";
        let shown = "https://***:***@a.example/x,https://***@b.example|http://c.example:1,direct";
        assert_eq!(logins(list), shown);
        assert_eq!(logins("a@b ssh://git@h/x"), "a@b ssh://***@h/x");
        assert_eq!(
            logins(
                "https://a.example/x?token=s,t&u=1,https://b.example?q=2|direct see https://c/?go-get=1"
            ),
            "https://a.example/x?***,https://b.example?***|direct see https://c/?go-get=1"
        );
        assert_eq!(
            auth("netrc; helper --token s;git /x"),
            "netrc;helper ***;git /x"
        );
        assert_eq!(name("carol"), "c***(5)");
        assert_eq!(
            flags("-mod=mod -ldflags=-X main.t=s"),
            "-mod=mod -ldflags=*** ***"
        );
    }
}
