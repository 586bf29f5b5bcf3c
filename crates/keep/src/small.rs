//! `.info` and `.mod` of a version: small, immutable, each on its own. Neither ever pulls the zip.

use crate::alarm::AlarmKind;
use crate::database::Sums;
use crate::refusal::{Blame, Refusal};
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use bytes::Bytes;
use gomod::h1::hash_mod;
use gomod::info::Info;
use gomod::request::Request;
use std::sync::Arc;
use store::{FileKey, KeepOutcome, Kept, Kind, Mark, NewFile, Proof, StoreError};

/// An `.info` is some hundred bytes; with a long Origin some thousand.
const INFO_MAX: usize = 1 << 20;

impl Keep {
    /// Serves an immutable small file.
    pub(crate) async fn small_file(
        &self,
        request: &Request,
        key: FileKey,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        if let Some(small) = self.stored(request, &key).await? {
            if !cached_only {
                self.look_ahead(request, &small.body);
            }
            return Ok(Reply {
                content: Content::Small(small),
                origin: Origin::Hit,
            });
        }
        self.refuse_unless_fetching(request, cached_only)?;
        let (small, began) = self.bring(request, &key).await?;
        self.look_ahead(request, &small.body);
        let origin = if began { Origin::Miss } else { Origin::Joined };
        Ok(Reply {
            content: Content::Small(small),
            origin,
        })
    }

    /// Fetches a small file, or joins its flight. True: this call began it.
    pub(crate) async fn bring(
        &self,
        request: &Request,
        key: &FileKey,
    ) -> Result<(Arc<Small>, bool), Refusal> {
        let keep = self.clone();
        let (mut passenger, began) = {
            let (request, key) = (request.clone(), key.clone());
            self.inner
                .small_flights
                .join(&request.clone(), |publisher| async move {
                    publisher.publish(keep.fetch_small(&request, &key).await);
                })
        };
        passenger
            .wait(|_| true)
            .await
            .unwrap_or_else(|| Err(lost(request)))?;
        let small = match self.inner.memory.get(request) {
            Some(small) => small,
            None => self
                .stored(request, key)
                .await?
                .ok_or_else(|| lost(request))?,
        };
        Ok((small, began))
    }

    /// A small file from the store, put into memory. Damage is recorded and counts as absence.
    pub(crate) async fn stored(
        &self,
        request: &Request,
        key: &FileKey,
    ) -> Result<Option<Arc<Small>>, Refusal> {
        let (keep, wanted) = (self.clone(), key.clone());
        let read = tokio::task::spawn_blocking(move || match keep.inner.store.file(&wanted)? {
            Some(Kept::Small(body, meta)) => Ok(Some((body, meta))),
            Some(Kept::Blob(blob, meta)) => blob.read_all().map(|body| Some((body, meta))),
            None => Ok(None),
        });
        match read.await.map_err(|_| lost(request))? {
            Ok(None) => Ok(None),
            Ok(Some((body, meta))) => {
                let small = Arc::new(self.small(key, body, &meta.sha256));
                self.inner
                    .memory
                    .insert(request.clone(), Arc::clone(&small));
                Ok(Some(small))
            }
            Err(error @ StoreError::Damaged { .. }) => {
                self.found_damaged(key, &error).await;
                Ok(None)
            }
            Err(error) => Err(Refusal::from_store(&key.to_string(), &error)),
        }
    }

    /// Records damage: the file counts as absent until it is fetched again.
    pub async fn found_damaged(&self, key: &FileKey, error: &StoreError) {
        self.inner.counters.damaged.add();
        tracing::error!(module.path = %key.module, module.version = %key.version, %error, "stored bytes are damaged");
        if let Err(error) = self.inner.store.mark(key, Mark::Damaged).await {
            tracing::error!(%error, "the damage could not be recorded");
        }
    }

    fn small(&self, key: &FileKey, body: Bytes, sha256: &[u8; 32]) -> Small {
        let media = match key.kind {
            Kind::Info => Media::Json,
            Kind::Mod => Media::Text,
            Kind::Zip => Media::Zip,
        };
        Small {
            body,
            media,
            etag: etag(sha256),
            fresh_until: None,
            public: !self.is_private(&key.module),
        }
    }

