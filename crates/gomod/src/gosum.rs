//! `go.sum`: which hashes a project expects.
//!
//! A line is module, version and hash; a version that ends in `/go.mod` stands for the `.mod` file
//! alone. Source of the rule: golang.org/ref/mod#go-sum-files and the go command.

use crate::h1::H1;

/// The part of a version that marks a `.mod` line.
const GO_MOD: &str = "/go.mod";

/// Bytes of a file that is parsed: a line has some 120, the largest projects have some ten thousand.
const BYTES_MAX: usize = 64 << 20;

/// The hash of an empty go.mod. Early releases wrote it for what was no module; the go command
/// passes over such lines, and so does [`GoSum::parse`].
const EMPTY_GO_MOD: &str = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";

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
    /// The hash; none if its algorithm is unknown, or if it is none at all.
    pub fn hash(&self) -> Option<H1> {
        self.text.parse().ok()
    }

    /// Whether the algorithm is known. The go command passes over hashes of others, while one of
    /// a known algorithm that is damaged is a mismatch.
    pub fn is_known(&self) -> bool {
        self.text.starts_with("h1:")
    }

    fn key(&self) -> (&str, &str, bool) {
        (&self.path, &self.version, self.go_mod)
    }
}

/// A file that is no go.sum. Displayed in the go command's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GoSumError {
    /// A line that has not three fields.
    #[error("malformed go.sum:\n{name}:{number}: wrong number of fields {fields}")]
    Fields {
        /// The file.
        name: String,
        /// Line number, from 1.
        number: usize,
        /// Fields that the line has.
        fields: usize,
    },
    /// Larger than 64 MiB.
    #[error("malformed go.sum:\n{name}: larger than {BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        name: String,
    },
}

/// A parsed file.
#[derive(Debug, Clone, Default)]
pub struct GoSum {
    lines: Vec<Line>,
    /// Indices of the lines, by module, version and kind.
    sorted: Vec<usize>,
}

impl GoSum {
    /// Reads a file; `name` is for messages. Blank lines are passed over. What is not UTF-8 cannot
    /// be a module, so it is replaced and matches nothing.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, GoSumError> {
        if bytes.len() > BYTES_MAX {
            return Err(GoSumError::TooLarge { name: name.into() });
        }
        let text = String::from_utf8_lossy(bytes);
        let mut lines = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let mut fields = line.split_whitespace();
            match [fields.next(), fields.next(), fields.next(), fields.next()] {
                [None, ..] | [_, _, Some(EMPTY_GO_MOD), None] => {}
                [Some(path), Some(version), Some(hash), None] => {
                    lines.push(parse_line(index + 1, path, version, hash));
                }
                _ => {
                    return Err(GoSumError::Fields {
                        name: name.into(),
                        number: index + 1,
                        fields: line.split_whitespace().count(),
                    });
                }
            }
        }
        let mut sorted: Vec<usize> = (0..lines.len()).collect();
        sorted.sort_by(|a, b| lines[*a].key().cmp(&lines[*b].key()));
        Ok(Self { lines, sorted })
    }

    /// All lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The lines for one file of a version, in order.
    pub fn find(&self, path: &str, version: &str, go_mod: bool) -> impl Iterator<Item = &Line> {
        let wanted = (path, version, go_mod);
        let start = self
            .sorted
            .partition_point(|i| self.lines[*i].key() < wanted);
        let end = self
            .sorted
            .partition_point(|i| self.lines[*i].key() <= wanted);
        self.sorted[start..end].iter().map(|i| &self.lines[*i])
    }
}

fn parse_line(number: usize, path: &str, version: &str, hash: &str) -> Line {
    let plain = version.strip_suffix(GO_MOD);
    Line {
        number,
        path: path.into(),
        version: plain.unwrap_or(version).into(),
        go_mod: plain.is_some(),
        text: hash.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let text = "a.b/c v1.0.0 h1:x\n\na.b/c v1.0.0/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=\r\na.b/c v1.0.0 h9:y";
        let sums = GoSum::parse("go.sum", text.as_bytes()).unwrap();
        assert_eq!(sums.lines().count(), 3);
        let whole: Vec<_> = sums.find("a.b/c", "v1.0.0", false).collect();
        assert_eq!([whole[0].number, whole[1].number], [1, 4]);
        assert_eq!([whole[0].hash(), whole[1].hash()], [None, None]);
        assert!(whole[0].is_known() && !whole[1].is_known());
        let line = sums.find("a.b/c", "v1.0.0", true).next().unwrap();
        assert_eq!((line.number, line.hash().is_some()), (3, true));
        assert_eq!(sums.find("a.b/c", "v1.0.1", true).count(), 0);
    }

    #[test]
    fn a_line_with_other_fields_is_named() {
        let error = GoSum::parse("go.sum", b"a b c\na b\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed go.sum:\ngo.sum:2: wrong number of fields 2"
        );
        let error = GoSum::parse("x/go.sum", b"a b c d e").unwrap_err();
        assert_eq!(
            error.to_string(),
            "malformed go.sum:\nx/go.sum:1: wrong number of fields 5"
        );
        GoSum::parse("go.sum", b"\xff\xfe \x00 c").unwrap();
    }

    #[test]
    fn hashes_of_an_empty_go_mod_are_passed_over() {
        let text = format!("a.b/c v1.0.0/go.mod {EMPTY_GO_MOD}\n");
        assert_eq!(
            GoSum::parse("go.sum", text.as_bytes())
                .unwrap()
                .lines()
                .count(),
            0
        );
        assert_eq!(crate::h1::hash_mod(b"").to_string(), EMPTY_GO_MOD);
    }
}
