//! The GOPROXY URL grammar: what a go client can ask, and nothing else.
//!
//! A path is decoded once, here, and comes out as checked types. Two kinds of refusal are kept
//! apart because clients act on them: text that no client means (traversal, control characters,
//! broken encoding, an unknown endpoint) is malformed, whereas a clean path that cannot name a
//! module or version is merely not there. While the go command looks for the module that holds
//! a package it tries every prefix, and only "not found" lets it go on.
//! The grammar is that of the Go modules reference, "GOPROXY protocol".

use crate::escape::{EscapeError, percent_decode, percent_encode, unescape_path, unescape_version};
use crate::path::ModulePath;
use crate::quote::quote;
use crate::version::{CheckError, ModuleVersion, Revision, Version};

/// The longest request path accepted, in bytes, before decoding. Module paths have no limit of
/// their own, but a file system's (4 KiB on Linux, `PATH_MAX`) bounds what a client can unpack.
pub const PATH_BYTES_MAX: usize = 4096;

/// One question of the GOPROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// `/M/@v/list`: the tagged versions.
    List(ModulePath),
    /// `/M/@latest`: the version to take when none is tagged.
    Latest(ModulePath),
    /// `/M/@v/R.info`: which version that revision is. The text asked for is kept as it is: a
    /// canonical version that does not fit the path is a fair question too, since `v2.0.0` of a
    /// module without a go.mod file is `v2.0.0+incompatible`.
    Info(ModulePath, Revision),
    /// `/M/@v/V.mod`: the go.mod file.
    Mod(ModuleVersion),
    /// `/M/@v/V.zip`: the source.
    Zip(ModuleVersion),
    /// `/sumdb/NAME/REST`: a question for a checksum database. Decoded but not otherwise read;
    /// elements are not empty and do not climb.
    Sumdb {
        /// The database, such as `sum.golang.org`.
        name: String,
        /// What follows: `supported`, `latest`, `checkpoint`, `lookup/M@V` or `tile/...`.
        rest: String,
    },
}

/// Why a path is no request, by blame. Displayed as one line fit for the reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not anything a go client can mean: answer 400.
    #[error("bad request: {0}")]
    Malformed(String),
    /// Clean, but there can be no such module: answer 404.
    #[error("not found: {0}")]
    NoSuchModule(String),
    /// Clean, but the module can have no such version: answer 404.
    #[error("not found: {0}")]
    NoSuchVersion(String),
}

impl Request {
    /// Reads the path of a request target: from its first `/` to before any `?`, as sent.
    ///
    /// `!a` and `%21a` mean the same, and a `+` is a plus.
    pub fn parse(raw_path: &str) -> Result<Self, RequestError> {
        let decoded = decode(raw_path)?;
        let path = check_elements(&decoded)?;
        if let Some(rest) = path.strip_prefix("sumdb/") {
            return parse_sumdb(rest);
        }
        if let Some((module, file)) = path.split_once("/@v/") {
            return parse_file(module, file);
        }
        if let Some(module) = path.strip_suffix("/@latest") {
            return Ok(Self::Latest(module_path(module)?));
        }
        if path.starts_with('@') || path.ends_with("/@v") {
            return Err(malformed("it lacks a module path or a file behind @v"));
        }
        Err(RequestError::NoSuchModule(format!(
            "{} asks for neither @latest nor @v/... of a module",
            quote(path)
        )))
    }

    /// The path to send: escaped with `!a`, percent-encoded where a URL needs it.
    /// [`Self::parse`] reads it back.
    pub fn to_path(&self) -> String {
        percent_encode(&match self {
            Self::List(path) => format!("/{}/@v/list", path.escaped()),
            Self::Latest(path) => format!("/{}/@latest", path.escaped()),
            Self::Info(path, revision) => {
                format!("/{}/@v/{}.info", path.escaped(), revision.escaped())
            }
            Self::Mod(at) => format!("/{}/@v/{}.mod", at.path().escaped(), at.version().escaped()),
            Self::Zip(at) => format!("/{}/@v/{}.zip", at.path().escaped(), at.version().escaped()),
            Self::Sumdb { name, rest } => format!("/sumdb/{name}/{rest}"),
        })
    }

