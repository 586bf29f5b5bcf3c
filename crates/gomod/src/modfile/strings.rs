//! Words of a go.mod file as strings.

/// A word as a string: quotes removed by Go's rules. Other quotes inside are reserved.
pub(super) fn string(word: &str) -> Result<String, &'static str> {
    if let Some(inner) = word.strip_prefix('"') {
        return inner
            .strip_suffix('"')
            .and_then(unescape)
            .ok_or("invalid syntax");
    }
    match word.contains(['"', '\'', '`']) {
        true => Err("unquoted string cannot contain quote"),
        false => Ok(word.into()),
    }
}

/// What a Go string literal stands for; `None` when it is none.
pub(super) fn unquote(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`') {
        let raw = raw.strip_suffix('`').filter(|raw| !raw.contains('`'))?;
        return Some(raw.replace('\r', ""));
    }
    unescape(literal.strip_prefix('"')?.strip_suffix('"')?)
}

/// An interpreted literal without its quotes. Escapes that give no UTF-8 give U+FFFD: no rule
/// accepts it, so nothing is lost by it.
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' | '\n' => return None,
            '\\' => escape(&mut rest, &mut out)?,
            _ => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn escape(rest: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Option<()> {
    let kind = rest.next()?;
    let mut number = |digits: usize, radix: u32, first: u32| {
        (0..digits).try_fold(first, |n, _| {
            rest.next()?
                .to_digit(radix)
                .and_then(|d| n.checked_mul(radix)?.checked_add(d))
        })
    };
    let byte = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(number(2, 16, 0)?).ok()?,
        '0'..='7' => u8::try_from(number(2, 8, kind.to_digit(8)?)?).ok()?,
        'u' | 'U' => {
            let c = char::from_u32(number(if kind == 'u' { 4 } else { 8 }, 16, 0)?)?;
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(byte);
    Some(())
}
