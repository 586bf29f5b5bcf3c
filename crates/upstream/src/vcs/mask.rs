//! Secrets out of texts: whatever a program prints may end in a log, a reply or a report.
//!
//! Two nets: the secrets we know by value, and the shapes that secrets take in the output of
//! git, hg, svn and ssh (`user:password@` in a URL, an `Authorization` header, a token in a query).

const HIDDEN: &str = "***";

/// Query keys whose value is a secret wherever it is printed.
const SECRET_KEYS: [&str; 7] = [
    "access_token=",
    "private_token=",
    "password=",
    "passwd=",
    "token=",
    "api_key=",
    "secret=",
];

/// `text` without the values in `secrets`, URL credentials, authorization headers and tokens.
pub(crate) fn mask(text: &str, secrets: &[String]) -> String {
    let mut out = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= 3) {
        out = out.replace(secret.as_str(), HIDDEN);
    }
    let out = mask_userinfo(&out);
    let out = mask_headers(&out);
    mask_keys(&out)
}

/// The URL without its password; a bare user name is kept unless it is the only secret
/// (`https://TOKEN@host`), which is how tokens are often written.
pub(crate) fn mask_url(url: &str) -> String {
    mask(url, &[])
}

fn mask_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail
            .find(|c: char| {
                c == '/' || c == '?' || c == '#' || c.is_whitespace() || c == '\'' || c == '"'
            })
            .unwrap_or(tail.len());
        let authority = &tail[..end];
        match authority.rfind('@') {
            Some(i) if keeps_user(head, &authority[..i]) => out.push_str(authority),
            Some(i) => {
                out.push_str(HIDDEN);
                out.push_str(&authority[i..]);
            }
            None => out.push_str(authority),
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

/// `ssh://git@host` names an account, not a secret.
fn keeps_user(head: &str, userinfo: &str) -> bool {
    head.ends_with("ssh://") && !userinfo.contains(':')
}

fn mask_headers(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(at) = lower.find("authorization:") else {
        return text.to_owned();
    };
    let value = at + "authorization:".len();
    let end = text[value..]
        .find(['\n', '\'', '"'])
        .map_or(text.len(), |i| value + i);
    format!("{} {HIDDEN}{}", &text[..value], mask_headers(&text[end..]))
}

fn mask_keys(text: &str) -> String {
    let mut out = text.to_owned();
    for key in SECRET_KEYS {
        let mut from = 0;
        while let Some(i) = out[from..].to_ascii_lowercase().find(key) {
            let value = from + i + key.len();
            let end = out[value..]
                .find(|c: char| c == '&' || c.is_whitespace() || c == '\'' || c == '"')
                .map_or(out.len(), |j| value + j);
            out.replace_range(value..end, HIDDEN);
            from = value + HIDDEN.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_passwords_and_tokens_are_hidden() {
        assert_eq!(
            mask(
                "fatal: unable to access 'https://u:hunter2@h.example/x/': 403",
                &[]
            ),
            "fatal: unable to access 'https://***@h.example/x/': 403"
        );
        assert_eq!(mask("https://ghp_token@h/x", &[]), "https://***@h/x");
        assert_eq!(mask("https://a@b:p@h/x", &[]), "https://***@h/x");
    }

    #[test]
    fn an_ssh_account_is_not_a_secret() {
        assert_eq!(mask("ssh://git@h/x", &[]), "ssh://git@h/x");
        assert_eq!(mask("ssh://git:pw@h/x", &[]), "ssh://***@h/x");
    }

    #[test]
    fn headers_queries_and_known_values_are_hidden() {
        assert_eq!(
            mask("> Authorization: Basic abc\nnext", &[]),
            "> Authorization: ***\nnext"
        );
        assert_eq!(
            mask("GET /x?access_token=abc&y=1", &[]),
            "GET /x?access_token=***&y=1"
        );
        assert_eq!(mask("I know s3cret!", &["s3cret".into()]), "I know ***!");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let text = "fatal: repository 'https://h.example/x/' not found";
        assert_eq!(mask(text, &[]), text);
    }
}
