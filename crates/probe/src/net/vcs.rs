//! Version control where the go command runs it: how long it takes, what it brings, what it says.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use doctor::mask;
use doctor::net::{VcsRun, What};
use gomod::h1::hash_mod;
use gomod::request::Request;
use gomod::version::ModuleVersion;
use gomod::zip::{MAX_ZIP_FILE, verify};
use upstream::{Chain, Failure, Found};

use super::dns::millis;
use super::fetch::{Fetched, SMALL_BYTES_MAX};
use super::targets::Replay;
use super::walk::Walk;

/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 2000;

/// Puts one question of the walk (`M/@v/V.info`) to version control.
pub async fn run(
    walk: &Walk<'_>,
    replay: &Replay,
    origin: &Chain,
    what: What,
    file: &str,
    module: Option<&ModuleVersion>,
) -> (VcsRun, Fetched) {
    let began = Instant::now();
    let mut run = VcsRun {
        at_ms: millis(walk.prober.began.elapsed()),
        ..VcsRun::default()
    };
    let mut fetched = Fetched::default();
    (replay.told)(&format!("version control: {file}"));
    let limit = walk
        .prober
        .left(Duration::from_secs(3600))
        .unwrap_or_default();
    let asked = ask(replay, origin, what, file, module, &mut run);
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(body)) => {
            fetched.h1.clone_from(&run.h1);
            fetched.body = body;
        }
        Ok(Err(failure)) => refuse(&mut run, failure.is_absent(), failure.text()),
        Err(_) => {
            run.late = true;
            refuse(
                &mut run,
                false,
                "version control was not done when the time ended",
            );
        }
    }
    run.took_ms = millis(began.elapsed());
    fetched.exchange.at_ms = run.at_ms;
    fetched.exchange.took_ms = run.took_ms;
    (run, fetched)
}

fn refuse(run: &mut VcsRun, absent: bool, text: &str) {
    run.absent = absent;
    run.error = Some(mask::logins(text).chars().take(ERROR_CHARS_MAX).collect());
}

async fn ask(
    replay: &Replay,
    origin: &Chain,
    what: What,
    file: &str,
    module: Option<&ModuleVersion>,
    run: &mut VcsRun,
) -> Result<Vec<u8>, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(e.to_string());
    let request = Request::parse(&format!("/{file}")).map_err(|e| failed(&e))?;
    if let (What::Zip, Some(module)) = (what, module) {
        let found = origin.big(&request).next().await?;
        let at = replay.scratch.join("origin.zip");
        run.bytes = keep(found, &at).await?;
        let (module, size) = (module.clone(), run.bytes);
        let checked = tokio::task::spawn_blocking(move || {
            let opened = std::fs::File::open(&at).map_err(|e| e.to_string())?;
            let checked = verify(opened, size, &module).map_err(|e| e.to_string())?;
            Ok::<_, String>(checked.h1.to_string())
        });
        let checked = checked.await.map_err(|e| failed(&e))?;
        run.h1 = Some(checked.map_err(|e| failed(&e))?);
        return Ok(Vec::new());
    }
    let limit = usize::try_from(SMALL_BYTES_MAX).unwrap_or(usize::MAX);
    let (bytes, _) = origin.small(&request, limit).await?;
    run.bytes = bytes.len() as u64;
    if what == What::Mod {
        run.h1 = Some(hash_mod(&bytes).to_string());
    }
    Ok(bytes.to_vec())
}

/// Writes a zip beside; its size.
async fn keep(mut found: Found, to: &Path) -> Result<u64, Failure> {
    let disk = |e: std::io::Error| Failure::Failed(format!("{}: {e}", to.display()));
    let mut file = std::fs::File::create(to).map_err(disk)?;
    let mut size = 0;
    while let Some(chunk) = found.body.next().await? {
        size += chunk.len() as u64;
        if size > MAX_ZIP_FILE {
            return Err(Failure::Failed(format!("larger than {MAX_ZIP_FILE} bytes")));
        }
        file.write_all(&chunk).map_err(disk)?;
    }
    file.flush().map_err(disk)?;
    Ok(size)
}
