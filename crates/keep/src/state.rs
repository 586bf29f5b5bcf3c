//! What is known of the keep's own state, for readiness, metrics and people.

use crate::alarm::Alarm;
use crate::cosigning::{WitnessReport, Witnessing};
use crate::serve::Keep;
use gomod::h1::H1;
use gomod::version::ModuleVersion;
use serde::Serialize;
use store::{FileKey, Kind, Proof};
use upstream::{Calls, Status};

/// Whether the keep can do its work.
#[derive(Clone, Debug)]
pub struct Report {
    /// Why the store takes no writes, if so.
    pub store: Result<(), String>,
    /// Each upstream's health.
    pub upstreams: Vec<Status>,
    /// Each checksum database: its name, and whether it contradicted itself.
    pub databases: Vec<(String, bool)>,
    /// Our own log, if there is one.
    pub log: Option<LogReport>,
    /// The alarms since the start.
    pub alarms: Vec<Alarm>,
}

/// How our own log is.
#[derive(Clone, Debug, Serialize)]
pub struct LogReport {
    /// Its name.
    pub name: String,
    /// Records.
    pub records: u64,
    /// Records under the newest checkpoint that enough witnesses have cosigned.
    pub cosigned: Option<u64>,
    /// Its witnesses, if there are any.
    pub witnessing: Option<WitnessReport>,
    /// Whether its last signed head is in a second place too.
    pub witness_file: bool,
    /// Why nothing can be appended.
    pub trouble: Option<String>,
}

/// What is kept of a version.
#[derive(Clone, Debug, Serialize)]
pub struct VersionReport {
    /// The module path.
    pub module: String,
    /// The version.
    pub version: String,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// What is kept of one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// `.info`, `.mod` or `.zip`.
    pub file: &'static str,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// The go.sum hash, for `.mod` and `.zip`.
    pub h1: Option<String>,
    /// Who gave it.
    pub source: String,
    /// When, in Unix seconds.
    pub fetched: i64,
    /// Something a person should know.
    pub note: Option<String>,
    /// What a checksum database says: `proved`, `not-asked`, or `unverified` (to be checked yet).
    pub proof: &'static str,
    /// Whether it is kept back: damaged, or contradicted by a checksum database.
    pub withheld: bool,
}

impl Keep {
    /// Looks at the store and the upstreams. Blocks on the disk.
    pub fn report(&self) -> Report {
        let store = self.inner.store.probe().map_err(|e| e.to_string());
        Report {
            store,
            upstreams: self.inner.chain.status(),
            databases: self
                .inner
                .databases
                .all
                .iter()
                .map(|d| (d.name().into(), d.is_forked()))
                .collect(),
            log: self.log_report(),
            alarms: self.inner.alarms.all(),
        }
    }

    /// How our own log is.
    pub fn log_report(&self) -> Option<LogReport> {
        let log = self.own_log()?;
        let status = log.ledger.status();
        let witnessing = log.witnessing.as_ref();
        Some(LogReport {
            name: status.name,
            records: status.size,
            cosigned: witnessing.map_or(status.cosigned, Witnessing::enough),
            witnessing: witnessing.map(|w| w.report(status.size)),
            witness_file: status.witness.is_some(),
            trouble: status.trouble.map(|t| t.to_string()),
        })
    }

    /// The calls made to each upstream.
    pub fn upstream_calls(&self) -> Vec<Calls> {
        self.inner.chain.calls()
    }

    /// Each upstream's health.
    pub fn upstream_status(&self) -> Vec<Status> {
        self.inner.chain.status()
    }

    /// Fetches under way: small files and zips.
    pub fn flights(&self) -> (usize, usize) {
        (self.inner.small_flights.len(), self.inner.zip_flights.len())
    }

    /// What is kept, counted. Blocks on the disk.
    pub fn totals(&self) -> Option<store::Totals> {
        self.inner.store.totals().ok()
    }

    /// What is kept of a version. Blocks on the disk.
    pub fn version_report(
        &self,
        version: &ModuleVersion,
    ) -> Result<VersionReport, store::StoreError> {
        let mut files = Vec::new();
        let mut go_mod = None;
        for kind in [Kind::Info, Kind::Mod, Kind::Zip] {
            let key = FileKey {
                module: version.path().clone(),
                version: version.version().clone(),
                kind,
            };
            if let Some(meta) = self.inner.store.meta(&key)? {
                let note = match kind {
                    Kind::Zip => mod_note(go_mod, meta.inner),
                    Kind::Info | Kind::Mod => None,
                };
                if kind == Kind::Mod {
                    go_mod = meta.h1;
                }
                files.push(FileReport {
                    file: kind.suffix(),
                    size: meta.size,
                    sha256: meta.sha256.iter().map(|b| format!("{b:02x}")).collect(),
                    h1: meta.h1.map(|h| H1(h).to_string()),
                    source: meta.source,
                    fetched: meta.fetched,
                    note: note.map(str::to_owned),
                    proof: match meta.proof {
                        Proof::Open => "unverified",
                        Proof::Proved => "proved",
                        Proof::NotAsked => "not-asked",
                    },
                    withheld: meta.withheld,
                });
            }
        }
        Ok(VersionReport {
            module: version.path().to_string(),
            version: version.version().to_string(),
            files,
        })
    }
}

/// A `.mod` that differs from the zip's own `go.mod` is legal (authors, proxies and the go command
/// itself make them up), but a person should know.
fn mod_note(kept: Option<[u8; 32]>, own: Option<[u8; 32]>) -> Option<&'static str> {
    match (kept, own) {
        (Some(kept), Some(own)) if kept != own => Some("its go.mod differs from the .mod file"),
        (_, None) => Some("it has no go.mod; the .mod file was made up"),
        _ => None,
    }
}
