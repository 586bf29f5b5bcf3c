//! The child process: its output as it comes, its end as it was, signals passed on.

use crate::exit::Failed;
use rustix::process::{Pid, Signal, getpgrp, kill_process};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Bytes of the end of standard error that are kept: a failing build says why at its end.
const TAIL_BYTES: usize = 256 << 10;

/// What the child left running may hold standard error open; it is not waited for longer.
const AFTER_END: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status, as a shell gives it: 128 and the signal's number when one ended it.
    pub code: u8,
    /// The end of what it said on standard error.
    pub said: String,
}

/// Runs a command to its end. Standard input and output are its own; standard error passes through
/// here byte by byte.
pub async fn run(command: &[OsString], env: &[(&str, String)]) -> Result<Ended, Failed> {
    let (program, args) = command
        .split_first()
        .ok_or_else(|| Failed::usage("no command to run"))?;
    // Before the child is there: a signal must never find the default handler and leave it behind.
    let mut signals = Signals::new()?;
    let mut child = Command::new(program)
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Failed::unknown(format!("{}: {e}", program.to_string_lossy())))?;
    let pipe = child.stderr.take();
    let mut reading = tokio::spawn(pass(pipe));
    let status = signals.wait(&mut child).await?;
    let tail = match tokio::time::timeout(AFTER_END, &mut reading).await {
        Ok(tail) => tail.unwrap_or_default(),
        Err(_) => {
            reading.abort();
            VecDeque::new()
        }
    };
    let tail = Vec::from(tail);
    Ok(Ended {
        code: code(status),
        said: String::from_utf8_lossy(&tail).into_owned(),
    })
}

fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|n| 128 + n);
    // A status has eight bits; one that is none of these would be the system's bug.
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// Hands standard error through and keeps its end.
async fn pass(pipe: Option<ChildStderr>) -> VecDeque<u8> {
    let mut tail = VecDeque::new();
    let Some(mut pipe) = pipe else { return tail };
    let (mut out, mut buffer) = (tokio::io::stderr(), vec![0; 16 << 10]);
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        // Nobody may be listening any more; the child is not to notice.
        let _ = out.write_all(&buffer[..n]).await;
        let _ = out.flush().await;
        tail.extend(&buffer[..n]);
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }
    tail
}

/// Signals that arrive here, as one stream.
struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    fn new() -> Result<Self, Failed> {
        let kinds = [
            (Signal::INT, SignalKind::interrupt()),
            (Signal::TERM, SignalKind::terminate()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::QUIT, SignalKind::quit()),
            (Signal::USR1, SignalKind::user_defined1()),
            (Signal::USR2, SignalKind::user_defined2()),
        ];
        let (sender, arrived) = mpsc::unbounded_channel();
        for (ours, kind) in kinds {
            let (mut stream, sender) = (signal(kind).map_err(Failed::unknown)?, sender.clone());
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(ours).is_ok() {}
            });
        }
        Ok(Self(arrived))
    }

    async fn wait(&mut self, child: &mut Child) -> Result<ExitStatus, Failed> {
        loop {
            tokio::select! {
                status = child.wait() => return status.map_err(Failed::unknown),
                Some(signal) = self.0.recv() => pass_on(signal, child),
            }
        }
    }
}

fn pass_on(signal: Signal, child: &Child) {
    // A terminal's interrupt reaches its whole foreground group, the child too: the go command
    // takes a second one for "at once, without cleaning up".
    let from_keyboard = matches!(signal, Signal::INT | Signal::QUIT) && in_foreground();
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| !from_keyboard) {
        // It may have ended this moment.
        let _ = kill_process(pid, signal);
    }
}

fn in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|tty| rustix::termios::tcgetpgrp(&tty).is_ok_and(|group| group == getpgrp()))
}
