//! Quoting as Go's `%q` does it, because people search for the exact text of an error.

use std::fmt::Write;

/// The text in double quotes, with quotes, controls, unprintable characters and bytes that are
/// not UTF-8 escaped.
pub fn quote(text: impl AsRef<[u8]>) -> String {
    let mut out = String::from("\"");
    for chunk in text.as_ref().utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c, '"');
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// One character in single quotes, escaped in the same way.
pub fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, c: char, delimiter: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        _ if c == delimiter => {
            out.push('\\');
            out.push(c);
        }
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if is_printable(c) => out.push(c),
        _ => push_hex(out, u32::from(c)),
    }
}

/// Whether Go's `unicode.IsPrint` answers yes. Rust's debug form escapes what cannot be printed,
/// and three characters besides. A combining mark it leaves alone only behind another character,
/// hence the one in front.
pub(crate) fn is_printable(c: char) -> bool {
    let plain = matches!(c, '\'' | '"' | '\\');
    plain || ['.', c].iter().collect::<String>().escape_debug().count() == 2
}

fn push_hex(out: &mut String, code: u32) {
    // Writing to a string cannot fail.
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_go_quotes_it() {
        assert_eq!(quote("a\"b\\\n\x01'\u{7f}é"), r#""a\"b\\\n\x01'\x7fé""#);
        assert_eq!(quote(b"x\xffy"), r#""x\xffy""#);
        assert_eq!(quote("\u{301}"), "\"\u{301}\"");
        assert_eq!(quote("\u{200b}"), r#""\u200b""#);
        assert_eq!(quote("\u{e0001}"), r#""\U000e0001""#);
        assert_eq!(quote_char('\''), r"'\''");
        assert_eq!(quote_char('"'), "'\"'");
        assert_eq!(quote_char(' '), "' '");
    }
}
