//! Programs of this machine, started with a bound on time and output.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// What a program may say before it is cut.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// How a program ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// First line of what it said, wherever it said it.
    pub fn line(&self) -> Option<&str> {
        let mut lines = self.stdout.lines().chain(self.stderr.lines());
        lines.find(|line| !line.trim().is_empty()).map(str::trim)
    }
}

/// Runs a program to its end with no input.
///
/// # Errors
/// In words: it could not be started, or did not end within `patience` and was ended.
pub async fn run(
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    patience: Duration,
) -> Result<Ended, String> {
    let mut child = Command::new(program)
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (stdout, stderr, status) = tokio::join!(read(out), read(err), child.wait());
        Ended {
            status: status.ok().and_then(|status| status.code()),
            stdout,
            stderr,
        }
    };
    match tokio::time::timeout(patience, ended).await {
        Ok(ended) => Ok(ended),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

/// Reads all, keeps the beginning, so that a chatty program still ends.
async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else {
        return String::new();
    };
    let mut kept = Vec::new();
    let _cut = (&mut pipe)
        .take(OUTPUT_BYTES_MAX)
        .read_to_end(&mut kept)
        .await;
    let _rest = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}
