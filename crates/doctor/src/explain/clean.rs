//! Takes away what terminals, build services, editors and chats put around a go command's text.
//!
//! Indentation after a prefix is kept: the splitter reads it.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::TEXT_BYTES_MAX;

/// A line can carry several prefixes (a container's name, a time, a level); more than this is
/// not a prefix any more.
const PREFIXES_PER_LINE_MAX: usize = 6;

/// Prefixes of lines. Each must not eat a line of the go command itself.
const PREFIXES: &[&str] = &[
    // Quoting in mail and issue threads.
    r"^(?:> ?)+",
    // Times: RFC 3339, logs with a slash, a bare clock; brackets optional.
    r"^\[?\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z| ?[+-]\d{2}:?\d{2})?\]?:?(?: (?:UTC|GMT|CST))?[ \t]?",
    r"^\[?\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\]?(?: [AP]M)?[ \t]",
    r"^[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} (?:\S+ \S+: )?",
    r"^[IWEF]\d{4} \d{2}:\d{2}:\d{2}\.\d+ +\d+ \S+\] ",
    // Image builders: `#12 3.456 `, ` > [build 4/6] RUN ...:`, `12 | RUN`, `Step 5/9 : `.
    r"^#\d+ (?:\d+\.\d+ )?",
    r"^ => (?:ERROR )?",
    r"^ > \[[^\]]*\] ",
    // `service_1  | `, `[build] `, `[Error - 3:14:15 PM] `, `[12/40] `.
    r"^[A-Za-z0-9_.-]{1,40} *\| ?",
    r"^[ \t]*\d+ \| ?",
    r"^\[[^\]\n]{1,40}\] ?",
    // Build service markers.
    r"^##\[(?:error|warning|debug|group|command)\]",
    r"^::(?:error|warning)[^:]*::",
    r"^section_(?:start|end):\d+:\S*",
    r"^(?:stderr|stdout)[:=|] ?",
    // Log levels of wrappers.
    r"^(?:time=\S+ )?level=\w+ (?:ts=\S+ )?msg=",
    r"^(?:ERROR|ERRO|WARN|WARNING|INFO|DEBUG|FATAL|FATA)(?:\[\d+\]|:)?[ \t]+",
    r"^(?:│|┃|\|)[ \t]?",
    // The coordinate that Bazel, Nix and others print before a command's own words.
    r"^[A-Za-z0-9_-]+> ",
];

/// Words of editors and linters that introduce the go command's own text.
const WRAPPERS: &str = r#"(?x)
    (?:err:\ )?exit\ status\ \d+:\ stderr:\s*
  | (?:go\ list|packages\.Load(?:\ error)?|load(?:ing)?\ packages?\ error):\ (?:err:\ )?
  | (?:initial\ workspace\ load\ failed|Error\ loading\ (?:workspace|packages)[^:\n]*|context\ loading\ failed|failed\ to\ load\ packages|failed\ to\ load\ with\ go/packages|Running\ error|error\ loading\ module\ requirements\ from\ editor):\s*
  | \bstderr=\s*
"#;

/// Readies a text for splitting: at most [`TEXT_BYTES_MAX`] bytes from its end, plain
/// characters, LF line ends, no foreign prefixes.
pub fn clean(text: &str) -> String {
    let text = plain(tail(text));
    let mut out = String::with_capacity(text.len());
    for line in text.split('\n') {
        let line = unescape(line);
        for part in unwrap(&line).split('\n') {
            out.push_str(strip(part).trim_end());
            out.push('\n');
        }
    }
    out
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TEXT_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Without escape sequences, control and zero-width characters; quotes and spaces made plain.
fn plain(text: &str) -> String {
    static ESCAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let osc = r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?";
        Regex::new(&format!(r"{osc}|(?:\x1b|\x{{9b}})\[?[0-9;?]*[ -/]*[@-~]")).ok()
    });
    let text = match &*ESCAPES {
        Some(escapes) => escapes.replace_all(text, ""),
        None => Cow::Borrowed(text),
    };
    let text = text.replace("\r\n", "\n");
    text.chars().filter_map(plain_char).collect()
}

fn plain_char(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' => Some('\n'),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => Some(' '),
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {
            None
        }
        '\u{201c}' | '\u{201d}' => Some('"'),
        '\u{2018}' | '\u{2019}' => Some('\''),
        c if c.is_control() => None,
        c => Some(c),
    }
}

/// JSON and structured logs hold a whole text in one line with `\n` in it. A line with a drive
/// letter is left alone: there a backslash is a separator.
fn unescape(line: &str) -> Cow<'_, str> {
    static DRIVE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[A-Za-z]:\\[^n]").ok());
    let drive = DRIVE.as_ref().is_some_and(|re| re.is_match(line));
    if drive || !(line.contains("\\n") || line.contains("\\t")) {
        return Cow::Borrowed(line);
    }
    let line = line.replace("\\r", "").replace("\\n", "\n");
    Cow::Owned(line.replace("\\t", "\t").replace("\\\"", "\""))
}

fn unwrap(line: &str) -> Cow<'_, str> {
    static WRAPPED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WRAPPERS).ok());
    match &*WRAPPED {
        Some(re) => re.replace_all(line, "\n"),
        None => Cow::Borrowed(line),
    }
}

fn strip(line: &str) -> &str {
    static COMPILED: LazyLock<Vec<Regex>> =
        LazyLock::new(|| PREFIXES.iter().filter_map(|p| Regex::new(p).ok()).collect());
    let mut rest = line;
    for _ in 0..PREFIXES_PER_LINE_MAX {
        let found = COMPILED.iter().find_map(|re| re.find(rest));
        match found {
            Some(prefix) if !prefix.is_empty() => rest = &rest[prefix.end()..],
            _ => break,
        }
    }
    rest.strip_prefix('"').unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_prefix_compiles() {
        for prefix in PREFIXES {
            Regex::new(prefix).unwrap();
        }
        Regex::new(WRAPPERS).unwrap();
    }

    #[test]
    fn prefixes_of_build_services_and_containers_go() {
        let wanted = "go: x.example/m@v1.0.0: EOF\n";
        for line in [
            "go: x.example/m@v1.0.0: EOF",
            "\u{1b}[31mgo: x.example/m@v1.0.0: EOF\u{1b}[0m",
            "2024-05-01T10:11:12.1234567Z go: x.example/m@v1.0.0: EOF",
            "#12 3.456 go: x.example/m@v1.0.0: EOF",
            "web_1  | 2024/05/01 10:11:12 go: x.example/m@v1.0.0: EOF",
            "[2024-05-01T10:11:12.123Z] go: x.example/m@v1.0.0: EOF",
            "##[error]go: x.example/m@v1.0.0: EOF",
            "> > go: x.example/m@v1.0.0: EOF",
            "go: x.example/m@v1.0.0: \u{200b}EOF",
        ] {
            let cleaned = clean(line);
            assert_eq!(cleaned.trim_start_matches('\n'), wanted, "{line:?}");
        }
    }

    #[test]
    fn a_text_hidden_in_one_log_line_becomes_lines_again() {
        let text = clean(r#"level=error msg="err: exit status 1: stderr: go: a\ngo: b\n\tc""#);
        let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines, ["go: a", "go: b", "\tc\""]);
    }

    #[test]
    fn only_the_end_of_a_long_text_is_read() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        assert!(clean(&text).len() <= TEXT_BYTES_MAX + 1);
    }
}
