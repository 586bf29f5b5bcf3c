//! Reading `go-import` meta tags as the go command does.
//!
//! It runs Go's XML tokenizer in its lenient mode over the page, up to `</head>` or `<body>`, and
//! keeps what it found if the page then turns out to be malformed. A real HTML parser would
//! accept pages that the go command refuses, so the tokenizer's rules are kept, warts included:
//! unquoted values hold only letters, digits and `_:-`, a `--` inside a comment is an error, and
//! only UTF-8 and ASCII can be declared as encoding.

/// One `<meta name="go-import" content="PREFIX VCS ROOT [SUBDIR]">`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaImport {
    /// Import path of the repository's root.
    pub prefix: String,
    /// `git`, `hg`, `svn`, `fossil`, or `mod` for a module proxy.
    pub vcs: String,
    /// URL of the repository or proxy.
    pub repo_root: String,
    /// Directory in the repository, or empty.
    pub subdir: String,
}

/// A page that has no readable go-import tag because it is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PageSyntaxError(pub String);

/// The go-import tags of a page, in order.
///
/// With `prefer_mod`, `mod` entries come first and replace others of the same prefix; without,
/// they are left out.
///
/// # Errors
/// The page is malformed before its first go-import tag.
pub fn parse_meta_go_imports(
    page: &[u8],
    prefer_mod: bool,
) -> Result<Vec<MetaImport>, PageSyntaxError> {
    let mut tokens = Tokens { bytes: page, at: 0 };
    let mut imports = Vec::new();
    loop {
        match tokens.next_token() {
            Ok(Some(Token::Start(element))) if element.is("body") => break,
            Ok(Some(Token::End(name))) if name.eq_ignore_ascii_case("head") => break,
            Ok(Some(Token::Start(element))) => imports.extend(meta_import(&element)),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) if imports.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(ordered(imports, prefer_mod))
}

fn ordered(imports: Vec<MetaImport>, prefer_mod: bool) -> Vec<MetaImport> {
    let (mods, others): (Vec<_>, Vec<_>) = imports.into_iter().partition(|m| m.vcs == "mod");
    if !prefer_mod {
        return others;
    }
    let mut list = mods;
    let count = list.len();
    for other in others {
        if !list[..count].iter().any(|m| m.prefix == other.prefix) {
            list.push(other);
        }
    }
    list
}

fn meta_import(element: &Element) -> Option<MetaImport> {
    if !element.is("meta") || element.attr("name") != "go-import" {
        return None;
    }
    let fields: Vec<&str> = element.attr("content").split_whitespace().collect();
    let (prefix, vcs, root, subdir) = match fields.as_slice() {
        [prefix, vcs, root] => (prefix, vcs, root, ""),
        [prefix, vcs, root, subdir] => (prefix, vcs, root, *subdir),
        _ => return None,
    };
    Some(MetaImport {
        prefix: (*prefix).to_owned(),
        vcs: (*vcs).to_owned(),
        repo_root: (*root).to_owned(),
        subdir: subdir.to_owned(),
    })
}

enum Token {
    Start(Element),
    End(String),
    Other,
}

struct Element {
    name: String,
    attrs: Vec<(String, String)>,
}

impl Element {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first attribute of that name, whatever its case; empty when there is none.
    fn attr(&self, name: &str) -> &str {
        let found = self
            .attrs
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The tokenizer. Positions only move forward; every loop ends at the end of the page.
struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Parsed<T> = Result<T, PageSyntaxError>;

fn syntax<T>(what: &str) -> Parsed<T> {
    Err(PageSyntaxError(format!("XML syntax error: {what}")))
}

impl Tokens<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn must(&mut self) -> Parsed<u8> {
        let Some(b) = self.peek() else {
            return syntax("unexpected EOF");
        };
        self.at += 1;
        Ok(b)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\r' | b'\n' | b'\t')) {
            self.at += 1;
        }
    }

    fn next_token(&mut self) -> Parsed<Option<Token>> {
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        if first != b'<' {
            self.text(None, false)?;
            return Ok(Some(Token::Other));
        }
        self.at += 1;
        let token = match self.must()? {
            b'/' => self.end_element()?,
            b'?' => self.instruction()?,
            b'!' => self.markup()?,
            _ => {
                self.at -= 1;
                self.start_element()?
            }
        };
        Ok(Some(token))
    }

    fn end_element(&mut self) -> Parsed<Token> {
        let name = self.name("expected element name after </")?;
        self.space();
        if self.must()? != b'>' {
            return syntax("invalid characters between </ and >");
        }
        Ok(Token::End(local(&name).to_owned()))
    }

    fn instruction(&mut self) -> Parsed<Token> {
        let target = self.raw_name("expected target name after <?")?;
        self.space();
        let start = self.at;
        self.skip_past(b"?>")?;
        if target == "xml" {
            let content = String::from_utf8_lossy(&self.bytes[start..self.at - 2]).into_owned();
            check_declaration(&content)?;
        }
        Ok(Token::Other)
    }

    /// Moves behind the next occurrence of `end`.
    fn skip_past(&mut self, end: &[u8]) -> Parsed<()> {
        let rest = &self.bytes[self.at..];
        match rest.windows(end.len()).position(|window| window == end) {
            Some(i) => {
                self.at += i + end.len();
                Ok(())
            }
            None => {
                self.at = self.bytes.len();
                syntax("unexpected EOF")
            }
        }
    }

    /// Behind `<!`: a comment, a CDATA section or a directive such as DOCTYPE.
    fn markup(&mut self) -> Parsed<Token> {
        match self.must()? {
            b'-' => {
                if self.must()? != b'-' {
                    return syntax("invalid sequence <!- not part of <!--");
                }
                self.skip_past(b"--")?;
                if self.must()? != b'>' {
                    return syntax("invalid sequence \"--\" not allowed in comments");
                }
            }
            b'[' => {
                for want in b"CDATA[" {
                    if self.must()? != *want {
                        return syntax("invalid <![ sequence");
                    }
                }
                self.text(None, true)?;
            }
            // Go writes the first byte of a directive without looking at it.
            _ => self.directive()?,
        }
        Ok(Token::Other)
    }

    fn directive(&mut self) -> Parsed<()> {
        let (mut quote, mut depth) = (0u8, 0u32);
        loop {
            let b = self.must()?;
            match b {
                b'>' if quote == 0 && depth == 0 => return Ok(()),
                b if b == quote => quote = 0,
                _ if quote != 0 => {}
                b'\'' | b'"' => quote = b,
                b'>' => depth -= 1,
                b'<' if self.bytes[self.at..].starts_with(b"!--") => {
                    self.at += 3;
                    self.skip_past(b"-->")?;
                }
                b'<' => depth += 1,
                _ => {}
            }
        }
    }

    fn start_element(&mut self) -> Parsed<Token> {
        let name = self.name("expected element name after <")?;
        let mut attrs = Vec::new();
        loop {
            self.space();
            match self.must()? {
                b'/' => {
                    if self.must()? != b'>' {
                        return syntax("expected /> in element");
                    }
                    break;
                }
                b'>' => break,
                _ => self.at -= 1,
            }
            let key = self.name("expected attribute name in element")?;
            let key = local(&key).to_owned();
            self.space();
            let value = if self.must()? == b'=' {
                self.space();
                self.attribute_value()?
            } else {
                self.at -= 1;
                key.clone()
            };
            attrs.push((key, value));
        }
        Ok(Token::Start(Element {
            name: local(&name).to_owned(),
            attrs,
        }))
    }

    fn attribute_value(&mut self) -> Parsed<String> {
        let b = self.must()?;
        if matches!(b, b'"' | b'\'') {
            return self.text(Some(b), false);
        }
        self.at -= 1;
        let start = self.at;
        loop {
            let b = self.must()?;
            if !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-')) {
                self.at -= 1;
                return Ok(String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned());
            }
        }
    }

    /// A name with at most one colon.
    fn name(&mut self, missing: &str) -> Parsed<String> {
        let name = self.raw_name(missing)?;
        if name.matches(':').count() > 1 {
            syntax(missing)
        } else {
            Ok(name)
        }
    }

    fn raw_name(&mut self, missing: &str) -> Parsed<String> {
        let start = self.at;
        while self.must()? >= 0x80 || is_name_byte(self.bytes[self.at - 1]) {}
        self.at -= 1;
        let bytes = &self.bytes[start..self.at];
        if bytes.is_empty() {
            return syntax(missing);
        }
        match std::str::from_utf8(bytes) {
            Ok(name) if is_name(name) => Ok(name.to_owned()),
            _ => syntax(&format!(
                "invalid XML name: {}",
                String::from_utf8_lossy(bytes)
            )),
        }
    }

    /// Character data up to `<`, the closing quote, or `]]>` of a CDATA section.
    fn text(&mut self, quote: Option<u8>, cdata: bool) -> Parsed<String> {
        let mut out = Vec::new();
        let (mut b0, mut b1) = (0u8, 0u8);
        loop {
            let Some(b) = self.peek() else {
                if cdata {
                    return syntax("unexpected EOF in CDATA section");
                }
                break;
            };
            self.at += 1;
            if quote.is_none() && (b0, b1, b) == (b']', b']', b'>') {
                if !cdata {
                    return syntax("unescaped ]]> not in CDATA section");
                }
                out.truncate(out.len() - 2);
                break;
            }
            if b == b'<' && !cdata {
                if quote.is_some() {
                    return syntax("unescaped < inside quoted string");
                }
                self.at -= 1;
                break;
            }
            if quote == Some(b) {
                break;
            }
            if b == b'&' && !cdata {
                self.entity(&mut out)?;
                (b0, b1) = (0, 0);
                continue;
            }
            match b {
                b'\r' => out.push(b'\n'),
                b'\n' if b1 == b'\r' => {}
                b => out.push(b),
            }
            (b0, b1) = (b1, b);
        }
        checked_text(out)
    }

    /// Behind `&`: the five names and numbers are replaced, anything else stays as it is.
    fn entity(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let start = self.at;
        let replacement = if self.peek() == Some(b'#') {
            self.at += 1;
            self.number()?
        } else {
            while self.must()? >= 0x80 || is_name_byte(self.bytes[self.at - 1]) {}
            self.at -= 1;
            let name = &self.bytes[start..self.at];
            match (self.peek(), name) {
                (Some(b';'), b"lt") => Some('<'),
                (Some(b';'), b"gt") => Some('>'),
                (Some(b';'), b"amp") => Some('&'),
                (Some(b';'), b"apos") => Some('\''),
                (Some(b';'), b"quot") => Some('"'),
                _ => None,
            }
        };
        let closed = self.peek() == Some(b';');
        self.at += usize::from(closed);
        match replacement {
            Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                out.push(b'&');
                out.extend_from_slice(&self.bytes[start..self.at]);
            }
        }
        Ok(())
    }

    /// Digits behind `&#`, leaving the position on what follows them.
    fn number(&mut self) -> Parsed<Option<char>> {
        let mut base = 10;
        if self.must()? == b'x' {
            base = 16;
        } else {
            self.at -= 1;
        }
        let start = self.at;
        loop {
            let b = self.must()?;
            let digit = b.is_ascii_digit() || (base == 16 && b.is_ascii_hexdigit());
            if !digit {
                self.at -= 1;
                break;
            }
        }
        if self.peek() != Some(b';') {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        let value = u64::from_str_radix(text, base)
            .ok()
            .filter(|v| *v <= 0x10_ffff);
        let value = value.and_then(|v| u32::try_from(v).ok());
        // Surrogates become the replacement character, as in Go.
        Ok(value.map(|v| char::from_u32(v).unwrap_or('\u{fffd}')))
    }
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'-')
}