    /// The flight's work: ask, check, keep.
    async fn fetch_small(&self, request: &Request, key: &FileKey) -> Result<(), Refusal> {
        // Somebody's flight may have landed between the look into the store and this one's start.
        if self.stored(request, key).await?.is_some() {
            return Ok(());
        }
        if let Some(refusal) = self.inner.not_found.get(request) {
            return Err(refusal);
        }
        let subject = key.to_string();
        let limit = if key.kind == Kind::Info {
            INFO_MAX
        } else {
            gomod::zip::MAX_GO_MOD as usize
        };
        // The checksum database is asked beside the upstream, so that being checked costs no time.
        let (asked, sums) =
            tokio::join!(self.chain_for(&key.module).small(request, limit), async {
                match key.kind {
                    Kind::Mod => self.sums(&key.module, key.version.as_str()).await,
                    Kind::Info | Kind::Zip => Sums::NotAsked,
                }
            });
        let (body, source) = asked.map_err(|failure| {
            let refusal = Refusal::from_upstream(&subject, failure);
            self.remember_absence(request, &refusal);
            refusal
        })?;
        check(request, &body).map_err(|what| {
            self.inner.counters.check_failed.add();
            tracing::warn!(module.path = %key.module, module.version = %key.version, upstream.name = source, what, "refused an answer");
            Refusal::lied(&subject, &source, what)
        })?;
        let h1 = (key.kind == Kind::Mod).then(|| hash_mod(&body));
        let proof = match h1 {
            Some(h1) => {
                let proof = self.judge(key, h1, &source, &sums)?;
                self.log_file(key, h1, &sums).await?;
                proof
            }
            None => Proof::NotAsked,
        };
        self.keep_file(NewFile {
            key: key.clone(),
            content: store::Content::Small(body),
            h1: h1.map(|h1| h1.0),
            source,
            inner: None,
            proof,
        })
        .await?;
        self.stored(request, key)
            .await?
            .map(drop)
            .ok_or_else(|| lost(request))
    }

    /// Keeps a checked file, and says so.
    pub(crate) async fn keep_file(&self, file: NewFile) -> Result<(), Refusal> {
        let (key, source) = (file.key.clone(), file.source.clone());
        let outcome = self.inner.store.keep(file).await.map_err(|error| {
            tracing::error!(module.path = %key.module, module.version = %key.version, %error, "could not keep a file");
            Refusal::from_store(&key.to_string(), &error)
        })?;
        let counters = &self.inner.counters;
        match outcome {
            KeepOutcome::Kept => {
                counters.kept.add();
                let (module, version, file) = (&key.module, &key.version, key.kind.suffix());
                match key.kind {
                    Kind::Zip => {
                        tracing::info!(module.path = %module, module.version = %version, file, upstream.name = source, "kept")
                    }
                    Kind::Info | Kind::Mod => {
                        tracing::debug!(module.path = %module, module.version = %version, file, upstream.name = source, "kept")
                    }
                }
            }
            KeepOutcome::AlreadyKept => {}
            KeepOutcome::Repaired => {
                counters.repaired.add();
                tracing::warn!(module.path = %key.module, module.version = %key.version, file = key.kind.suffix(), upstream.name = source, "damaged file repaired");
            }
            KeepOutcome::Differs => {
                counters.differs.add();
                tracing::error!(module.path = %key.module, module.version = %key.version, file = key.kind.suffix(), upstream.name = source, "upstream now has other bytes than were kept");
                let text = format!(
                    "{key}: {source} now has other bytes than were kept; the kept ones stay"
                );
                self.alarm(AlarmKind::Changed, &key.to_string(), &text, None);
                return Err(Refusal::lied(
                    &key.to_string(),
                    &source,
                    "other bytes than were kept before under this name",
                ));
            }
        }
        Ok(())
    }
}

/// Checks what an upstream answered; the text says what is wrong.
fn check(request: &Request, body: &[u8]) -> Result<(), String> {
    refuse_html(body)?;
    match request {
        Request::Info(module, revision) => {
            let info = Info::parse(body).map_err(|e| e.to_string())?;
            info.check(module, revision)
                .map(drop)
                .map_err(|e| e.to_string())
        }
        _ if std::str::from_utf8(body).is_err() || body.contains(&0) => {
            Err("the .mod is not text".into())
        }
        _ => Ok(()),
    }
}

/// Login pages and error pages come with status 200 from captive portals and company proxies. No
/// file of the protocol begins with `<`.
pub(crate) fn refuse_html(body: &[u8]) -> Result<(), String> {
    match body.trim_ascii_start().first() {
        Some(b'<') => Err("the answer is a web page (a login page or a captive portal?)".into()),
        _ => Ok(()),
    }
}

pub(crate) fn lost(request: &Request) -> Refusal {
    Refusal::new(
        Blame::Ours,
        format!("{}: the fetch ended without an answer", request.to_path()),
    )
}
