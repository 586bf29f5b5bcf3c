//! go.mod files, read but never written.
//!
//! A dependency's file is read leniently, so that directives of a later Go do not make a module
//! useless; a main module's strictly. Source of the rules: golang.org/ref/mod#go-mod-file and
//! golang.org/x/mod/modfile.

mod syntax;

use crate::path::{check_path_major, split_path_version};
use crate::semver;
use std::fmt;
use syntax::{Directive, string};

/// Bytes of a file that is parsed: the go command's own limit for a go.mod in a zip.
const BYTES_MAX: usize = crate::zip::MAX_GO_MOD as usize;

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Require {
    /// The module path.
    pub path: String,
    /// The version as written.
    pub version: String,
    /// Whether it is marked `// indirect`.
    pub indirect: bool,
}

/// A replacement. A version may be missing on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The module that is replaced.
    pub old: String,
    /// Which version of it; all, if none.
    pub old_version: Option<String>,
    /// The module or directory in its place.
    pub new: String,
    /// The version in its place; none for a directory.
    pub new_version: Option<String>,
}

/// A version that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclude {
    /// The module path.
    pub path: String,
    /// The version.
    pub version: String,
}

/// Versions taken back by their author, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retract {
    /// The lowest.
    pub low: String,
    /// The highest.
    pub high: String,
    /// The author's reason.
    pub rationale: String,
}

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModFile {
    /// The path it declares.
    pub module: Option<String>,
    /// The deprecation message, if its module is deprecated.
    pub deprecated: Option<String>,
    /// The go version.
    pub go: Option<String>,
    /// The toolchain it suggests.
    pub toolchain: Option<String>,
    /// Its requirements.
    pub require: Vec<Require>,
    /// Its replacements.
    pub replace: Vec<Replace>,
    /// Its exclusions.
    pub exclude: Vec<Exclude>,
    /// Its retractions.
    pub retract: Vec<Retract>,
    /// Tools it names.
    pub tool: Vec<String>,
    /// Directories it ignores.
    pub ignore: Vec<String>,
}

/// What is wrong in a file: one line for each mistake, as the go command writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModFileError {
    /// The mistakes, in order: `name:line[:column]: text`.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ModFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistakes.join("\n"))
    }
}

impl std::error::Error for ModFileError {}

impl ModFile {
    /// Reads a dependency's file: unknown directives, and mistakes in those that only count in a main
    /// module, are passed over.
    pub fn parse_lax(name: &str, bytes: &[u8]) -> Result<Self, ModFileError> {
        Self::parse(name, bytes, false)
    }

    /// Reads a main module's file.
    pub fn parse_strict(name: &str, bytes: &[u8]) -> Result<Self, ModFileError> {
        Self::parse(name, bytes, true)
    }

