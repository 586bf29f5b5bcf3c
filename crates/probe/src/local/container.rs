//! What kind of box this is: container, certificates, name servers, home.
//!
//! Where Go looks for certificate authorities: crypto/x509/root_linux.go and root_unix.go.

use std::path::Path;

use doctor::facts::ContainerFacts;

use super::Settings;

/// A larger bundle is not one; Mozilla's has some 220 KiB.
const BUNDLE_BYTES_MAX: u64 = 32 << 20;

const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const DIRECTORIES: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];

pub fn look(settings: &Settings) -> ContainerFacts {
    let mut facts = ContainerFacts {
        kind: kind(settings),
        ipv6: Some(Path::new("/proc/net/if_inet6").exists()),
        nameservers: nameservers(),
        home_writable: settings.home().map(|home| {
            let asked = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            rustix::fs::access(home, asked).is_ok()
        }),
        ..ContainerFacts::default()
    };
    if cfg!(target_os = "linux") {
        authorities(settings, &mut facts);
    }
    facts
}

fn kind(settings: &Settings) -> Option<String> {
    let marks = [
        ("/.dockerenv", "docker"),
        ("/run/.containerenv", "podman"),
        ("/var/run/secrets/kubernetes.io", "kubernetes"),
    ];
    let found = marks.iter().find(|(path, _)| Path::new(path).exists());
    let ci = [
        ("GITHUB_ACTIONS", "GitHub Actions"),
        ("GITLAB_CI", "GitLab CI"),
        ("JENKINS_URL", "Jenkins"),
    ];
    let found = found.or_else(|| ci.iter().find(|(name, _)| settings.os(name).is_some()));
    found.map(|(_, kind)| (*kind).to_owned())
}

fn nameservers() -> Option<Vec<String>> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver"))
            .then(|| words.next().map(str::to_owned))
            .flatten()
    };
    Some(text.lines().filter_map(server).take(16).collect())
}

/// Certificates that Go will trust: the file of `SSL_CERT_FILE` or the first bundle that is there,
/// and those of the directories.
fn authorities(settings: &Settings, facts: &mut ContainerFacts) {
    let named = settings.os("SSL_CERT_FILE");
    let bundle = match named {
        Some(file) => Some(file.to_owned()),
        None => BUNDLES
            .iter()
            .find(|file| Path::new(file).exists())
            .map(|file| (*file).to_owned()),
    };
    let mut count = 0;
    if let Some(file) = &bundle {
        match certificates(Path::new(file)) {
            Ok(found) => count += found,
            Err(error) => facts.ca_error = Some(format!("{file}: {error}")),
        }
    }
    let named_dirs = settings
        .os("SSL_CERT_DIR")
        .map(|dirs| dirs.split(':').collect::<Vec<_>>());
    let dirs = named_dirs.unwrap_or_else(|| DIRECTORIES.to_vec());
    // The bundle holds what the directories hold; they are read only where there is none.
    if count == 0 {
        count = dirs.iter().map(|dir| of_directory(Path::new(dir))).sum();
    }
    if count > 0 {
        facts.ca_error = None;
    }
    facts.ca_file = bundle.or_else(|| dirs.first().map(|dir| (*dir).to_owned()));
    facts.ca_count = Some(count);
}

fn of_directory(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .take(2000);
    entries
        .filter_map(|entry| certificates(&entry.path()).ok())
        .sum()
}

fn certificates(file: &Path) -> Result<usize, String> {
    let meta = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !meta.is_file() || meta.len() > BUNDLE_BYTES_MAX {
        return Err("not a file of certificates".into());
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.matches("-----BEGIN CERTIFICATE-----").count()
        + text.matches("-----BEGIN TRUSTED CERTIFICATE-----").count())
}
