//! Clones in the module cache: locks that were left, what is missing, whose they are.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use doctor::facts::VcsClone;
use doctor::mask;

/// Clones that are looked at.
const CLONES_MAX: usize = 300;

/// Loose objects of a clone that are looked at.
const OBJECTS_MAX: usize = 3000;

/// Lock files that git makes for a moment.
const LOCKS: &[&str] = &[
    "shallow.lock",
    "index.lock",
    "packed-refs.lock",
    "config.lock",
    "HEAD.lock",
    "gc.pid",
];

pub fn look(modcache: &Path) -> Vec<VcsClone> {
    let root = modcache.join("cache/vcs");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let dirs = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    let mut found: Vec<VcsClone> = dirs.take(CLONES_MAX).map(|dir| clone(&dir)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn clone(dir: &Path) -> VcsClone {
    let mut info = dir.as_os_str().to_owned();
    info.push(".info");
    // The line is `git3:URL`, without a line break.
    let noted = std::fs::read_to_string(info).unwrap_or_default();
    let (kind, remote) = noted.trim().split_once(':').unwrap_or(("", ""));
    let git = dir.join("objects").exists() || dir.join("HEAD").exists() || kind.starts_with("git");
    let own = rustix::process::getuid().as_raw();
    let uid = std::fs::metadata(dir).ok().map(|meta| meta.uid());
    VcsClone {
        path: dir.display().to_string(),
        kind: if git {
            "git".into()
        } else {
            kind.trim_end_matches(char::is_numeric).to_owned()
        },
        remote: (!remote.is_empty()).then(|| mask::logins(remote)),
        locks: LOCKS.iter().filter_map(|name| lock(dir, name)).collect(),
        wrong: git.then(|| wrong(dir)).flatten(),
        foreign_uid: uid.filter(|uid| *uid != own),
    }
}

fn lock(dir: &Path, name: &str) -> Option<(String, u64)> {
    let modified = std::fs::metadata(dir.join(name)).ok()?.modified().ok()?;
    Some((name.to_owned(), modified.elapsed().ok()?.as_secs()))
}

/// What `git fsck` would stumble over first, without its cost.
fn wrong(dir: &Path) -> Option<String> {
    match std::fs::read(dir.join("HEAD")) {
        Err(_) => return Some("HEAD is missing: not a repository".into()),
        Ok(bytes) if bytes.iter().all(|b| *b == 0) => return Some("HEAD is empty".into()),
        Ok(_) => {}
    }
    if !dir.join("objects").is_dir() {
        return Some("objects are missing: not a repository".into());
    }
    let config = std::fs::read(dir.join("config")).unwrap_or_default();
    if config.iter().all(|b| *b == 0) {
        return Some("config is empty".into());
    }
    empty_object(dir)
}

fn empty_object(dir: &Path) -> Option<String> {
    let folders = std::fs::read_dir(dir.join("objects")).ok()?.flatten();
    let folders = folders.filter(|entry| entry.file_name().len() == 2);
    let objects = folders.flat_map(|folder| {
        std::fs::read_dir(folder.path())
            .into_iter()
            .flatten()
            .flatten()
    });
    let empty = |entry: &std::fs::DirEntry| {
        entry
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() == 0)
    };
    let found = objects.take(OBJECTS_MAX).find(empty)?;
    Some(format!("loose object {} is empty", found.path().display()))
}