    /// Whether its requirements are complete, so that its dependencies' own need not be followed:
    /// from go 1.17 on (golang.org/ref/mod#graph-pruning).
    pub fn is_pruned(&self) -> bool {
        let mut numbers = self
            .go
            .as_deref()
            .unwrap_or("1.16")
            .split(['.', 'r', 'b'])
            .map(str::parse::<u64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(1)), Some(Ok(minor))) => minor >= 17,
            (Some(Ok(major)), _) => major > 1,
            _ => false,
        }
    }

    fn parse(name: &str, bytes: &[u8], strict: bool) -> Result<Self, ModFileError> {
        let one = |text: String| ModFileError {
            mistakes: vec![text],
        };
        if bytes.len() > BYTES_MAX {
            return Err(one(format!(
                "{name}: go.mod file too large (max size is {BYTES_MAX} bytes)"
            )));
        }
        let text = String::from_utf8_lossy(bytes);
        let directives = syntax::parse(&text).map_err(|e| {
            let column = if e.column > 1 {
                format!(":{}", e.column)
            } else {
                String::new()
            };
            one(format!("{name}:{}{column}: {}", e.line, e.text))
        })?;
        let mut file = Self::default();
        let mut mistakes = Vec::new();
        for directive in &directives {
            if let Err(text) = file.add(directive, strict) {
                mistakes.push(format!("{name}:{}: {text}", directive.line));
            }
        }
        if mistakes.is_empty() {
            Ok(file)
        } else {
            Err(ModFileError { mistakes })
        }
    }

    fn add(&mut self, directive: &Directive, strict: bool) -> Result<(), String> {
        let (verb, args) = match &directive.block {
            Some(block) => match block.as_slice() {
                [verb] if BLOCKS.contains(&verb.as_str()) => {
                    (verb.as_str(), directive.words.as_slice())
                }
                _ if strict => return Err(format!("unknown block type: {}", block.join(" "))),
                _ => return Ok(()),
            },
            None => match directive.words.split_first() {
                Some((verb, args)) => (verb.as_str(), args),
                None => return Ok(()),
            },
        };
        if directive.block.is_some() && directive.words.is_empty() {
            return Ok(());
        }
        let done = match verb {
            "module" => self.add_module(directive, args),
            "go" => self.add_go(args, strict),
            "require" => self.add_require(directive, args),
            "retract" => self.add_retract(directive, args, strict),
            "ignore" => one_string(verb, args).map(|s| self.ignore.push(s)),
            _ => match self.add_main_only(verb, args) {
                Err(_) if !strict => return Ok(()),
                other => other,
            },
        };
        match done {
            // Intervals of a later Go's syntax must not make a dependency unusable.
            Err(_) if verb == "retract" && !strict => Ok(()),
            other => other,
        }
    }

    /// Directives that count in a main module only; a dependency's are recorded where they parse.
    fn add_main_only(&mut self, verb: &str, args: &[String]) -> Result<(), String> {
        match verb {
            "toolchain" => self.add_toolchain(args),
            "exclude" => {
                let (path, version) = module_version(verb, args)?;
                self.exclude.push(Exclude { path, version });
                Ok(())
            }
            "replace" => replace(args).map(|r| self.replace.push(r)),
            "tool" => one_string(verb, args).map(|s| self.tool.push(s)),
            "godebug" => match args {
                [pair] if pair.contains('=') && !pair.contains(['"', '`', '\'', ',']) => Ok(()),
                _ => Err("usage: godebug key=value".into()),
            },
            other => Err(format!("unknown directive: {other}")),
        }
    }

    fn add_module(&mut self, directive: &Directive, args: &[String]) -> Result<(), String> {
        if self.module.is_some() {
            return Err("repeated module statement".into());
        }
        let [path] = args else {
            return Err("usage: module module/path".into());
        };
        self.module = Some(string(path)?);
        self.deprecated = deprecation(&directive.comment);
        Ok(())
    }

    fn add_go(&mut self, args: &[String], strict: bool) -> Result<(), String> {
        if self.go.is_some() {
            return Err("repeated go statement".into());
        }
        let [version] = args else {
            return Err("go directive expects exactly one argument".into());
        };
        let lax = || {
            if strict {
                None
            } else {
                lax_go_version(version)
            }
        };
        let known = if is_go_version(version) {
            Some(version.as_str())
        } else {
            lax()
        };
        let known = known
            .ok_or_else(|| format!("invalid go version '{version}': must match format 1.23.0"))?;
        self.go = Some(known.to_owned());
        Ok(())
    }

    fn add_toolchain(&mut self, args: &[String]) -> Result<(), String> {
        if self.toolchain.is_some() {
            return Err("repeated toolchain statement".into());
        }
        let [name] = args else {
            return Err("toolchain directive expects exactly one argument".into());
        };
        if name != "default" && name != "go1" && !name.starts_with("go1.") {
            return Err(format!(
                "invalid toolchain version '{name}': must match format go1.23.0 or default"
            ));
        }
        self.toolchain = Some(name.clone());
        Ok(())
    }

    fn add_require(&mut self, directive: &Directive, args: &[String]) -> Result<(), String> {
        let (path, version) = module_version("require", args)?;
        let words = directive
            .suffix
            .as_deref()
            .unwrap_or("")
            .trim_start_matches('/');
        let mut words = words.split_whitespace();
        let indirect = match words.next() {
            Some("indirect") => words.next().is_none(),
            Some("indirect;") => true,
            _ => false,
        };
        self.require.push(Require {
            path,
            version,
            indirect,
        });
        Ok(())
    }

    fn add_retract(
        &mut self,
        directive: &Directive,
        args: &[String],
        strict: bool,
    ) -> Result<(), String> {
        let (low, high, rest) = interval(args)?;
        if let Some(extra) = rest.first().filter(|_| strict) {
            return Err(format!(
                "unexpected token after version: {}",
                crate::quote::quote(extra)
            ));
        }
        self.retract.push(Retract {
            low,
            high,
            rationale: directive.comment.clone(),
        });
        Ok(())
    }
}

/// Directives that may stand in a block.
const BLOCKS: [&str; 8] = [
    "module", "godebug", "require", "exclude", "replace", "retract", "tool", "ignore",
];

/// The module path that a file declares, tolerating everything else; empty when there is none.
pub fn module_path(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    for line in text.split('\n') {
        let line = line.split_once("//").map_or(line, |(code, _)| code).trim();
        let Some(rest) = line.strip_prefix("module") else {
            continue;
        };
        let path = rest.trim();
        if path.len() == rest.len() || path.is_empty() {
            continue;
        }
        if let Some(quoted) = path.strip_prefix('"') {
            return quoted
                .strip_suffix('"')
                .and_then(syntax::unescape)
                .unwrap_or_default();
        }
        if let Some(quoted) = path.strip_prefix('`') {
            let raw = quoted.strip_suffix('`').filter(|raw| !raw.contains('`'));
            return raw.map(|raw| raw.replace('\r', "")).unwrap_or_default();
        }
        return path.to_owned();
    }
    String::new()
}

