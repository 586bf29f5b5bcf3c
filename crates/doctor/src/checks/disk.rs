//! D40 to D44: may go write its caches, is there room, and is what lies in them sound?

use super::late;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{
    CacheFacts, Damage, DamageKind, DirFacts, Facts, LocalFacts, LockFacts, VcsClone,
};

/// Below this a single zip of the usual size may not fit: a module has up to some 15 MiB.
const BYTES_FEW: u64 = 16 << 20;

/// Below this a project's download will not fit.
const BYTES_TIGHT: u64 = 128 << 20;

/// A module has hundreds of files.
const INODES_FEW: u64 = 64;

/// Names in the cache are up to 143 bytes on file systems that encrypt names, and longer in real
/// modules; every other file system has 255.
const NAME_MAX_USUAL: u64 = 255;

/// Nobody downloads for so long, in seconds; a holder this old hangs.
pub const LOCK_HANGS_S: u64 = 600;

/// A younger leftover may belong to a go command that still works on it.
pub const LEFTOVER_OLD_S: u64 = 3600;

pub fn checks(facts: &Facts, local: &LocalFacts) -> Vec<Check> {
    let mut checks = Vec::new();
    match &local.dirs {
        Some(dirs) => checks.extend(
            dirs.iter()
                .map(|dir| directory(dir, local).took(facts.took("dirs"))),
        ),
        None => checks.push(late("D40", "cache directories")),
    }
    match &local.locks {
        Some(locks) if locks.is_empty() => checks.push(Check::ok("D41", "locks", "none")),
        Some(locks) => checks.extend(locks.iter().map(|lock| held(lock).took(facts.took("dirs")))),
        None => checks.push(late("D41", "locks")),
    }
    match &local.cache {
        Some(cache) => checks.extend(
            content(cache)
                .into_iter()
                .map(|c| c.took(facts.took("cache"))),
        ),
        None => checks.push(late("D42", "module cache")),
    }
    checks.extend(memory(facts, local));
    match &local.vcs {
        Some(clones) => checks.extend(
            clones_of(clones, facts)
                .into_iter()
                .map(|c| c.took(facts.took("clones"))),
        ),
        None => checks.push(late("D44", "clones")),
    }
    checks
}

fn directory(dir: &DirFacts, local: &LocalFacts) -> Check {
    let name = format!("{} {}", dir.role, dir.path);
    let place = dir.nearest.as_deref().unwrap_or(&dir.path);
    if !dir.path.starts_with('/') {
        let detail = format!("{} is relative; it must be an absolute path", dir.role);
        return Check::fail("D40", name, detail).because("cache_permission", 0.9, []);
    }
    if dir.is_dir == Some(false) {
        let detail = format!("{place} is not a directory");
        return Check::fail("D40", name, detail).because("cache_permission", 0.95, []);
    }
    if let Some(check) = not_writable(dir, &name, place, local) {
        return check;
    }
    if let Some(check) = no_room(dir, &name) {
        return check;
    }
    if dir
        .name_max
        .is_some_and(|max| max > 0 && max < NAME_MAX_USUAL)
    {
        let detail = format!(
            "names may have {} bytes only: some modules hold longer ones",
            dir.name_max.unwrap_or(0)
        );
        return Check::warn("D40", name, detail).because("path_too_long", 0.7, []);
    }
    if dir.noexec == Some(true) && dir.role == "GOTMPDIR" {
        return Check::warn(
            "D40",
            name,
            "mounted noexec: go run and go test cannot start what they build",
        );
    }
    let known = dir.writable.is_some() || dir.free_bytes.is_some();
    if !known {
        return Check::unknown("D40", name, dir.error.as_deref().unwrap_or("not looked at"));
    }
    let room = dir
        .free_bytes
        .map_or(String::new(), |bytes| format!(", {} MiB free", bytes >> 20));
    let kind = dir.file_system.as_deref().unwrap_or("file system unknown");
    Check::ok("D40", name, format!("{kind}{room}"))
}

