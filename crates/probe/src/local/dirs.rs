//! The directories that go writes: whose they are, what room there is, who holds their locks.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use doctor::facts::{DirFacts, LockFacts};
use rustix::fs::{Access, FlockOperation, StatVfsMountFlags};

use super::Settings;

/// Entries looked at for another owner's.
const FOREIGN_LOOKS_MAX: usize = 2000;

/// Every directory that go writes.
pub fn dirs(settings: &Settings) -> Vec<DirFacts> {
    let mut wanted: Vec<(&str, String)> = vec![("GOMODCACHE", settings.get("GOMODCACHE"))];
    let gocache = settings.get("GOCACHE");
    if gocache != "off" {
        wanted.push(("GOCACHE", gocache));
    }
    let tmp = [
        settings.get("GOTMPDIR"),
        settings.os("TMPDIR").unwrap_or_default().to_owned(),
    ];
    let tmp = tmp.into_iter().find(|dir| !dir.is_empty());
    wanted.push(("GOTMPDIR", tmp.unwrap_or_else(|| "/tmp".to_owned())));
    let known = wanted.into_iter().filter(|(_, path)| !path.is_empty());
    known.map(|(role, path)| look(role, &path)).collect()
}

fn look(role: &str, path: &str) -> DirFacts {
    let mut facts = DirFacts {
        role: role.to_owned(),
        path: path.to_owned(),
        ..DirFacts::default()
    };
    let own = Path::new(path);
    if !own.is_absolute() {
        return facts;
    }
    facts.exists = exists(own);
    let Some(nearest) = own.ancestors().find(|dir| exists(dir) == Some(true)) else {
        return facts;
    };
    facts.nearest = Some(nearest.display().to_string());
    match std::fs::metadata(nearest) {
        Ok(meta) => {
            facts.is_dir = Some(meta.is_dir());
            facts.uid = Some(meta.uid());
            facts.mode = Some(meta.mode());
            facts.file_system = file_system(meta.dev());
            facts.foreign = foreign(own);
        }
        Err(error) => facts.error = Some(error.to_string()),
    }
    match rustix::fs::access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => facts.writable = Some(true),
        Err(error) => {
            facts.writable = Some(false);
            facts.error = Some(error.to_string());
        }
    }
    room(nearest, &mut facts);
    facts
}

/// `None` when that cannot be seen. A dangling link is not there.
fn exists(path: &Path) -> Option<bool> {
    match std::fs::metadata(path) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(_) => Some(false),
    }
}

fn room(dir: &Path, facts: &mut DirFacts) {
    let Ok(stat) = rustix::fs::statvfs(dir) else {
        return;
    };
    facts.free_bytes = Some(stat.f_bavail.saturating_mul(stat.f_frsize));
    facts.total_bytes = Some(stat.f_blocks.saturating_mul(stat.f_frsize));
    facts.free_inodes = Some(stat.f_favail);
    facts.total_inodes = Some(stat.f_files);
    facts.name_max = Some(stat.f_namemax);
    facts.read_only = Some(stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    facts.noexec = Some(stat.f_flag.contains(StatVfsMountFlags::NOEXEC));
}

/// The kind of the file system a device number belongs to.
fn file_system(dev: u64) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let number = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
    let line = text
        .lines()
        .find(|line| line.split_whitespace().nth(2) == Some(&*number))?;
    let kind = line.split_once(" - ")?.1.split_whitespace().next()?;
    Some(kind.to_owned())
}

/// An entry that another user owns and this one may not write, in the two topmost levels.
fn foreign(dir: &Path) -> Option<(String, u32)> {
    let own = rustix::process::getuid().as_raw();
    if own == 0 {
        return None;
    }
    let mut looks = 0;
    let mut open: Vec<(PathBuf, u32)> = vec![(dir.to_owned(), 0)];
    while let Some((dir, depth)) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            looks += 1;
            if looks > FOREIGN_LOOKS_MAX {
                return None;
            }
            let Ok(meta) = entry.metadata() else { continue };
            let path = entry.path();
            // Extracted trees are read-only by design; only directories that are written count.
            let locked = rustix::fs::access(&path, Access::WRITE_OK).is_err();
            if meta.is_dir() && meta.uid() != own && locked {
                return Some((path.display().to_string(), meta.uid()));
            }
            if meta.is_dir() && depth < 2 {
                open.push((path, depth + 1));
            }
        }
    }
    None
}

/// The lock of the module cache, if it has one yet.
pub fn locks(settings: &Settings) -> Vec<LockFacts> {
    let modcache = settings.get("GOMODCACHE");
    let path = Path::new(&modcache).join("cache/lock");
    let Ok(file) = std::fs::File::open(&path) else {
        return Vec::new();
    };
    let mut lock = LockFacts {
        path: path.display().to_string(),
        ..LockFacts::default()
    };
    // Shared and at once given back: nobody who waits is kept waiting.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            lock.supported = Some(true);
            lock.held = Some(false);
            // Closing the file gives it back even if this fails.
            let _ = rustix::fs::flock(&file, FlockOperation::Unlock);
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            lock.supported = Some(true);
            lock.held = Some(true);
            holders(&file, &mut lock);
        }
        Err(
            error @ (rustix::io::Errno::NOSYS
            | rustix::io::Errno::NOLCK
            | rustix::io::Errno::OPNOTSUPP),
        ) => {
            lock.supported = Some(false);
            lock.error = Some(error.to_string());
        }
        Err(error) => lock.error = Some(error.to_string()),
    }
    vec![lock]
}

fn holders(file: &std::fs::File, lock: &mut LockFacts) {
    let (Ok(meta), Ok(text)) = (file.metadata(), std::fs::read_to_string("/proc/locks")) else {
        return;
    };
    let inode = format!(":{}", meta.ino());
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let held = words.get(1) != Some(&"->") && words.iter().any(|word| word.ends_with(&inode));
        let pid = words
            .get(4)
            .and_then(|pid| pid.parse::<u32>().ok())
            .filter(|_| held);
        if let Some(pid) = pid {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            lock.holders.push((pid, name.trim().to_owned()));
            lock.holder_age_s = lock.holder_age_s.max(age(pid));
        }
    }
}

/// Seconds that a process has been running.
fn age(pid: u32) -> Option<u64> {
    let started = std::fs::metadata(format!("/proc/{pid}"))
        .ok()?
        .modified()
        .ok()?;
    started.elapsed().ok().map(|age| age.as_secs())
}
