//! Where our log's private key comes from: a file, an environment variable, or a command that prints it
//! (as one that asks a key manager does).

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tlog::note::{Cosigner, Signer};

/// A key is one line of some hundred bytes.
const KEY_BYTES_MAX: u64 = 4 << 10;

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file that only its owner may read.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
    /// A command line for the shell, which prints it.
    Command(String),
}

impl KeySource {
    /// Reads `FILE`, `env:VARIABLE` or `cmd:COMMAND`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env" | "cmd", "")) => Err(format!("{text}: something must follow the colon")),
            Some(("env", name)) => Ok(Self::Environment(name.into())),
            Some(("cmd", command)) => Ok(Self::Command(command.into())),
            _ => Ok(Self::File(text.into())),
        }
    }

    /// The key.
    pub fn read(&self) -> Result<Signer, String> {
        let text = self.text()?;
        // The text of the error must not hold the key.
        Signer::parse_secret(text.trim()).map_err(|e| {
            format!("{self}: {e}; a key looks like PRIVATE+KEY+name+hash+base64 (modkeep log init makes one)")
        })
    }

    /// The key, made now if its file is not there yet. True: it was made.
    pub fn read_or_make(&self, name: &str) -> Result<(Signer, bool), String> {
        match self {
            Self::File(path) if !path.exists() => {
                let signer =
                    Signer::from_seed(name, &seed()?).map_err(|e| format!("{name}: {e}"))?;
                make(path, &signer.to_secret())?;
                Ok((signer, true))
            }
            _ => self.read().map(|key| (key, false)),
        }
    }

    /// A witness's key, made now if its file is not there yet and a name is given. True: it was made.
    pub fn cosigner(&self, name: Option<&str>) -> Result<(Cosigner, bool), String> {
        match (self, name) {
            (Self::File(path), Some(name)) if !path.exists() => {
                let cosigner = Cosigner::from_seed(name, &seed()?);
                let cosigner = cosigner.map_err(|e| format!("{name}: {e}"))?;
                make(path, &cosigner.to_secret())?;
                Ok((cosigner, true))
            }
            _ => {
                let cosigner = Cosigner::parse_secret(self.text()?.trim());
                let cosigner = cosigner.map_err(|e| format!("{self}: {e}, or no witness's key"))?;
                Ok((cosigner, false))
            }
        }
    }

    fn text(&self) -> Result<String, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Environment(name) => {
                std::env::var(name).map_err(|e| format!("the key in ${name}: {e}"))
            }
            Self::Command(command) => run(command),
        }
    }
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Command(_) => f.write_str("what the key command printed"),
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let failed = |e: io::Error| format!("the key {}: {e}", path.display());
    let file = fs::File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no key {}: modkeep log init NAME makes one, or say where it is with --log-key",
            path.display()
        ),
        _ => failed(e),
    })?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "the key {} may be read by others than its owner (mode {:o}): chmod 600 it",
            path.display(),
            mode & 0o777
        ));
    }
    let mut text = String::new();
    file.take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

fn run(command: &str) -> Result<String, String> {
    let failed = |e: io::Error| format!("the key command: {e}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut text = String::new();
    if let Some(out) = child.stdout.take() {
        let mut out = out.take(KEY_BYTES_MAX);
        out.read_to_string(&mut text).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(text),
        false => Err(format!("the key command ended with {status}")),
    }
}

/// Makes a key file that only its owner may read. Never over another.
fn make(path: &Path, secret: &str) -> Result<(), String> {
    let failed = |e: io::Error| format!("the key {}: {e}", path.display());
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    // Whole or not at all: half a key would stand in the way of a new one.
    let half = path.with_extension("new");
    let write = || -> io::Result<()> {
        // What an earlier attempt left may have another mode.
        match fs::remove_file(&half) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&half)?;
        file.write_all(secret.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&half, path)?;
        fs::remove_file(&half)?;
        fs::File::open(parent)?.sync_all()
    };
    write().map_err(failed)
}

fn seed() -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| format!("no randomness for a key: {e}"))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/log.key");
        let source = KeySource::parse(path.to_str().unwrap()).unwrap();
        let (made, new) = source.read_or_make("log.example").unwrap();
        assert!(new);
        let (read, new) = source.read_or_make("other.example").unwrap();
        assert!(!new);
        assert_eq!(made.verifier(), read.verifier());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(source.read().unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn a_command_prints_a_key_and_what_it_prints_is_never_shown() {
        let signer = Signer::from_seed("log.example", &[7; 32]).unwrap();
        let secret = signer.to_secret();
        let source = KeySource::parse(&format!("cmd:echo '{secret}'")).unwrap();
        assert_eq!(source.read().unwrap().verifier(), signer.verifier());
        let wrong = KeySource::parse(&format!("cmd:echo 'x{secret}'")).unwrap();
        assert!(!wrong.read().unwrap_err().contains(&secret[..20]));
        for bad in ["cmd:false", "cmd:echo", "cmd:yes"] {
            assert!(KeySource::parse(bad).unwrap().read().is_err(), "{bad}");
        }
        assert!(KeySource::parse("env:").is_err());
        assert!(
            KeySource::parse("env:MODKEEP_NO_SUCH_KEY")
                .unwrap()
                .read()
                .is_err()
        );
    }
}
