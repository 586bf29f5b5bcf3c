//! Settings that count as evidence: given by the user, named in the command, or printed in the
//! text (`go env`, `export GOPROXY=...`).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

/// More settings than the go command and its tools have; a longer list is not a list of settings.
const SETTINGS_MAX: usize = 256;

/// Variables that can bear on a failure.
const NAME: &str = r"(GO[A-Z0-9_]{2,20}|(?i:https?_proxy|all_proxy|no_proxy)|GIT_[A-Z_]+|SSL_CERT_(?:FILE|DIR)|HOME|TMPDIR|CGO_ENABLED)";

/// What is known beside the text.
#[derive(Clone, Debug, Default)]
pub struct Env {
    settings: BTreeMap<String, String>,
    command: String,
}

impl Env {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads settings from free text: `GOPROXY=a,b GOSUMDB=off`, one per line, quoted or not,
    /// separated by white space or `;`.
    pub fn parse(text: &str) -> Self {
        let mut env = Self::default();
        env.read(text, true);
        env
    }

    /// Adds one setting; names of proxy variables are taken in either case.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value, true);
        self
    }

    /// Names the command that failed; settings before it count too.
    #[must_use]
    pub fn with_command(mut self, command: &str) -> Self {
        self.read(command, false);
        command.clone_into(&mut self.command);
        self
    }

    /// The value of a setting, if it is known.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The command that failed, or nothing.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// With what a (cleaned) text says about settings and the command; what is known already
    /// wins.
    #[must_use]
    pub(super) fn with_text(&self, text: &str) -> Self {
        let mut env = self.clone();
        env.read(text, false);
        if env.command.is_empty() {
            env.command = typed_command(text).unwrap_or_default().to_owned();
        }
        env
    }

    fn read(&mut self, text: &str, replace: bool) {
        static SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(&format!(
                r#"(?m)(?:^|[\s;"'`(]){NAME}=("[^"\n]*"|'[^'\n]*'|(?:[^\s;]|;\S)*)"#
            ))
            .ok()
        });
        let Some(setting) = &*SETTING else { return };
        for found in setting.captures_iter(text).take(SETTINGS_MAX) {
            let (_, [name, value]) = found.extract();
            let value = value.trim_end_matches(['.', ')', '`']);
            // "lookup disabled by GOPROXY=off" and the like do state the setting; an ellipsis
            // ("go env -w GOPROXY=...") does not.
            if !value.contains("...") && value != "<set>" {
                self.set(name, unquote(value), replace);
            }
        }
    }

    fn set(&mut self, name: &str, value: &str, replace: bool) {
        let proxy = name.to_ascii_lowercase().ends_with("_proxy");
        let name = if proxy {
            name.to_ascii_uppercase()
        } else {
            name.to_owned()
        };
        if replace {
            self.settings.insert(name, value.to_owned());
        } else {
            self.settings
                .entry(name)
                .or_insert_with(|| value.to_owned());
        }
    }

    /// The entries of GOPROXY in order, if it is known.
    pub(super) fn goproxy(&self) -> Vec<&str> {
        let list = self.get("GOPROXY").unwrap_or_default();
        let entries = list.split([',', '|']).map(str::trim);
        entries.filter(|entry| !entry.is_empty()).collect()
    }

    /// Minor number of the Go release (`21` for go1.21.3), from the command or the text.
    pub(super) fn go_minor(&self, text: &str) -> Option<u32> {
        static RELEASE: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"(?:running go ?|go version go|\(go|GOVERSION=.?go|\bgo)1\.(\d{1,2})\b")
                .ok()
        });
        let release = RELEASE.as_ref()?;
        let found = release
            .captures(&self.command)
            .or_else(|| release.captures(text))?;
        found.get(1)?.as_str().parse().ok()
    }
}

fn unquote(value: &str) -> &str {
    let inner = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// A shell prompt followed by a go command.
fn typed_command(text: &str) -> Option<&str> {
    static PROMPT: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:[^\s]*[$#%>❯] ?|RUN |\+ )((?:[A-Za-z_0-9]+=\S* )*(?:sudo )?go (?:get|mod|build|install|run|test|list|vet|work|generate|env)\b.*)$").ok()
    });
    let found = PROMPT.as_ref()?.captures(text)?;
    Some(found.get(1)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_free_text() {
        let env = Env::parse(
            "GOPROXY=https://a.example,direct; GOSUMDB=\"n+1+k https://u\" https_proxy=http://p:1",
        );
        assert_eq!(env.goproxy(), ["https://a.example", "direct"]);
        assert_eq!(env.get("GOSUMDB"), Some("n+1+k https://u"));
        assert_eq!(env.get("HTTPS_PROXY"), Some("http://p:1"));
    }

    #[test]
    fn the_user_beats_the_command_and_the_command_beats_the_text() {
        let env = Env::parse("GOFLAGS=-mod=mod").with_command("GOPROXY=direct GOFLAGS=x go get m");
        let env = env.with_text("GOPROXY=https://b.example\nGONOSUMDB=x.example\n");
        assert_eq!(env.get("GOFLAGS"), Some("-mod=mod"));
        assert_eq!(env.get("GOPROXY"), Some("direct"));
        assert_eq!(env.get("GONOSUMDB"), Some("x.example"));
    }

    #[test]
    fn a_prompt_in_the_text_names_the_command_and_the_release() {
        let env = Env::new().with_text("user@host:~$ go install x.example/m@latest\nfoo\n");
        assert_eq!(env.command(), "go install x.example/m@latest");
        assert_eq!(env.go_minor("go version go1.13.4 linux/amd64"), Some(13));
        assert_eq!(env.go_minor("no release here"), None);
    }
}
