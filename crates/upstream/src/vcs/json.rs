//! The few lines of JSON that `.info` needs, in Go's spelling.

/// An object of strings; empty ones are left out.
pub(crate) fn object(fields: &[(&str, &str)]) -> String {
    let shown = fields.iter().filter(|(_, value)| !value.is_empty());
    let body: Vec<String> = shown
        .map(|(key, value)| format!("\"{key}\":{}", string(value)))
        .collect();
    format!("{{{}}}", body.join(","))
}

/// A string as Go's encoder writes it: HTML characters and line separators are escaped too.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// RFC 3339 in UTC with the shortest fraction, or `None` outside the years 0 to 9999.
pub(crate) fn time(seconds: i64, nanos: u32) -> Option<String> {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    if !(0..=9999).contains(&year) {
        return None;
    }
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = match nanos {
        0 => String::new(),
        n => format!(".{n:09}").trim_end_matches('0').to_owned(),
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
    ))
}

/// Year, month and day of a day number since 1970 (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_utc_with_the_shortest_fraction() {
        assert_eq!(time(1_519_081_806, 0).unwrap(), "2018-02-19T23:10:06Z");
        assert_eq!(time(0, 845_361_000).unwrap(), "1970-01-01T00:00:00.845361Z");
        assert_eq!(time(951_782_400, 0).unwrap(), "2000-02-29T00:00:00Z");
        assert_eq!(time(-1, 0).unwrap(), "1969-12-31T23:59:59Z");
        assert_eq!(time(i64::MAX, 0), None);
    }

    #[test]
    fn objects_skip_what_is_empty_and_escape_html() {
        assert_eq!(
            object(&[("A", "x<\n"), ("B", ""), ("C", "\"")]),
            r#"{"A":"x\u003c\n","C":"\""}"#
        );
    }
}