    /// The module asked about, unless the question is for a checksum database.
    pub fn module(&self) -> Option<&ModulePath> {
        match self {
            Self::List(path) | Self::Latest(path) | Self::Info(path, _) => Some(path),
            Self::Mod(at) | Self::Zip(at) => Some(at.path()),
            Self::Sumdb { .. } => None,
        }
    }
}

fn malformed(reason: impl Into<String>) -> RequestError {
    RequestError::Malformed(reason.into())
}

fn decode(raw_path: &str) -> Result<String, RequestError> {
    if raw_path.len() > PATH_BYTES_MAX {
        return Err(malformed(format!(
            "the path is longer than {PATH_BYTES_MAX} bytes"
        )));
    }
    if raw_path.contains(['?', '#']) {
        return Err(malformed("a path has no query and no fragment"));
    }
    let decoded = percent_decode(raw_path).map_err(|error| malformed(error.to_string()))?;
    if decoded.chars().any(|c| c.is_control() || c == '\\') {
        return Err(malformed(
            "the path contains a control character or a backslash",
        ));
    }
    Ok(decoded.into_owned())
}

/// Refuses empty elements and traversal; answers with the path without its first slash.
fn check_elements(decoded: &str) -> Result<&str, RequestError> {
    let path = decoded
        .strip_prefix('/')
        .ok_or_else(|| malformed("the path does not begin with a slash"))?;
    for element in path.split('/') {
        match element {
            "" => return Err(malformed("the path has an empty element")),
            "." | ".." => return Err(malformed("the path has an element . or ..")),
            _ => {}
        }
    }
    Ok(path)
}

/// The first element that is an endpoint ends the name, which may itself have several elements.
fn parse_sumdb(path: &str) -> Result<Request, RequestError> {
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed("a checksum database is asked in ASCII"));
    }
    let endpoint = |at: &usize| {
        let element = path[at + 1..].split('/').next();
        matches!(
            element,
            Some("supported" | "latest" | "checkpoint" | "lookup" | "tile")
        )
    };
    let slashes = || path.match_indices('/').map(|(at, _)| at);
    let Some(slash) = slashes().find(endpoint).or_else(|| slashes().next()) else {
        return Err(malformed("it names a checksum database and asks nothing"));
    };
    Ok(Request::Sumdb {
        name: path[..slash].to_owned(),
        rest: path[slash + 1..].to_owned(),
    })
}

/// Reads what stands behind `@v/`.
fn parse_file(module: &str, file: &str) -> Result<Request, RequestError> {
    if file == "list" {
        return Ok(Request::List(module_path(module)?));
    }
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
    if !matches!(extension, "info" | "mod" | "zip") {
        return Err(malformed(format!(
            "unknown endpoint @v/{file}: it must be list or end in .info, .mod or .zip"
        )));
    }
    if stem.contains('/') {
        return Err(malformed(format!(
            "revision {} must not contain a slash: ask for its commit hash",
            quote(stem)
        )));
    }
    let path = module_path(module)?;
    let revision = unescape_version(stem)
        .map_err(|error| RequestError::NoSuchVersion(format!("{path}: {error}")))?;
    match extension {
        "info" => Ok(Request::Info(path, revision)),
        "mod" => Ok(Request::Mod(module_version(path, &revision)?)),
        _ => Ok(Request::Zip(module_version(path, &revision)?)),
    }
}

/// The rule a path breaks is told in the words of the unescaped path, which people recognise.
fn module_path(escaped: &str) -> Result<ModulePath, RequestError> {
    unescape_path(escaped).map_err(|error| {
        RequestError::NoSuchModule(match error {
            EscapeError::Path { error, .. } => error.to_string(),
            other => other.to_string(),
        })
    })
}

fn module_version(path: ModulePath, revision: &Revision) -> Result<ModuleVersion, RequestError> {
    let ask = Request::Info(path.clone(), revision.clone()).to_path();
    let error = match Version::parse(revision.as_str()) {
        Ok(version) => match ModuleVersion::new(path, version) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        },
        Err(error) => CheckError::Version { path, error },
    };
    Err(RequestError::NoSuchVersion(format!(
        "{error}; ask {ask} first, which names the version to use"
    )))
}
