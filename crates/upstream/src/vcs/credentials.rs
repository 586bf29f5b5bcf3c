//! Credentials per prefix: one line `PREFIX USER SECRET` each, `#` starts a comment.
//!
//! `PREFIX` is `host[:port][/path]`, matched at path boundaries, the longest wins. The secret is
//! sent only to a URL under that prefix, only for modules that are private or named under the
//! prefix themselves, and only through the environment of the child: never an argument, a file
//! of ours or a log.

use std::fmt;

/// The parsed credentials file.
#[derive(Clone, Default)]
pub struct Credentials {
    entries: Vec<Credential>,
}

/// A user and a secret for the URLs under one prefix.
#[derive(Clone)]
pub struct Credential {
    prefix: String,
    user: String,
    secret: String,
}

/// A line of the credentials file that cannot be read; its text is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials, line {line}: {what}")]
pub struct CredentialsError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Credentials {
    /// Reads the text of a credentials file.
    ///
    /// # Errors
    /// A line without three fields, or a prefix that is not `host[:port][/path]`.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = parse_line(line).map_err(|what| CredentialsError {
                line: index + 1,
                what,
            })?;
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Adds one entry; used by callers that keep credentials elsewhere.
    pub fn add(&mut self, prefix: &str, user: &str, secret: &str) {
        self.entries.push(Credential {
            prefix: prefix.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            secret: secret.to_owned(),
        });
    }

    /// The entry with the longest prefix of `place` (`host[:port]/path`).
    #[must_use]
    pub fn find(&self, place: &str) -> Option<&Credential> {
        let fits = |entry: &&Credential| has_prefix(place, &entry.prefix);
        self.entries
            .iter()
            .filter(fits)
            .max_by_key(|entry| entry.prefix.len())
    }
}

fn parse_line(line: &str) -> Result<Credential, &'static str> {
    let mut fields = line.splitn(3, char::is_whitespace).map(str::trim);
    let (Some(prefix), Some(user), Some(secret)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err("want PREFIX USER SECRET");
    };
    if secret.is_empty() || user.is_empty() {
        return Err("want PREFIX USER SECRET");
    }
    if prefix.contains("://") || prefix.contains('@') || prefix.starts_with('/') {
        return Err("the prefix is host[:port][/path], without a scheme or a user");
    }
    Ok(Credential {
        prefix: prefix.trim_end_matches('/').to_owned(),
        user: user.to_owned(),
        secret: secret.to_owned(),
    })
}

impl Credential {
    /// The prefix it is for.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The user name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The secret; never print it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether a module of this path may use it without being declared private.
    pub(crate) fn covers_module(&self, path: &str) -> bool {
        has_prefix(path, &self.prefix)
    }
}

/// Whether `prefix` is `text` or ends in it at a `/`.
pub(crate) fn has_prefix(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_prefix_at_a_path_boundary_wins() {
        let text = "# ours\ngit.example bot one\ngit.example/team bot two words\n";
        let found = Credentials::parse(text).unwrap();
        assert_eq!(
            found.find("git.example/team/x").unwrap().secret(),
            "two words"
        );
        assert_eq!(found.find("git.example/teams/x").unwrap().secret(), "one");
        assert!(found.find("git.example.evil/team").is_none());
    }

    #[test]
    fn a_bad_line_is_named_without_its_text() {
        let error = Credentials::parse("\nhttps://h user hunter2").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(!error.to_string().contains("hunter2"));
        assert!(Credentials::parse("h user").is_err());
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let found = Credentials::parse("h user hunter2").unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
