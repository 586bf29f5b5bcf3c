//! The two encodings a name wears on the wire: `!a` for `A`, and percent signs around that.
//!
//! A proxy may be a tree of static files on a file system that ignores case, so no two names may
//! differ by case alone: an upper-case letter becomes `!` and its lower-case form. Hexadecimal
//! would do as well but could not be read in logs. The go command then percent-encodes the `!`
//! (`%21a`) where other clients send it plain; [`percent_decode`] makes the two one.

use std::borrow::Cow;

use crate::path::{ModulePath, PathError};
use crate::quote::quote;
use crate::version::{Revision, VersionError};

/// Why an escaped name stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// Breaks the `!a` form itself.
    #[error("invalid escaped {noun} {}: {reason}", quote(escaped))]
    Form {
        /// `module path` or `version`.
        noun: &'static str,
        /// The name at fault.
        escaped: String,
        /// What breaks the form.
        reason: &'static str,
    },
    /// Stands for something that is not a module path.
    #[error("invalid escaped module path {}: {error}", quote(escaped))]
    Path {
        /// The name at fault.
        escaped: String,
        /// The rule it breaks.
        error: PathError,
    },
    /// Stands for something that is not a version.
    #[error("invalid escaped version {}: {error}", quote(escaped))]
    Version {
        /// The name at fault.
        escaped: String,
        /// The rule it breaks.
        error: VersionError,
    },
}

/// Why percent-encoded text cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a percent sign must be followed by two hexadecimal digits")]
    Incomplete,
    /// The bytes are not text.
    #[error("the decoded bytes are not UTF-8")]
    NotUtf8,
    /// A NUL byte, plain or encoded.
    #[error("it contains a NUL byte")]
    Nul,
}

/// Escapes a module path, which must be valid.
pub fn escape_path(path: &str) -> Result<String, PathError> {
    Ok(ModulePath::parse(path)?.escaped())
}

/// Escapes a version or other revision, which must be valid.
pub fn escape_version(version: &str) -> Result<String, VersionError> {
    Ok(Revision::parse(version)?.escaped())
}

/// Reads an escaped module path.
pub fn unescape_path(escaped: &str) -> Result<ModulePath, EscapeError> {
    let path = unescape(escaped).map_err(|reason| EscapeError::Form {
        noun: "module path",
        escaped: escaped.to_owned(),
        reason,
    })?;
    ModulePath::parse(&path).map_err(|error| EscapeError::Path {
        escaped: escaped.to_owned(),
        error,
    })
}

/// Reads an escaped version or other revision.
pub fn unescape_version(escaped: &str) -> Result<Revision, EscapeError> {
    let version = unescape(escaped).map_err(|reason| EscapeError::Form {
        noun: "version",
        escaped: escaped.to_owned(),
        reason,
    })?;
    Revision::parse(&version).map_err(|error| EscapeError::Version {
        escaped: escaped.to_owned(),
        error,
    })
}

/// Decodes `%XX` once, strictly. A `+` is a plus: this is a path, not a form.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, PercentError> {
    if text.contains('\0') {
        return Err(PercentError::Nul);
    }
    let mut parts = text.split('%');
    let plain = parts.next().unwrap_or_default();
    if plain.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend_from_slice(plain.as_bytes());
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or(PercentError::Incomplete)?;
        bytes.push(hex_byte(code).ok_or(PercentError::Incomplete)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    if bytes.contains(&0) {
        return Err(PercentError::Nul);
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| PercentError::NotUtf8)
}

/// Encodes what may not stand in a URL path as it is. Slashes and `!` stay.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 15));
        }
    }
    out
}

impl ModulePath {
    /// The path as it stands in URLs and file names.
    pub fn escaped(&self) -> String {
        escape(self.as_str())
    }
}

impl Revision {
    /// The revision as it stands in URLs and file names.
    pub fn escaped(&self) -> String {
        escape(self.as_str())
    }
}

impl crate::version::Version {
    /// The version as it stands in URLs and file names.
    pub fn escaped(&self) -> String {
        escape(self.as_str())
    }
}

/// The checked types hold neither `!` nor anything outside ASCII, so this cannot collide.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn unescape(escaped: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        match c {
            '!' => match chars.next() {
                Some(lower @ 'a'..='z') => out.push(lower.to_ascii_uppercase()),
                _ => return Err("an exclamation mark must be followed by a lower-case letter"),
            },
            'A'..='Z' => return Err("an upper-case letter is written as !a"),
            _ if !c.is_ascii() => return Err("only ASCII can be escaped"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn hex_byte(code: &str) -> Option<u8> {
    let digits = code.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(code, 16).ok().filter(|_| digits)
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}
