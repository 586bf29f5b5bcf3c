//! The go command's settings, as it sees them itself.
//!
//! `go env` is asked, because it alone knows what files and defaults say. Without a go command
//! the variables of this process and Go's documented defaults stand in, which is marked.

use crate::config::{SumdbSetting, Typed, Values, parse_sumdb};
use crate::exit::Failed;
use gomod::pattern::Patterns;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use upstream::{Place, ProxyList};

/// What is asked of `go env`.
const NAMES: &[&str] = &[
    "GOPROXY",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOSUMDB",
    "GOINSECURE",
    "GOVCS",
    "GOFLAGS",
    "GOMODCACHE",
    "GOPATH",
    "GOMOD",
    "GOWORK",
    "GOENV",
    "GOVERSION",
    "GOTOOLCHAIN",
    "GOOS",
    "GOARCH",
    "CGO_ENABLED",
];

/// `go env` prints some KiB; more than this is not it.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The settings of one go command in one directory.
#[derive(Clone, Debug)]
pub struct GoEnv {
    values: BTreeMap<String, String>,
    /// Why the go command itself was not asked, if so.
    pub guessed: Option<String>,
}

impl GoEnv {
    /// Asks `go env` in the current directory.
    pub fn read(go: &OsStr) -> Self {
        match ask(go) {
            Ok(values) => Self {
                values,
                guessed: None,
            },
            Err(why) => Self {
                values: guess(),
                guessed: Some(why),
            },
        }
    }

    /// A setting's value; empty when it has none.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// GOPROXY, parsed.
    pub fn proxies(&self) -> Result<ProxyList, Failed> {
        ProxyList::parse(self.get("GOPROXY")).map_err(|e| Failed::usage(format!("GOPROXY: {e}")))
    }

    /// Modules whose names no proxy may learn: GONOPROXY, which is GOPRIVATE unless set apart, and
    /// GOPRIVATE itself.
    pub fn private(&self) -> String {
        join(&[self.get("GONOPROXY"), self.get("GOPRIVATE")])
    }

    /// Modules whose names no checksum database may learn.
    pub fn no_sumdb(&self) -> String {
        join(&[self.get("GONOSUMDB"), self.get("GOPRIVATE")])
    }

    /// The checksum database; none when it is off or the value is not one.
    pub fn sumdb(&self) -> Option<SumdbSetting> {
        let value = self.get("GOSUMDB").trim().to_owned();
        parse_sumdb(&[value]).ok()?.into_iter().next()
    }

    /// The module cache.
    pub fn modcache(&self) -> Option<PathBuf> {
        let named = |name| Some(self.get(name)).filter(|v| !v.is_empty());
        named("GOMODCACHE").map(PathBuf::from).or_else(|| {
            let first = named("GOPATH")?.split(':').next()?.to_owned();
            Some(Path::new(&first).join("pkg/mod"))
        })
    }

    /// The `go.sum` that counts in the current directory: the workspace's, else the module's.
    pub fn go_sums(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (name, beside) in [("GOWORK", "go.work.sum"), ("GOMOD", "go.sum")] {
            let file = Path::new(self.get(name));
            if let Some(dir) = file
                .parent()
                .filter(|_| file.is_absolute() && file != Path::new("/dev/null"))
            {
                files.push(dir.join(beside));
            }
        }
        files
    }

    /// Settings of a keep that asks whom this go command would ask, and knows what it knows.
    pub fn settings(&self, data: &Path, upstream: &str) -> Result<Typed, Failed> {
        let sumdb = match self.sumdb() {
            Some(_) => self.get("GOSUMDB").trim().to_owned(),
            None => "off".into(),
        };
        let mut given = vec![
            ("data", data.display().to_string()),
            ("upstream", upstream.to_owned()),
            ("private", self.private()),
            ("no-sumdb", self.no_sumdb()),
            ("insecure", join(&[self.get("GOINSECURE")])),
            ("sumdb", sumdb),
            ("look-ahead", "off".to_owned()),
            ("log-level", "off".to_owned()),
        ];
        if !self.get("GOVCS").is_empty() {
            given.push(("vcs", self.get("GOVCS").to_owned()));
        }
        Typed::from_values(&Values::with(&given)).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failed::usage(told.join("\nmodkeep: "))
        })
    }
}

/// The proxies of a list up to `direct` or `off`, and what stands after them: nothing, or a
/// separator and the word.
pub fn split_list(list: &ProxyList) -> (ProxyList, String) {
    let ends = |place: &Place| matches!(place, Place::Direct | Place::Off);
    let mut proxies = list.clone();
    let tail = proxies.entries.pop_if(|last| ends(&last.place));
    let separator = match proxies.entries.last() {
        Some(last) if last.on_any_error => "|",
        _ => ",",
    };
    let tail = tail.map_or_else(String::new, |t| format!("{separator}{}", t.place));
    (proxies, tail)
}

