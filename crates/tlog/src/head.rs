//! Tree heads: a size and a root, as the text of a signed note.
//!
//! Go's checksum databases all write the same first line, so one head cannot be told from another
//! but by its key; C2SP checkpoints put the log's origin there. Go's reader ignores lines behind
//! the third; a checkpoint names them extensions.

use crate::hash::Hash;
use crate::tree::SIZE_MAX;

/// The longest text of a tree head, in bytes (Go's limit).
pub const HEAD_BYTES_MAX: usize = 1_000_000;

const GO_ORIGIN: &str = "go.sum database tree";

/// The size of a tree and its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// The number of leaves, at most [`SIZE_MAX`].
    pub size: u64,
    /// The root.
    pub hash: Hash,
}

/// A text is no tree head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed tree note")]
pub struct HeadError;

impl TreeHead {
    /// The tree without leaves.
    pub const EMPTY: Self = Self {
        size: 0,
        hash: Hash::EMPTY_ROOT,
    };

    /// The text that a Go checksum database signs.
    pub fn to_text(&self) -> String {
        format!("{GO_ORIGIN}\n{}\n{}\n", self.size, self.hash)
    }

    /// Reads the text of a Go checksum database, and what Go's `tlog.ParseTree` reads: anything
    /// may follow the third line.
    pub fn parse(text: &[u8]) -> Result<Self, HeadError> {
        if text.len() > HEAD_BYTES_MAX {
            return Err(HeadError);
        }
        let mut lines = text.splitn(4, |byte| *byte == b'\n');
        let mut line = || lines.next().ok_or(HeadError);
        let (origin, size, hash) = (line()?, line()?, line()?);
        line()?; // Three line feeds at least.
        if origin != GO_ORIGIN.as_bytes() {
            return Err(HeadError);
        }
        let text = |line| std::str::from_utf8(line).map_err(|_| HeadError);
        Ok(Self {
            size: parse_size(text(size)?)?,
            hash: text(hash)?.parse().map_err(|_| HeadError)?,
        })
    }
}

/// A C2SP checkpoint (tlog-checkpoint v1.0.0), without its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity: the first line.
    pub origin: String,
    /// The tree.
    pub head: TreeHead,
    /// Lines behind the third. Emit none: witnesses refuse them.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The text to sign.
    pub fn to_text(&self) -> String {
        let Self {
            origin,
            head,
            extensions,
        } = self;
        let mut text = format!("{origin}\n{}\n{}\n", head.size, head.hash);
        for line in extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads the text of a checkpoint. It has one spelling: it is rendered again and compared.
    pub fn parse(text: &str) -> Result<Self, HeadError> {
        if text.len() > HEAD_BYTES_MAX {
            return Err(HeadError);
        }
        let mut lines = text.strip_suffix('\n').ok_or(HeadError)?.split('\n');
        let mut line = || lines.next().ok_or(HeadError);
        let checkpoint = Self {
            origin: line()?.to_owned(),
            head: TreeHead {
                size: parse_size(line()?)?,
                hash: line()?.parse().map_err(|_| HeadError)?,
            },
            extensions: lines.map(str::to_owned).collect(),
        };
        let empty = |line: &String| line.is_empty();
        if empty(&checkpoint.origin)
            || checkpoint.extensions.iter().any(empty)
            || checkpoint.to_text() != text
        {
            return Err(HeadError);
        }
        Ok(checkpoint)
    }
}

fn parse_size(text: &str) -> Result<u64, HeadError> {
    let size: u64 = text.parse().map_err(|_| HeadError)?;
    if size > SIZE_MAX || size.to_string() != text {
        return Err(HeadError);
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const HASH: &str = "nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=";

    fn head(size: u64) -> TreeHead {
        TreeHead {
            size,
            hash: HASH.parse().unwrap(),
        }
    }

    #[test]
    fn a_head_has_three_lines() {
        let text = format!("go.sum database tree\n123456789012\n{HASH}\n");
        assert_eq!(head(123_456_789_012).to_text(), text);
        assert_eq!(TreeHead::parse(text.as_bytes()), Ok(head(123_456_789_012)));
    }

    #[test]
    fn whatever_follows_the_third_line_is_ignored() {
        for rest in ["extra\n", "no line feed", "\n", "\u{fffd}"] {
            let text = format!("go.sum database tree\n5\n{HASH}\n{rest}");
            assert_eq!(TreeHead::parse(text.as_bytes()), Ok(head(5)), "{rest:?}");
        }
        let mut text = format!("go.sum database tree\n5\n{HASH}\n").into_bytes();
        text.extend(b"\x01\xff");
        assert_eq!(TreeHead::parse(&text), Ok(head(5)));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "not-a-header\n123\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n".to_owned(),
            format!("go.sum database tree\n+5\n{HASH}\n"),
            format!("go.sum database tree\n05\n{HASH}\n"),
            format!("go.sum database tree\n-5\n{HASH}\n"),
            format!("go.sum database tree\n9223372036854775808\n{HASH}\n"),
            format!("go.sum database tree\n5x\n{HASH}\n"),
            format!("go.sum database tree\n5\n{HASH}"),
            format!("go.sum database tree\n5\n{HASH}{HASH}\n"),
            format!("go.sum database tree v2\n5\n{HASH}\n"),
            "go.sum database tree\n5\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+\n".to_owned(),
            "go.sum database tree\n5\n*ND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(TreeHead::parse(text.as_bytes()), Err(HeadError), "{text:?}");
        }
    }

    #[test]
    fn a_head_longer_than_the_limit_is_refused() {
        let mut text = head(5).to_text().into_bytes();
        text.resize(HEAD_BYTES_MAX, b'x');
        assert!(TreeHead::parse(&text).is_ok());
        text.push(b'x');
        assert_eq!(TreeHead::parse(&text), Err(HeadError));
    }

    #[test]
    fn a_checkpoint_keeps_its_origin_and_extensions() {
        let text = format!("example.com/log42\n0\n{HASH}\none\ntwo\n");
        let checkpoint = Checkpoint::parse(&text).unwrap();
        assert_eq!(checkpoint.origin, "example.com/log42");
        assert_eq!(checkpoint.head, head(0));
        assert_eq!(checkpoint.extensions, ["one", "two"]);
        assert_eq!(checkpoint.to_text(), text);
    }

    #[test]
    fn a_checkpoint_has_no_empty_line_and_one_spelling() {
        for text in [
            format!("\n5\n{HASH}\n"),
            format!("example.com\n5\n{HASH}"),
            format!("example.com\n5\n{HASH}\n\n"),
            format!("example.com\n5\n{HASH}\n\nmore\n"),
            format!("example.com\n05\n{HASH}\n"),
            "example.com\n5\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeJ=\n".to_owned(),
            "example.com\n5\n".to_owned(),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(HeadError), "{text:?}");
        }
    }
}
