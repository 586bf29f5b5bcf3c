//! Regular expressions of the data files.
//!
//! They are written as a person reads the message: a single space stands for any run of white
//! space, so that a wrapped line still matches; letters match in either case; `.` crosses lines,
//! because one failure is matched at a time. Matching is linear in the text, whatever the
//! pattern, and the compiled size is bounded.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// Far above the largest pattern of the data (about 60 KiB); stops a contributor's slip.
const COMPILED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A pattern, compiled when first used.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl From<String> for Pattern {
    fn from(source: String) -> Self {
        Self {
            source,
            compiled: OnceLock::new(),
        }
    }
}

impl Pattern {
    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Compiles it.
    ///
    /// # Errors
    /// The regular expression's own complaint, or that it is too large.
    pub fn compile(&self) -> Result<Regex, regex::Error> {
        build(&self.source)
    }

    /// Where it first matches. A pattern that does not compile never does; a test forbids those.
    pub fn find<'t>(&self, text: &'t str) -> Option<regex::Match<'t>> {
        let compiled = self.compiled.get_or_init(|| self.compile().ok());
        compiled.as_ref()?.find(text)
    }

    /// Whether it matches anywhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.find(text).is_some()
    }
}

fn build(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&source.replace(' ', r"[ \t\r\n]+"))
        .case_insensitive(true)
        .multi_line(true)
        .dot_matches_new_line(true)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
}