/// A list as the go command writes it, credentials and all: for handing on, never for showing.
pub fn list_text(list: &ProxyList) -> String {
    let mut text = String::new();
    for (i, entry) in list.entries.iter().enumerate() {
        match &entry.place {
            Place::Http(url) => text.push_str(url.as_str().trim_end_matches('/')),
            other => text.push_str(&other.to_string()),
        }
        if i + 1 < list.entries.len() {
            text.push(if entry.on_any_error { '|' } else { ',' });
        }
    }
    text
}

/// The go command of a command line: its first word if that is one, else the one on PATH.
pub fn go_of(command: &[OsString]) -> OsString {
    let is_go = |word: &&OsString| {
        let name = Path::new(word).file_name().map(|n| n.to_string_lossy());
        name.is_some_and(|n| n == "go" || n.strip_prefix("go1").is_some())
    };
    command
        .first()
        .filter(is_go)
        .cloned()
        .unwrap_or_else(|| "go".into())
}

/// GOFLAGS without what names other files or the vendor directory: an environment of its own has neither.
pub fn flags(goflags: &str) -> String {
    let elsewhere = |flag: &&str| {
        let name = flag
            .trim_start_matches('-')
            .split('=')
            .next()
            .unwrap_or_default();
        !matches!(name, "mod" | "modfile" | "overlay" | "C")
    };
    goflags
        .split_whitespace()
        .filter(elsewhere)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Patterns that count, of several lists: malformed ones the go command passes over.
fn join(lists: &[&str]) -> String {
    let mut globs: Vec<String> = Vec::new();
    for list in lists {
        let Ok(patterns) = Patterns::parse(list) else {
            continue;
        };
        for glob in patterns.globs() {
            if !globs.iter().any(|known| known == glob) {
                globs.push(glob.to_owned());
            }
        }
    }
    globs.join(",")
}

fn ask(go: &OsStr) -> Result<BTreeMap<String, String>, String> {
    let mut command = Command::new(go);
    command.args(["env", "-json"]).args(NAMES);
    // A toolchain line of a project must not start a download here.
    command.env("GOTOOLCHAIN", "local").stdin(Stdio::null());
    let shown = go.to_string_lossy();
    let output = command.output().map_err(|e| format!("{shown}: {e}"))?;
    if !output.status.success() || output.stdout.len() > ANSWER_BYTES_MAX {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown} env: {}", said.trim()));
    }
    let mut values: BTreeMap<String, String> =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("{shown} env: {e}"))?;
    if let Some(set) = std::env::var("GOTOOLCHAIN").ok().filter(|v| !v.is_empty()) {
        values.insert("GOTOOLCHAIN".into(), set);
    }
    Ok(values)
}

/// This process's variables over Go's documented defaults.
fn guess() -> BTreeMap<String, String> {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let mut values: BTreeMap<String, String> = NAMES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), var(name)?)))
        .collect();
    let mut default = |name: &str, value: String| {
        values.entry(name.to_owned()).or_insert(value);
    };
    default("GOPROXY", "https://proxy.golang.org,direct".into());
    default("GOSUMDB", "sum.golang.org".into());
    let private = var("GOPRIVATE").unwrap_or_default();
    default("GONOPROXY", private.clone());
    default("GONOSUMDB", private);
    if let Some(home) = var("HOME") {
        default("GOPATH", format!("{home}/go"));
    }
    let above = std::env::current_dir().unwrap_or_default();
    if let Some(file) = above
        .ancestors()
        .map(|d| d.join("go.mod"))
        .find(|f| f.is_file())
    {
        default("GOMOD", file.display().to_string());
    }
    values
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_list_is_split_before_direct_and_off() {
        let split = |text: &str| {
            let (proxies, tail) = split_list(&ProxyList::parse(text).unwrap());
            (list_text(&proxies), tail)
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(split("https://a,direct"), pair("https://a", ",direct"));
        assert_eq!(
            split("https://u:p@a/x|https://b|direct"),
            pair("https://u:p@a/x|https://b", "|direct")
        );
        assert_eq!(split("https://a"), pair("https://a", ""));
        assert_eq!(split("direct"), pair("", ",direct"));
        assert_eq!(split("https://a,off"), pair("https://a", ",off"));
    }

    #[test]
    fn the_go_command_is_the_first_word_or_the_one_on_the_path() {
        let of = |word: &str| go_of(&[word.into()]).into_string().unwrap();
        assert_eq!(of("/opt/go/bin/go"), "/opt/go/bin/go");
        assert_eq!(of("go1.22.1"), "go1.22.1");
        assert_eq!(of("make"), "go");
        assert_eq!(of("golangci-lint"), "go");
    }

    #[test]
    fn malformed_patterns_are_passed_over_as_the_go_command_does() {
        assert_eq!(
            join(&["a.example,[", "b.example/x,a.example"]),
            "a.example,b.example/x"
        );
    }
}
