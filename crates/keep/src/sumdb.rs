//! Checksum databases of others, relayed from the upstream as they come.

use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use gomod::escape::unescape_path;
use gomod::request::Request;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::time::Instant;

/// A tile is 8 KiB; a record with its tree head some hundred bytes.
const ANSWER_MAX: usize = 1 << 20;

impl Keep {
    pub(crate) async fn relay_sumdb(
        &self,
        name: &str,
        rest: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        if let Some(module) = self.private_lookup(rest) {
            let text = format!(
                "{module}: private here (--private), so its name is not given to {name}\n\
                 set GOPRIVATE or GONOSUMDB for it"
            );
            return Err(Refusal::new(Blame::Denied(403), text));
        }
        let request = Request::Sumdb {
            name: name.into(),
            rest: rest.into(),
        };
        self.refuse_unless_fetching(&request, cached_only)?;
        let path = request.to_path();
        let subject = path.trim_start_matches('/');
        let (body, _) = self
            .inner
            .chain
            .small(&request, ANSWER_MAX)
            .await
            .map_err(|f| Refusal::from_upstream(subject, f))?;
        let media = if rest.starts_with("tile/") {
            Media::Bytes
        } else {
            Media::Text
        };
        let etag = etag(&Sha256::digest(&body).into());
        let small = Small {
            body,
            media,
            etag,
            fresh_until: Some(Instant::now()),
            public: true,
        };
        Ok(Reply {
            content: Content::Small(Arc::new(small)),
            origin: Origin::Miss,
        })
    }
    /// The private module that a lookup names: a record's address tells its name. What is no module
    /// path is held against the patterns as it stands.
    fn private_lookup(&self, rest: &str) -> Option<String> {
        let asked = rest.strip_prefix("lookup/")?;
        let escaped = asked.rsplit_once('@').map_or(asked, |(path, _)| path);
        let path = unescape_path(escaped).map_or_else(|_| escaped.to_owned(), |p| p.to_string());
        self.inner.settings.private.matches(&path).then_some(path)
    }
}
