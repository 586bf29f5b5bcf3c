//! What may change: lists, `@latest`, branch queries.
//!
//! Fresh answers come from memory. Older ones are served as they are while one refresh runs behind
//! them; when no upstream answers, they are served for ever.

use crate::refusal::Refusal;
use crate::reply::{Content, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use crate::small::{lost, refuse_html};
use bytes::Bytes;
use gomod::info::Info;
use gomod::list::VersionList;
use gomod::path::ModulePath;
use gomod::request::Request;
use gomod::version::{ModuleVersion, Revision, Version};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Answer, Kind};
use tokio::time::Instant;

/// A list of 100,000 versions is 2 MiB.
const LIST_MAX: usize = 16 << 20;

/// An answer this many times older than fresh is not served before a refresh had its chance.
const VERY_OLD: u32 = 10;

/// That chance: long enough for a far upstream, short enough not to be felt.
const REFRESH_WAIT: Duration = Duration::from_secs(2);

/// Kept versions looked at when a list has to be made from them.
const KEPT_VERSIONS_MAX: usize = 20_000;

impl Keep {
    /// Serves an answer that may change.
    pub(crate) async fn changeable(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let old = self.remembered(request, module, question).await?;
        if let Some((small, age)) = &old {
            let fresh = *age <= self.inner.settings.fresh;
            if fresh || cached_only {
                let origin = if fresh { Origin::Hit } else { Origin::Stale };
                return Ok(Reply {
                    content: Content::Small(Arc::clone(small)),
                    origin,
                });
            }
        }
        if cached_only {
            if let Some(small) = self.made_of_kept_versions(request, module).await? {
                return Ok(Reply {
                    content: Content::Small(small),
                    origin: Origin::Stale,
                });
            }
            self.refuse_unless_fetching(request, true)?;
        }
        match old {
            Some((small, age)) => self.stale(request, module, question, small, age).await,
            None => self.unknown(request, module, question).await,
        }
    }

    /// Serves an old answer, with one refresh behind it.
    async fn stale(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
        small: Arc<Small>,
        age: Duration,
    ) -> Result<Reply, Refusal> {
        let old = Reply {
            content: Content::Small(small),
            origin: Origin::Stale,
        };
        let (mut passenger, _) = self.refresh(request, module, question);
        if age <= self.inner.settings.fresh.saturating_mul(VERY_OLD) {
            return Ok(old);
        }
        match tokio::time::timeout(REFRESH_WAIT, passenger.wait(|_| true)).await {
            Ok(Some(Ok(()))) => Ok(self.hit(request).unwrap_or(old)),
            Ok(Some(Err(refusal))) if is_absence(&refusal) => Err(refusal),
            _ => Ok(old),
        }
    }

    /// Asks upstream for something never asked before.
    async fn unknown(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
    ) -> Result<Reply, Refusal> {
        self.refuse_unless_fetching(request, false)?;
        let (mut passenger, began) = self.refresh(request, module, question);
        match passenger
            .wait(|_| true)
            .await
            .unwrap_or_else(|| Err(lost(request)))
        {
            Ok(()) => {
                let origin = if began { Origin::Miss } else { Origin::Joined };
                let small = match self.inner.memory.get(request) {
                    Some(small) => small,
                    None => {
                        self.remembered(request, module, question)
                            .await?
                            .ok_or_else(|| lost(request))?
                            .0
                    }
                };
                Ok(Reply {
                    content: Content::Small(small),
                    origin,
                })
            }
            Err(refusal) if is_absence(&refusal) => Err(refusal),
            // No upstream answers: the versions kept here are better than nothing.
            Err(refusal) => match self.made_of_kept_versions(request, module).await? {
                Some(small) => Ok(Reply {
                    content: Content::Small(small),
                    origin: Origin::Stale,
                }),
                None => Err(refusal),
            },
        }
    }

    fn refresh(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
    ) -> (crate::flight::Passenger<Result<(), Refusal>>, bool) {
        let (keep, asked) = (
            self.clone(),
            (request.clone(), module.clone(), question.to_owned()),
        );
        self.inner
            .small_flights
            .join(request, |publisher| async move {
                let (request, module, question) = asked;
                let result = keep.fetch_answer(&request, &module, &question).await;
                match &result {
                    Ok(()) => keep.inner.counters.refreshed.add(),
                    Err(_) => keep.inner.counters.refresh_failed.add(),
                }
                publisher.publish(result);
            })
    }

    /// The flight's work: ask, check, remember.
    async fn fetch_answer(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
    ) -> Result<(), Refusal> {
        if self.hit(request).is_some() {
            return Ok(());
        }
        let path = request.to_path();
        let subject = path.trim_start_matches('/');
        let asked = self.chain_for(module).small(request, LIST_MAX).await;
        let (body, source) = asked.map_err(|failure| {
            let refusal = Refusal::from_upstream(subject, failure);
            self.remember_absence(request, &refusal);
            if is_absence(&refusal) {
                self.inner.memory.invalidate(request);
            }
            refusal
        })?;
        check(request, &body).map_err(|what| {
            self.inner.counters.check_failed.add();
            Refusal::lied(subject, &source, what)
        })?;
        if matches!(request, Request::List(_)) {
            self.look_for_moved_tags(module, &source);
        }
        self.look_ahead(request, &body);
        let answer = Answer {
            body: body.clone(),
            source,
            fetched: unix_now(),
        };
        self.remember(request, module, body, Duration::ZERO);
        // Losing a list costs one question: it is served even when it cannot be kept.
        if let Err(error) = self.inner.store.keep_answer(module, question, answer).await {
            tracing::warn!(module.path = %module, %error, "could not keep an answer");
        }
        Ok(())
    }