fn not_writable(dir: &DirFacts, name: &str, place: &str, local: &LocalFacts) -> Option<Check> {
    let owner = dir
        .uid
        .map_or(String::new(), |uid| format!(", owner {uid}"));
    let mode = dir.mode.map_or(String::new(), |mode| {
        format!(", mode {:03o}", mode & 0o7777)
    });
    let user = local
        .uid
        .map_or(String::new(), |uid| format!(", this is user {uid}"));
    if dir.read_only == Some(true) {
        let detail = format!("{place} is on a file system that is mounted read-only");
        return Some(Check::fail("D40", name, detail).because("cache_permission", 0.95, []));
    }
    if dir.writable == Some(false) {
        let why = dir.error.as_deref().unwrap_or("permission denied");
        let detail = format!("{place} cannot be written: {why}{owner}{mode}{user}");
        return Some(Check::fail("D40", name, detail).because("cache_permission", 0.95, []));
    }
    let (path, uid) = dir.foreign.as_ref()?;
    let detail = format!(
        "{path} belongs to user {uid}{user}: go cannot write there (often after one sudo go)"
    );
    Some(Check::fail("D40", name, detail).because("cache_permission", 0.85, []))
}

fn no_room(dir: &DirFacts, name: &str) -> Option<Check> {
    if let Some(free) = dir.free_bytes.filter(|free| *free < BYTES_TIGHT) {
        let detail = format!("{} KiB free", free >> 10);
        let full = free < BYTES_FEW;
        let check = if full {
            Check::fail("D40", name, detail)
        } else {
            Check::warn("D40", name, detail)
        };
        return Some(check.because("disk_full", if full { 0.97 } else { 0.6 }, []));
    }
    // File systems that make inodes as needed say 0 of 0.
    let counts = dir.total_inodes.is_some_and(|total| total > 0);
    let free = dir
        .free_inodes
        .filter(|free| counts && *free < INODES_FEW)?;
    let detail = format!("there is space, but only {free} more files can be made (inodes)");
    Some(
        Check::fail("D40", name, detail)
            .because("disk_full", 0.95, [])
            .variant("inodes"),
    )
}

fn held(lock: &LockFacts) -> Check {
    if lock.supported == Some(false) {
        let why = lock.error.as_deref().unwrap_or("not supported");
        let detail = format!(
            "the file system cannot lock files ({why}): every go command that downloads fails"
        );
        return Check::fail("D41", &lock.path, detail).because("cache_permission", 0.85, []);
    }
    let holders: Vec<String> = lock
        .holders
        .iter()
        .map(|(pid, name)| format!("{name} ({pid})"))
        .collect();
    let holders = holders.join(", ");
    match (lock.held, lock.holder_age_s) {
        (Some(true), Some(age)) if age > LOCK_HANGS_S => {
            let detail = format!(
                "held by {holders} that has been running for {} minutes: others wait for it",
                age / 60
            );
            Check::warn("D41", &lock.path, detail)
        }
        (Some(true), _) => Check::ok(
            "D41",
            &lock.path,
            format!("held by {holders}: go is at work"),
        ),
        (Some(false), _) => Check::ok("D41", &lock.path, "free"),
        (None, _) => Check::unknown(
            "D41",
            &lock.path,
            lock.error.as_deref().unwrap_or("not asked"),
        ),
    }
}

fn content(cache: &CacheFacts) -> Vec<Check> {
    if let Some(error) = &cache.error {
        return vec![Check::unknown("D42", "module cache", error)];
    }
    let mut checks: Vec<Check> = cache.damaged.iter().map(damaged).collect();
    let old: Vec<_> = cache
        .leftovers
        .iter()
        .filter(|left| left.age_s.is_some_and(|age| age > LEFTOVER_OLD_S))
        .collect();
    if let Some(first) = old.first() {
        let bytes: u64 = old.iter().map(|left| left.bytes).sum();
        let detail = format!(
            "{} leftovers of interrupted downloads ({} KiB), such as {}",
            old.len(),
            bytes >> 10,
            first.path
        );
        checks.push(Check::warn("D42", "leftovers", detail));
    }
    if cache.damaged.is_empty() {
        let part = if cache.partial { "a sample: " } else { "" };
        let detail = format!(
            "{part}{} of {} zips and {} trees are sound",
            cache.zips_checked, cache.zips_seen, cache.trees_checked
        );
        checks.push(Check::ok("D42", "module cache", detail));
    }
    checks
}

