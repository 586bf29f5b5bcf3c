//! What each directive of a go.mod file may say.

use super::goversion::{is_go_version, lax_go_version};
use super::lexer::Position;
use super::strings::string;
use super::syntax::{Head, Line, Visitor, comment_text};
use super::{Exclude, MISTAKES_MAX, ModFile, Replace, Require, Retract};
use crate::path::{check_path_major, split_path_version};
use crate::quote::quote;
use crate::version::canonical_version;

/// Directives that may stand in a block.
const BLOCKS: [&str; 8] = [
    "module", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore",
];

/// A mistake at a place, as the go command writes it: the column only where it says something.
pub(super) fn located(name: &str, at: Position, text: &str) -> String {
    match at.column {
        1 => format!("{name}:{}: {text}", at.line),
        column => format!("{name}:{}:{column}: {text}", at.line),
    }
}

/// Turns lines into a [`ModFile`].
pub(super) struct Reader<'n> {
    name: &'n str,
    strict: bool,
    file: ModFile,
    /// A `module` line was seen, if only a wrong one.
    has_module: bool,
    mistakes: Vec<String>,
}

impl<'n> Reader<'n> {
    pub fn new(name: &'n str, strict: bool) -> Self {
        Self {
            name,
            strict,
            file: ModFile::default(),
            has_module: false,
            mistakes: Vec::new(),
        }
    }

    pub fn finish(self) -> (ModFile, Vec<String>) {
        (self.file, self.mistakes)
    }

    fn mistake(&mut self, at: Position, text: &str) {
        if self.mistakes.len() < MISTAKES_MAX {
            self.mistakes.push(located(self.name, at, text));
        }
    }

    fn add(&mut self, head: Option<&Head<'_>>, line: &Line<'_>, verb: &str, args: &[&str]) {
        let main_only = !matches!(verb, "go" | "module" | "retract" | "require" | "ignore");
        let done = match verb {
            "module" => self.module(head, line, args),
            "go" => self.go(args),
            "require" => module_version(verb, args).map(|(path, version)| {
                let indirect = line.suffix.is_some_and(is_indirect);
                self.file.require.push(Require {
                    path,
                    version,
                    indirect,
                });
            }),
            "retract" => self.retract(head, line, args),
            "ignore" => one_string(verb, args).map(|s| self.file.ignore.push(s)),
            _ => self.main_only(verb, args),
        };
        match done {
            Err(text) if self.strict || !main_only => self.mistake(line.start, &text),
            _ => {}
        }
    }

    fn main_only(&mut self, verb: &str, args: &[&str]) -> Result<(), String> {
        match verb {
            "toolchain" => self.toolchain(args)?,
            "exclude" => {
                let (path, version) = module_version(verb, args)?;
                self.file.exclude.push(Exclude { path, version });
            }
            "replace" => self.file.replace.push(replace(args)?),
            "tool" => self.file.tool.push(one_string(verb, args)?),
            "godebug" => match args {
                [pair] if !pair.contains(['"', '`', '\'', ',']) => {
                    let (key, value) = pair.split_once('=').ok_or("usage: godebug key=value")?;
                    self.file.godebug.push((key.into(), value.into()));
                }
                _ => return Err("usage: godebug key=value".into()),
            },
            other => return Err(format!("unknown directive: {other}")),
        }
        Ok(())
    }

    fn module(
        &mut self,
        head: Option<&Head<'_>>,
        line: &Line<'_>,
        args: &[&str],
    ) -> Result<(), String> {
        if std::mem::replace(&mut self.has_module, true) {
            return Err("repeated module statement".into());
        }
        self.file.deprecated = deprecation(&comment_text(head, line));
        let [path] = args else {
            return Err("usage: module module/path".into());
        };
        self.file.module = Some(word(path)?);
        Ok(())
    }