    /// The last answer and its age, from memory or the store.
    async fn remembered(
        &self,
        request: &Request,
        module: &ModulePath,
        question: &str,
    ) -> Result<Option<(Arc<Small>, Duration)>, Refusal> {
        if let Some(small) = self.inner.memory.get(request)
            && let Some(until) = small.fresh_until
        {
            let age = (Instant::now() + self.inner.settings.fresh).saturating_duration_since(until);
            return Ok(Some((small, age)));
        }
        let (keep, key) = (self.clone(), (module.clone(), question.to_owned()));
        let read = tokio::task::spawn_blocking(move || keep.inner.store.answer(&key.0, &key.1));
        let answer = read.await.map_err(|_| lost(request))?;
        let answer = answer.map_err(|e| Refusal::from_store(&request.to_path(), &e))?;
        Ok(answer.map(|answer| {
            // A clock that was set back makes an answer old, never young for ever.
            let age = u64::try_from(unix_now() - answer.fetched)
                .map_or(Duration::MAX, Duration::from_secs);
            (self.remember(request, module, answer.body, age), age)
        }))
    }

    /// Puts an answer of this age into memory.
    fn remember(
        &self,
        request: &Request,
        module: &ModulePath,
        body: Bytes,
        age: Duration,
    ) -> Arc<Small> {
        let now = Instant::now();
        let left = self.inner.settings.fresh.saturating_sub(age);
        let past = age.saturating_sub(self.inner.settings.fresh);
        let small = Arc::new(Small {
            etag: etag(&Sha256::digest(&body).into()),
            media: if matches!(request, Request::List(_)) {
                Media::Text
            } else {
                Media::Json
            },
            body,
            fresh_until: Some(now.checked_sub(past).unwrap_or(now) + left),
            public: !self.is_private(module),
        });
        self.inner
            .memory
            .insert(request.clone(), Arc::clone(&small));
        small
    }

    /// A list, or the latest version, made of the versions that are kept. `None` when there are none,
    /// or for other questions.
    async fn made_of_kept_versions(
        &self,
        request: &Request,
        module: &ModulePath,
    ) -> Result<Option<Arc<Small>>, Refusal> {
        if !matches!(request, Request::List(_) | Request::Latest(_)) {
            return Ok(None);
        }
        let (keep, key) = (self.clone(), module.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut versions = keep
                .inner
                .store
                .versions(&key, Kind::Info, KEPT_VERSIONS_MAX)?;
            versions.extend(
                keep.inner
                    .store
                    .versions(&key, Kind::Mod, KEPT_VERSIONS_MAX)?,
            );
            Ok(versions
                .iter()
                .filter_map(|v| Version::parse(v).ok())
                .collect::<Vec<_>>())
        });
        let versions = read
            .await
            .map_err(|_| lost(request))?
            .map_err(|e| Refusal::from_store(module.as_str(), &e))?;
        if versions.is_empty() {
            return Ok(None);
        }
        if matches!(request, Request::List(_)) {
            // A list names tags only.
            let tagged = versions.into_iter().filter(|v| !v.is_pseudo());
            let list = VersionList::from_versions(tagged).render();
            return Ok(Some(Arc::new(self.passing(
                list.into(),
                Media::Text,
                module,
            ))));
        }
        let list = VersionList::from_versions(versions);
        let Some(latest) = list.latest().and_then(|v| v.as_version()) else {
            return Ok(None);
        };
        let latest = Revision::from(&latest);
        let info = Request::Info(module.clone(), latest);
        let Some(crate::serve::Wanted::File(key)) = crate::serve::wanted(&info) else {
            return Ok(None);
        };
        Ok(self
            .stored(&info, &key)
            .await?
            .map(|s| Arc::new(self.passing(s.body.clone(), Media::Json, module))))
    }

    /// An answer made here, not to be cached by anybody.
    fn passing(&self, body: Bytes, media: Media, module: &ModulePath) -> Small {
        let etag = etag(&Sha256::digest(&body).into());
        Small {
            body,
            media,
            etag,
            fresh_until: Some(Instant::now()),
            public: !self.is_private(module),
        }
    }
}

fn is_absence(refusal: &Refusal) -> bool {
    matches!(refusal.blame, crate::Blame::Absent | crate::Blame::Gone)
}

fn check(request: &Request, body: &[u8]) -> Result<(), String> {
    refuse_html(body)?;
    match request {
        Request::Info(module, revision) => {
            let info = Info::parse(body).map_err(|e| e.to_string())?;
            info.check(module, revision)
                .map(drop)
                .map_err(|e| e.to_string())
        }
        Request::Latest(module) => {
            let info = Info::parse(body).map_err(|e| e.to_string())?;
            let version = ModuleVersion::new(module.clone(), info.version().clone());
            version.map(drop).map_err(|e| e.to_string())
        }
        _ => VersionList::parse(body)
            .map(drop)
            .map_err(|e| e.to_string()),
    }
}

fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}
