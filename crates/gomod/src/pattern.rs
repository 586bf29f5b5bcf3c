//! Lists of module patterns: GOPRIVATE, GONOPROXY, GONOSUMDB, GOINSECURE.
//!
//! A list is comma-separated globs. A glob of N elements is matched against the first N elements
//! of a path, so `example.com/*` covers `example.com/a/b`, and `*.example.com` does not cover
//! `example.com`. The go command ignores a malformed glob without a word, which makes private
//! code public by a typo: here it is ignored too, because the answers must agree, but remembered
//! as a warning. The rules are those of the Go modules reference, "Private modules", and of Go's
//! `path.Match`.

use crate::quote::quote;

/// The longest list accepted, in bytes. Linux hands a program no longer variable (32 pages of
/// 4 KiB).
pub const PATTERNS_BYTES_MAX: usize = 32 * 4096;

/// A list of patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    globs: Vec<Glob>,
    warnings: Vec<String>,
}

/// Why a list is not accepted at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The list exceeds [`PATTERNS_BYTES_MAX`].
    #[error("the pattern list is longer than {PATTERNS_BYTES_MAX} bytes")]
    TooLong,
}

/// One glob that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: String,
    slashes: usize,
}

impl Patterns {
    /// Reads a list. Empty globs are skipped; malformed ones become [`Self::warnings`].
    pub fn parse(list: &str) -> Result<Self, PatternError> {
        if list.len() > PATTERNS_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let mut patterns = Self::default();
        for text in list.split(',') {
            if text.is_empty() || text == "/" {
                continue;
            }
            match Glob::parse(text) {
                Some(glob) => patterns.globs.push(glob),
                None => patterns.warnings.push(format!(
                    "pattern {} is malformed: the go command ignores it",
                    quote(text)
                )),
            }
        }
        Ok(patterns)
    }

    /// Whether some glob covers the path or a module above it.
    pub fn matches(&self, path: &str) -> bool {
        self.globs.iter().any(|glob| glob.covers(path))
    }

    /// Whether no path can match.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The globs that count, as written.
    pub fn globs(&self) -> impl Iterator<Item = &str> {
        self.globs.iter().map(|glob| glob.text.as_str())
    }

    /// One sentence for each glob that never matches because it is malformed.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Glob {
    /// `None` when the glob is malformed or empty: it would match nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        match_glob(text.as_bytes(), b"").ok()?;
        Some(Self {
            text: text.to_owned(),
            slashes: text.matches('/').count(),
        })
    }

    pub(crate) fn covers(&self, path: &str) -> bool {
        let mut ends = path.match_indices('/').map(|(at, _)| at);
        let prefix = match ends.nth(self.slashes) {
            Some(end) => &path[..end],
            None if path.matches('/').count() < self.slashes => return false,
            None => path,
        };
        match_glob(self.text.as_bytes(), prefix.as_bytes()) == Ok(true)
    }
}

/// The glob breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BadPattern;

/// Matches a whole name. A `*` is settled by the first place where what follows it fits, and
/// never revisited, so the work is at most the product of the two lengths.
fn match_glob(mut pattern: &[u8], mut name: &[u8]) -> Result<bool, BadPattern> {
    while !pattern.is_empty() {
        let (star, chunk, rest) = take_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        let last = pattern.is_empty();
        match find_chunk(chunk, name, star, last)? {
            Some(left) => name = left,
            None => return check_rest(pattern).map(|()| false),
        }
    }
    Ok(name.is_empty())
}

/// Finds the chunk at the front of the name or, behind a star, further on in the same element.
/// Answers with what is left of the name; the last chunk must leave nothing.
fn find_chunk<'a>(
    chunk: &[u8],
    name: &'a [u8],
    star: bool,
    last: bool,
) -> Result<Option<&'a [u8]>, BadPattern> {
    let element = name.iter().position(|&b| b == b'/').unwrap_or(name.len());
    let skips = if star { element } else { 0 };
    for skipped in 0..=skips {
        match match_chunk(chunk, &name[skipped..])? {
            Some(left) if left.is_empty() || !last => return Ok(Some(left)),
            _ => {}
        }
    }
    Ok(None)
}

/// A glob that cannot match is still held against the grammar to its end.
fn check_rest(mut pattern: &[u8]) -> Result<(), BadPattern> {
    while !pattern.is_empty() {
        let (_, chunk, rest) = take_chunk(pattern);
        match_chunk(chunk, b"")?;
        pattern = rest;
    }
    Ok(())
}

/// Splits off leading stars and the text up to the next star outside brackets.
fn take_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|&&b| b == b'*').count();
    let body = &pattern[stars..];
    let mut in_class = false;
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    let (chunk, rest) = body.split_at(at.min(body.len()));
    (stars > 0, chunk, rest)
}

/// Matches a chunk without stars at the front of `name` and answers with what is left of it.
/// After a mismatch the rest of the chunk is still checked, with no name to read.
fn match_chunk<'a>(mut chunk: &[u8], name: &'a [u8]) -> Result<Option<&'a [u8]>, BadPattern> {
    let mut left = Some(name);
    while let Some((&operator, after)) = chunk.split_first() {
        left = left.filter(|name| !name.is_empty());
        match operator {
            b'[' => {
                let next = left.map(decode);
                let (hit, rest) = match_class(after, next.map(|(c, _)| c))?;
                left = next.filter(|_| hit).map(|(_, rest)| rest);
                chunk = rest;
            }
            b'?' => {
                left = left
                    .filter(|name| name[0] != b'/')
                    .map(|name| decode(name).1);
                chunk = after;
            }
            _ => {
                let literal = if operator == b'\\' { after } else { chunk };
                let (&byte, rest) = literal.split_first().ok_or(BadPattern)?;
                left = left.and_then(|name| name.strip_prefix(&[byte]));
                chunk = rest;
            }
        }
    }
    Ok(left)
}

