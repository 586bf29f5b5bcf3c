//! Bringing a whole version into the store, by the same path as a client's miss.

use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Reply};
use crate::serve::Keep;
use gomod::info::Info;
use gomod::list::VersionList;
use gomod::path::ModulePath;
use gomod::request::Request;
use gomod::version::{ModuleVersion, Revision};
use store::{FileKey, Kind};

/// Downloads of one zip that may be cut before it is given up.
const ATTEMPTS: usize = 3;

/// What to bring of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The module.
    pub module: ModulePath,
    /// `latest`, a version, a version prefix (`v1`, `v1.2`), a branch or a hash.
    pub query: String,
    /// Only the `.mod` (a go.sum line with `/go.mod`).
    pub mod_only: bool,
}

/// Why a query is malformed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

/// A version that is in the store now.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which one the query meant.
    pub version: ModuleVersion,
    /// The zip's go.sum hash, when the zip was wanted.
    pub h1: Option<String>,
    /// The `.mod`'s go.sum hash.
    pub go_mod: Option<String>,
}

impl Query {
    /// Parses `M@Q`; `M` alone means `M@latest`.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let (path, query) = text.split_once('@').unwrap_or((text, "latest"));
        let module = ModulePath::parse(path).map_err(|e| QueryError(e.to_string()))?;
        Revision::parse(query).map_err(|e| QueryError(format!("{text}: {e}")))?;
        Ok(Self {
            module,
            query: query.into(),
            mod_only: false,
        })
    }
}

impl Keep {
    /// Brings what a query means into the store.
    pub async fn fetch(&self, query: &Query) -> Result<Fetched, Refusal> {
        let version = self.resolve(query).await?;
        let stored = self.serve(&Request::Mod(version.clone()), false).await?;
        drop(stored);
        if !query.mod_only {
            self.whole(&Request::Zip(version.clone())).await?;
        }
        let hash = |kind| {
            let key = FileKey {
                module: version.path().clone(),
                version: version.version().clone(),
                kind,
            };
            self.inner
                .store
                .meta(&key)
                .ok()
                .flatten()
                .and_then(|m| m.h1)
                .map(|h| gomod::h1::H1(h).to_string())
        };
        Ok(Fetched {
            h1: hash(Kind::Zip),
            go_mod: hash(Kind::Mod),
            version,
        })
    }

    /// Serves a request and waits until the last byte is there, however long it takes to arrive.
    pub(crate) async fn whole(&self, request: &Request) -> Result<(), Refusal> {
        for _ in 0..ATTEMPTS {
            let Content::Growing(spool) = self.serve(request, false).await?.content else {
                return Ok(());
            };
            let mut reader = spool.reader();
            // Whole or cut: asking once more tells which, and why.
            while let Ok(Some(_)) = reader.next().await {}
        }
        Err(Refusal::new(
            Blame::Upstream,
            format!(
                "{}: the download was cut {ATTEMPTS} times",
                request.to_path()
            ),
        ))
    }

    async fn resolve(&self, query: &Query) -> Result<ModuleVersion, Refusal> {
        let malformed = |e: String| {
            Refusal::new(
                Blame::Malformed,
                format!("{}@{}: {e}", query.module, query.query),
            )
        };
        if query.query == "latest" {
            return self.latest(&query.module, "").await;
        }
        if let Ok(exact) = ModuleVersion::parse(&format!("{}@{}", query.module, query.query)) {
            if !query.mod_only {
                let revision =
                    Revision::parse(&query.query).map_err(|e| malformed(e.to_string()))?;
                self.serve(&Request::Info(query.module.clone(), revision), false)
                    .await?;
            }
            return Ok(exact);
        }
        if gomod::semver::is_valid(&query.query) && gomod::semver::build(&query.query).is_empty() {
            return self
                .latest(&query.module, &format!("{}.", query.query))
                .await;
        }
        let revision = Revision::parse(&query.query).map_err(|e| malformed(e.to_string()))?;
        let reply = self
            .serve(&Request::Info(query.module.clone(), revision), false)
            .await?;
        self.named_by(&query.module, &reply)
    }

    /// The newest version with this prefix, by the go command's choice; `@latest` where a module has
    /// no versions.
    async fn latest(&self, module: &ModulePath, prefix: &str) -> Result<ModuleVersion, Refusal> {
        let listed = match self.serve(&Request::List(module.clone()), false).await {
            Ok(reply) => Some(reply),
            Err(refusal) if matches!(refusal.blame, Blame::Absent | Blame::Gone) => None,
            Err(refusal) => return Err(refusal),
        };
        let list = listed
            .as_ref()
            .and_then(small_body)
            .and_then(|b| VersionList::parse(b).ok());
        let newest = list
            .as_ref()
            .and_then(|l| l.latest_among(|v| v.as_str().starts_with(prefix)));
        if let Some(version) = newest.and_then(|v| v.as_version())
            && let Ok(found) = ModuleVersion::new(module.clone(), version)
        {
            let info = Request::Info(module.clone(), Revision::from(found.version()));
            self.serve(&info, false).await?;
            return Ok(found);
        }
        if !prefix.is_empty() {
            return Err(Refusal::new(
                Blame::Absent,
                format!("{module}: no matching versions for query {prefix:?}"),
            ));
        }
        let reply = self.serve(&Request::Latest(module.clone()), false).await?;
        self.named_by(module, &reply)
    }

    fn named_by(&self, module: &ModulePath, reply: &Reply) -> Result<ModuleVersion, Refusal> {
        let info = small_body(reply).and_then(|b| Info::parse(b).ok());
        let version =
            info.and_then(|i| ModuleVersion::new(module.clone(), i.version().clone()).ok());
        version.ok_or_else(|| {
            Refusal::new(
                Blame::Upstream,
                format!("{module}: the answer names no version of it"),
            )
        })
    }
}

fn small_body(reply: &Reply) -> Option<&[u8]> {
    match &reply.content {
        Content::Small(small) => Some(&small.body),
        Content::Blob { .. } | Content::Growing(_) => None,
    }
}
