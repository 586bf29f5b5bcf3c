//! The `.info` file: which version a revision is, and when it was committed.
//!
//! Upstream's answer is taken apart the way the go command does it (names of fields in any case,
//! unknown fields ignored, `null` as absent) and then held against the question: an upstream that
//! answers for another version than the one asked for must not decide what is kept under it.
//! The rules are those of the Go modules reference, "GOPROXY protocol".

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::{RawValue, Value};

use crate::path::ModulePath;
use crate::quote::quote;
use crate::time::parse_rfc3339;
use crate::version::{CheckError, INCOMPATIBLE, ModuleVersion, Revision, Version, VersionError};

/// The longest `.info` read, in bytes. A real one has a few hundred; its Origin may carry some
/// URLs and hashes more.
pub const INFO_BYTES_MAX: usize = 1 << 20;

/// A `.info` file.
#[derive(Clone, Debug)]
pub struct Info {
    version: Version,
    time: Option<String>,
    origin: Option<Box<RawValue>>,
}

/// Why a body is not the answer to the question. The fault is the upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// The body exceeds [`INFO_BYTES_MAX`].
    #[error("the .info file is longer than {INFO_BYTES_MAX} bytes")]
    TooLong,
    /// Not a JSON object, or a field of the wrong type.
    #[error("the .info file is not the JSON that is expected: {0}")]
    Json(String),
    /// No `Version`, or an empty one.
    #[error("the .info file names no version")]
    NoVersion,
    /// `Version` is not canonical.
    #[error("the .info file names no usable version: {0}")]
    Version(VersionError),
    /// `Time` is not RFC 3339.
    #[error("the .info file has a malformed time {}", quote(.0))]
    Time(String),
    /// Another version than the canonical one asked for.
    #[error(
        "{path}@{asked}: upstream returned info for version {answered} instead of requested version"
    )]
    Other {
        /// The module.
        path: ModulePath,
        /// The version asked for.
        asked: Revision,
        /// The version answered.
        answered: Version,
    },
    /// The version answered does not fit the module.
    #[error("upstream's answer does not fit the module: {0}")]
    Check(CheckError),
}

impl Info {
    /// An answer of our own.
    ///
    /// `time` is RFC 3339, see [`crate::time::format_rfc3339`]; `origin` a JSON object.
    pub fn new(
        version: Version,
        time: Option<String>,
        origin: Option<Box<RawValue>>,
    ) -> Result<Self, InfoError> {
        let info = Self {
            version,
            time,
            origin,
        };
        info.check_fields()?;
        Ok(info)
    }

    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, InfoError> {
        if body.len() > INFO_BYTES_MAX {
            return Err(InfoError::TooLong);
        }
        let mut json = serde_json::Deserializer::from_slice(body);
        let fields = json
            .deserialize_map(FieldsVisitor)
            .and_then(|fields| json.end().map(|()| fields))
            .map_err(|error| InfoError::Json(error.to_string()))?;
        let version = fields.version.filter(|version| !version.is_empty());
        let version = version.ok_or(InfoError::NoVersion)?;
        let version = Version::parse(&version).map_err(InfoError::Version)?;
        Self::new(version, fields.time, fields.origin)
    }

    /// Holds the answer against the question, and names the release that was meant.
    ///
    /// A canonical version is answered by itself. One that does not fit the module's path may
    /// only be answered by its `+incompatible` form. Any other revision may be answered by
    /// whatever version fits the path.
    pub fn check(&self, path: &ModulePath, asked: &Revision) -> Result<ModuleVersion, InfoError> {
        if let Some(version) = asked.as_version() {
            let incompatible = format!("{version}{INCOMPATIBLE}");
            let wanted = match ModuleVersion::new(path.clone(), version) {
                Ok(_) => asked.as_str(),
                Err(_) => &incompatible,
            };
            if self.version.as_str() != wanted {
                return Err(InfoError::Other {
                    path: path.clone(),
                    asked: asked.clone(),
                    answered: self.version.clone(),
                });
            }
        }
        ModuleVersion::new(path.clone(), self.version.clone()).map_err(InfoError::Check)
    }

    /// The version answered.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The time of the commit as written: RFC 3339.
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// Where it came from: the text of a JSON object.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref().map(RawValue::get)
    }

    /// The file, with the fields in the order the go command writes them.
    pub fn to_json(&self) -> String {
        // Neither a version nor a time in RFC 3339 holds a character that JSON escapes.
        let mut json = format!("{{\"Version\":\"{}\"", self.version);
        if let Some(time) = &self.time {
            json.push_str(&format!(",\"Time\":\"{time}\""));
        }
        if let Some(origin) = self.origin() {
            json.push_str(&format!(",\"Origin\":{origin}"));
        }
        json.push('}');
        json
    }

    fn check_fields(&self) -> Result<(), InfoError> {
        if let Some(time) = &self.time
            && parse_rfc3339(time).is_none()
        {
            return Err(InfoError::Time(time.clone()));
        }
        self.origin().map_or(Ok(()), check_origin)
    }
}

/// The fields of Origin that the go command reads, in lower case. It drops the whole answer when
/// one of them is not text.
const ORIGIN_FIELDS: [&str; 8] = [
    "vcs",
    "url",
    "subdir",
    "hash",
    "tagprefix",
    "tagsum",
    "ref",
    "reposum",
];

fn check_origin(origin: &str) -> Result<(), InfoError> {
    let fields: serde_json::Map<String, Value> =
        serde_json::from_str(origin).map_err(|error| InfoError::Json(error.to_string()))?;
    for (name, value) in &fields {
        let read = ORIGIN_FIELDS.contains(&name.to_ascii_lowercase().as_str());
        if read && !value.is_string() && !value.is_null() {
            return Err(InfoError::Json(format!(
                "Origin's field {} is not text",
                quote(name)
            )));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Fields {
    version: Option<String>,
    time: Option<String>,
    origin: Option<Box<RawValue>>,
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    /// A field named twice counts as its last value, `null` excepted, as for the go command.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "version" => fields.version = map.next_value::<Option<_>>()?.or(fields.version),
                "time" => fields.time = map.next_value::<Option<_>>()?.or(fields.time),
                "origin" => fields.origin = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}
