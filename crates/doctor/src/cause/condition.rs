//! Conditions of rules, one short string each: `text:RE` (this failure), `any:RE` (the whole
//! text), `command:RE`, `env.NAME:RE` (a setting), `fact:NAME`, `go:<1.16`; `!` before it denies.

use serde::Deserialize;

use super::pattern::Pattern;

/// Something about a failure that no regular expression can say.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The module lives on a host that serves public code.
    PublicHost,
    /// The module lives elsewhere, or on a host that looks internal.
    PrivateHost,
    /// GOPROXY begins with a proxy other than proxy.golang.org.
    Mirror,
    /// As `Mirror`, and the list has no `direct`.
    MirrorOnly,
    /// GOPROXY is `direct` alone.
    GoproxyDirectOnly,
    /// git was sent to a path above the module's: a group taken for a repository.
    RepoAboveModule,
    /// The declared and the required path differ only by case.
    CaseOnlyDifference,
    /// The declared path is the required one plus `/vN`.
    DeclaredAddsMajor,
    /// A pattern of GOPRIVATE or its kin cannot match anything.
    GoprivateSuspect,
}

/// What a condition asks about.
#[derive(Debug)]
pub enum Asks {
    /// The failure's text.
    Text(Pattern),
    /// The whole text.
    Any(Pattern),
    /// The command line.
    Command(Pattern),
    /// The value of a setting; an unset one never matches.
    Setting(String, Pattern),
    /// A derived fact.
    Fact(Fact),
    /// The Go release is known and its minor number lies below this.
    GoBelow(u32),
}

/// One condition of a rule.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Condition {
    /// What it asks about.
    pub asks: Asks,
    /// Whether it must not hold.
    pub denied: bool,
}

impl Condition {
    /// The pattern inside, if it has one.
    pub fn pattern(&self) -> Option<&Pattern> {
        match &self.asks {
            Asks::Text(p) | Asks::Any(p) | Asks::Command(p) | Asks::Setting(_, p) => Some(p),
            Asks::Fact(_) | Asks::GoBelow(_) => None,
        }
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(whole: String) -> Result<Self, String> {
        let (denied, rest) = match whole.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, whole.as_str()),
        };
        let (kind, value) = rest
            .split_once(':')
            .ok_or_else(|| format!("condition {whole:?} lacks a kind before ':'"))?;
        let pattern = || Pattern::from(value.to_owned());
        let asks = match kind {
            "text" => Asks::Text(pattern()),
            "any" => Asks::Any(pattern()),
            "command" => Asks::Command(pattern()),
            "fact" => Asks::Fact(fact(value)?),
            "go" => Asks::GoBelow(minor(value)?),
            _ => match kind.strip_prefix("env.") {
                Some(name) => Asks::Setting(name.to_owned(), pattern()),
                None => return Err(format!("condition {whole:?}: unknown kind {kind:?}")),
            },
        };
        Ok(Self { asks, denied })
    }
}

fn fact(name: &str) -> Result<Fact, String> {
    use serde::de::IntoDeserializer;
    use serde::de::value::Error;
    Fact::deserialize(IntoDeserializer::<Error>::into_deserializer(name)).map_err(|e| e.to_string())
}

fn minor(text: &str) -> Result<u32, String> {
    text.strip_prefix("<1.")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("go:{text} should be like go:<1.16"))
}
