//! How a command ends: 0 good, 1 what was checked is bad, 2 wrong usage or settings, 3 could not be
//! found out.

use std::fmt::Display;
use std::process::ExitCode;

/// What was checked is bad, or something is missing.
pub const BAD: u8 = 1;

/// It could not be found out.
pub const UNKNOWN: u8 = 3;

/// A command that ended badly, with the text for standard error.
#[derive(Debug)]
pub struct Failed {
    code: u8,
    text: String,
}

impl Failed {
    /// Wrong usage or settings.
    pub fn usage(text: impl Display) -> Self {
        Self {
            code: 2,
            text: text.to_string(),
        }
    }

    /// It could not be found out or done.
    pub fn unknown(text: impl Display) -> Self {
        Self {
            code: 3,
            text: text.to_string(),
        }
    }

    /// Says so and gives the exit status.
    #[expect(clippy::print_stderr, reason = "the command line's own voice")]
    pub fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            eprintln!("modkeep: {}", self.text.trim_end());
        }
        ExitCode::from(self.code)
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
