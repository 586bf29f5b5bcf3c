//! The failing download by the real go command, under other settings, each in an environment of its
//! own that is gone afterwards.
//!
//! Only the given version is downloaded. A private module is named to nobody who would not be asked
//! anyway, so for one of those only few changes can be tried.

use crate::exit::Failed;
use crate::goenv::{GoEnv, flags, split_list};
use doctor::mask;
use doctor::matrix::{End, Outcome, Trial};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use upstream::{Place, show};

/// Downloads at once: they share one line.
const AT_ONCE: usize = 4;

/// Proxies that are tried alone.
const PROXIES_MAX: usize = 6;

/// What is kept of a go command's words.
const SAID_BYTES_MAX: usize = 2 << 10;

/// A trial, and the variables that make it.
type Planned = (Trial, Vec<(&'static str, String)>);

/// Tries a version under every setting that is worth it. `patience` is the time for each.
pub async fn run(
    env: &GoEnv,
    version: &ModuleVersion,
    patience: Duration,
) -> Result<Vec<Outcome>, Failed> {
    if let Some(why) = &env.guessed {
        return Err(Failed::unknown(format!("no go command: {why}")));
    }
    let planned = plan(env, version)?;
    let (slots, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (place, (trial, vars)) in planned.into_iter().enumerate() {
        let (slots, env, version) = (Arc::clone(&slots), env.clone(), version.clone());
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            (place, tried(&env, &version, trial, vars, patience).await)
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = running.join_next().await {
        let (place, outcome) = done.map_err(Failed::unknown)?;
        outcomes.push((place, outcome?));
    }
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn plan(env: &GoEnv, version: &ModuleVersion) -> Result<Vec<Planned>, Failed> {
    let module = version.path().as_str();
    let covers = |list: &str| Patterns::parse(list).is_ok_and(|p| p.matches(module));
    let mut planned: Vec<Planned> = vec![(Trial::AsSet, Vec::new())];
    let forward = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
    if forward
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
    {
        planned.push((
            Trial::NoForwardProxy,
            forward.map(|name| (name, String::new())).into(),
        ));
    }
    if covers(env.get("GONOPROXY")) {
        return Ok(planned);
    }
    // A list that cannot be read is what the go command will say of it.
    let proxies = env
        .proxies()
        .map(|list| split_list(&list).0.entries)
        .unwrap_or_default();
    for entry in proxies.into_iter().take(PROXIES_MAX) {
        if let Place::Http(url) = entry.place {
            planned.push((Trial::Proxy(show(&url)), vec![("GOPROXY", url.to_string())]));
        }
    }
    planned.push((Trial::Direct, vec![("GOPROXY", "direct".into())]));
    if let Some(setting) = env.sumdb().filter(|_| !covers(env.get("GONOSUMDB"))) {
        if setting.url.is_none() {
            let key = env
                .get("GOSUMDB")
                .split_whitespace()
                .next()
                .unwrap_or_default();
            let value = format!("{key} https://{}", setting.verifier.name());
            planned.push((
                Trial::SumdbElsewhere(value.clone()),
                vec![("GOSUMDB", value)],
            ));
        }
        planned.push((Trial::SumdbOff, vec![("GOSUMDB", "off".into())]));
    }
    Ok(planned)
}

async fn tried(
    env: &GoEnv,
    version: &ModuleVersion,
    trial: Trial,
    vars: Vec<(&'static str, String)>,
    patience: Duration,
) -> Result<Outcome, Failed> {
    let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
    let began = Instant::now();
    let output = download(env, version, scratch.path(), &vars, patience).await?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let end = match output {
        None => End::TimedOut,
        Some(output) => judge(env, &vars, &output),
    };
    Ok(Outcome {
        trial,
        end,
        took_ms,
    })
}

/// `None`: it did not end in time, and was ended with everything that it had started.
async fn download(
    env: &GoEnv,
    version: &ModuleVersion,
    scratch: &Path,
    vars: &[(&'static str, String)],
    patience: Duration,
) -> Result<Option<Output>, Failed> {
    let below = |name: &str| scratch.join(name).display().to_string();
    let child = Command::new("go")
        .args(["mod", "download", "-json", &version.to_string()])
        .current_dir(scratch)
        .env(
            "GOFLAGS",
            format!("{} -modcacherw", flags(env.get("GOFLAGS"))),
        )
        .env("GOMODCACHE", below("modcache"))
        .env("GOPATH", below("gopath"))
        .env("GOWORK", "off")
        // A newer toolchain would be another download than the one in question.
        .env("GOTOOLCHAIN", "local")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(vars.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Failed::unknown(format!("go: {e}")))?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    match tokio::time::timeout(patience, child.wait_with_output()).await {
        Ok(output) => output
            .map(Some)
            .map_err(|e| Failed::unknown(format!("go: {e}"))),
        Err(_) => {
            if let Some(group) = group {
                // It may have ended this moment.
                let _ = kill_process_group(group, Signal::KILL);
            }
            Ok(None)
        }
    }
}

fn judge(env: &GoEnv, vars: &[(&'static str, String)], output: &Output) -> End {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    if output.status.success() {
        return End::Works { h1: text("Sum") };
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = text("Error").unwrap_or(said);
    let mut known = crate::run::settings(env, "go mod download");
    for (name, value) in vars {
        known = known.with(name, value);
    }
    // The go command puts its own name before what it says to people.
    let report = doctor::explain(&format!("go: {said}\n"), &known);
    End::Fails {
        label: report.findings.first().map(|f| f.cause.label.clone()),
        said: mask::logins(short(said.trim())),
    }
}

fn short(text: &str) -> &str {
    let end = (0..=SAID_BYTES_MAX.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i));
    &text[..end.unwrap_or(0)]
}
