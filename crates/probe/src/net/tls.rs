//! TLS handshakes that write down what they see, also when they fail.
//!
//! The verifier keeps the certificates before it judges them, so a refused handshake still shows
//! the whole chain. It judges in the go command's order (crypto/x509.Certificate.Verify): dates
//! of the server's certificate, its names, then the chain. `look` accepts any certificate: a
//! connection made so may read what anybody may read, and never sends a secret.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doctor::net::{Cert, CertProblem, Failure, Fault, Phase, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::dns::millis;
use super::roots::mozilla;
use super::tcp::fault;

/// Certificates of a chain that are written down.
const CHAIN_MAX: usize = 10;

/// Names of a certificate that are written down.
const NAMES_MAX: usize = 40;

/// This machine's clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Both ways of a connection, whatever is below.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, whatever is below.
pub type Stream = Box<dyn Io>;

/// Makes handshakes.
#[derive(Clone)]
pub struct Handshakes {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    clock: Clock,
}

/// What to hand over in a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// The name sent and asked for.
    pub name: &'a str,
    /// Protocols offered, such as `h2`.
    pub alpn: &'a [&'static [u8]],
    /// Accept any certificate, to look.
    pub look: bool,
    /// Time for it.
    pub limit: Duration,
}

impl Handshakes {
    /// With these authorities and this clock.
    pub fn new(roots: RootCertStore, clock: Clock) -> Self {
        Self {
            roots: Arc::new(roots),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            clock,
        }
    }

    /// This machine's clock, seconds since 1970.
    pub fn now(&self) -> i64 {
        let since = (self.clock)().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    }

    /// One handshake. What was seen comes back in either case.
    pub async fn shake(
        &self,
        stream: Stream,
        hello: Hello<'_>,
    ) -> (Tls, Result<TlsStream<Tap>, Failure>) {
        let began = Instant::now();
        let mut tls = Tls {
            sni: hello.name.to_owned(),
            now: self.now(),
            ..Tls::default()
        };
        let failed = |fault, text: String| Failure {
            phase: Phase::Tls,
            fault,
            text,
            waited_ms: millis(began.elapsed()),
        };
        let name = match ServerName::try_from(hello.name.to_owned()) {
            Ok(name) => name,
            Err(error) => return (tls, Err(failed(Fault::Protocol, error.to_string()))),
        };
        let judge = Arc::new(Judge::new(self, hello.look));
        let config = match self.config(&judge, hello.alpn) {
            Ok(config) => config,
            Err(error) => return (tls, Err(failed(Fault::Local, error.to_string()))),
        };
        let (tap, seen) = Tap::new(stream);
        let shaking = TlsConnector::from(Arc::new(config)).connect(name, tap);
        let ended = tokio::time::timeout(hello.limit, shaking).await;
        tls.took_ms = millis(began.elapsed());
        tls.received = seen.received.load(Ordering::Relaxed);
        judge.write_down(&mut tls);
        match ended {
            Ok(Ok(stream)) => {
                let (_, connection) = stream.get_ref();
                let version = connection.protocol_version();
                tls.version = version.map(|v| format!("{v:?}").replace('_', "."));
                let alpn = connection.alpn_protocol();
                tls.alpn = alpn.map(|alpn| String::from_utf8_lossy(alpn).into_owned());
                (tls, Ok(stream))
            }
            Ok(Err(error)) => {
                let (kind, text) = meaning(&error, &tls, &seen);
                (tls, Err(failed(kind, text)))
            }
            Err(_) => {
                let text = format!(
                    "the handshake did not end in {} ms; {} bytes came",
                    hello.limit.as_millis(),
                    tls.received
                );
                (tls, Err(failed(Fault::TimedOut, text)))
            }
        }
    }

    fn config(&self, judge: &Arc<Judge>, alpn: &[&'static [u8]]) -> Result<ClientConfig, Error> {
        let verifier: Arc<dyn ServerCertVerifier> = Arc::<Judge>::clone(judge);
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        // A resumed session would show no certificates.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

fn meaning(error: &io::Error, tls: &Tls, seen: &Seen) -> (Fault, String) {
    let first = *seen.first.lock().unwrap_or_else(PoisonError::into_inner);
    if first.starts_with(b"HTTP/") {
        return (Fault::PlainHttp, "it speaks plain HTTP, not TLS".into());
    }
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(_)) => {
            let words = tls.problem.map_or_else(|| error.to_string(), problem_words);
            (Fault::Certificate, words)
        }
        Some(_) => (Fault::Protocol, error.to_string()),
        None => (fault(error), error.to_string()),
    }
}

fn problem_words(problem: CertProblem) -> String {
    match problem {
        CertProblem::Expired => "the certificate has expired",
        CertProblem::NotYetValid => "the certificate is not valid yet",
        CertProblem::UnknownIssuer => {
            "the certificate is signed by an authority that is not trusted here"
        }
        CertProblem::WrongName => "the certificate is for other names",
        CertProblem::Other => "the certificate is not acceptable",
    }
    .into()
}

/// Keeps the certificates, then judges them.
struct Judge {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    now: i64,
    look: bool,
    seen: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    chain: Vec<Cert>,
    problem: Option<CertProblem>,
    public: Option<bool>,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge")
            .field("look", &self.look)
            .finish_non_exhaustive()
    }
}

