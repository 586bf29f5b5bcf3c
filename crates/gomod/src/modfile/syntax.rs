//! The lines of a go.mod file: tokens, blocks, comments.
//!
//! No token spans lines, so each physical line is taken apart on its own. Source of the grammar:
//! golang.org/ref/mod#go-mod-file-lexical and golang.org/x/mod/modfile.

/// A mistake and where it is; columns are only known for mistakes inside a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub line: usize,
    pub column: usize,
    pub text: String,
}

/// A directive: its verb and arguments, raw, and the comments that belong to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Directive {
    /// Line number, from 1.
    pub line: usize,
    /// The words before the parenthesis, for a line in a block.
    pub block: Option<Vec<String>>,
    /// The words of the line.
    pub words: Vec<String>,
    /// The comment at the line's end, with its slashes.
    pub suffix: Option<String>,
    /// What parses as its text: own comments, else those of its block.
    pub comment: String,
}

/// A comment line, or a blank line that keeps a block's comment away from its lines.
type Before = Vec<Option<String>>;

struct Block {
    words: Vec<String>,
    line: usize,
    before: Before,
    lines: usize,
}

/// Takes a file apart. A block without lines yields one directive without words, so that its verb
/// can be checked.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, SyntaxError> {
    let mut directives = Vec::new();
    let mut before: Before = Vec::new();
    let mut block: Option<Block> = None;
    let mut last = 0;
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        last = number;
        let (words, comment) = split_line(line, number)?;
        match (&mut block, words.first().map(String::as_str)) {
            (Some(open), None) => match comment {
                Some(comment) => before.push(Some(comment)),
                None => {
                    let keeps = if before.is_empty() {
                        open.lines > 0
                    } else {
                        before.last() != Some(&None)
                    };
                    if keeps {
                        before.push(None);
                    }
                }
            },
            (Some(open), Some(")")) => {
                if words.len() > 1 {
                    let text = "syntax error (expected newline after closing paren)".into();
                    return Err(SyntaxError {
                        line: number,
                        column: 1,
                        text,
                    });
                }
                if open.lines == 0 {
                    directives.push(Directive {
                        line: open.line,
                        block: Some(open.words.clone()),
                        ..Directive::default()
                    });
                }
                (block, before) = (None, Vec::new());
            }
            (Some(open), Some(_)) => {
                open.lines += 1;
                let own = std::mem::take(&mut before);
                let text = match own.is_empty() && comment.is_none() {
                    true => comment_text(&open.before, None),
                    false => comment_text(&own, comment.as_deref()),
                };
                let block = Some(open.words.clone());
                directives.push(Directive {
                    line: number,
                    block,
                    words,
                    suffix: comment,
                    comment: text,
                });
            }
            (None, None) => match comment {
                Some(comment) => before.push(Some(comment)),
                None => before.clear(),
            },
            (None, Some(_)) => {
                let own = std::mem::take(&mut before);
                match open_block(&words) {
                    Some((verb, false)) => {
                        block = Some(Block {
                            words: verb,
                            line: number,
                            before: own,
                            lines: 0,
                        });
                    }
                    Some((verb, true)) => {
                        directives.push(Directive {
                            line: number,
                            block: Some(verb),
                            ..Directive::default()
                        });
                    }
                    None => {
                        let text = comment_text(&own, comment.as_deref());
                        directives.push(Directive {
                            line: number,
                            block: None,
                            words,
                            suffix: comment,
                            comment: text,
                        });
                    }
                }
            }
        }
    }
    match block {
        Some(open) => {
            let text = format!(
                "syntax error (unterminated block started at line {})",
                open.line
            );
            Err(SyntaxError {
                line: last,
                column: 1,
                text,
            })
        }
        None => Ok(directives),
    }
}

/// The words before the parenthesis of a block that begins on this line, and whether it ends there.
fn open_block(words: &[String]) -> Option<(Vec<String>, bool)> {
    match words {
        [verb @ .., open] if open == "(" && !verb.is_empty() => Some((verb.to_vec(), false)),
        [verb @ .., open, close] if open == "(" && close == ")" && !verb.is_empty() => {
            Some((verb.to_vec(), true))
        }
        _ => None,
    }
}

fn comment_text(before: &Before, suffix: Option<&str>) -> String {
    let lines = before.iter().flatten().map(String::as_str).chain(suffix);
    lines
        .map(|c| c.strip_prefix("//").unwrap_or(c).trim())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The words of a line, and its comment with the slashes.
fn split_line(line: &str, number: usize) -> Result<(Vec<String>, Option<String>), SyntaxError> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r']);
        let Some(first) = rest.chars().next() else {
            return Ok((words, None));
        };
        let column = || line[..line.len() - rest.len()].chars().count() + 1;
        let wrong = |text: String| SyntaxError {
            line: number,
            column: column(),
            text,
        };
        if rest.starts_with("//") {
            return Ok((words, Some(rest.trim_end_matches('\r').to_owned())));
        }
        let length = match first {
            '(' | ')' | '[' | ']' | '{' | '}' | ',' => 1,
            '"' | '`' => {
                quoted(rest, first).ok_or_else(|| wrong("unexpected newline in string".into()))?
            }
            c if is_ident(c) => ident(rest),
            c => return Err(wrong(format!("unexpected input character {c:?}"))),
        };
        // Seen at the start of a word, or where an identifier stopped.
        if rest[..length].starts_with("/*") || rest[length..].starts_with("/*") {
            return Err(wrong(
                "mod files must use // comments (not /* */ comments)".into(),
            ));
        }
        words.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
}

fn is_ident(c: char) -> bool {
    !matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | ',') && !c.is_whitespace() && !c.is_control()
}

fn ident(text: &str) -> usize {
    let ends = |(i, c): (usize, char)| {
        let comment = text[i..].starts_with("//") || text[i..].starts_with("/*");
        !is_ident(c) || (i > 0 && comment)
    };
    text.char_indices()
        .find(|at| ends(*at))
        .map_or(text.len(), |(i, _)| i)
}

/// The length of a quoted word, quotes included.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            return Some(i + 1);
        }
    }
    None
}

/// A word as a string: quotes removed by Go's rules. Other quotes inside are reserved.
pub(super) fn string(word: &str) -> Result<String, String> {
    if let Some(inner) = word.strip_prefix('"') {
        let inner = inner.strip_suffix('"').ok_or("invalid syntax")?;
        return unescape(inner).ok_or_else(|| "invalid quoted string: invalid syntax".into());
    }
    match word.contains(['"', '\'', '`']) {
        true => Err("invalid quoted string: unquoted string cannot contain quote".into()),
        false => Ok(word.into()),
    }
}

/// Go's interpreted string literals, without their quotes. What does not give UTF-8 is refused.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            if c == '"' {
                return None;
            }
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let kind = rest.next()?;
        let mut number = |digits: usize, radix: u32, first: u32| {
            (0..digits).try_fold(first, |n, _| {
                rest.next()?.to_digit(radix).map(|d| n * radix + d)
            })
        };
        let plain = match kind {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' | '"' => kind as u8,
            'x' => u8::try_from(number(2, 16, 0)?).ok()?,
            '0'..='7' => u8::try_from(number(2, 8, kind.to_digit(8)?)?).ok()?,
            'u' | 'U' => {
                let c = char::from_u32(number(if kind == 'u' { 4 } else { 8 }, 16, 0)?)?;
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
            _ => return None,
        };
        out.push(plain);
    }
    String::from_utf8(out).ok()
}
