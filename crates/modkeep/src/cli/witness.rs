//! `modkeep witness`: a witness for logs.

use super::{settings, with_settings};
use crate::boot;
use crate::config::{Typed, known_key};
use crate::exit::Failed;
use crate::log_key::KeySource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use keep::witness::Witness;
use server::{StartError, WitnessServer};
use std::io::Write;
use std::process::ExitCode;
use store::Heads;
use tlog::note::{Algorithm, Cosigner, VerifierKey};
use tlog::witness::WitnessedLog;
use tokio::signal::unix::{SignalKind, signal};

/// A list of logs is at most this long, in bytes: thousands of logs.
const LIST_BYTES_MAX: u64 = 4 << 20;

pub fn command() -> Command {
    let command = Command::new("witness")
        .about("Be a witness: cosign what other logs sign, if it continues what they signed before")
        .long_about(
            "Be a witness (C2SP tlog-witness): cosign what other logs sign, if it continues what they signed before.\n\n\
               modkeep witness --name witness.example.com --listen 0.0.0.0:8090 --log sum.example.com+HASH+KEY\n\n\
             The first time it makes a key in DATA/witness.key and prints its public part, which logs set as the \
             witness's key. What it has cosigned is in DATA/witness.db. A witness that has lost that file, or got an \
             older copy of it back, may contradict itself: give it a new key then.\n\
             It asks nobody; logs come to it: POST /add-checkpoint, and GET /SHA256-OF-ORIGIN/checkpoint.",
        )
        .arg(
            Arg::new("log")
                .long("log")
                .value_name("VKEY [ORIGIN]")
                .action(ArgAction::Append)
                .help("A log to witness: its key, and the first line of its checkpoints if that is not the key's name"),
        )
        .arg(Arg::new("logs").long("logs").value_name("FILE").help("More of them, one in each line; # begins a comment"))
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("KEY")
                .help("The private key: FILE, env:VARIABLE or cmd:COMMAND [default: witness.key in the data directory]"),
        )
        .arg(Arg::new("name").long("name").value_name("NAME").help("The witness's name, to make a key with"));
    with_settings(command, true)
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    boot::event_log(&settings)?;
    let logs = logs(args)?;
    let cosigner = cosigner(args, &settings)?;
    let heads = Heads::open(&settings.data.join("witness.db")).map_err(Failed::unknown)?;
    let witness = Witness::new(cosigner, logs, heads);
    let runtime = boot::runtime()?;
    let ended = runtime.block_on(serve(settings, witness));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended
}

async fn serve(settings: Typed, witness: Witness) -> Result<ExitCode, Failed> {
    let mut term = signal(SignalKind::terminate()).map_err(Failed::unknown)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failed::unknown)?;
    let key = witness.key().to_string();
    let server = WitnessServer::bind(settings.server.clone(), witness);
    let server = server.await.map_err(|e| match e {
        StartError::Tls(_) => Failed::usage(e),
        StartError::Listen { .. } => Failed::unknown(e),
    })?;
    announce(&server, &key)?;
    server
        .run(async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        })
        .await;
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
fn announce(server: &WitnessServer, key: &str) -> Result<(), Failed> {
    eprintln!("The witness's key, for logs and for those who verify:\n  {key}");
    for url in server.urls().map_err(Failed::unknown)? {
        println!("modkeep ready {url}");
    }
    std::io::stdout().flush().map_err(Failed::unknown)
}

fn cosigner(args: &ArgMatches, settings: &Typed) -> Result<Cosigner, Failed> {
    std::fs::create_dir_all(&settings.data)
        .map_err(|e| Failed::unknown(format!("{}: {e}", settings.data.display())))?;
    let source = match args.get_one::<String>("key") {
        Some(text) => KeySource::parse(text).map_err(|e| Failed::usage(format!("--key {e}")))?,
        None => KeySource::File(settings.data.join("witness.key")),
    };
    let name = args.get_one::<String>("name").map(String::as_str);
    if let (KeySource::File(path), None) = (&source, name)
        && !path.exists()
    {
        return Err(Failed::usage(format!(
            "{}: there is no key yet; --name NAME makes one",
            path.display()
        )));
    }
    let (cosigner, _) = source.cosigner(name).map_err(Failed::usage)?;
    match name.is_none_or(|name| name == cosigner.verifier().name()) {
        true => Ok(cosigner),
        false => Err(Failed::usage(format!(
            "{source} holds a key for {}, not for {}",
            cosigner.verifier().name(),
            name.unwrap_or_default()
        ))),
    }
}

/// The logs of the command line and of the file; several keys of one origin are one log.
fn logs(args: &ArgMatches) -> Result<Vec<WitnessedLog>, Failed> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for text in args.get_many::<String>("log").into_iter().flatten() {
        lines.push(("--log".into(), text.clone()));
    }
    if let Some(file) = args.get_one::<String>("logs") {
        let wrong = |e: &dyn std::fmt::Display| Failed::usage(format!("--logs {file}: {e}"));
        let length = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
        if length > LIST_BYTES_MAX {
            return Err(wrong(&format!(
                "is {length} bytes long; at most {LIST_BYTES_MAX} are read"
            )));
        }
        let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
        let listed = (1..)
            .zip(text.lines())
            .map(|(n, line)| (format!("{file}:{n}"), line.to_owned()));
        lines.extend(listed.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')));
    }
    let mut logs: Vec<WitnessedLog> = Vec::new();
    for (place, line) in lines {
        let (origin, key) = log(&line).map_err(|e| Failed::usage(format!("{place}: {e}")))?;
        match logs.iter_mut().find(|log| log.origin == origin) {
            Some(log) if log.keys.contains(&key) => {}
            Some(log) => log.keys.push(key),
            None => logs.push(WitnessedLog {
                origin,
                keys: vec![key],
            }),
        }
    }
    match logs.is_empty() {
        true => Err(Failed::usage("no log to witness: give --log NAME+HASH+KEY")),
        false => Ok(logs),
    }
}

fn log(line: &str) -> Result<(String, VerifierKey), String> {
    let line = line.trim();
    let (key, origin) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let text = known_key(key).unwrap_or(key);
    let key: VerifierKey = text.parse().map_err(|e| format!("{text}: {e}"))?;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(format!("{text}: this is a witness's key, not a log's"));
    }
    let origin = match origin.trim() {
        "" => key.name(),
        origin => origin,
    };
    Ok((origin.to_owned(), key))
}
