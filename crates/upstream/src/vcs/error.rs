//! Why a direct fetch failed, classed by what the caller may conclude.
//!
//! Only [`DirectError::NotFound`] says that the origin itself was asked and does not have the
//! thing: that alone may become a 404, because a 404 makes a client fall through to the next
//! proxy or remember the absence. Everything else is trouble on the way and must stay an error.

/// A failed direct fetch. Every text is masked: it never holds a credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DirectError {
    /// The origin was reached and proves that this module, version or revision is not there.
    #[error("{text}")]
    NotFound {
        /// What the go command would say, then advice.
        text: String,
    },
    /// A rule forbids it: GOVCS, a version that contradicts the repository, an unsafe name.
    #[error("{text}")]
    Refused {
        /// What the go command would say, then advice.
        text: String,
    },
    /// The origin wants credentials we do not have, or refuses those we sent.
    #[error("{text}")]
    Auth {
        /// The program's words, masked, then advice.
        text: String,
    },
    /// The origin could not be reached or answered with a server error.
    #[error("{text}")]
    Unreachable {
        /// The program's words, masked, then advice.
        text: String,
    },
    /// The program or the origin took longer than `Limits::process_time`.
    #[error("{text}")]
    Timeout {
        /// Which program, and after how long.
        text: String,
    },
    /// A size limit was met: output, archive, disk.
    #[error("{text}")]
    Limits {
        /// Which limit, and its value.
        text: String,
    },
    /// A version control program failed in a way we cannot class.
    #[error("{program}: {said}{}", hint_line(hint))]
    Program {
        /// The program and its sub-command, never its URL with credentials.
        program: String,
        /// Its standard error, masked and cut.
        said: String,
        /// What to do, or empty.
        hint: String,
    },
    /// The local clone is damaged and could not be rebuilt.
    #[error("{text}")]
    Damaged {
        /// What the program said of the clone.
        text: String,
    },
    /// Our own failure: the cache directory, a task that panicked.
    #[error("{text}")]
    Internal {
        /// What went wrong.
        text: String,
    },
}

fn hint_line(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!("\n{hint}")
    }
}

impl DirectError {
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::NotFound { text: text.into() }
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused { text: text.into() }
    }

    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self::Internal { text: text.into() }
    }

    pub(crate) fn limits(text: impl Into<String>) -> Self {
        Self::Limits { text: text.into() }
    }

    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Self::Damaged { text: text.into() }
    }

    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::Unreachable { text: text.into() }
    }

    /// Whether the origin proves absence.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The same failure with `head: ` before its text.
    #[must_use]
    pub(crate) fn under(self, head: &str) -> Self {
        self.map_text(|text| format!("{head}: {text}"))
    }

    /// The same failure with one more line of advice.
    #[must_use]
    pub(crate) fn advise(self, advice: &str) -> Self {
        if advice.is_empty() {
            return self;
        }
        self.map_text(|text| format!("{text}\n{advice}"))
    }

    fn map_text(self, change: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::NotFound { text } => Self::NotFound { text: change(text) },
            Self::Refused { text } => Self::Refused { text: change(text) },
            Self::Auth { text } => Self::Auth { text: change(text) },
            Self::Unreachable { text } => Self::Unreachable { text: change(text) },
            Self::Timeout { text } => Self::Timeout { text: change(text) },
            Self::Limits { text } => Self::Limits { text: change(text) },
            Self::Damaged { text } => Self::Damaged { text: change(text) },
            Self::Internal { text } => Self::Internal { text: change(text) },
            Self::Program {
                program,
                said,
                hint,
            } => Self::Program {
                program: change(program),
                said,
                hint,
            },
        }
    }
}

impl From<std::io::Error> for DirectError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error.to_string())
    }
}
