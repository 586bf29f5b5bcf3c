//! `go.sum`: which hashes a project expects.
//!
//! A line is module, version and hash; a version that ends in `/go.mod` stands for the `.mod` file
//! alone. Source of the rule: golang.org/ref/mod#go-sum-files.

use crate::h1::H1;

/// The part of a version that marks a `.mod` line.
const GO_MOD: &str = "/go.mod";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Line number, from 1.
    pub number: usize,
    /// Module path, as written.
    pub path: String,
    /// Version, as written, without `/go.mod`.
    pub version: String,
    /// Whether the line is for the `.mod` file.
    pub go_mod: bool,
    /// The hash as written.
    pub text: String,
}

impl Line {
    /// The hash, if its algorithm is known. The go command passes over others with a warning.
    pub fn hash(&self) -> Option<H1> {
        self.text.parse().ok()
    }
}

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed go.sum:\n{name}:{number}: wrong number of fields {fields}")]
pub struct GoSumError {
    /// The file, for the message.
    pub name: String,
    /// Line number, from 1.
    pub number: usize,
    /// Fields that the line has.
    pub fields: usize,
}

/// A parsed file.
#[derive(Debug, Clone, Default)]
pub struct GoSum {
    lines: Vec<Line>,
}

impl GoSum {
    /// Reads a file; `name` is for messages. Blank lines are passed over. What is not UTF-8 cannot
    /// be a module, so it is replaced and matches nothing.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, GoSumError> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = index + 1;
            match fields.as_slice() {
                [] => {}
                [path, version, hash] => {
                    let plain = version.strip_suffix(GO_MOD);
                    lines.push(Line {
                        number,
                        path: (*path).into(),
                        version: plain.unwrap_or(version).into(),
                        go_mod: plain.is_some(),
                        text: (*hash).into(),
                    });
                }
                other => {
                    return Err(GoSumError {
                        name: name.into(),
                        number,
                        fields: other.len(),
                    });
                }
            }
        }
        Ok(Self { lines })
    }

    /// All lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The lines for one file of a version.
    pub fn find(&self, path: &str, version: &str, go_mod: bool) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(move |l| l.go_mod == go_mod && l.path == path && l.version == version)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let text = "a.b/c v1.0.0 h1:x\n\na.b/c v1.0.0/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\r\n";
        let sums = GoSum::parse("go.sum", text.as_bytes()).unwrap();
        assert_eq!(sums.lines().count(), 2);
        assert_eq!(
            sums.find("a.b/c", "v1.0.0", false).next().unwrap().hash(),
            None
        );
        let line = sums.find("a.b/c", "v1.0.0", true).next().unwrap();
        assert_eq!((line.number, line.hash().is_some()), (3, true));
    }

    #[test]
    fn a_line_with_other_fields_is_named() {
        let error = GoSum::parse("go.sum", b"a b c\na b\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed go.sum:\ngo.sum:2: wrong number of fields 2"
        );
        GoSum::parse("go.sum", b"\xff\xfe \x00 c").unwrap();
    }
}
