//! The go command's settings, read as it reads them, with the secrets that probes need.
//!
//! Source of the rules: cmd/go/internal/cfg (files and their order), os.UserConfigDir. The files
//! are read here rather than asked from `go env`, because a diagnosis must work without a go
//! command, and because `go env` does not say where a value comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use doctor::facts::{EnvFacts, EnvFile};
use doctor::mask;

/// A larger file of settings is not one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Variables beside GO* that bear on what go does.
const OTHERS: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "NETRC",
    "HOME",
    "USER",
    "SUDO_USER",
    "SUDO_UID",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_TERMINAL_PROMPT",
    "GIT_SSL_NO_VERIFY",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_ALLOW_PROTOCOL",
    "GIT_HTTP_LOW_SPEED_LIMIT",
    "SSH_AUTH_SOCK",
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "TERM_PROGRAM",
    "CGO_ENABLED",
];

/// Settings with their secrets. Never shown, never saved: [`Settings::masked`] is.
#[derive(Clone, Default)]
pub struct Settings {
    raw: EnvFacts,
    path: Option<OsString>,
    goroot: Option<PathBuf>,
}

impl Settings {
    /// Reads this process's variables and the files they lead to.
    pub fn read() -> Self {
        let text = |(name, value): (OsString, OsString)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            kept(&name).then_some((name, value))
        };
        let os = std::env::vars_os().filter_map(text).collect();
        Self::of(os, std::env::var_os("PATH"))
    }

    /// Reads the files that these variables lead to.
    pub fn of(os: BTreeMap<String, String>, path: Option<OsString>) -> Self {
        let home = os.get("HOME").filter(|home| !home.is_empty()).cloned();
        let mut raw = EnvFacts {
            uid: Some(rustix::process::getuid().as_raw()),
            home_uid: home.as_deref().and_then(|home| owner(Path::new(home))),
            home,
            os_name: Some(std::env::consts::OS.to_owned()),
            os: Some(os),
            ..EnvFacts::default()
        };
        raw.user_file = user_file(&raw).map(|path| read_file(&path));
        let goroot = goroot(&raw, path.as_deref());
        raw.goroot_file = goroot
            .as_deref()
            .map(|root| read_file(&root.join("go.env")));
        Self { raw, path, goroot }
    }

    /// The value in force, secrets included.
    pub fn get(&self, name: &str) -> String {
        self.raw.setting(name).value
    }

    /// A variable of the operating system, secrets included.
    pub fn os(&self, name: &str) -> Option<&str> {
        self.raw.os(name).filter(|value| !value.is_empty())
    }

    /// The home directory.
    pub fn home(&self) -> Option<&Path> {
        self.raw.home.as_deref().map(Path::new)
    }

    /// The tree of the go command, as far as files tell.
    pub fn goroot(&self) -> Option<&Path> {
        self.goroot.as_deref()
    }

    /// The tree as the go command itself names it.
    pub(crate) fn take_goroot(&mut self, root: PathBuf) {
        self.raw.goroot_file = Some(read_file(&root.join("go.env")));
        self.goroot = Some(root);
    }

    /// Where PATH has a program, in PATH's order.
    pub fn find(&self, program: &str) -> Vec<PathBuf> {
        on_path(self.path.as_deref(), program)
    }

    /// Passwords and tokens of these settings, as they are and as they are sent: to be taken out of what
    /// somebody else said. Never shown.
    pub fn secrets(&self) -> Vec<String> {
        let files = [&self.raw.user_file, &self.raw.goroot_file];
        let of_files = files.into_iter().flatten().flat_map(|file| &file.values);
        let mut found = Vec::new();
        for (name, value) in of_files.chain(self.raw.os.iter().flatten()) {
            match name.as_str() {
                "GOAUTH" => found.extend(told_to_commands(value)),
                _ => found.extend(in_urls(value)),
            }
        }
        found
    }

    /// The settings as facts: without secrets.
    pub fn masked(&self) -> EnvFacts {
        let mut facts = self.raw.clone();
        let files = [&mut facts.user_file, &mut facts.goroot_file];
        let of_files = files.into_iter().flatten().map(|file| &mut file.values);
        for values in of_files.chain(facts.os.as_mut()) {
            for (name, value) in values {
                *value = masked(name, value);
            }
        }
        facts
    }
}

/// A value fit to be saved. Of a name that is no setting of go only its presence matters.
pub(crate) fn masked(name: &str, value: &str) -> String {
    if name == "GOFLAGS" {
        return mask::flags(value);
    }
    if name == "GOAUTH" {
        return mask::auth(value);
    }
    if doctor::facts::is_known(name) || doctor::facts::is_runtime(name) || OTHERS.contains(&name) {
        return mask::logins(value);
    }
    let plain = |c: char| c.is_ascii_alphabetic() || ".:/,|".contains(c);
    match value.len() <= 64 && value.chars().all(plain) {
        true => mask::logins(value),
        false => "***".to_owned(),
    }
}

