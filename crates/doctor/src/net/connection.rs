//! What one connection showed, phase by phase: name, addresses, handshake, answer.

use super::facts::Fault;
use serde::{Deserialize, Serialize};

/// Name resolution by every way there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// The name.
    pub name: String,
    /// What the system's resolver says; `None` if it was not asked.
    pub system: Option<SystemAnswer>,
    /// What each DNS server says when asked directly.
    pub servers: Vec<ServerAnswer>,
    /// The addresses used.
    pub addresses: Vec<String>,
    /// Milliseconds until there were addresses, or until it was given up.
    pub took_ms: u64,
}

/// What getaddrinfo says: hosts file, search list and all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemAnswer {
    /// Addresses, in its order.
    pub addresses: Vec<String>,
    /// Why there are none.
    pub error: Option<String>,
    /// Milliseconds.
    pub took_ms: u64,
}

/// What one DNS server says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerAnswer {
    /// The server, `ADDR:PORT`.
    pub server: String,
    /// Question A.
    pub a: Option<DnsAnswer>,
    /// Question AAAA.
    pub aaaa: Option<DnsAnswer>,
}

impl ServerAnswer {
    /// The answers that came or did not come.
    pub fn both(&self) -> impl Iterator<Item = &DnsAnswer> {
        self.a.iter().chain(&self.aaaa)
    }
}

/// One answer of one DNS server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsAnswer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED` or another code; `None` if no answer came.
    pub rcode: Option<String>,
    /// Addresses.
    pub addresses: Vec<String>,
    /// The chain of other names it leads through.
    pub cnames: Vec<String>,
    /// Seconds it may be kept.
    pub ttl: Option<u32>,
    /// Whether TCP was needed because the answer did not fit.
    pub tcp: bool,
    /// Why there is no answer: `no answer`, or what the system said.
    pub error: Option<String>,
    /// Milliseconds.
    pub took_ms: u64,
}

/// One address tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tcp {
    /// `ADDR:PORT`.
    pub address: String,
    /// IPv6?
    pub v6: bool,
    /// Why it failed; `None` if it stands, or was not waited for.
    pub fault: Option<Fault>,
    /// The system's words.
    pub error: Option<String>,
    /// Whether it stands.
    pub connected: bool,
    /// Milliseconds.
    pub took_ms: u64,
}

/// A handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// Name sent in clear text and asked for in the certificate.
    pub sni: String,
    /// Such as `TLSv1.3`.
    pub version: Option<String>,
    /// Such as `h2`.
    pub alpn: Option<String>,
    /// The certificates as they came, the server's own first.
    pub chain: Vec<Cert>,
    /// What is wrong with them.
    pub problem: Option<CertProblem>,
    /// Whether Mozilla's list of authorities would accept them; asked only if ours did not.
    pub public: Option<bool>,
    /// Bytes that came from the other side.
    pub received: u64,
    /// This machine's clock, seconds since 1970.
    pub now: i64,
    /// Milliseconds.
    pub took_ms: u64,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cert {
    /// Whose.
    pub subject: String,
    /// Signed by.
    pub issuer: String,
    /// DNS names and addresses it is for.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// SHA-256 of the whole, in hex.
    pub sha256: String,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertProblem {
    /// The clock is past its end.
    Expired,
    /// The clock is before its beginning.
    NotYetValid,
    /// It ends in nobody who is trusted.
    UnknownIssuer,
    /// It is for other names.
    WrongName,
    /// Anything else.
    Other,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Such as `HTTP/2`.
    pub version: String,
    /// The status.
    pub status: u16,
    /// Headers that tell something: server, via, date, cache, limits, type; lower-case names.
    pub headers: Vec<(String, String)>,
    /// Where it redirects to, masked.
    pub location: Option<String>,
    /// Seconds by which the answer's Date is ahead of this machine's clock.
    pub clock_ahead_s: Option<i64>,
    /// Milliseconds from the request to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Bytes of the body that came.
    pub bytes: u64,
    /// Bytes that were announced.
    pub announced: Option<u64>,
    /// Milliseconds for the body.
    pub body_ms: u64,
    /// Whether the body came to its end.
    pub complete: bool,
    /// SHA-256 of a complete body, in hex.
    pub sha256: Option<String>,
}

impl Http {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}
