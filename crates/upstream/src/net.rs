//! HTTP as modkeep's client speaks it: bounded redirects, credentials for their own host only, time
//! limits on every step, and public names that stay public.
//!
//! `HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR` work as in curl.

use crate::failure::{Failure, causes};
use crate::guard::{PublicOnly, is_public};
use crate::netrc::Netrc;
use crate::proxies::show;
use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, redirect};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use url::{Host, Url};

/// Redirects that are followed, as in the go command.
const REDIRECTS_MAX: usize = 10;

/// An error body's text is read up to this size: more than the go command shows (648 bytes).
const ERROR_TEXT_MAX: usize = 4 << 10;

/// Idle connections kept for each upstream.
const IDLE_CONNECTIONS: usize = 32;

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct NetSettings {
    /// Certificates to trust besides the system's (PEM files).
    pub ca_files: Vec<PathBuf>,
    /// Time for a TCP connection and TLS handshake.
    pub connect_timeout: Duration,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            connect_timeout: Duration::from_secs(8),
        }
    }
}

/// The HTTP client.
///
/// Reading the system's certificates takes tens of milliseconds, so the connections' side is built
/// beside the start of the rest, not before it.
#[derive(Clone, Debug)]
pub struct Net {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connect_timeout: Duration,
    extra: Vec<Certificate>,
    named: OnceLock<Result<Client, String>>,
    public: OnceLock<Result<Client, String>>,
    netrc: Netrc,
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A certificate file is not usable.
    #[error("certificate file {path}: {why}")]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refused.
    #[error("HTTP client: {0}")]
    Client(String),
}

/// Which addresses a URL, and the redirects from it, may lead to.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// Public ones.
    Public,
    /// Any for the host that the settings name, public ones for all others.
    Named(&'a Url),
    /// Any: what a private module names.
    Any,
}

impl Reach<'_> {
    fn any_address(self, url: &Url) -> bool {
        match self {
            Reach::Public => false,
            Reach::Any => true,
            Reach::Named(named) => {
                named.host() == url.host()
                    && named.port_or_known_default() == url.port_or_known_default()
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Lost {
    /// What happened.
    pub failure: Failure,
    /// Whether it happened behind a redirect: the host that was asked first has answered.
    pub redirected: bool,
}

/// Whether content may be compressed on the way: small files yes, zips are compressed already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// gzip welcome; the body's announced length says nothing.
    Any,
    /// Bytes as they are, with their length.
    Identity,
}

impl Net {
    /// A client by these settings. Certificate files are read now, the system's in the background.
    pub fn new(settings: &NetSettings) -> Result<Self, NetError> {
        let mut extra = Vec::new();
        for path in &settings.ca_files {
            extra.extend(read_ca(path)?);
        }
        let inner = Arc::new(Inner {
            connect_timeout: settings.connect_timeout,
            extra,
            named: OnceLock::new(),
            public: OnceLock::new(),
            netrc: Netrc::load(),
        });
        let warming = Arc::clone(&inner);
        // Without the thread the first request builds what it needs.
        let _ = std::thread::Builder::new()
            .name("certificates".into())
            .spawn(move || {
                let _ = warming.client(false);
                let _ = warming.client(true);
            });
        Ok(Self { inner })
    }

    /// GETs a URL. Gives the answer to the last redirect, whatever its status, when its headers are
    /// there.
    pub async fn get(
        &self,
        url: &Url,
        reach: Reach<'_>,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let got = self.ask(url, reach, encoding, deadline).await;
        got.map_err(|lost| lost.failure)
    }

    /// The same, for who has to know whether the first host answered.
    pub(crate) async fn ask(
        &self,
        url: &Url,
        reach: Reach<'_>,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<Response, Lost> {
        let lost = |failure, redirected| Lost {
            failure,
            redirected,
        };
        let mut at = url.clone();
        for hop in 0..=REDIRECTS_MAX {
            let answer = self.once(&at, reach, encoding, deadline).await;
            let answer = answer.map_err(|failure| lost(failure, hop > 0))?;
            match redirect_of(&answer) {
                None => return Ok(answer),
                Some(next) => at = follow(&at, &next).map_err(|failure| lost(failure, true))?,
            }
        }
        let text = format!("{}: stopped after {REDIRECTS_MAX} redirects", show(url));
        Err(lost(Failure::Failed(text), true))
    }

    async fn once(
        &self,
        url: &Url,
        reach: Reach<'_>,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let any_address = reach.any_address(url);
        if !any_address {
            check_public_literal(url)?;
        }
        let client = self.inner.client(!any_address).map_err(Failure::Failed)?;
        let mut request = client.get(bare(url));
        if encoding == Encoding::Identity {
            request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        self.send(url, request, deadline).await
    }

    /// POSTs to an address that the settings name.
    pub(crate) async fn send_post(
        &self,
        url: &Url,
        content_type: &'static str,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let client = self.inner.client(false).map_err(Failure::Failed)?;
        let request = client
            .post(bare(url))
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .body(body);
        self.send(url, request, deadline).await
    }

    async fn send(
        &self,
        url: &Url,
        mut request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        if let Some((login, password)) = self.credentials(url) {
            request = request.basic_auth(login, Some(password));
        }
        match tokio::time::timeout_at(deadline, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) if e.is_timeout() => Err(Failure::TimedOut(format!(
                "{}: no connection in time",
                show(url)
            ))),
            Ok(Err(e)) => Err(Failure::Failed(format!("{}: {}", show(url), causes(e)))),
            Err(_) => Err(Failure::TimedOut(format!(
                "{}: no answer in time",
                show(url)
            ))),
        }
    }

    /// Credentials in the URL win over netrc. Plain HTTP carries them to this machine only.
    fn credentials(&self, url: &Url) -> Option<(String, String)> {
        let loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !loopback {
            return None;
        }
        if !url.username().is_empty() {
            let plain = |s: &str| percent_decode(s);
            return Some((plain(url.username()), plain(url.password().unwrap_or(""))));
        }
        self.inner
            .netrc
            .find(url)
            .map(|(l, p)| (l.to_owned(), p.to_owned()))
    }
}

impl Inner {
    fn client(&self, public_only: bool) -> Result<&Client, String> {
        let slot = if public_only {
            &self.public
        } else {
            &self.named
        };
        slot.get_or_init(|| self.build(public_only))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn build(&self, public_only: bool) -> Result<Client, String> {
        let builder = || {
            let builder = ClientBuilder::new()
                .user_agent(concat!("modkeep/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(self.connect_timeout)
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .pool_idle_timeout(Duration::from_secs(90))
                .tcp_keepalive(Duration::from_secs(30))
                .http2_adaptive_window(true);
            if public_only {
                builder.dns_resolver(PublicOnly::from_env())
            } else {
                builder
            }
        };
        let first = builder().tls_certs_merge(self.extra.clone()).build();
        // A machine without any certificate store: only the given certificates count.
        let built = first.or_else(|_| builder().tls_certs_only(self.extra.clone()).build());
        built.map_err(|e| format!("HTTP client: {}", causes(e)))
    }
}

/// Credentials in a URL are percent-encoded; what is not a valid escape stands for itself.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        match (b, digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            _ => {
                out.push(*b);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn read_ca(path: &Path) -> Result<Vec<Certificate>, NetError> {
    let wrong = |why: String| NetError::Ca {
        path: path.into(),
        why,
    };
    let pem = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| wrong(causes(e)))?;
    if certificates.is_empty() {
        return Err(wrong("holds no PEM certificate".into()));
    }
    Ok(certificates)
}

/// The resolver guards names; addresses written in a URL never reach it.
fn check_public_literal(url: &Url) -> Result<(), Failure> {
    let public = match url.host() {
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name != "localhost" && !name.ends_with(".localhost")
        }
        None => false,
    };
    if public && matches!(url.scheme(), "http" | "https") {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{} leads to a private address, which a public name may not",
        show(url)
    )))
}

/// The URL without credentials, which go into a header.
fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    // Only fails for URLs that cannot carry credentials.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

/// The next URL, if the rules let a client go there.
fn follow(at: &Url, next: &str) -> Result<Url, Failure> {
    let malformed = |_| Failure::Failed(format!("{}: redirect to a malformed URL", show(at)));
    let next = at.join(next).map_err(malformed)?;
    if at.scheme() == "https" && next.scheme() != "https" {
        return Err(Failure::Failed(format!(
            "redirected from secure URL {} to insecure URL {}",
            show(at),
            show(&next)
        )));
    }
    Ok(next)
}

fn redirect_of(answer: &Response) -> Option<String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    answer
        .headers()
        .get(LOCATION)
        .and_then(|l| l.to_str().ok())
        .map(str::to_owned)
}

