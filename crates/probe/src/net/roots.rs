//! The certificate authorities that the go command would trust, from where it reads them.
//!
//! Source of the rules: crypto/x509/root_unix.go and root_linux.go. The first file that can be
//! read counts, and then every file of the directories. SSL_CERT_FILE replaces the list of files,
//! SSL_CERT_DIR the list of directories.

use std::path::{Path, PathBuf};

use doctor::net::Roots;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const DIRS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// A larger file holds something else.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Files of one directory that are read.
const DIR_FILES_MAX: usize = 2000;

/// Reads them; an unreadable store is an empty one with a reason.
pub fn load(file: Option<&str>, dirs: Option<&str>) -> (RootCertStore, Roots) {
    let mut store = RootCertStore::empty();
    let mut seen = Roots::default();
    if cfg!(target_os = "macos") {
        let native = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(native.certs);
        seen.source = Some("the system's keychain".into());
        seen.error = native.errors.first().map(ToString::to_string);
        seen.count = store.len();
        return (store, seen);
    }
    let files: Vec<&str> = file.map_or_else(|| FILES.to_vec(), |file| vec![file]);
    for path in files {
        match read(Path::new(path)) {
            Ok(certificates) => {
                store.add_parsable_certificates(certificates);
                seen.source = Some(path.to_owned());
                break;
            }
            Err(error) if file.is_some() => seen.error = Some(format!("{path}: {error}")),
            Err(_) => {}
        }
    }
    let dirs: Vec<&str> = dirs.map_or_else(|| DIRS.to_vec(), |dirs| dirs.split(':').collect());
    // Distributions put the file's certificates into the directory once more: read what is asked
    // for, or what replaces a missing file.
    if store.is_empty() || file.is_some() {
        for dir in dirs {
            let before = store.len();
            store.add_parsable_certificates(read_dir(Path::new(dir)));
            if store.len() > before && seen.source.is_none() {
                seen.source = Some(dir.to_owned());
            }
        }
    }
    seen.count = store.len();
    (store, seen)
}

/// Mozilla's list, to tell a stale store from a strange certificate.
pub fn mozilla() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    store.add_parsable_certificates(known);
    store
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let meta = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err("not a file of certificates".into());
    }
    let text = std::fs::read(path).map_err(|e| e.to_string())?;
    Ok(CertificateDer::pem_slice_iter(&text).flatten().collect())
}

fn read_dir(dir: &Path) -> Vec<CertificateDer<'static>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).take(DIR_FILES_MAX).collect();
    files.sort();
    files
        .iter()
        .filter_map(|f| read(f).ok())
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_an_empty_store_with_a_reason() {
        let (store, seen) = load(Some("/nowhere/ca.pem"), Some("/nowhere"));
        assert!(store.is_empty());
        assert_eq!(seen.count, 0);
        assert!(seen.error.is_some());
    }
}
