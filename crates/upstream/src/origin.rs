//! `direct`: the origin itself as the last upstream of a chain.

use crate::body::Body;
use crate::chain::Found;
use crate::failure::Failure;
use crate::vcs::{Direct, DirectError, DirectInfo};
use bytes::Bytes;
use gomod::request::Request;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Version control as an upstream.
#[derive(Clone)]
pub struct Origin {
    direct: Direct,
    scratch: PathBuf,
    next: Arc<AtomicU64>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Origin({})", self.scratch.display())
    }
}

impl Origin {
    /// `scratch` is a directory for zips on their way; what is left in it may be deleted at start.
    pub fn new(direct: Direct, scratch: PathBuf) -> Self {
        Self {
            direct,
            scratch,
            next: Arc::default(),
        }
    }

    pub(crate) async fn ask(&self, request: &Request) -> Result<Found, Failure> {
        let found = match request {
            Request::List(module) => self
                .direct
                .list(module)
                .await
                .map(|versions| list(&versions)),
            Request::Latest(module) => self.direct.latest(module).await.map(|i| info(&i)),
            Request::Info(module, revision) => {
                self.direct.info(module, revision).await.map(|i| info(&i))
            }
            Request::Mod(version) => self.direct.go_mod(version).await.map(Bytes::from),
            Request::Zip(_) => return self.zip(request).await,
            Request::Sumdb { .. } => {
                return Err(Failure::Absent {
                    status: 404,
                    text: "version control has no checksum database".into(),
                });
            }
        };
        let bytes = found.map_err(failure)?;
        Ok(Found {
            source: DIRECT.into(),
            total: Some(bytes.len() as u64),
            body: Body::whole(bytes),
        })
    }

    async fn zip(&self, request: &Request) -> Result<Found, Failure> {
        let Request::Zip(version) = request else {
            return Err(Failure::Failed("not a zip".into()));
        };
        let disk = |e: std::io::Error| Failure::Failed(format!("{version}: {e}"));
        let name = format!("direct-{}.zip", self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.scratch.join(name);
        self.direct.zip(version, &path).await.map_err(failure)?;
        let opened = tokio::fs::File::open(&path).await;
        // Open files outlive their names: nothing is left behind however this ends.
        tokio::fs::remove_file(&path).await.map_err(disk)?;
        let file = opened.map_err(disk)?;
        let total = file.metadata().await.map_err(disk)?.len();
        Ok(Found {
            source: DIRECT.into(),
            total: Some(total),
            body: Body::file(file),
        })
    }
}

/// The source of files that come from version control.
pub const DIRECT: &str = "direct";

fn list(versions: &[String]) -> Bytes {
    let mut text = versions.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text.into()
}

fn info(info: &DirectInfo) -> Bytes {
    info.to_json().into()
}

/// Only the origin's own word proves absence.
fn failure(error: DirectError) -> Failure {
    let text = error.to_string();
    match error {
        DirectError::NotFound { .. } => Failure::Absent { status: 404, text },
        DirectError::Refused { .. } | DirectError::Auth { .. } => Failure::Refused {
            status: 403,
            text,
            retry_after: None,
        },
        DirectError::Timeout { .. } => Failure::TimedOut(text),
        DirectError::Unreachable { .. }
        | DirectError::Limits { .. }
        | DirectError::Program { .. }
        | DirectError::Damaged { .. }
        | DirectError::Internal { .. } => Failure::Failed(text),
    }
}
