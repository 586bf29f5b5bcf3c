//! Asks the go commands of PATH what they are. They are kept off the network: no toolchain is
//! switched to, no module looked up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::facts::{GoBinary, GoFacts};

use super::Settings;
use super::process::run;
use super::settings::masked;

/// A go command that has not said its version by then hangs (a broken wrapper, a dead network
/// disk); it takes some 20 ms.
const PATIENCE: Duration = Duration::from_secs(4);

/// More go commands on PATH than anybody has.
const GOS_MAX: usize = 8;

/// The settings that keep a go command local and deterministic.
const LOCAL: &[(&str, &str)] = &[
    ("GOTOOLCHAIN", "local"),
    ("GOPROXY", "off"),
    ("GOSUMDB", "off"),
    ("GOFLAGS", ""),
    ("GOWORK", "off"),
    ("GO111MODULE", "on"),
    ("GOTELEMETRY", "off"),
];

/// Every go command of PATH and what the first one thinks of its settings.
pub async fn look(settings: &Settings) -> GoFacts {
    let mut paths = settings.find("go");
    paths.truncate(GOS_MAX);
    let mut facts = GoFacts::default();
    if let Some(first) = paths.first() {
        // Everything but the toolchain as the user has it: this only reads settings.
        let local = [("GOTOOLCHAIN", "local")];
        match run(first, &["env", "-json"], &local, PATIENCE).await {
            Ok(ended) => match serde_json::from_str::<BTreeMap<String, String>>(&ended.stdout) {
                Ok(values) => {
                    let masked = |(name, value): (String, String)| {
                        let value = masked(&name, &value);
                        (name, value)
                    };
                    facts.env = Some(values.into_iter().map(masked).collect());
                }
                Err(_) => facts.env_error = ended.line().map(doctor::mask::logins),
            },
            Err(error) => facts.env_error = Some(error),
        }
    }
    let mut found = Vec::with_capacity(paths.len());
    for path in &paths {
        found.push(describe(path).await);
    }
    facts.on_path = Some(found);
    facts.toolchains = Some(toolchains(Path::new(&settings.get("GOMODCACHE"))));
    facts
}

/// Toolchains in the module cache: `golang.org/toolchain@v0.0.1-go1.26.1.linux-amd64`.
fn toolchains(modcache: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(modcache.join("golang.org"))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let name = |dir: String| {
        let version = dir.strip_prefix("toolchain@v0.0.1-")?;
        let end = version.rfind('.')?;
        Some(version[..end].to_owned())
    };
    names.filter_map(name).take(200).collect()
}

/// The first go command's own tree.
pub async fn ask_goroot(settings: &Settings, patience: Duration) -> Option<PathBuf> {
    let first = settings.find("go").into_iter().next()?;
    let asked = run(&first, &["env", "GOROOT"], LOCAL, patience.min(PATIENCE)).await;
    let root = PathBuf::from(asked.ok()?.line()?);
    root.is_absolute().then_some(root)
}

async fn describe(path: &Path) -> GoBinary {
    let mut go = GoBinary {
        path: path.display().to_string(),
        real: std::fs::canonicalize(path)
            .ok()
            .map(|real| real.display().to_string()),
        ..GoBinary::default()
    };
    match run(path, &["version"], LOCAL, PATIENCE).await {
        Ok(ended) => {
            let word = ended.stdout.split_whitespace().nth(2);
            match word.filter(|_| ended.stdout.starts_with("go version ")) {
                Some(version) => go.version = Some(version.to_owned()),
                None => go.error = Some(said(&ended)),
            }
        }
        Err(error) => go.error = Some(error),
    }
    if go.error.is_none() {
        let asked = run(path, &["env", "GOROOT"], LOCAL, PATIENCE).await;
        go.goroot = asked.ok().and_then(|ended| ended.line().map(str::to_owned));
    }
    let version = go
        .goroot
        .as_deref()
        .map(|root| Path::new(root).join("VERSION"));
    go.goroot_version = version.and_then(|file| first_line(&file));
    go
}

fn said(ended: &super::process::Ended) -> String {
    match ended.line() {
        Some(line) => line.chars().take(200).collect(),
        None => format!("it says nothing and ends with status {:?}", ended.status),
    }
}

fn first_line(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}
