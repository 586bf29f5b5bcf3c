//! A self-contained GOPROXY tree for one project.

use super::lock::{CACHE, Taken, take};
use super::{LOCK, archive, proofs};
use crate::boot::Links;
use crate::exit::Failed;
use crate::goenv::GoEnv;
use doctor::repro::Lock;
use std::path::{Path, PathBuf};

/// Files of a module cache's download part that the go command never asks a proxy for.
const NOT_ASKED: &[&str] = &["lock", "ziphash", "partial", "tmp"];

/// What a bundle holds.
pub struct Bundled {
    /// The fingerprint in it.
    pub lock: Lock,
    /// Records of the checksum database, each with its proof.
    pub records: usize,
    /// Files of the proxy tree, and their bytes.
    pub files: (usize, u64),
}

/// Pulls the current directory's project cold and writes everything to `to`: a directory, or an
/// archive when the name ends in `.tar.gz` or `.tgz`. What is there is not overwritten.
pub async fn bundle(env: &GoEnv, to: &Path) -> Result<Bundled, Failed> {
    let archived = archive::is_archive(to);
    let taken_already = to
        .read_dir()
        .map_or(to.exists(), |mut d| archived || d.next().is_some());
    if taken_already {
        return Err(Failed::usage(format!(
            "{}: already there; name a new directory or file",
            to.display()
        )));
    }
    let taken = take(env, true).await?;
    let made = taken.scratch.path().join("bundle");
    let dir = if archived { made } else { to.to_owned() };
    let bundled = write(env, taken, &dir, archived.then_some(to)).await;
    if bundled.is_err() && !archived {
        // Half a bundle is worse than none; it was empty or not there before.
        let _ = std::fs::remove_dir_all(to);
    }
    bundled
}

async fn write(
    env: &GoEnv,
    taken: Taken,
    dir: &Path,
    archive: Option<&Path>,
) -> Result<Bundled, Failed> {
    let tree = dir.join("proxy");
    let files = copy(
        &taken.scratch.path().join(CACHE).join("cache/download"),
        &tree,
    )?;
    let links = Links::new(&env.settings(taken.scratch.path(), "direct")?)?;
    let front = taken.front.as_ref().map(|f| f.url());
    let records = proofs::complete(&tree, env, links.net(), front).await?;
    taken.skeleton.write(&dir.join("project"))?;
    let put = |name: &str, text: String| {
        let file = dir.join(name);
        std::fs::write(&file, text).map_err(|e| Failed::unknown(format!("{}: {e}", file.display())))
    };
    let lock = serde_json::to_string_pretty(&taken.lock).map_err(Failed::unknown)?;
    put(LOCK, lock + "\n")?;
    put("Containerfile", containerfile(env, &taken))?;
    put(
        "work",
        format!(
            "{}\n{}\n",
            taken.skeleton.work,
            taken.skeleton.go_work.as_deref().unwrap_or_default()
        ),
    )?;
    if let Some(file) = archive {
        archive::pack(dir, file)?;
    }
    let Taken { lock, front, .. } = taken;
    if let Some(front) = front {
        front.stop().await;
    }
    Ok(Bundled {
        lock,
        records,
        files,
    })
}

/// Copies what a proxy serves out of a module cache.
fn copy(from: &Path, to: &Path) -> Result<(usize, u64), Failed> {
    let (mut dirs, mut files, mut bytes) = (vec![PathBuf::new()], 0, 0);
    while let Some(dir) = dirs.pop() {
        let wrong =
            |e: std::io::Error| Failed::unknown(format!("{}: {e}", from.join(&dir).display()));
        std::fs::create_dir_all(to.join(&dir)).map_err(wrong)?;
        // A build without any module has no cache at all.
        for entry in std::fs::read_dir(from.join(&dir)).into_iter().flatten() {
            let entry = entry.map_err(wrong)?;
            let inside = dir.join(entry.file_name());
            let ending = inside
                .extension()
                .map(|e| e.to_string_lossy().into_owned())
                .unwrap_or_default();
            let kind = entry.file_type().map_err(wrong)?;
            if kind.is_dir() {
                dirs.push(inside);
            } else if kind.is_file()
                && !NOT_ASKED.contains(&ending.as_str())
                && entry.file_name() != "lock"
            {
                bytes += std::fs::copy(from.join(&inside), to.join(&inside)).map_err(wrong)?;
                files += 1;
            }
        }
    }
    Ok((files, bytes))
}

/// A container build that has nothing but the bundle.
fn containerfile(env: &GoEnv, taken: &Taken) -> String {
    let version = taken
        .lock
        .go
        .version
        .trim_start_matches("go")
        .split(' ')
        .next()
        .unwrap_or("latest");
    let work = match taken.skeleton.work.as_str() {
        "" => "/project".to_owned(),
        work => format!("/project/{work}"),
    };
    let mut text = format!(
        "# Pulls the modules of this project from the bundle alone, with the network cut off:\n\
         #   podman build --network=none -t pulled .\n\
         # Continue from it with the code:\n\
         #   FROM pulled\n\
         #   COPY . {work}\n\
         #   RUN go build ./...\n\
         FROM docker.io/library/golang:{version}\n\
         COPY proxy /bundle/proxy\n\
         COPY project /project\n\
         ENV GOPROXY=file:///bundle/proxy GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOVCS=*:off\n"
    );
    for name in ["GOSUMDB", "GONOSUMDB"] {
        let value = env.get(name);
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"\\$`".contains(&b) || b == b' ';
        if !value.is_empty() && value.bytes().all(plain) {
            text.push_str(&format!("ENV {name}=\"{value}\"\n"));
        }
    }
    text.push_str(&format!(
        "WORKDIR {work}\nRUN go mod download && go mod verify\n"
    ));
    text
}