/// What commands of GOAUTH are told: flags' values and words, not directories.
fn told_to_commands(goauth: &str) -> Vec<String> {
    let words = goauth
        .split(';')
        .flat_map(|command| command.split_whitespace().skip(1));
    let value = |word: &str| match word.split_once('=') {
        Some((name, value)) if name.starts_with('-') => Some(value.to_owned()),
        _ if word.starts_with(['-', '/']) => None,
        _ => Some(word.to_owned()),
    };
    words.filter_map(value).collect()
}

/// Logins and queries of URLs, of entries without scheme too.
fn in_urls(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in text.split([',', '|', ' ']) {
        let rest = entry.split_once("://").map_or(entry, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((login, _)) = authority.rsplit_once('@') {
            let (name, password) = login.split_once(':').unwrap_or(("", login));
            let plain = |text| crate::net::decoded(text);
            // Some put the token where the name is.
            found.extend([password.to_owned(), plain(password), plain(name)]);
            found.push(crate::net::basic(&plain(name), &plain(password)));
        }
        let queries = rest.split_once('?').map_or("", |(_, query)| query);
        let values = queries
            .split('&')
            .map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        found.extend(values.filter(|value| value.len() > 3).map(str::to_owned));
    }
    found.iter_mut().for_each(|secret| {
        if let Some(coded) = secret.strip_prefix("Basic ") {
            *secret = coded.to_owned();
        }
    });
    found
}

/// Whether a variable is kept: what cannot bear on go stays out of the facts.
fn kept(name: &str) -> bool {
    let go = name.starts_with("GO") && !name.starts_with("GOOGLE");
    go || OTHERS.contains(&name) || doctor::facts::is_known(name)
}

/// Where `go env -w` writes.
fn user_file(raw: &EnvFacts) -> Option<PathBuf> {
    match raw.os("GOENV").filter(|file| !file.is_empty()) {
        Some("off") => return None,
        Some(file) => return Some(PathBuf::from(file)),
        None => {}
    }
    let home = raw.home.as_deref().map(Path::new);
    if cfg!(target_os = "macos") {
        return Some(home?.join("Library/Application Support/go/env"));
    }
    let config = raw.os("XDG_CONFIG_HOME").filter(|dir| dir.starts_with('/'));
    let config = config
        .map(PathBuf::from)
        .or(home.map(|home| home.join(".config")))?;
    Some(config.join("go/env"))
}

/// The tree: named by GOROOT, else around the first go command of PATH.
fn goroot(raw: &EnvFacts, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    let named = raw.setting("GOROOT").value;
    if !named.is_empty() {
        return Some(PathBuf::from(named));
    }
    let go = on_path(path, "go").into_iter().next()?;
    let real = std::fs::canonicalize(go).ok()?;
    let root = real.parent()?.parent()?;
    root.join("VERSION").is_file().then(|| root.to_owned())
}

fn on_path(path: Option<&std::ffi::OsStr>, program: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in path.map(std::env::split_paths).into_iter().flatten() {
        let file = dir.join(program);
        let runs =
            dir.is_absolute() && rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok();
        if runs && file.is_file() && !found.contains(&file) {
            found.push(file);
        }
    }
    found
}

fn read_file(path: &Path) -> EnvFile {
    let mut file = EnvFile {
        path: path.display().to_string(),
        ..EnvFile::default()
    };
    match std::fs::metadata(path) {
        Ok(meta) => {
            file.exists = Some(true);
            file.uid = Some(meta.uid());
            if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
                file.error = Some("not a small file".into());
                return file;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            file.exists = Some(false);
            return file;
        }
        Err(error) => {
            file.error = Some(error.to_string());
            return file;
        }
    }
    match std::fs::read(path) {
        Ok(bytes) => take_lines(&mut file, &String::from_utf8_lossy(&bytes)),
        Err(error) => file.error = Some(error.to_string()),
    }
    file
}

/// Odd lines that are kept: a damaged file has nothing but.
const ODD_LINES_MAX: usize = 20;

fn take_lines(file: &mut EnvFile, text: &str) {
    for (index, line) in text.split('\n').enumerate() {
        let named = line.starts_with(|c: char| c.is_ascii_uppercase());
        match line.split_once('=') {
            Some((name, value)) if named => {
                file.values.insert(name.to_owned(), value.to_owned());
            }
            _ if line.is_empty() || line.starts_with('#') => {}
            _ if file.odd_lines.len() < ODD_LINES_MAX => {
                let shown = mask::logins(&line.chars().take(120).collect::<String>());
                file.odd_lines.push((index + 1, shown));
            }
            _ => {}
        }
    }
}

fn owner(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|meta| meta.uid())
}
