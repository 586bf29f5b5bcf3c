//! Checksum databases of others, relayed from the upstream as they come.

use crate::refusal::Refusal;
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
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
            .small(subject, ANSWER_MAX)
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
}
