//! Lines and blocks of a go.mod file, given to a visitor one at a time.
//!
//! No tree is built: a hostile file of 16 MiB has millions of lines, and each would cost a hundred
//! times its own size.

use super::lexer::{Kind, Lexer, Position, SyntaxError, Token};

/// A directive, or a line of a block of directives.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub start: Position,
    /// Words as written, quotes and all. Never empty.
    pub words: Vec<&'a str>,
    /// Comments above: blank lines inside a block count as empty ones.
    before: Vec<&'a str>,
    /// The comment at its end.
    pub suffix: Option<&'a str>,
}

/// The head of a block.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub start: Position,
    /// What stands before the parenthesis. Never empty.
    pub words: Vec<&'a str>,
    before: Vec<&'a str>,
    /// A comment behind a block that opens and closes on one line.
    suffix: Option<&'a str>,
}

/// Takes what a file holds, in its order.
pub(super) trait Visitor {
    fn line(&mut self, line: &Line<'_>);
    /// A block begins.
    fn block(&mut self, head: &Head<'_>);
    fn block_line(&mut self, head: &Head<'_>, line: &Line<'_>);
}

/// The text of the comments of a directive: its own, else those of its block.
pub(super) fn comment_text(head: Option<&Head<'_>>, line: &Line<'_>) -> String {
    let own = (line.before.as_slice(), line.suffix);
    let (before, suffix) = match head {
        Some(head) if line.before.is_empty() && line.suffix.is_none() => {
            (head.before.as_slice(), head.suffix)
        }
        _ => own,
    };
    let lines = before.iter().copied().chain(suffix);
    lines
        .filter_map(|comment| comment.strip_prefix("//"))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads a whole file. What the visitor was given counts only if there is no error.
pub(super) fn parse(name: &str, text: &str, visitor: &mut dyn Visitor) -> Result<(), SyntaxError> {
    let mut lexer = Lexer::new(text)?;
    let mut before = Vec::new();
    loop {
        match lexer.peek().kind {
            Kind::End => return Ok(()),
            Kind::Newline => {
                lexer.next()?;
                before.clear();
            }
            Kind::Comment => before.push(lexer.next()?.text),
            _ => statement(name, &mut lexer, std::mem::take(&mut before), visitor)?,
        }
    }
}

/// A directive on its own, or a block.
fn statement<'a>(
    name: &str,
    lexer: &mut Lexer<'a>,
    before: Vec<&'a str>,
    visitor: &mut dyn Visitor,
) -> Result<(), SyntaxError> {
    let first = lexer.next()?;
    let mut words = vec![first.text];
    let mut spans = first.spans_lines();
    loop {
        let token = lexer.next()?;
        if token.kind.ends_line() {
            let suffix = suffix(&token, spans);
            visitor.line(&Line {
                start: first.start,
                words,
                before,
                suffix,
            });
            return Ok(());
        }
        if token.is("(") {
            if lexer.peek().kind.ends_line() {
                let head = Head {
                    start: first.start,
                    words,
                    before,
                    suffix: None,
                };
                visitor.block(&head);
                return block(name, lexer, &head, visitor);
            }
            if lexer.peek().is(")") {
                let close = lexer.next()?;
                if lexer.peek().kind.ends_line() {
                    let end = lexer.next()?;
                    visitor.block(&Head {
                        start: first.start,
                        words,
                        before,
                        suffix: suffix(&end, spans),
                    });
                    return Ok(());
                }
                // In the middle of a line they are words like others.
                words.extend([token.text, close.text]);
                continue;
            }
        }
        spans |= token.spans_lines();
        words.push(token.text);
    }
}

/// A comment belongs to what stands before it on its line, if that began on the same line.
fn suffix<'a>(end: &Token<'a>, spans: bool) -> Option<&'a str> {
    (end.kind == Kind::Suffix && !spans).then_some(end.text)
}

/// The lines of a block, up to and with its closing parenthesis.
fn block<'a>(
    name: &str,
    lexer: &mut Lexer<'a>,
    head: &Head<'_>,
    visitor: &mut dyn Visitor,
) -> Result<(), SyntaxError> {
    let mut before: Vec<&str> = Vec::new();
    let mut empty = true;
    loop {
        let next = *lexer.peek();
        match next.kind {
            Kind::Suffix => {
                lexer.next()?;
            }
            Kind::Newline => {
                lexer.next()?;
                let keeps = before.last().map_or(!empty, |last| !last.is_empty());
                if keeps {
                    before.push("");
                }
            }
            Kind::Comment => before.push(lexer.next()?.text),
            Kind::End => {
                let Position { line, column, .. } = head.start;
                return Err(lexer.error(format!(
                    "syntax error (unterminated block started at {name}:{line}:{column})"
                )));
            }
            Kind::Mark if next.text == ")" => {
                lexer.next()?;
                if !lexer.peek().kind.ends_line() {
                    return Err(lexer.error("syntax error (expected newline after closing paren)"));
                }
                lexer.next()?;
                return Ok(());
            }
            _ => {
                let line = block_line(lexer, std::mem::take(&mut before))?;
                visitor.block_line(head, &line);
                empty = false;
            }
        }
    }
}

fn block_line<'a>(lexer: &mut Lexer<'a>, before: Vec<&'a str>) -> Result<Line<'a>, SyntaxError> {
    let first = lexer.next()?;
    let mut words = vec![first.text];
    let mut spans = first.spans_lines();
    loop {
        let token = lexer.next()?;
        if token.kind.ends_line() {
            return Ok(Line {
                start: first.start,
                words,
                before,
                suffix: suffix(&token, spans),
            });
        }
        spans |= token.spans_lines();
        words.push(token.text);
    }
}