fn damaged(damage: &Damage) -> Check {
    let what = match damage.kind {
        DamageKind::Unreadable => "is no zip that opens",
        DamageKind::Ziphash => "has another content than its .ziphash says",
        DamageKind::GoSum => "has another hash than go.sum",
        DamageKind::Tree => "differs from its zip",
        DamageKind::Small => "is empty or no such file",
    };
    let subject = Subject {
        module: damage.module.clone(),
        version: damage.version.clone(),
        ..Subject::default()
    };
    let detail = format!("{what}: {}", damage.detail);
    let check = Check::fail("D42", &damage.path, detail);
    match damage.kind {
        // The cache agrees with itself: which side is wrong only the sources can tell.
        DamageKind::GoSum => check
            .because("checksum_mismatch_gosum_wrong", 0.5, [])
            .about(subject),
        _ => check.because("cache_corrupt", 0.97, []).about(subject),
    }
}

fn memory(facts: &Facts, local: &LocalFacts) -> Vec<Check> {
    let Some(sumdb) = &local.sumdb else {
        return vec![late("D43", "checksum database")];
    };
    if let Some(error) = &sumdb.error {
        return vec![Check::unknown("D43", "checksum database", error)];
    }
    let took = facts.took("sumdb");
    let bad = |file: &crate::facts::SumdbFile| {
        let wrong = file.wrong.as_ref()?;
        let detail = format!("{wrong} ({} bytes)", file.bytes);
        let evidence = [format!("{}: {detail}", file.path)];
        let subject = Subject {
            host: Some(file.database.clone()),
            ..Subject::default()
        };
        let check = Check::fail("D43", &file.path, detail);
        Some(
            check
                .because("sumdb_local_state_corrupt", 0.97, evidence)
                .about(subject)
                .took(took),
        )
    };
    let mut checks: Vec<Check> = sumdb
        .latest
        .iter()
        .chain(&sumdb.bad_tiles)
        .filter_map(bad)
        .collect();
    if checks.is_empty() {
        let heads = sumdb.latest.iter().map(|file| match file.tree_size {
            Some(size) => format!("{} up to record {size}", file.database),
            None => format!("{} empty", file.database),
        });
        let mut text = heads.collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            text = "none yet".into();
        }
        checks.push(
            Check::ok(
                "D43",
                "checksum database",
                format!("{text}; {} tiles looked at", sumdb.tiles_checked),
            )
            .took(took),
        );
    }
    checks
}

fn clones_of(clones: &[VcsClone], facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = clones.iter().filter_map(|one| clone(one, facts)).collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            "D44",
            "clones",
            format!("{} clones are sound", clones.len()),
        ));
    }
    checks
}

fn clone(clone: &VcsClone, facts: &Facts) -> Option<Check> {
    let git = facts.env.as_ref().and_then(|env| env.git.as_ref());
    let trusted = git.is_some_and(|git| {
        let safe = &git.safe_directories;
        safe.iter().any(|dir| dir == "*" || *dir == clone.path)
    });
    let remote = clone.remote.as_deref().unwrap_or("unknown remote");
    if let Some(uid) = clone
        .foreign_uid
        .filter(|_| clone.kind == "git" && !trusted)
    {
        let detail =
            format!("belongs to user {uid}: git refuses to work in it (clone of {remote})");
        return Some(Check::fail("D44", &clone.path, detail).because(
            "git_dubious_ownership",
            0.9,
            [],
        ));
    }
    if let Some(wrong) = &clone.wrong {
        let detail = format!("{wrong} (clone of {remote})");
        return Some(Check::fail("D44", &clone.path, detail).because("cache_corrupt", 0.85, []));
    }
    let (lock, age) = clone
        .locks
        .iter()
        .max_by_key(|(_, age)| *age)
        .filter(|(_, age)| *age > LOCK_HANGS_S)?;
    let detail = format!(
        "{lock} was left {} minutes ago: git waits for nobody and fails (clone of {remote})",
        age / 60
    );
    Some(Check::fail("D44", &clone.path, detail).because("cache_corrupt", 0.8, []))
}
