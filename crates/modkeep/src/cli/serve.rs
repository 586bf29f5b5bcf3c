//! `modkeep serve`: the server.

use super::{settings, with_settings};
use crate::boot;
use crate::config::{AccessTarget, Typed};
use crate::exit::Failed;
use clap::{ArgMatches, Command};
use server::{AccessLog, Server, StartError};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub fn command() -> Command {
    let command = Command::new("serve")
        .about("Serve Go modules: a caching GOPROXY")
        .long_about(
            "Serve Go modules: a caching GOPROXY.\n\n  modkeep serve\n  go env -w GOPROXY=http://127.0.0.1:8080\n\n\
             Prints one line `modkeep ready URL` for each listener on standard output when it is ready.\n\
             SIGTERM and SIGINT stop it after running requests have finished.",
        );
    with_settings(command, true)
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    boot::event_log(&settings)?;
    let runtime = boot::runtime()?;
    let result = runtime.block_on(serve(settings));
    // What still runs in the background has been told to stop by being dropped here.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

async fn serve(settings: Typed) -> Result<ExitCode, Failed> {
    // Before anything can take time: a signal must never find the default handler.
    let mut term = signal(SignalKind::terminate()).map_err(Failed::unknown)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failed::unknown)?;
    let keep = boot::keep(&settings)?;
    keep.check_held_heads()
        .await
        .map_err(|r| Failed::unknown(r.text))?;
    let log = access_log(&settings)?;
    let key = keep.own_log().map(keep::OwnLog::key);
    let server = Server::bind(settings.server.clone(), keep, log)
        .await
        .map_err(|e| match e {
            StartError::Tls(_) => Failed::usage(e),
            StartError::Listen { .. } => Failed::unknown(e),
        })?;
    announce(&server, key.as_deref())?;
    server
        .run(async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            tracing::info!("stopping: running requests may finish");
        })
        .await;
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
fn announce(server: &Server, key: Option<&str>) -> Result<(), Failed> {
    let urls = server.urls().map_err(Failed::unknown)?;
    if let Some(url) = urls.iter().find(|u| u.starts_with("http")) {
        eprintln!("To use it:\n  go env -w GOPROXY={url}");
        if let Some(key) = key {
            eprintln!("  go env -w GOSUMDB='{key}'");
        }
    }
    for url in &urls {
        println!("modkeep ready {url}");
    }
    std::io::stdout().flush().map_err(Failed::unknown)?;
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        let told = UnixDatagram::unbound().and_then(|s| s.send_to(b"READY=1", socket));
        if let Err(error) = told {
            tracing::warn!(%error, "could not tell systemd that the server is ready");
        }
    }
    Ok(())
}

fn access_log(settings: &Typed) -> Result<Option<AccessLog>, Failed> {
    let out: Box<dyn Write + Send> = match &settings.access {
        AccessTarget::Off => return Ok(None),
        AccessTarget::Stderr => Box::new(std::io::stderr()),
        AccessTarget::File(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Box::new(
                opened
                    .map_err(|e| Failed::usage(format!("--access-log {}: {e}", path.display())))?,
            )
        }
    };
    AccessLog::start(settings.log_format, out)
        .map(Some)
        .map_err(Failed::unknown)
}