    fn go(&mut self, args: &[&str]) -> Result<(), String> {
        if self.file.go.is_some() {
            return Err("repeated go statement".into());
        }
        let [version] = args else {
            return Err("go directive expects exactly one argument".into());
        };
        let known = match is_go_version(version) {
            true => Some(*version),
            false if self.strict => None,
            false => lax_go_version(version),
        };
        let known = known
            .ok_or_else(|| format!("invalid go version '{version}': must match format 1.23.0"))?;
        self.file.go = Some(known.to_owned());
        Ok(())
    }

    fn toolchain(&mut self, args: &[&str]) -> Result<(), String> {
        if self.file.toolchain.is_some() {
            return Err("repeated toolchain statement".into());
        }
        let [name] = args else {
            return Err("toolchain directive expects exactly one argument".into());
        };
        if !matches!(*name, "default" | "go1") && !name.starts_with("go1.") {
            return Err(format!(
                "invalid toolchain version '{name}': must match format go1.23.0 or default"
            ));
        }
        self.file.toolchain = Some((*name).to_owned());
        Ok(())
    }

    fn retract(
        &mut self,
        head: Option<&Head<'_>>,
        line: &Line<'_>,
        args: &[&str],
    ) -> Result<(), String> {
        let (low, high, rest) = match interval(args) {
            Ok(interval) => interval,
            // Intervals in a later Go's syntax must not make a dependency unusable.
            Err(_) if !self.strict => return Ok(()),
            Err(text) => return Err(text),
        };
        if let Some(extra) = rest.first().filter(|_| self.strict) {
            return Err(format!("unexpected token after version: {}", quote(extra)));
        }
        self.file.retract.push(Retract {
            low,
            high,
            rationale: comment_text(head, line),
        });
        Ok(())
    }
}

impl Visitor for Reader<'_> {
    fn line(&mut self, line: &Line<'_>) {
        if let Some((verb, args)) = line.words.split_first() {
            self.add(None, line, verb, args);
        }
    }

    fn block(&mut self, head: &Head<'_>) {
        if self.strict && block_verb(head).is_none() {
            let text = format!("unknown block type: {}", head.words.join(" "));
            self.mistake(head.start, &text);
        }
    }

    fn block_line(&mut self, head: &Head<'_>, line: &Line<'_>) {
        if let Some(verb) = block_verb(head) {
            self.add(Some(head), line, verb, &line.words);
        }
    }
}

fn block_verb<'a>(head: &Head<'a>) -> Option<&'a str> {
    match head.words.as_slice() {
        [verb] if BLOCKS.contains(verb) => Some(verb),
        _ => None,
    }
}

fn is_indirect(comment: &str) -> bool {
    let text = comment.strip_prefix("//").unwrap_or(comment);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some("indirect"), None) | (Some("indirect;"), Some(_)) => true,
        (Some(_) | None, _) => false,
    }
}

fn word(text: &str) -> Result<String, String> {
    string(text).map_err(|why| format!("invalid quoted string: {why}"))
}

fn one_string(verb: &str, args: &[&str]) -> Result<String, String> {
    match args {
        [one] => word(one),
        _ => Err(format!("{verb} directive expects exactly one argument")),
    }
}

fn module_version(verb: &str, args: &[&str]) -> Result<(String, String), String> {
    let [path, version] = args else {
        return Err(format!("usage: {verb} module/path v1.2.3"));
    };
    let path = word(path)?;
    let version = canonical(verb, &path, version)?;
    let (_, major) = split_path_version(&path).ok_or("invalid module path")?;
    check_path_major(&version, major).map_err(|e| of_module(verb, &path, &e.to_string()))?;
    Ok((path, version))
}

fn of_module(verb: &str, path: &str, why: &str) -> String {
    match path {
        "" => format!("{verb}: {why}"),
        _ => format!("{verb} {path}: {why}"),
    }
}

fn canonical(verb: &str, path: &str, text: &str) -> Result<String, String> {
    let wrong = |text: &str, why: &str| {
        of_module(
            verb,
            path,
            &format!("version {} invalid: {why}", quote(text)),
        )
    };
    let version = string(text).map_err(|why| wrong(text, why))?;
    canonical_version(&version).ok_or_else(|| wrong(&version, "must be of the form v1.2.3"))
}