/// Reads a class behind its `[`, and tells whether it admits the character.
fn match_class(mut class: &[u8], c: Option<u32>) -> Result<(bool, &[u8]), BadPattern> {
    let negated = class.first() == Some(&b'^');
    if negated {
        class = &class[1..];
    }
    let mut hit = false;
    let mut ranges = 0;
    loop {
        if let Some(rest) = class.strip_prefix(b"]")
            && ranges > 0
        {
            return Ok((hit != negated, rest));
        }
        let (low, rest) = class_character(class)?;
        class = rest;
        let mut high = low;
        if let Some(rest) = class.strip_prefix(b"-") {
            (high, class) = class_character(rest)?;
        }
        hit |= c.is_some_and(|c| (low..=high).contains(&c));
        ranges += 1;
    }
}

/// One character of a class, which cannot be the last of the pattern: the `]` must follow.
fn class_character(class: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    let escaped = class.strip_prefix(b"\\");
    if escaped.is_none() && matches!(class.first(), Some(b'-' | b']')) {
        return Err(BadPattern);
    }
    let class = escaped.unwrap_or(class);
    if class.is_empty() {
        return Err(BadPattern);
    }
    let (c, rest) = decode(class);
    if rest.is_empty() || (c == REPLACEMENT && class.len() - rest.len() == 1) {
        return Err(BadPattern);
    }
    Ok((c, rest))
}

/// What a byte that is not UTF-8 counts as.
const REPLACEMENT: u32 = 0xfffd;

/// The first character of text that is not empty. A byte that begins no character stands alone,
/// since a star may have stopped in the middle of one.
fn decode(text: &[u8]) -> (u32, &[u8]) {
    let longest = text.len().min(4);
    (1..=longest)
        .find_map(|len| {
            let c = std::str::from_utf8(&text[..len]).ok()?.chars().next()?;
            Some((u32::from(c), &text[len..]))
        })
        .unwrap_or((REPLACEMENT, &text[longest.min(1)..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_go() {
        let cases: &[(&str, &str, Result<bool, BadPattern>)] = &[
            ("abc", "abc", Ok(true)),
            ("*", "abc", Ok(true)),
            ("*c", "abc", Ok(true)),
            ("a*", "a", Ok(true)),
            ("a*", "ab/c", Ok(false)),
            ("a*/b", "abc/b", Ok(true)),
            ("a*/b", "a/c/b", Ok(false)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", Ok(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Ok(false)),
            ("a*b?c*x", "abxbbxdbxebxczzx", Ok(true)),
            ("a*b?c*x", "abxbbxdbxebxczzy", Ok(false)),
            ("ab[c]", "abc", Ok(true)),
            ("ab[b-d]", "abc", Ok(true)),
            ("ab[e-g]", "abc", Ok(false)),
            ("ab[^c]", "abc", Ok(false)),
            ("ab[^e-g]", "abc", Ok(true)),
            ("a\\*b", "a*b", Ok(true)),
            ("a\\*b", "ab", Ok(false)),
            ("a?b", "a☺b", Ok(true)),
            ("a[^a]b", "a☺b", Ok(true)),
            ("a???b", "a☺b", Ok(false)),
            ("a[^a][^a][^a]b", "a☺b", Ok(false)),
            ("[a-ζ]*", "α", Ok(true)),
            ("*[a-ζ]", "A", Ok(false)),
            ("a?b", "a/b", Ok(false)),
            ("a*b", "a/b", Ok(false)),
            ("[\\]a]", "]", Ok(true)),
            ("[\\-]", "-", Ok(true)),
            ("[x\\-]", "z", Ok(false)),
            ("[\\-x]", "a", Ok(false)),
            ("[]a]", "]", Err(BadPattern)),
            ("[-]", "-", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("[-x]", "x", Err(BadPattern)),
            ("\\", "a", Err(BadPattern)),
            ("[a-b-c]", "a", Err(BadPattern)),
            ("[", "a", Err(BadPattern)),
            ("[^", "a", Err(BadPattern)),
            ("[^bc", "a", Err(BadPattern)),
            ("a[", "a", Err(BadPattern)),
            ("a[", "ab", Err(BadPattern)),
            ("a[", "x", Err(BadPattern)),
            ("a/b[", "x", Err(BadPattern)),
            ("*x", "xxx", Ok(true)),
            ("", "", Ok(true)),
            ("", "a", Ok(false)),
        ];
        for (pattern, name, wanted) in cases {
            let got = match_glob(pattern.as_bytes(), name.as_bytes());
            assert_eq!(got, *wanted, "{pattern} against {name}");
        }
    }

    #[test]
    fn a_star_that_stops_inside_a_character_does_not_panic() {
        assert_eq!(
            match_glob("*?[^a]x".as_bytes(), "é☺é".as_bytes()),
            Ok(false)
        );
    }
}
