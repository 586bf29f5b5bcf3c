//! Records of a checksum database: the go.sum lines of one module version, as leaf, as answer to
//! a lookup and in data tiles.
//!
//! A record is the text that is hashed. Only it may be believed: the go command once searched the
//! whole answer for lines, signed head included (CVE-2026-56864).

use crate::tree::SIZE_MAX;

/// A record as an answer carries it: not proved yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its number in the log, below [`SIZE_MAX`].
    pub id: u64,
    /// The text that the leaf is the hash of. It ends in a line feed.
    pub text: &'a str,
}

/// Bytes hold no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record data")]
pub struct RecordError;

/// Which of a version's two sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SumOf {
    /// Of the zip: the line `M V h1:...`.
    Zip,
    /// Of go.mod alone: the line `M V/go.mod h1:...`.
    GoMod,
}

impl<'a> Record<'a> {
    /// Checks the text of a record and gives it a number.
    pub fn new(id: u64, text: &'a str) -> Result<Self, RecordError> {
        if id >= SIZE_MAX || !is_record_text(text.as_bytes()) {
            return Err(RecordError);
        }
        Ok(Self { id, text })
    }

    /// Reads a record at the start of `message` and returns what is behind its blank line.
    ///
    /// As Go's `tlog.ParseRecord`, but for the negative numbers that the latter lets through.
    pub fn parse(message: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let end = find(message, b"\n").ok_or(RecordError)?;
        let (id, message) = (&message[..end], &message[end + 1..]);
        let id: i64 = std::str::from_utf8(id)
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or(RecordError)?;
        let id = u64::try_from(id).map_err(|_| RecordError)?;
        let end = find(message, b"\n\n").ok_or(RecordError)?;
        let (text, rest) = (&message[..=end], &message[end + 2..]);
        let text = std::str::from_utf8(text).map_err(|_| RecordError)?;
        Ok((Self::new(id, text)?, rest))
    }

    /// The record at the start of an answer: number, text, blank line. A signed head follows.
    pub fn to_answer(&self) -> String {
        format!("{}\n{}\n", self.id, self.text)
    }
}

/// The record of a module version: the zip's line first, as auditors of sum.golang.org require.
///
/// The sums are as in go.sum, `h1:` included.
pub fn go_sum_text(module: &str, version: &str, zip: &str, go_mod: &str) -> String {
    format!("{module} {version} {zip}\n{module} {version}/go.mod {go_mod}\n")
}

/// The lines of `text` about this sum of a module version, and no others.
pub fn go_sum_lines<'a>(
    text: &'a str,
    module: &str,
    version: &str,
    of: SumOf,
) -> impl Iterator<Item = &'a str> {
    let suffix = match of {
        SumOf::Zip => "",
        SumOf::GoMod => "/go.mod",
    };
    let prefix = format!("{module} {version}{suffix} ");
    text.split('\n')
        .filter(move |line| line.starts_with(&prefix))
}

/// The records of a data tile: texts separated by blank lines.
///
/// sum.golang.org ends its tiles without a blank line and Go's own server ends them with one;
/// both are read. Write them with [`data_tile`], which readers of either kind understand.
pub fn parse_data_tile(mut bytes: &[u8]) -> Result<Vec<&str>, RecordError> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (text, rest) = match find(bytes, b"\n\n") {
            Some(end) => (&bytes[..=end], &bytes[end + 2..]),
            None => (bytes, &[][..]),
        };
        if !is_record_text(text) {
            return Err(RecordError);
        }
        records.push(std::str::from_utf8(text).map_err(|_| RecordError)?);
        bytes = rest;
    }
    Ok(records)
}

/// The content of a data tile, without a blank line at its end.
pub fn data_tile<'a>(records: impl IntoIterator<Item = &'a str>) -> String {
    let mut tile = String::new();
    for text in records {
        if !tile.is_empty() {
            tile.push('\n');
        }
        tile.push_str(text);
    }
    tile
}

/// Go's `isValidRecordText`: UTF-8 lines without control characters, the last one ended, none
/// blank (but for the very first, which Go overlooks).
fn is_record_text(text: &[u8]) -> bool {
    let controls = text.iter().any(|byte| *byte < 0x20 && *byte != b'\n');
    !controls
        && text.ends_with(b"\n")
        && find(text, b"\n\n").is_none()
        && std::str::from_utf8(text).is_ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_record_is_a_number_a_text_and_a_blank_line() {
        let record = Record::new(123_456_789, "hello, world\n").unwrap();
        let answer = "123456789\nhello, world\n\n";
        assert_eq!(record.to_answer(), answer);
        let mut bytes = answer.as_bytes().to_vec();
        bytes.extend(b"junk on end\x01\xff");
        let (parsed, rest) = Record::parse(&bytes).unwrap();
        assert_eq!((parsed, rest), (record, &b"junk on end\x01\xff"[..]));
    }

    #[test]
    fn texts_that_are_no_record_are_refused() {
        for text in ["", "hello\nworld", "hello\n\nworld\n", "hello\x01world\n"] {
            assert_eq!(Record::new(1, text), Err(RecordError), "{text:?}");
        }
        for answer in [
            &b"not-a-number\nhello, world\n\n"[..],
            b"123x\nhello, world\n\n",
            b"\nhello, world\n\n",
            b"9223372036854775808\nhello, world\n\n",
            b"-1\nhello, world\n\n",
            b"123456789\nhello, world\n",
            b"123456789\nhello, world",
            b"123456789",
            b"123456789\nhello\x01world\n\n",
            b"123456789\nhello\xffworld\n\n",
            b"",
        ] {
            assert_eq!(Record::parse(answer), Err(RecordError), "{answer:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_leniently_as_go_does() {
        for (text, id) in [("+5", 5), ("007", 7), ("-0", 0)] {
            let answer = format!("{text}\na\n\n");
            assert_eq!(Record::parse(answer.as_bytes()).unwrap().0.id, id);
        }
    }

    #[test]
    fn both_ends_of_a_data_tile_are_read() {
        let records = ["a v1\nb\n", "c\n"];
        let tile = data_tile(records);
        assert_eq!(tile, "a v1\nb\n\nc\n");
        assert_eq!(parse_data_tile(tile.as_bytes()).unwrap(), records);
        let ended = format!("{tile}\n");
        assert_eq!(parse_data_tile(ended.as_bytes()).unwrap(), records);
        assert_eq!(parse_data_tile(b"").unwrap(), Vec::<&str>::new());
        assert_eq!(parse_data_tile(b"a\n\nb"), Err(RecordError));
    }

    #[test]
    fn lines_of_other_modules_and_versions_are_not_ours() {
        let text = "m v1.0.0 h1:a=\nm v1.0.0/go.mod h1:b=\nmm v1.0.0 h1:c=\nm v1.0.00 h1:d=\n";
        let lines = |of| go_sum_lines(text, "m", "v1.0.0", of).collect::<Vec<_>>();
        assert_eq!(lines(SumOf::Zip), ["m v1.0.0 h1:a="]);
        assert_eq!(lines(SumOf::GoMod), ["m v1.0.0/go.mod h1:b="]);
        assert_eq!(
            go_sum_text("m", "v1.0.0", "h1:a=", "h1:b="),
            "m v1.0.0 h1:a=\nm v1.0.0/go.mod h1:b=\n"
        );
    }
}
