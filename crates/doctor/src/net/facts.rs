//! What the network probes saw, as plain data.
//!
//! One [`Exchange`] is one request of the go command with the redirects it led to; each [`Hop`]
//! is one server on that way, phase by phase. A phase that was not come to is `None`. No secret
//! is in here: URLs are masked when they are written down, bodies are only described.

use super::connection::{Dns, Http, Tcp, Tls};
use serde::{Deserialize, Serialize};

/// What the probes saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetFacts {
    /// GOPROXY as it was walked, masked.
    pub goproxy: Option<String>,
    /// Why there was nothing to ask: a setting that cannot be used, GOPROXY=off.
    pub nothing: Option<String>,
    /// The DNS servers that were asked, `ADDR:PORT`.
    pub resolvers: Option<Vec<String>>,
    /// The certificate authorities that were trusted.
    pub roots: Option<Roots>,
    /// Whether GONOPROXY covers the module, so that no proxy is asked.
    pub private: Option<bool>,
    /// The module's version, where a query had to be resolved first.
    pub version: Option<String>,
    /// The questions of the go command, in its order.
    pub steps: Vec<Step>,
    /// The checksum database.
    pub sumdb: Option<SumdbSeen>,
    /// Hashes of the module by source, where they were needed to judge a mismatch.
    pub sums: Vec<SumSource>,
    /// What was asked further about the request that failed.
    pub deep: Option<Deep>,
    /// Credentials for the host of a failed request that were there and not used, and why.
    pub credentials: Option<CredentialsSeen>,
    /// What the time did not allow.
    pub late: Vec<String>,
}

/// The certificate authorities.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Roots {
    /// File or directory they were read from.
    pub source: Option<String>,
    /// How many.
    pub count: usize,
    /// Why they could not be read.
    pub error: Option<String>,
}

/// What the go command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// `@v/list`.
    List,
    /// `@latest`.
    Latest,
    /// `@v/V.info`.
    Info,
    /// `@v/V.mod`.
    Mod,
    /// `@v/V.zip`.
    Zip,
    /// `/sumdb/NAME/supported`.
    Supported,
    /// `/lookup/M@V` of the checksum database.
    Lookup,
    /// `/latest` of the checksum database.
    Head,
    /// A tile of the checksum database.
    Tile,
    /// `?go-get=1` at the module's own host.
    Discovery,
    /// The list of tags of its repository.
    Refs,
    /// A well-known module, to see whether a proxy works at all.
    Control,
}

impl What {
    /// The word screens show.
    pub fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Latest => "latest",
            Self::Info => "info",
            Self::Mod => "mod",
            Self::Zip => "zip",
            Self::Supported => "sumdb supported",
            Self::Lookup => "sumdb lookup",
            Self::Head => "sumdb head",
            Self::Tile => "sumdb tile",
            Self::Discovery => "go-get",
            Self::Refs => "refs",
            Self::Control => "control",
        }
    }

    /// Whether it belongs to the checksum database.
    pub fn is_sumdb(self) -> bool {
        matches!(
            self,
            Self::Supported | Self::Lookup | Self::Head | Self::Tile
        )
    }
}

/// One question, put to one source after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The question.
    pub what: What,
    /// Who was asked, in order.
    pub tries: Vec<Try>,
}

impl Step {
    /// Who answered it.
    pub fn answered(&self) -> Option<&Try> {
        let mut asked = self.tries.iter().filter(|one| !one.beyond);
        asked.find(|one| one.is_good())
    }
}

/// One source asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// The entry of GOPROXY, masked, `direct`, or the checksum database's address.
    pub place: String,
    /// Whether any error leads on to the next entry (`|`); otherwise only 404 and 410 do.
    #[serde(default)]
    pub on_any_error: bool,
    /// The go command would not have come here: asked to see what another setting would do.
    #[serde(default)]
    pub beyond: bool,
    /// What came of it.
    pub exchange: Exchange,
    /// `direct` only: the requests that came first, of discovery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Exchange>,
    /// `direct` only: what version control brought, where it was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcs: Option<VcsRun>,
}

impl Try {
    /// Whether the go command could use it. Version control has the last word: it may log in where a
    /// bare request does not.
    pub fn is_good(&self) -> bool {
        match &self.vcs {
            Some(run) => run.error.is_none(),
            None => self.exchange.is_good(),
        }
    }

    /// Whether the answer was "not here".
    pub fn is_absent(&self) -> bool {
        match &self.vcs {
            Some(run) => run.absent,
            None => self.exchange.is_absent(),
        }
    }
}

