//! GOVCS: which version control program may be started for which module.
//!
//! The first rule that matches decides, and without a match nothing is allowed, so the defaults
//! (anything for private modules, git and hg for public ones) stand behind the user's rules as
//! two more rules. The grammar and the messages are those of `go help vcs`.

use std::collections::HashMap;

use crate::pattern::Glob;
use crate::quote::quote;

/// The rules, in the order they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoVcs {
    rules: Vec<Rule>,
}

/// What is wrong with a GOVCS setting, in the go command's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoVcsError {
    /// Nothing between two commas.
    #[error("empty entry in GOVCS")]
    EmptyEntry,
    /// No colon between pattern and list.
    #[error("malformed entry in GOVCS (missing colon): {}", quote(.0))]
    MissingColon(String),
    /// Nothing before the colon.
    #[error("empty pattern in GOVCS: {}", quote(.0))]
    EmptyPattern(String),
    /// Nothing behind the colon.
    #[error("empty VCS list in GOVCS: {}", quote(.0))]
    EmptyList(String),
    /// A pattern that begins with `./` or `../`.
    #[error("relative pattern not allowed in GOVCS: {}", quote(.0))]
    Relative(String),
    /// A second rule for a pattern: it would never be reached.
    #[error("unreachable pattern in GOVCS: {} after {}", quote(.entry), quote(.earlier))]
    Unreachable {
        /// The second rule.
        entry: String,
        /// The first one.
        earlier: String,
    },
    /// Nothing between two bars.
    #[error("empty VCS name in GOVCS: {}", quote(.0))]
    EmptyName(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    scope: Scope,
    allowed: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Private,
    Public,
    /// `None` when malformed: such a glob matches nothing.
    Glob(Option<Glob>),
}

impl GoVcs {
    /// Reads the value of GOVCS, without the defaults.
    pub fn parse(setting: &str) -> Result<Self, GoVcsError> {
        let setting = setting.trim();
        let mut rules = Vec::new();
        if setting.is_empty() {
            return Ok(Self { rules });
        }
        let mut earlier: HashMap<&str, &str> = HashMap::new();
        for entry in setting.split(',') {
            let entry = entry.trim();
            let (pattern, list) = split_entry(entry)?;
            if let Some(first) = earlier.insert(pattern, entry) {
                return Err(GoVcsError::Unreachable {
                    entry: entry.to_owned(),
                    earlier: first.to_owned(),
                });
            }
            rules.push(Rule {
                scope: Scope::new(pattern),
                allowed: split_list(entry, list)?,
            });
        }
        Ok(Self { rules })
    }

    /// Adds the go command's defaults behind the rules.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.rules.push(Rule {
            scope: Scope::Private,
            allowed: names(&["all"]),
        });
        self.rules.push(Rule {
            scope: Scope::Public,
            allowed: names(&["git", "hg"]),
        });
        self
    }

    /// Whether the program `vcs` may be started for the module or repository root `path`, which
    /// is `private` when GOPRIVATE covers it.
    pub fn allows(&self, path: &str, private: bool, vcs: &str) -> bool {
        self.rules
            .iter()
            .find(|rule| rule.scope.covers(path, private))
            .is_some_and(|rule| rule.allowed.iter().any(|name| name == vcs || name == "all"))
    }

    /// [`Self::allows`] with the go command's message for a refusal.
    pub fn check(&self, path: &str, private: bool, vcs: &str) -> Result<(), String> {
        if self.allows(path, private, vcs) {
            return Ok(());
        }
        let what = if private { "private" } else { "public" };
        Err(format!(
            "GOVCS disallows using {vcs} for {what} {path}; see 'go help vcs'"
        ))
    }
}

impl Scope {
    fn new(pattern: &str) -> Self {
        match pattern {
            "private" => Self::Private,
            "public" => Self::Public,
            _ => Self::Glob(Glob::parse(pattern)),
        }
    }

    fn covers(&self, path: &str, private: bool) -> bool {
        match self {
            Self::Private => private,
            Self::Public => !private,
            Self::Glob(glob) => glob.as_ref().is_some_and(|glob| glob.covers(path)),
        }
    }
}

/// Splits an entry into pattern and list.
fn split_entry(entry: &str) -> Result<(&str, &str), GoVcsError> {
    if entry.is_empty() {
        return Err(GoVcsError::EmptyEntry);
    }
    let Some((pattern, list)) = entry.split_once(':') else {
        return Err(GoVcsError::MissingColon(entry.to_owned()));
    };
    let (pattern, list) = (pattern.trim(), list.trim());
    if pattern.is_empty() {
        return Err(GoVcsError::EmptyPattern(entry.to_owned()));
    }
    if list.is_empty() {
        return Err(GoVcsError::EmptyList(entry.to_owned()));
    }
    let relative = pattern.starts_with("./") || pattern.starts_with("../");
    if relative || pattern == "." || pattern == ".." {
        return Err(GoVcsError::Relative(pattern.to_owned()));
    }
    Ok((pattern, list))
}

fn split_list(entry: &str, list: &str) -> Result<Vec<String>, GoVcsError> {
    list.split('|')
        .map(|name| match name.trim() {
            "" => Err(GoVcsError::EmptyName(entry.to_owned())),
            name => Ok(name.to_owned()),
        })
        .collect()
}