/// Turns a status other than 200 into the failure it means.
pub(crate) async fn failure_of(answer: Response, who: &str, deadline: Instant) -> Failure {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok())
        .map(Duration::from_secs);
    let said = error_text(answer, deadline).await;
    let first = said.lines().next().unwrap_or("").trim();
    let colon = if first.is_empty() { "" } else { ": " };
    let described = format!("{who} answered {status}{colon}{first}");
    match status.as_u16() {
        404 | 410 => {
            let text = if said.trim().is_empty() {
                format!("not found at {who}")
            } else {
                said
            };
            Failure::Absent {
                status: status.as_u16(),
                text,
            }
        }
        401 | 403 | 429 | 451 => Failure::Refused {
            status: status.as_u16(),
            text: described,
            retry_after,
        },
        504 => Failure::TimedOut(described),
        _ => Failure::Failed(described),
    }
}

/// The text of an error, if it is one for people.
async fn error_text(mut answer: Response, deadline: Instant) -> String {
    let html = answer
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| !v.starts_with("text/plain"));
    if html {
        return String::new();
    }
    let mut body = Vec::new();
    while body.len() < ERROR_TEXT_MAX {
        match tokio::time::timeout_at(deadline, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            _ => break,
        }
    }
    body.truncate(ERROR_TEXT_MAX);
    let text = String::from_utf8_lossy(&body);
    text.chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_redirect_never_leads_from_https_to_http() {
        let secure = Url::parse("https://user:secret@proxy.example/a/b").unwrap();
        for next in [
            "http://proxy.example/a",
            "HTTP://other.example",
            "ftp://x.example",
        ] {
            let text = follow(&secure, next).unwrap_err().text().to_owned();
            assert!(text.contains("insecure"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        for next in ["/c", "c", "//other.example/c", "https://other.example/c"] {
            assert_eq!(follow(&secure, next).unwrap().scheme(), "https");
        }
        let plain = Url::parse("http://proxy.example/").unwrap();
        assert_eq!(
            follow(&plain, "http://other.example/").unwrap().host_str(),
            Some("other.example")
        );
        assert!(follow(&plain, "http://").is_err());
    }
}