impl Judge {
    fn new(of: &Handshakes, look: bool) -> Self {
        Self {
            roots: Arc::clone(&of.roots),
            provider: Arc::clone(&of.provider),
            now: of.now(),
            look,
            seen: Mutex::default(),
        }
    }

    fn write_down(&self, tls: &mut Tls) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        tls.chain = std::mem::take(&mut seen.chain);
        tls.problem = seen.problem;
        tls.public = seen.public;
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), Error> {
        let leaf = describe(own);
        let found = self.problem(own, others, name, &leaf);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chain = std::iter::once(leaf)
            .chain(others.iter().take(CHAIN_MAX).map(describe))
            .collect();
        if let Err((problem, _)) = &found {
            seen.problem = Some(*problem);
            if *problem == CertProblem::UnknownIssuer {
                let known = self.chain_holds(&mozilla(), own, others);
                seen.public = Some(known.is_ok());
            }
        }
        found.map_err(|(_, error)| error)
    }

    fn problem(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        leaf: &Cert,
    ) -> Result<(), (CertProblem, Error)> {
        let parsed = ParsedCertificate::try_from(own).map_err(|e| (CertProblem::Other, e))?;
        let refused = |problem, error| (problem, Error::InvalidCertificate(error));
        if leaf.not_after != 0 && self.now > leaf.not_after {
            return Err(refused(CertProblem::Expired, CertificateError::Expired));
        }
        if self.now < leaf.not_before {
            let error = CertificateError::NotValidYet;
            return Err(refused(CertProblem::NotYetValid, error));
        }
        verify_server_name(&parsed, name).map_err(|e| (CertProblem::WrongName, e))?;
        self.chain_holds(&self.roots, own, others)
            .map_err(|error| (classed(&error), error))
    }

    fn chain_holds(
        &self,
        roots: &RootCertStore,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        // The go command trusts a certificate that is itself in the store.
        if self.roots_hold(roots, own) {
            return Ok(());
        }
        let now = u64::try_from(self.now).unwrap_or(0);
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            roots,
            others,
            UnixTime::since_unix_epoch(Duration::from_secs(now)),
            self.provider.signature_verification_algorithms.all,
        )
    }

    fn roots_hold(&self, roots: &RootCertStore, own: &CertificateDer<'_>) -> bool {
        let Ok((_, cert)) = X509Certificate::from_der(own) else {
            return false;
        };
        let subject = inside(cert.tbs_certificate.subject.as_raw());
        let key = inside(cert.tbs_certificate.subject_pki.raw);
        cert.tbs_certificate.subject == cert.tbs_certificate.issuer
            && roots.roots.iter().any(|root| {
                root.subject.as_ref() == subject && root.subject_public_key_info.as_ref() == key
            })
    }
}

/// The content of a DER sequence: trust anchors are kept without the outer frame.
fn inside(der: &[u8]) -> &[u8] {
    let long = der.get(1).copied().filter(|length| length & 0x80 != 0);
    let frame = 2 + long.map_or(0, |length| usize::from(length & 0x7f));
    der.get(frame..).unwrap_or_default()
}

fn classed(error: &Error) -> CertProblem {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertProblem::NotYetValid
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertProblem::UnknownIssuer
            }
            // A self-signed authority that stands for itself, and not one of ours.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                CertProblem::UnknownIssuer
            }
            _ => CertProblem::Other,
        },
        _ => CertProblem::Other,
    }
}

fn describe(der: &CertificateDer<'_>) -> Cert {
    let mut cert = Cert {
        sha256: hex::encode(Sha256::digest(der)),
        ..Cert::default()
    };
    let Ok((_, parsed)) = X509Certificate::from_der(der) else {
        cert.subject = "not readable".into();
        return cert;
    };
    cert.subject = short(&parsed.subject().to_string());
    cert.issuer = short(&parsed.issuer().to_string());
    cert.not_before = parsed.validity().not_before.timestamp();
    cert.not_after = parsed.validity().not_after.timestamp();
    let names = parsed.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|ext| &ext.value.general_names) {
        let shown = match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => continue,
        };
        if cert.names.len() < NAMES_MAX {
            cert.names.push(short(&shown));
        }
    }
    cert
}

fn address(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(v4).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(v6) => std::net::Ipv6Addr::from(v6).to_string(),
        Err(_) => "no address".into(),
    }
}

fn short(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(200).collect()
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.judge(own, others, name) {
            Err(error) if !self.look => Err(match error {
                Error::InvalidCertificate(_) => error,
                _ => Error::InvalidCertificate(CertificateError::BadEncoding),
            }),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What went through a connection.
#[derive(Debug, Default)]
pub struct Seen {
    received: AtomicU64,
    first: Mutex<[u8; 8]>,
}

/// A connection that counts what comes and keeps its first bytes.
pub struct Tap {
    stream: Stream,
    seen: Arc<Seen>,
}

impl Tap {
    fn new(stream: Stream) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let tap = Self {
            stream,
            seen: Arc::clone(&seen),
        };
        (tap, seen)
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &buffer.filled()[before..];
        let had = self
            .seen
            .received
            .fetch_add(new.len() as u64, Ordering::Relaxed);
        if let Some(place) = usize::try_from(had).ok().filter(|had| *had < 8) {
            let mut first = self
                .seen
                .first
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for (to, from) in first[place..].iter_mut().zip(new) {
                *to = *from;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
