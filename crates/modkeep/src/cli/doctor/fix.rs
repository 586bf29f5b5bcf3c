//! Applies what `doctor::fix` plans, and keeps a way back: everything that is changed or removed is
//! kept in a folder of its own, beside a script that puts it back.

use doctor::fix::{Action, Fix};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of one run, made when the first change is.
pub struct Backup {
    dir: PathBuf,
    script: String,
    kept: usize,
}

impl Backup {
    /// For a run at this second.
    pub fn new(state: &Path, now: u64) -> Self {
        Self {
            dir: state.join(format!("modkeep/doctor-{now}")),
            script: "#!/bin/sh\n# Puts back what modkeep doctor --fix changed.\nset -e\n"
                .to_owned(),
            kept: 0,
        }
    }

    /// The command that takes everything back, if anything was done.
    pub fn undo(&self) -> Option<String> {
        let script = self.dir.join("undo.sh");
        (self.kept > 0).then(|| format!("sh {}", quoted(&script.display().to_string())))
    }

    /// Applies one fix.
    ///
    /// # Errors
    /// In words; what was done until then is in the backup.
    pub fn apply(&mut self, fix: &Fix) -> Result<(), String> {
        fs::create_dir_all(&self.dir).map_err(|e| format!("{}: {e}", self.dir.display()))?;
        match &fix.action {
            Action::Setting {
                file, name, new, ..
            } => self.setting(Path::new(file), name, new.as_deref()),
            Action::Remove { path } => self.remove(Path::new(path)),
            Action::Mode { path, from, to } => self.mode(Path::new(path), *from, *to),
            Action::Go { args, dir, changes } => self.go(args, Path::new(dir), changes),
        }
    }

    fn place(&mut self) -> PathBuf {
        self.kept += 1;
        self.dir.join(self.kept.to_string())
    }

    fn note(&mut self, line: &str) -> Result<(), String> {
        // Newest first: what was done last is taken back first.
        let head = self
            .script
            .match_indices('\n')
            .nth(2)
            .map_or(self.script.len(), |(at, _)| at + 1);
        self.script.insert_str(head, &format!("{line}\n"));
        let script = self.dir.join("undo.sh");
        fs::write(&script, &self.script).map_err(|e| format!("{}: {e}", script.display()))
    }

    fn setting(&mut self, file: &Path, name: &str, new: Option<&str>) -> Result<(), String> {
        let wrong = |e: io::Error| format!("{}: {e}", file.display());
        let text = fs::read_to_string(file).map_err(wrong)?;
        let kept = self.place();
        fs::copy(file, &kept).map_err(wrong)?;
        self.note(&format!("cp -p {} {}", of(&kept), of(file)))?;
        let prefix = format!("{name}=");
        let mut changed = String::new();
        let mut written = false;
        for line in text.lines() {
            if !line.starts_with(&prefix) {
                let _ = writeln!(changed, "{line}");
            } else if let Some(new) = new.filter(|_| !written) {
                let _ = writeln!(changed, "{name}={new}");
                written = true;
            }
        }
        replace(file, changed.as_bytes()).map_err(wrong)
    }

    fn remove(&mut self, path: &Path) -> Result<(), String> {
        let kept = self.place();
        // The way back is written first: a crash in between leaves it complete.
        self.note(&format!("[ ! -e {0} ] || mv {0} {1}", of(&kept), of(path)))?;
        moved(path, &kept).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn mode(&mut self, path: &Path, from: u32, to: u32) -> Result<(), String> {
        self.place();
        self.note(&format!("chmod {from:03o} {}", of(path)))?;
        fs::set_permissions(path, fs::Permissions::from_mode(to))
            .map_err(|e| format!("{}: {e}", path.display()))
    }

    fn go(&mut self, args: &[String], dir: &Path, changes: &[String]) -> Result<(), String> {
        for name in changes {
            let (path, kept) = (dir.join(name), self.place());
            if path.exists() {
                copied(&path, &kept).map_err(|e| format!("{}: {e}", path.display()))?;
                self.note(&format!(
                    "rm -rf {0} && cp -Rp {1} {0}",
                    of(&path),
                    of(&kept)
                ))?;
            } else {
                self.note(&format!("rm -rf {}", of(&path)))?;
            }
        }
        let ended = Command::new("go").args(args).current_dir(dir).output();
        let ended = ended.map_err(|e| format!("go: {e}"))?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(format!(
                "go {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&ended.stderr).trim()
            )),
        }
    }
}

/// Where the way back is kept.
pub fn state_dir() -> PathBuf {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let home = || absolute("HOME").map(|home| home.join(".local/state"));
    absolute("XDG_STATE_HOME")
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
}

/// Written beside and renamed, with the old permissions, so that it is never half there.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".modkeep-new");
    let fresh = PathBuf::from(name);
    fs::write(&fresh, bytes)?;
    fs::set_permissions(&fresh, fs::metadata(file)?.permissions())?;
    fs::rename(&fresh, file)
}

fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copied(from, to)?;
            match from.is_dir() {
                true => fs::remove_dir_all(from),
                false => fs::remove_file(from),
            }
        }
        done => done,
    }
}

fn copied(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !kind.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copied(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn of(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A word for the shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
