//! The head of a Go file: package clause, imports, build constraint. Nothing behind the imports is
//! read.

/// What the head of a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Imported paths with their lines.
    pub imports: Vec<(String, usize)>,
    /// The file is left out unless a tag is set: `//go:build ignore` and the like.
    pub constrained: bool,
}

/// Imports of one file; real ones have some dozens.
const IMPORTS_MAX: usize = 500;

/// Reads a file's head; what is no Go ends it.
pub fn head(text: &str) -> Head {
    let mut head = Head::default();
    let mut scanner = Scanner {
        rest: text,
        line: 1,
        constrained: false,
    };
    let mut in_block = false;
    let mut saw_package = false;
    while let Some(word) = scanner.next() {
        match word {
            Word::Name("package") if !saw_package => {
                saw_package = true;
                if !matches!(scanner.next(), Some(Word::Name(_))) {
                    break;
                }
            }
            Word::Name("import") if saw_package && !in_block => match scanner.next() {
                Some(Word::Mark('(')) => in_block = true,
                Some(Word::Text(path)) => head.imports.push((path.to_owned(), scanner.line)),
                Some(Word::Name(_) | Word::Mark('.')) => {
                    if let Some(Word::Text(path)) = scanner.next() {
                        head.imports.push((path.to_owned(), scanner.line));
                    }
                }
                _ => break,
            },
            Word::Mark(')') if in_block => in_block = false,
            Word::Text(path) if in_block => head.imports.push((path.to_owned(), scanner.line)),
            Word::Name(_) | Word::Mark('.') if in_block => {}
            Word::Mark(';') => {}
            _ => break,
        }
        if head.imports.len() >= IMPORTS_MAX {
            break;
        }
    }
    head.constrained = scanner.constrained;
    head
}

enum Word<'t> {
    Name(&'t str),
    Text(&'t str),
    Mark(char),
}

struct Scanner<'t> {
    rest: &'t str,
    line: usize,
    constrained: bool,
}

impl<'t> Scanner<'t> {
    fn next(&mut self) -> Option<Word<'t>> {
        loop {
            let c = self.rest.chars().next()?;
            if c.is_whitespace() || c == '\u{feff}' {
                self.skip(c.len_utf8());
            } else if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let comment = &self.rest[..end];
                self.constrained |=
                    comment.starts_with("//go:build ") || comment.starts_with("// +build ");
                self.skip(end);
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").map_or(self.rest.len(), |end| end + 2);
                self.skip(end);
            } else {
                return Some(self.word(c));
            }
        }
    }

    fn word(&mut self, c: char) -> Word<'t> {
        let rest = self.rest;
        if matches!(c, '"' | '`') {
            let body = &rest[1..];
            let end = body.find([c, '\n']).unwrap_or(body.len());
            let text = &body[..end];
            self.skip((end + 2).min(rest.len()));
            return Word::Text(text);
        }
        if c.is_alphanumeric() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            self.skip(end);
            return Word::Name(&rest[..end]);
        }
        self.skip(c.len_utf8());
        Word::Mark(c)
    }

    fn skip(&mut self, bytes: usize) {
        let bytes = (bytes..=self.rest.len())
            .find(|at| self.rest.is_char_boundary(*at))
            .unwrap_or(self.rest.len());
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_every_form_are_found_and_code_is_not_read() {
        let text = "// c\n/* import \"no\" */\npackage p // x\n\nimport \"a\"\nimport f \"b.example/x\"\nimport (\n\t. \"c\"\n\t_ `d`\n\t// \"no\"\n)\nimport();\nvar s = \"import\"\nimport \"late\"\n";
        let found = head(text);
        let paths: Vec<&str> = found
            .imports
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(paths, ["a", "b.example/x", "c", "d"]);
        assert_eq!(found.imports[1].1, 6);
        assert!(!found.constrained);
        assert!(head("//go:build ignore\n\npackage main\nimport \"x\"").constrained);
    }

    #[test]
    fn what_is_no_go_ends_without_harm() {
        for text in [
            "",
            "\"",
            "package",
            "package p\nimport",
            "package p\nimport (\"é",
            "/*",
            "package é\nimport `x",
            "\u{feff}package p;import \"a\"",
        ] {
            let _ = head(text);
        }
        assert_eq!(head("\u{feff}package p;import \"a\"").imports.len(), 1);
    }
}
