//! Tokens of a go.mod file.
//!
//! The lexer stands one token ahead of the parser, because the go command reports a mistake where
//! it stands and not where the token at fault began. Source of the grammar:
//! golang.org/ref/mod#go-mod-file-lexical and golang.org/x/mod/modfile.

use crate::quote::{is_printable, quote_char};

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    byte: usize,
}

/// A mistake that ends the reading of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub at: Position,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    End,
    /// A comment behind something on its line. It ends the line, and holds the line break.
    Suffix,
    /// A comment that has its line for itself, line break included.
    Comment,
    Newline,
    /// One of `()[]{},`.
    Mark,
    Word,
    Quoted,
}

impl Kind {
    pub fn ends_line(self) -> bool {
        matches!(self, Kind::End | Kind::Suffix | Kind::Newline)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub start: Position,
    /// Line breaks of comments are left out.
    pub text: &'a str,
}

impl Token<'_> {
    pub fn is(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// Only a backslash in a quoted word can hide a line break from the lexer.
    pub fn spans_lines(&self) -> bool {
        self.kind == Kind::Quoted && self.text.contains('\n')
    }
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: Position,
    ahead: Token<'a>,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Result<Self, SyntaxError> {
        let at = Position {
            line: 1,
            column: 1,
            byte: 0,
        };
        let ahead = Token {
            kind: Kind::End,
            start: at,
            text: "",
        };
        let mut lexer = Self { text, at, ahead };
        lexer.ahead = lexer.read()?;
        Ok(lexer)
    }

    /// The next token, without taking it.
    pub fn peek(&self) -> &Token<'a> {
        &self.ahead
    }

    /// Takes the next token.
    pub fn next(&mut self) -> Result<Token<'a>, SyntaxError> {
        let next = self.read()?;
        Ok(std::mem::replace(&mut self.ahead, next))
    }

    /// A mistake at the place reached.
    pub fn error(&self, text: impl Into<String>) -> SyntaxError {
        SyntaxError {
            at: self.at,
            text: text.into(),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at.byte..]
    }

    fn first(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let c = self.first()?;
        self.at.byte += c.len_utf8();
        if c == '\n' {
            (self.at.line, self.at.column) = (self.at.line + 1, 1);
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn read(&mut self) -> Result<Token<'a>, SyntaxError> {
        while matches!(self.first(), Some(' ' | '\t' | '\r')) {
            self.step();
        }
        let start = self.at;
        if self.rest().starts_with("//") {
            return Ok(self.comment(start));
        }
        self.refuse_c_comment()?;
        let kind = match self.first() {
            None => Kind::End,
            Some('\n') => {
                self.step();
                Kind::Newline
            }
            Some('(' | ')' | '[' | ']' | '{' | '}' | ',') => {
                self.step();
                Kind::Mark
            }
            Some(quote @ ('"' | '`')) => {
                self.quoted(quote)?;
                Kind::Quoted
            }
            Some(c) if is_word(c) => {
                self.word()?;
                Kind::Word
            }
            Some(c) => {
                let text = format!("unexpected input character {}", quote_char(c));
                return Err(self.error(text));
            }
        };
        let text = &self.text[start.byte..self.at.byte];
        Ok(Token { kind, start, text })
    }

    fn comment(&mut self, start: Position) -> Token<'a> {
        let line = self.text[..start.byte].rfind('\n').map_or(0, |i| i + 1);
        let alone = self.text[line..start.byte].trim().is_empty();
        while !matches!(self.step(), None | Some('\n')) {}
        let text = &self.text[start.byte..self.at.byte];
        let text = match text.strip_suffix('\n') {
            Some(text) => text.strip_suffix('\r').unwrap_or(text),
            None => text,
        };
        let kind = if alone { Kind::Comment } else { Kind::Suffix };
        Token { kind, start, text }
    }

    fn quoted(&mut self, quote: char) -> Result<(), SyntaxError> {
        let start = self.at;
        let open = |at| SyntaxError {
            at,
            text: "unexpected EOF in string".into(),
        };
        self.step();
        loop {
            if self.first() == Some('\n') {
                return Err(self.error("unexpected newline in string"));
            }
            match self.step() {
                None => return Err(open(start)),
                Some(c) if c == quote => return Ok(()),
                Some('\\') if quote == '"' => {
                    self.step().ok_or_else(|| open(start))?;
                }
                Some(_) => {}
            }
        }
    }

    fn word(&mut self) -> Result<(), SyntaxError> {
        while self.first().is_some_and(is_word) {
            if self.rest().starts_with("//") {
                break;
            }
            self.refuse_c_comment()?;
            self.step();
        }
        Ok(())
    }

    fn refuse_c_comment(&self) -> Result<(), SyntaxError> {
        if self.rest().starts_with("/*") {
            return Err(self.error("mod files must use // comments (not /* */ comments)"));
        }
        Ok(())
    }
}

fn is_word(c: char) -> bool {
    !matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | ',') && !c.is_whitespace() && is_printable(c)
}
