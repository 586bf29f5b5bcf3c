//! HTTPS with certificates that are read again when their files change.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// How often the files are looked at: renewals come once in weeks, a look costs microseconds.
const LOOK: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Certificate and key do not fit.
    #[error("certificate and key: {0}")]
    Pair(#[from] rustls::Error),
}

/// The TLS settings in force.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the files and starts to watch them.
    pub fn watch(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let tls = Self {
            config: Arc::new(RwLock::new(Arc::new(load(cert, key)?))),
        };
        let (weak, cert, key) = (Arc::downgrade(&tls.config), cert.to_owned(), key.to_owned());
        tokio::spawn(async move {
            let mut seen = stamps(&cert, &key);
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(config) = weak.upgrade() else { return };
                let now = stamps(&cert, &key);
                if now == seen {
                    continue;
                }
                seen = now;
                match load(&cert, &key) {
                    Ok(new) => {
                        *config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                        tracing::info!("certificate reloaded");
                    }
                    // Half-written files are usual for a moment: the old certificate stays in force.
                    Err(error) => tracing::warn!(%error, "certificate not reloaded"),
                }
            }
        });
        Ok(tls)
    }

    /// The settings for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn stamps(cert: &Path, key: &Path) -> [Option<(SystemTime, u64)>; 2] {
    [cert, key].map(|p| {
        std::fs::metadata(p)
            .ok()
            .and_then(|m| Some((m.modified().ok()?, m.len())))
    })
}

fn load(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let wrong = |path: &Path, why: String| TlsError::File {
        path: path.into(),
        why,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert, e.to_string()))?;
    if chain.is_empty() {
        return Err(wrong(cert, "holds no PEM certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, e.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
