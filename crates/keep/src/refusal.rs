//! Why something is not served, sorted by blame. The server turns blame into a status in one place.

use std::time::Duration;
use store::StoreError;
use upstream::Failure;

/// Whose fault it is that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The question cannot be meant by a go client.
    Malformed,
    /// It is proved that nobody has it.
    Absent,
    /// It was there and was taken down.
    Gone,
    /// The upstream refuses with this status, and the client can do something about it.
    Denied(u16),
    /// We are the limit: disk full, too much at once.
    Busy,
    /// The upstream failed or lied.
    Upstream,
    /// The upstream did not answer in time.
    Slow,
    /// A bug of ours.
    Ours,
}

/// A refusal with the text that the developer at the go command will see.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Whose fault.
    pub blame: Blame,
    /// What failed, why, what to do.
    pub text: String,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without a time to come again.
    pub fn new(blame: Blame, text: impl Into<String>) -> Self {
        Self {
            blame,
            text: text.into(),
            retry_after: None,
        }
    }

    /// What an upstream's failure means for the client of `subject`.
    pub(crate) fn from_upstream(subject: &str, failure: Failure) -> Self {
        let with = |text: &str, hint: &str| format!("{subject}: {text}\n{hint}");
        match failure {
            // The upstream's own words, byte for byte: the go command prints them.
            Failure::Absent { status: 410, text } => Self::new(Blame::Gone, text),
            Failure::Absent { text, .. } => Self::new(Blame::Absent, text),
            Failure::Refused {
                status,
                text,
                retry_after,
            } => Self {
                blame: Blame::Denied(status),
                text: with(
                    &text,
                    "modkeep's credentials for this upstream come from its URL or netrc",
                ),
                retry_after,
            },
            Failure::Failed(text) => Self::new(
                Blame::Upstream,
                with(
                    &text,
                    "not cached here; try again, or add another upstream after a bar (--upstream A|B)",
                ),
            ),
            Failure::TimedOut(text) => Self {
                blame: Blame::Slow,
                text: with(
                    &text,
                    "not cached here; try again, or add another upstream after a bar (--upstream A|B)",
                ),
                retry_after: Some(Duration::from_secs(5)),
            },
        }
    }

    /// The upstream answered what cannot be true.
    pub(crate) fn lied(subject: &str, source: &str, what: impl std::fmt::Display) -> Self {
        Self::new(
            Blame::Upstream,
            format!("{subject}: {what}\nanswered by {source}; refused and not kept"),
        )
    }

    /// The store could not do it.
    pub(crate) fn from_store(subject: &str, error: &StoreError) -> Self {
        let (blame, hint) = match error {
            StoreError::Damaged { .. } => {
                (Blame::Ours, "it will be fetched again: repeat the request")
            }
            StoreError::Disk(_) | StoreError::Catalog(_) => (
                Blame::Busy,
                "modkeep cannot write to its data directory: free some space or mend the disk",
            ),
            StoreError::InUse(_) | StoreError::Unusable(_) | StoreError::Stopped => {
                (Blame::Busy, "modkeep is stopping")
            }
        };
        Self {
            blame,
            text: format!("{subject}: {error}\n{hint}"),
            retry_after: Some(Duration::from_secs(10)),
        }
    }
}
