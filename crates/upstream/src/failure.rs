//! What can go wrong at an upstream, sorted by whose fault it is.

use std::time::Duration;

/// Why an upstream gave no usable answer. Texts are for the developer at the go command and never
/// hold credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Proved absence: 404 or 410, a missing file, or the end of a list that says `off`.
    Absent {
        /// 404 or 410.
        status: u16,
        /// The upstream's own text, or ours.
        text: String,
    },
    /// The upstream refuses (401, 403, 429, 451), and the client can do something about it.
    Refused {
        /// Its status.
        status: u16,
        /// Who and why.
        text: String,
        /// When to come again, if it said so.
        retry_after: Option<Duration>,
    },
    /// It failed, could not be reached, or answered what cannot be true.
    Failed(String),
    /// It did not answer in time, or too slowly to wait for.
    TimedOut(String),
}

impl Failure {
    /// Whether a comma leads on after this.
    pub fn is_absent(&self) -> bool {
        matches!(self, Failure::Absent { .. })
    }

    /// The text for the developer.
    pub fn text(&self) -> &str {
        match self {
            Failure::Absent { text, .. } | Failure::Refused { text, .. } => text,
            Failure::Failed(text) | Failure::TimedOut(text) => text,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

/// The whole chain of an error's causes, without the URL that the HTTP client puts in front.
pub(crate) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(e) = next {
        let one = e.to_string();
        if !text.contains(&one) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&one);
        }
        next = e.source();
    }
    text
}