fn replace(args: &[&str]) -> Result<Replace, String> {
    let usage = "usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory";
    let arrow = if args.get(1) == Some(&"=>") { 1 } else { 2 };
    let (from, to) = match (args.get(..arrow), args.get(arrow + 1..)) {
        (Some(from), Some(to)) if args[arrow] == "=>" => (from, to),
        _ => return Err(usage.into()),
    };
    let (new, new_version) = match to {
        [new] => (new, None),
        [new, version] => (new, Some(version)),
        _ => return Err(usage.into()),
    };
    let old = word(from[0])?;
    let (_, major) = split_path_version(&old)
        .ok_or_else(|| of_module("replace", &old, "invalid module path"))?;
    let old_version = from.get(1).map(|v| canonical("replace", &old, v));
    let old_version = old_version.transpose()?;
    if let Some(version) = &old_version {
        check_path_major(version, major).map_err(|e| of_module("replace", &old, &e.to_string()))?;
    }
    let new = word(new)?;
    let new_version = new_version.map(|v| canonical("replace", &new, v));
    let new_version = new_version.transpose()?;
    check_target(&new, new_version.is_some())?;
    Ok(Replace {
        old,
        old_version,
        new,
        new_version,
    })
}

/// A directory has no version, and a module must have one.
fn check_target(new: &str, has_version: bool) -> Result<(), String> {
    let text = match (is_directory(new), has_version) {
        (true, false) if new.contains('\\') => {
            "replacement directory appears to be Windows path (on a non-windows system)"
        }
        (true, false) | (false, true) => return Ok(()),
        (true, true) => {
            let new = quote(new);
            return Err(format!(
                "replacement module directory path {new} cannot have version"
            ));
        }
        (false, false) if new.contains('@') => {
            "replacement module must match format 'path version', not 'path@version'"
        }
        (false, false) => {
            "replacement module without version must be directory path (rooted or starting with . or ..)"
        }
    };
    Err(text.into())
}

/// Paths of Unix and Windows alike, because go.mod files travel.
fn is_directory(path: &str) -> bool {
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let rooted = path.starts_with(['/', '\\']);
    let dotted = ["./", ".\\", "../", "..\\"];
    drive
        || rooted
        || matches!(path, "." | "..")
        || dotted.iter().any(|dots| path.starts_with(dots))
}

/// Lowest, highest, and the words that follow.
type Interval<'a, 'b> = (String, String, &'a [&'b str]);

/// A version, or two in brackets; and what follows.
fn interval<'a, 'b>(args: &'a [&'b str]) -> Result<Interval<'a, 'b>, String> {
    let version = |text: &str| {
        string(text).map_err(|why| format!("retract: version {} invalid: {why}", quote(text)))
    };
    let rest = match args {
        [] | ["(", ..] => return Err("expected '[' or version".into()),
        ["[", rest @ ..] => rest,
        [one, rest @ ..] => {
            let one = version(one)?;
            return Ok((one.clone(), one, rest));
        }
    };
    let (low, rest) = rest.split_first().ok_or("expected version after '['")?;
    let low = version(low)?;
    let [",", rest @ ..] = rest else {
        return Err("expected ',' after version".into());
    };
    let (high, rest) = rest.split_first().ok_or("expected version after ','")?;
    let high = version(high)?;
    let ["]", rest @ ..] = rest else {
        return Err("expected ']' after version".into());
    };
    Ok((low, high, rest))
}

/// The first paragraph of a comment that begins with `Deprecated:`.
fn deprecation(comment: &str) -> Option<String> {
    let mut found = comment.match_indices("Deprecated:");
    let (at, mark) = found.find(|(at, _)| *at == 0 || comment[..*at].ends_with("\n\n"))?;
    let text = &comment[at + mark.len()..];
    let text = text.split_once("\n\n").map_or(text, |(first, _)| first);
    let message = text.trim_start_matches(' ');
    (!message.is_empty()).then(|| message.to_owned())
}