/// XML names. Beyond ASCII the XML 1.0 tables are approximated by Unicode's: no tag that matters
/// has such a name, it only decides where a malformed page ends.
fn is_name(name: &str) -> bool {
    let first = |c: char| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (!c.is_ascii() && c.is_alphabetic())
    };
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '.' || c == '-' || !c.is_ascii();
    let mut chars = name.chars();
    chars.next().is_some_and(first) && chars.all(rest)
}

/// The name without its namespace.
fn local(name: &str) -> &str {
    match name.split_once(':') {
        Some((space, local)) if !space.is_empty() && !local.is_empty() => local,
        _ => name,
    }
}

/// UTF-8 of the characters that XML allows.
fn checked_text(bytes: Vec<u8>) -> Parsed<String> {
    let Ok(text) = String::from_utf8(bytes) else {
        return syntax("invalid UTF-8");
    };
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => syntax(&format!("illegal character code U+{:04X}", u32::from(c))),
        None => Ok(text),
    }
}

/// `<?xml version=… encoding=…?>`: version 1.0, encoding UTF-8 or ASCII.
fn check_declaration(content: &str) -> Parsed<()> {
    let version = pseudo_attribute("version", content);
    if !version.is_empty() && version != "1.0" {
        return Err(PageSyntaxError(format!(
            "xml: unsupported version {version:?}; only version 1.0 is supported"
        )));
    }
    let encoding = pseudo_attribute("encoding", content);
    if encoding.is_empty()
        || ["utf-8", "ascii"]
            .iter()
            .any(|e| encoding.eq_ignore_ascii_case(e))
    {
        return Ok(());
    }
    Err(PageSyntaxError(format!(
        "xml: opening charset {encoding:?}: can't decode XML document using charset {encoding:?}"
    )))
}

