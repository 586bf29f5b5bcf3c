//! Secrets never reach a screen, a facts file or a bug report.

/// Text with the logins of its URLs taken out: `https://u:p@host` becomes `https://***:***@host`,
/// `https://token@host` becomes `https://***@host`. That a login stood there stays visible, since
/// some checks are about it.
pub fn logins(text: &str) -> String {
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
        assert_eq!(name("carol"), "c***(5)");
        assert_eq!(
            flags("-mod=mod -ldflags=-X main.t=s"),
            "-mod=mod -ldflags=*** ***"
        );
    }
}