fn one_string(verb: &str, args: &[String]) -> Result<String, String> {
    match args {
        [one] => string(one),
        _ => Err(format!("{verb} directive expects exactly one argument")),
    }
}

fn module_version(verb: &str, args: &[String]) -> Result<(String, String), String> {
    let [path, version] = args else {
        return Err(format!("usage: {verb} module/path v1.2.3"));
    };
    let (path, version) = (string(path)?, string(version)?);
    check_version(verb, &path, &version)?;
    Ok((path, version))
}

/// A version must fit its path's major version. One that is no version at all (a branch) is left
/// to the go command, which resolves it.
fn check_version(verb: &str, path: &str, version: &str) -> Result<(), String> {
    let (_, major) =
        split_path_version(path).ok_or_else(|| format!("invalid module path: {path}"))?;
    if !semver::is_valid(version) {
        return Ok(());
    }
    check_path_major(version, major).map_err(|e| format!("{verb} {path}: {e}"))
}

fn replace(args: &[String]) -> Result<Replace, String> {
    let usage = "usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory";
    let arrow = args
        .iter()
        .position(|a| a == "=>")
        .filter(|at| matches!(at, 1 | 2))
        .ok_or(usage)?;
    let (old, new) = (&args[..arrow], &args[arrow + 1..]);
    let name = string(&old[0])?;
    let old_version = old.get(1).map(|v| string(v)).transpose()?;
    if let Some(version) = &old_version {
        check_version("replace", &name, version)?;
    }
    let (to, new_version) = match new {
        [to] => (string(to)?, None),
        [to, version] => (string(to)?, Some(string(version)?)),
        _ => return Err(usage.into()),
    };
    match (is_directory(&to), &new_version) {
        (false, None) if to.contains('@') => {
            Err("replacement module must match format 'path version', not 'path@version'".into())
        }
        (false, None) => {
            Err("replacement module without version must be directory path (rooted or starting with . or ..)".into())
        }
        (true, Some(_)) => {
            Err(format!("replacement module directory path {} cannot have version", crate::quote::quote(&to)))
        }
        _ => Ok(Replace { old: name, old_version, new: to, new_version }),
    }
}

/// Paths of Unix and Windows alike, because go.mod files travel.
fn is_directory(path: &str) -> bool {
    let drive = matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let rooted = path.starts_with(['/', '\\']);
    let dotted = matches!(path, "." | "..")
        || ["./", ".\\", "../", "..\\"]
            .iter()
            .any(|p| path.starts_with(p));
    drive || rooted || dotted
}

/// A version, or two in brackets; and what follows.
fn interval(args: &[String]) -> Result<(String, String, &[String]), String> {
    let version = |word: &String| {
        let version = string(word)?;
        match semver::is_valid(&version) {
            true => Ok(version),
            false => Err(format!(
                "invalid module version {}",
                crate::quote::quote(&version)
            )),
        }
    };
    match args {
        [] => Err("expected '[' or version".into()),
        [paren, ..] if paren == "(" => Err("expected '[' or version".into()),
        [open, low, comma, high, close, rest @ ..]
            if open == "[" && comma == "," && close == "]" =>
        {
            Ok((version(low)?, version(high)?, rest))
        }
        [open, ..] if open == "[" => Err("expected '[' version ',' version ']'".into()),
        [one, rest @ ..] => {
            let one = version(one)?;
            Ok((one.clone(), one, rest))
        }
    }
}

/// The paragraph of a comment that begins with `Deprecated:`.
fn deprecation(comment: &str) -> Option<String> {
    let paragraph = comment
        .split("\n\n")
        .find_map(|p| p.strip_prefix("Deprecated:"))?;
    let message = paragraph.trim_start_matches(' ');
    (!message.is_empty()).then(|| message.to_owned())
}

/// `1.23`, `1.23.4`, `1.23rc1`.
fn is_go_version(text: &str) -> bool {
    let Some(rest) = number(text, false) else {
        return false;
    };
    let Some(rest) = rest.strip_prefix('.').and_then(|r| number(r, true)) else {
        return false;
    };
    let rest = match rest.strip_prefix('.') {
        Some(patch) => match number(patch, true) {
            Some(rest) => rest,
            None => return false,
        },
        None => rest,
    };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
    rest.is_empty()
        || (digits.len() < rest.len()
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// What follows a decimal number without leading zero.
fn number(text: &str, zero: bool) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let digits = &text[..end];
    let good = match digits {
        "" => false,
        "0" => zero,
        _ => !digits.starts_with('0'),
    };
    good.then_some(&text[end..])
}

/// Of a malformed version in a dependency, the part that is one: `1.23` of `v1.23.x`.
fn lax_go_version(text: &str) -> Option<&str> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let rest = number(text, false)?;
    let rest = number(rest.strip_prefix('.')?, true)?;
    rest.starts_with(|c: char| !c.is_ascii_digit())
        .then(|| &text[..text.len() - rest.len()])
}
