//! What is known about each root cause, read from the files in `data/causes`.
//!
//! One file per cause. `label`, `family`, `reports` (how many public reports had this cause: the
//! prior), `shows` (typical words of the go command), `remedy` by safety class, `avoid` (common
//! wrong advice and the reason against it), a page in English and Chinese, and the rules:
//! `[[sign]]` gives a cause its score, `[[hint]]` shifts a score that a sign gave.

mod condition;
mod embedded;
mod pattern;

use std::sync::OnceLock;

use serde::Deserialize;

pub use condition::{Asks, Condition, Fact};
pub use pattern::Pattern;

/// Language of pages, remedies and titles. Evidence and commands have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// How dangerous a remedy is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Safe and reversible: settings, caches, looking.
    A,
    /// Changes the project: go.mod, go.sum, vendor, sources.
    B,
    /// Lowers verification; never done automatically.
    C,
}

impl Class {
    /// The letter that JSON and screens show.
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }
}

/// Something that helps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// How dangerous it is.
    pub class: Class,
    en: String,
    zh: String,
    /// A command with `{placeholders}` that a finding fills in, where one exists.
    pub command: Option<String>,
}

impl Remedy {
    /// What to do, in words.
    pub fn text(&self, lang: Lang) -> &str {
        pick(lang, &self.en, &self.zh)
    }
}

/// Advice that is often given and wrong: `[advice, why not]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Avoid {
    en: [String; 2],
    zh: [String; 2],
}

impl Avoid {
    /// What people say.
    pub fn advice(&self, lang: Lang) -> &str {
        pick(lang, &self.en[0], &self.zh[0])
    }

    /// Why not.
    pub fn why(&self, lang: Lang) -> &str {
        pick(lang, &self.en[1], &self.zh[1])
    }
}

/// One language's part of a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prose {
    /// The cause in one line.
    pub title: String,
    /// What the user sees.
    pub see: String,
    /// What it means.
    pub means: String,
    /// How to prove it.
    pub prove: String,
}

/// A rule that gives its cause a score: all parts that are present must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// Must match the failure's text, or the setting named in `env`.
    pub text: Option<Pattern>,
    /// Name of a setting whose value `text` is matched against instead.
    pub env: Option<String>,
    /// Must be derived from the text or the settings.
    pub fact: Option<Fact>,
    /// Strength, 1 to 100: 90 and more is decisive wording, 50 is "possible".
    pub weight: u8,
    /// Variant that this sign proves.
    pub variant: Option<String>,
    /// Further conditions.
    #[serde(default, rename = "if")]
    pub conditions: Vec<Condition>,
}

/// A rule that shifts a score given by a sign.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// All must hold.
    #[serde(rename = "if")]
    pub conditions: Vec<Condition>,
    /// Added to the score.
    pub add: i16,
}

/// Everything known about one root cause.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Name in the taxonomy; never changes.
    pub label: String,
    /// Group in lists: network, proxy, sumdb, integrity, origin, resolution, local.
    pub family: String,
    /// Public reports counted; 0 = seen in experiments only.
    pub reports: u32,
    /// Other names for the same cause.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Typical words of the go command and its tools.
    pub shows: Vec<String>,
    /// Command that proves the cause, with `{placeholders}`.
    pub prove_command: Option<String>,
    /// What helps, safest first.
    pub remedy: Vec<Remedy>,
    /// What not to do.
    pub avoid: Vec<Avoid>,
    en: Prose,
    zh: Prose,
    /// Rules that give a score.
    #[serde(default, rename = "sign")]
    pub signs: Vec<Sign>,
    /// Rules that shift it.
    #[serde(default, rename = "hint")]
    pub hints: Vec<Hint>,
}

impl Cause {
    /// The page in a language.
    pub fn prose(&self, lang: Lang) -> &Prose {
        pick(lang, &self.en, &self.zh)
    }

    /// Every pattern of every rule, for tests that compile them all.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let signs = self.signs.iter().flat_map(|sign| {
            let conditions = sign.conditions.iter().filter_map(Condition::pattern);
            sign.text.iter().chain(conditions)
        });
        let hints = self.hints.iter().flat_map(|hint| hint.conditions.iter());
        signs.chain(hints.filter_map(Condition::pattern))
    }
}

/// Every known cause, in the order of labels. Read once; a file that does not parse is left out,
/// which a test forbids.
pub fn all() -> &'static [Cause] {
    static ALL: OnceLock<Vec<Cause>> = OnceLock::new();
    ALL.get_or_init(|| {
        let files = embedded::SOURCES.iter();
        files.filter_map(|text| parse(text).ok()).collect()
    })
}

/// The cause with this label or alias; a variant after `:` is ignored.
pub fn find(label: &str) -> Option<&'static Cause> {
    let name = label.split(':').next().unwrap_or(label).trim();
    all()
        .iter()
        .find(|cause| cause.label == name || cause.aliases.iter().any(|alias| alias == name))
}

/// The text of every cause file, for tests and tools that check the data.
pub fn sources() -> &'static [&'static str] {
    embedded::SOURCES
}

/// Reads one cause file.
///
/// # Errors
/// Says what is missing or misspelt, with line and column.
pub fn parse(text: &str) -> Result<Cause, toml::de::Error> {
    toml::from_str(text)
}

fn pick<'a, T: ?Sized>(lang: Lang, en: &'a T, zh: &'a T) -> &'a T {
    match lang {
        Lang::En => en,
        Lang::Zh => zh,
    }
}
