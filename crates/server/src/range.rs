//! Byte ranges (RFC 9110 §14): one range of a body whose size is known. Several ranges in one
//! request are answered with the whole, which the standard allows.

/// What a `Range` header means for a body of a known size.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Range {
    /// The whole body: no range, or one that is not understood.
    Whole,
    /// These bytes, the end exclusive.
    Part(u64, u64),
    /// No byte of it is there.
    Unsatisfiable,
}

/// Reads a `Range` header.
pub(crate) fn parse(header: Option<&[u8]>, size: u64) -> Range {
    let Some(spec) = header
        .and_then(|h| h.strip_prefix(b"bytes="))
        .and_then(|h| str::from_utf8(h).ok())
    else {
        return Range::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Range::Whole;
    };
    match (digits(first), digits(last)) {
        (Some(Some(start)), Some(last)) => {
            let end = last.map_or(size, |l| l.saturating_add(1).min(size));
            match start < size {
                _ if last.is_some_and(|l| l < start) => Range::Whole,
                true => Range::Part(start, end),
                false => Range::Unsatisfiable,
            }
        }
        (Some(None), Some(Some(suffix))) => match suffix.min(size) {
            0 => Range::Unsatisfiable,
            n => Range::Part(size - n, size),
        },
        _ => Range::Whole,
    }
}

/// `Some(None)` for nothing, `None` for what is no number.
fn digits(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (header, want) in [
            ("bytes=0-0", Range::Part(0, 1)),
            ("bytes=2-", Range::Part(2, 10)),
            ("bytes=2-99", Range::Part(2, 10)),
            ("bytes=-3", Range::Part(7, 10)),
            ("bytes=-99", Range::Part(0, 10)),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=5-2", Range::Whole),
            ("bytes=0-1,4-5", Range::Whole),
            ("bytes=x-y", Range::Whole),
            ("bytes=-", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
        ] {
            assert_eq!(parse(Some(header.as_bytes()), 10), want, "{header}");
        }
        assert_eq!(parse(Some(b"bytes=0-"), 0), Range::Unsatisfiable);
        assert_eq!(parse(None, 10), Range::Whole);
    }
}
