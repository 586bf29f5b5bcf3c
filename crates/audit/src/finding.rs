//! What is wrong with a log.

use serde::{Deserialize, Serialize};

/// Findings that are kept; a log with more is not worth reading on.
pub const FINDINGS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind: `signature`, `head`, `tile`, `missing`, `record`, `duplicate`, `root`, `fork`,
    /// `rollback`.
    pub kind: String,
    /// The file, as the log names it, such as `tile/8/0/x001/234` or `latest`.
    pub file: Option<String>,
    /// The record's number.
    pub record: Option<u64>,
    /// In words.
    pub what: String,
}

impl Finding {
    /// About a file.
    pub fn file(kind: &str, file: &str, what: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            file: Some(file.into()),
            record: None,
            what: what.into(),
        }
    }

    /// About a record.
    pub fn record(kind: &str, file: &str, record: u64, what: impl Into<String>) -> Self {
        Self {
            record: Some(record),
            ..Self::file(kind, file, what)
        }
    }

    /// About the log as a whole.
    pub fn whole(kind: &str, what: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            file: None,
            record: None,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(record) = self.record {
            write!(f, "record {record}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// The findings of a check: the first hundred.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one, if there is room and it is not there yet.
    pub fn add(&mut self, finding: Finding) {
        if self.0.len() < FINDINGS_MAX && !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Whether it makes no sense to look for more.
    pub fn is_full(&self) -> bool {
        self.0.len() >= FINDINGS_MAX
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order they were found.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }
}

impl Extend<Finding> for Findings {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        for finding in findings {
            self.add(finding);
        }
    }
}
