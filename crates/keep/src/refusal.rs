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
    /// It is not there, and may be at any moment.
    NotYet,
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

/// Words of a refusal that name its cause, the most telling first: the label of the page that
/// `modkeep explain LABEL` shows.
const TELLING: &[(&str, &str)] = &[
    ("checksum mismatch", "checksum_mismatch_unresolved"),
    ("its answer is not proved", "sumdb_divergent"),
    ("so no checksum database is asked", "sumdb_private_410"),
    ("(--verify strict)", "sumdb_unreachable"),
    ("not logged yet", "sumdb_unreachable"),
    ("have to cosign", "sumdb_unreachable"),
    ("is a web page", "captive_or_hijacked_response"),
    ("GOVCS", "govcs_disallowed"),
    ("(publickey)", "auth_required_git_ssh"),
    ("Host key verification failed", "auth_required_git_ssh"),
    ("could not read Username", "auth_required_https"),
    ("terminal prompts disabled", "auth_required_https"),
    ("Authentication failed", "auth_required_https"),
    ("malformed file path", "malformed_file_path"),
    ("case-insensitive file name collision", "case_collision"),
    ("too large", "zip_too_large"),
    ("not a valid zip file", "proxy_corrupt_content"),
    ("zip for ", "proxy_corrupt_content"),
    ("zip: ", "proxy_corrupt_content"),
    ("bytes came", "truncated_transfer"),
    ("was cut", "truncated_transfer"),
    ("dns error", "dns_failure"),
    ("failed to lookup address", "dns_failure"),
    ("Connection refused", "connect_refused"),
    ("Connection reset", "connection_reset"),
    ("No route to host", "no_route"),
    ("Network is unreachable", "no_route"),
    ("Expired", "tls_cert_expired"),
    ("NotValidYet", "clock_skew"),
    ("NotValidForName", "tls_hostname_mismatch"),
    ("UnknownIssuer", "tls_intercept"),
    ("redirects", "redirect_loop"),
    ("No space left", "disk_full"),
    ("free some space", "disk_full"),
];

impl Refusal {
    /// Which page of `modkeep explain` tells more, if one does.
    pub fn label(&self) -> Option<&'static str> {
        let told = TELLING.iter().find(|(words, _)| self.text.contains(words));
        match (told, self.blame) {
            (_, Blame::Malformed | Blame::Absent | Blame::NotYet | Blame::Gone) => None,
            (Some((_, label)), _) => Some(label),
            (None, Blame::Denied(401 | 407)) => Some("proxy_auth_401"),
            (None, Blame::Denied(429)) => Some("proxy_rate_limited"),
            (None, Blame::Denied(_)) => Some("proxy_forbidden"),
            (None, Blame::Upstream) => Some("upstream_5xx"),
            (None, Blame::Slow) => Some("server_stall"),
            (None, Blame::Busy | Blame::Ours) => None,
        }
    }

    /// Every label that [`Refusal::label`] may give.
    pub fn labels() -> impl Iterator<Item = &'static str> {
        let by_blame = [
            "proxy_auth_401",
            "proxy_rate_limited",
            "proxy_forbidden",
            "upstream_5xx",
            "server_stall",
        ];
        let telling = TELLING.iter().map(|(_, label)| *label);
        telling.chain(by_blame)
    }

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