/// One question to version control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VcsRun {
    /// Milliseconds since the walk began.
    pub at_ms: u64,
    /// Milliseconds for all of it: the first question clones.
    pub took_ms: u64,
    /// Size of the answer: of the made zip, of go.mod.
    pub bytes: u64,
    /// The sum of the zip or of go.mod.
    pub h1: Option<String>,
    /// Why there is no answer, without secrets.
    pub error: Option<String>,
    /// Whether the repository itself says that it is not there.
    pub absent: bool,
    /// Whether the time ended first.
    pub late: bool,
}

/// One request and the redirects it led to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// The URL asked first, masked.
    pub url: String,
    /// Each server on the way; empty for a file.
    pub hops: Vec<Hop>,
    /// Why a redirect was not followed.
    pub stopped: Option<Stop>,
    /// What the body was.
    pub content: Option<Content>,
    /// `file://` only: why it could not be read.
    pub file_error: Option<String>,
    /// What was sent to prove who asks.
    pub credential: Option<Credential>,
    /// Milliseconds since the walk began.
    pub at_ms: u64,
    /// Milliseconds for all of it.
    pub took_ms: u64,
}

/// Why a redirect was not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// More than ten.
    Loop,
    /// From https to http: the target.
    Insecure(String),
    /// Not a URL: what stood there.
    Malformed(String),
}

/// What was sent to prove who asks, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// `netrc` or `url`.
    pub source: String,
    /// First letter and length of the login.
    pub login: String,
}

/// One server on the way of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hop {
    /// The URL, masked.
    pub url: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// An earlier connection was used again: no name, address or handshake was needed.
    pub reused: bool,
    /// The forward proxy in between; names and addresses below are then the proxy's.
    pub forward: Option<Forward>,
    /// Name resolution.
    pub dns: Option<Dns>,
    /// Every address tried.
    pub tcp: Vec<Tcp>,
    /// The handshake.
    pub tls: Option<Tls>,
    /// The answer.
    pub http: Option<Http>,
    /// Where it ended badly.
    pub failure: Option<Failure>,
    /// Milliseconds for all of it.
    pub took_ms: u64,
}

/// A forward proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forward {
    /// Its address, masked.
    pub url: String,
    /// The variable that names it.
    pub variable: String,
    /// What it said to CONNECT.
    pub status: Option<u16>,
    /// Whether the tunnel stood, or for plain http the proxy was reached.
    pub reached: bool,
}

/// The part of a request in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Connect,
    /// CONNECT through a forward proxy.
    Forward,
    /// The TLS handshake.
    Tls,
    /// Between the request and the end of the headers.
    Headers,
    /// The body.
    Body,
}

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No address for the name.
    NoAddress,
    /// A reset in answer to the SYN.
    Refused,
    /// Nothing came in time.
    TimedOut,
    /// No route.
    Unreachable,
    /// Reset after the connection stood.
    Reset,
    /// Closed in good order, too early.
    Closed,
    /// The certificate was not accepted.
    Certificate,
    /// Not TLS: plain HTTP came instead.
    PlainHttp,
    /// Broken rules of TLS or HTTP.
    Protocol,
    /// The body ended before the announced length.
    Cut,
    /// More bytes than the go command takes.
    TooLarge,
    /// The forward proxy said no.
    ForwardStatus,
    /// Something on this machine: permissions, no sockets.
    Local,
    /// The time for the whole diagnosis ended first: nothing is known.
    Late,
}

/// Where and how a hop failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The phase.
    pub phase: Phase,
    /// The kind.
    pub fault: Fault,
    /// In words.
    pub text: String,
    /// Milliseconds waited in this phase.
    #[serde(default)]
    pub waited_ms: u64,
}

/// What a body turned out to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// What was asked for.
    Good,
    /// A web page.
    Html,
    /// Nothing.
    Empty,
    /// A zip without its end.
    CutZip,
    /// A zip with a name outside the module's directory: that name.
    Prefix(String),
    /// Something else: why it is not what was asked for.
    Bad(String),
    /// Not read to the end, so not judged.
    Unread,
}

impl Exchange {
    /// The last server that was come to.
    pub fn last(&self) -> Option<&Hop> {
        self.hops.last()
    }

    /// The status of the last answer.
    pub fn status(&self) -> Option<u16> {
        Some(self.last()?.http.as_ref()?.status)
    }

    /// Whether the go command could use it.
    pub fn is_good(&self) -> bool {
        let taken = matches!(self.content, Some(Content::Good | Content::Unread));
        self.is_answered() && taken
    }