/// The value of `param="value"` in a processing instruction; empty when there is none.
fn pseudo_attribute(param: &str, content: &str) -> String {
    let key = format!("{param}=");
    let mut rest = content;
    while let Some(i) = rest.find(&key) {
        let value = &rest[i + key.len()..];
        let Some(quote) = value.chars().next() else {
            break;
        };
        rest = &value[quote.len_utf8()..];
        if matches!(quote, '\'' | '"') {
            return rest
                .split_once(quote)
                .map_or("", |(inner, _)| inner)
                .to_owned();
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn prefixes(page: &str) -> Vec<String> {
        let found = parse_meta_go_imports(page.as_bytes(), true).unwrap();
        found.into_iter().map(|meta| meta.prefix).collect()
    }

    const META: &str = r#"<meta name="go-import" content="a.x/b git https://a.x/b">"#;

    #[test]
    fn reading_stops_at_the_end_of_head_and_at_body() {
        assert_eq!(
            prefixes(&format!("<head></head>{META}")),
            Vec::<String>::new()
        );
        assert_eq!(prefixes(&format!("<body>{META}")), Vec::<String>::new());
        assert_eq!(
            prefixes(&format!("<head>{META}</head><body><<<")),
            ["a.x/b"]
        );
    }

    #[test]
    fn what_was_found_before_a_malformed_part_counts() {
        assert_eq!(prefixes(&format!("{META}<a <")), ["a.x/b"]);
        assert!(parse_meta_go_imports(format!("<a <{META}").as_bytes(), true).is_err());
    }

    #[test]
    fn only_utf8_and_ascii_can_be_declared() {
        let page = |charset: &str| format!("<?xml version=\"1.0\" encoding=\"{charset}\"?>{META}");
        assert_eq!(prefixes(&page("us-ascii")[0..0]), Vec::<String>::new());
        for good in ["utf-8", "UTF-8", "ASCII"] {
            assert_eq!(prefixes(&page(good)), ["a.x/b"], "{good}");
        }
        for bad in ["us-ascii", "iso-8859-1", "utf-16"] {
            assert!(
                parse_meta_go_imports(page(bad).as_bytes(), true).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn case_entities_and_missing_quotes_are_read_as_go_reads_them() {
        let page = "<META NAME=go-import CONTENT='a.x/&#98; git &#x68;ttps://a.x/b&amp;c'/>";
        let found = parse_meta_go_imports(page.as_bytes(), true).unwrap();
        assert_eq!(found[0].prefix, "a.x/b");
        assert_eq!(found[0].repo_root, "https://a.x/b&c");
    }

    #[test]
    fn tags_with_other_numbers_of_fields_are_skipped() {
        for content in ["a.x git", "a.x git https://a.x sub more", ""] {
            assert_eq!(
                prefixes(&format!("<meta name=go-import content=\"{content}\">")).len(),
                0
            );
        }
    }

    #[test]
    fn scripts_comments_and_doctypes_do_not_hide_tags() {
        let page =
            format!("<!DOCTYPE html [<!-- > --> '<' ]><!-- x --><title>&nbsp;&copy</title>{META}");
        assert_eq!(prefixes(&page), ["a.x/b"]);
        assert!(parse_meta_go_imports(format!("<!-- a -- b -->{META}").as_bytes(), true).is_err());
    }

    #[test]
    fn no_page_makes_it_panic() {
        let page = format!("<?xml?><![CDATA[ ]]>{META}<a b=c d/></a:b:c><!D '<'>&#xffffffffff;&#;");
        for end in 0..page.len() {
            let _ = parse_meta_go_imports(&page.as_bytes()[..end], true);
            let _ = parse_meta_go_imports(&page.as_bytes()[end..], false);
        }
    }
}