    /// Whether an answer came with status 200 and its body did not break off.
    pub fn is_answered(&self) -> bool {
        if self.hops.is_empty() {
            return self.file_error.is_none() && self.content.is_some();
        }
        let whole = self.last().is_some_and(|hop| hop.failure.is_none());
        whole && self.stopped.is_none() && self.status() == Some(200)
    }

    /// Whether the answer was "not here" (404, 410), the only one that `,` goes on after.
    pub fn is_absent(&self) -> bool {
        let whole = self.last().is_some_and(|hop| hop.failure.is_none());
        (whole && matches!(self.status(), Some(404 | 410))) || self.file_error.is_some()
    }

    /// Whether it failed before any answer, in the network.
    pub fn is_network(&self) -> bool {
        let failure = self.last().and_then(|hop| hop.failure.as_ref());
        failure.is_some_and(|failure| !matches!(failure.fault, Fault::TooLarge | Fault::Late))
    }

    /// Whether nothing is known because the time ended.
    pub fn is_late(&self) -> bool {
        let failure = self.last().and_then(|hop| hop.failure.as_ref());
        failure.is_some_and(|failure| failure.fault == Fault::Late)
    }
}

/// The checksum database as it was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SumdbSeen {
    /// Its name.
    pub name: String,
    /// Where it was asked: a proxy's `/sumdb/NAME`, or its own address.
    pub base: Option<String>,
    /// Whether GOSUMDB names that address itself, so that no proxy relays it.
    pub explicit: bool,
    /// Records in the newest tree that was proved.
    pub size: Option<u64>,
    /// The proved record's sum of the zip.
    pub zip: Option<String>,
    /// The proved record's sum of go.mod.
    pub go_mod: Option<String>,
    /// Why nothing was proved.
    pub problem: Option<SumdbProblem>,
    /// The head that this machine keeps: what came of comparing it.
    pub kept: Option<KeptHead>,
}

/// Why a checksum database's answer was not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumdbProblem {
    /// The kind.
    pub kind: SumdbFault,
    /// In words.
    pub text: String,
}

/// Kinds of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SumdbFault {
    /// Signed by another key than the pinned one.
    Key,
    /// Two signed trees that contradict each other.
    Fork,
    /// Tiles or records do not fit the signed tree.
    Inconsistent,
    /// Not what a checksum database says.
    Malformed,
    /// A request failed; its step tells how.
    Request,
}

/// The head that the go command keeps in `GOPATH/pkg/sumdb/NAME/latest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptHead {
    /// The database's tree continues it: records in it.
    Continued(u64),
    /// It cannot be read: why. The local checks judge that.
    Unreadable(String),
    /// The database contradicts it.
    Contradicted(String),
}

/// Somebody's word on the module's hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SumSource {
    /// `go.sum`, `cache`, a proxy, or a route to the checksum database.
    pub name: String,
    /// Whether it is the checksum database, proved.
    pub sumdb: bool,
    /// The zip's sum.
    pub zip: Option<String>,
    /// go.mod's sum.
    pub go_mod: Option<String>,
}

/// What was asked further about the request that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deep {
    /// A well-known module at the same endpoint.
    pub control: Option<Exchange>,
    /// Another host that the go command uses on this machine.
    pub other: Option<Exchange>,
    /// Whether a handshake with another name to the same address gets an answer.
    pub other_name: Option<bool>,
    /// Whether a handshake in small packets gets an answer.
    pub small_packets: Option<bool>,
    /// The same host over plain http, without secrets: for its clock and for captive portals.
    pub plain: Option<Hop>,
    /// Whether the host can be connected to without the forward proxy.
    pub without_forward: Option<bool>,
    /// Names of the certificate that lead to the address that was dialled.
    pub owners: Vec<String>,
    /// The module's versions at the same proxy.
    pub versions: Option<Vec<String>>,
    /// Whether the module's own repository could be read, and has the version.
    pub origin: Option<OriginSeen>,
}

/// The module's own repository, asked without any login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OriginSeen {
    /// The repository's address.
    pub repository: Option<String>,
    /// Whether it let itself be read.
    pub readable: Option<bool>,
    /// Whether it has the version's tag.
    pub has_version: Option<bool>,
    /// Whether the module's host has only addresses of private networks.
    pub private_address: Option<bool>,
    /// The requests.
    pub exchanges: Vec<Exchange>,
}

/// Credentials that were there for a host that asked for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsSeen {
    /// The netrc machine.
    pub machine: String,
    /// Why the go command does not use it.
    pub why: String,
}
