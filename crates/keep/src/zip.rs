//! Zips: streamed to everybody who asks while they arrive, kept when they are whole and right.

use crate::database::Sums;
use crate::flight::{Passenger, Publisher};
use crate::intake::{Finished, Intake, IntakeError, Pump};
use crate::refusal::{Blame, Refusal};
use crate::reply::{Content as Shown, Media, Origin, Reply, Small, etag};
use crate::serve::Keep;
use crate::small::lost;
use gomod::h1::hash_mod;
use gomod::request::Request;
use gomod::version::ModuleVersion;
use gomod::zip::{Checked, MAX_ZIP_FILE};
use std::sync::Arc;
use std::time::Duration;
use store::{Content, FileKey, Kept, Kind, NewFile, Spool, StoreError};
use upstream::{Failure, Found};

/// Zips up to this size are kept in memory like other small files.
const MEMORY_MAX: u64 = 256 << 10;

/// How long the first bytes of a small zip wait for its outcome.
const OUTCOME_WAIT: Duration = Duration::from_millis(200);

/// Where a zip's flight is.
#[derive(Clone, Debug)]
pub(crate) enum ZipStage {
    /// Bytes arrive here.
    Arriving(Spool),
    /// Kept, or refused.
    Landed(Result<(), Refusal>),
}

impl Keep {
    /// Serves a zip.
    pub(crate) async fn zip(
        &self,
        request: &Request,
        version: &ModuleVersion,
        cached_only: bool,
    ) -> Result<Reply, Refusal> {
        let key = FileKey {
            module: version.path().clone(),
            version: version.version().clone(),
            kind: Kind::Zip,
        };
        if let Some(content) = self.stored_zip(request, &key).await? {
            return Ok(Reply {
                content,
                origin: Origin::Hit,
            });
        }
        self.refuse_unless_fetching(request, cached_only)?;
        let keep = self.clone();
        let (mut passenger, began) = {
            let (request, key, version) = (request.clone(), key.clone(), version.clone());
            self.inner
                .zip_flights
                .join(&request.clone(), |publisher| async move {
                    // The error has been published; this task has nobody else to tell.
                    let _ = keep.fetch_zip(&request, &key, &version, &publisher).await;
                })
        };
        let origin = if began { Origin::Miss } else { Origin::Joined };
        loop {
            match passenger.wait(|_| true).await {
                None => return Err(lost(request)),
                Some(ZipStage::Landed(Err(refusal))) => return Err(refusal),
                Some(ZipStage::Landed(Ok(()))) => {
                    let content = self
                        .stored_zip(request, &key)
                        .await?
                        .ok_or_else(|| lost(request))?;
                    return Ok(Reply { content, origin });
                }
                Some(ZipStage::Arriving(mut spool)) => {
                    // Headers go out with the first byte that may be let go, so that a small refused
                    // zip is an error with a text and not a broken connection.
                    if spool.started().await && !landed_soon(&mut passenger, &spool).await {
                        return Ok(Reply {
                            content: Shown::Growing(spool),
                            origin,
                        });
                    }
                    // It ended first: the next stage says how.
                    let ended = spool.id();
                    passenger
                        .wait(|s| !matches!(s, ZipStage::Arriving(next) if next.id() == ended))
                        .await;
                }
            }
        }
    }

    /// A zip from the store; a small one is put into memory.
    async fn stored_zip(&self, request: &Request, key: &FileKey) -> Result<Option<Shown>, Refusal> {
        let (keep, wanted, asked) = (self.clone(), key.clone(), request.clone());
        let read = tokio::task::spawn_blocking(move || keep.read_zip(&asked, &wanted));
        match read.await.map_err(|_| lost(request))? {
            Ok(content) => Ok(content),
            Err(error @ StoreError::Damaged { .. }) => {
                self.found_damaged(key, &error).await;
                Ok(None)
            }
            Err(error) => Err(Refusal::from_store(&key.to_string(), &error)),
        }
    }

    fn read_zip(&self, request: &Request, key: &FileKey) -> Result<Option<Shown>, StoreError> {
        let public = !self.is_private(&key.module);
        let in_memory = |body, etag: String| {
            let small = Arc::new(Small {
                body,
                media: Media::Zip,
                etag,
                fresh_until: None,
                public,
            });
            self.inner
                .memory
                .insert(request.clone(), Arc::clone(&small));
            Shown::Small(small)
        };
        Ok(match self.inner.store.file(key)? {
            None => None,
            Some(Kept::Small(body, meta)) => Some(in_memory(body, etag(&meta.sha256))),
            Some(Kept::Blob(blob, meta)) if meta.size <= MEMORY_MAX => {
                Some(in_memory(blob.read_all()?, etag(&meta.sha256)))
            }
            Some(Kept::Blob(blob, meta)) => {
                // Damage at the very start is an error with a text, not a broken connection.
                blob.open(0, meta.size)?.next_blocking()?;
                Some(Shown::Blob {
                    blob,
                    etag: etag(&meta.sha256),
                    public,
                })
            }
        })
    }

    /// The flight's work. Order matters at the end: first the stage, then the last bytes, so that
    /// whoever sees the spool end finds out how.
    async fn fetch_zip(
        &self,
        request: &Request,
        key: &FileKey,
        version: &ModuleVersion,
        publisher: &Publisher<ZipStage>,
    ) -> Result<(), ()> {
        let refuse = |refusal: Refusal| publisher.publish(ZipStage::Landed(Err(refusal)));
        match self.stored_zip(request, key).await {
            Ok(None) => {}
            Ok(Some(_)) => {
                publisher.publish(ZipStage::Landed(Ok(())));
                return Ok(());
            }
            Err(refusal) => {
                refuse(refusal);
                return Err(());
            }
        }
        // The checksum database is asked beside the download, so that being checked costs no time.
        let (downloaded, sums) = tokio::join!(
            self.download(request, key, publisher),
            self.sums(&key.module, key.version.as_str())
        );
        let (intake, source) = downloaded.map_err(refuse)?;
        let wanted = version.clone();
        let finished = tokio::task::spawn_blocking(move || intake.finish(&wanted));
        let finished = finished.await.map_err(|_| refuse(lost(request)))?;
        // The writer lives until the outcome is published: its readers must not see the cut first.
        let Finished {
            writer,
            checked,
            sealed,
        } = finished;
        let admitted = match checked {
            Ok(checked) => self.admit_zip(key, checked, sealed, source, sums).await,
            Err(wrong) => {
                self.inner.counters.check_failed.add();
                tracing::warn!(module.path = %key.module, module.version = %key.version, upstream.name = source, what = %wrong, "refused a zip");
                Err(Refusal::lied(&version.to_string(), &source, wrong))
            }
        };
        publisher.publish(ZipStage::Landed(admitted.clone()));
        if admitted.is_ok() {
            writer.release();
        }
        admitted.map_err(drop)
    }

    /// Downloads from one upstream after the other, until one is whole.
    async fn download(
        &self,
        request: &Request,
        key: &FileKey,
        publisher: &Publisher<ZipStage>,
    ) -> Result<(Intake, String), Refusal> {
        let subject = key.to_string();
        let failed = |failure| {
            let refusal = Refusal::from_upstream(&subject, failure);
            self.remember_absence(request, &refusal);
            refusal
        };
        let mut asking = self.chain_for(&key.module).big(request);
        let mut begun: Option<Intake> = None;
        loop {
            let found = asking.next().await.map_err(failed)?;
            if found.total.is_some_and(|total| total > MAX_ZIP_FILE) {
                let text = format!(
                    "{}: larger than a module zip may be ({MAX_ZIP_FILE} bytes)",
                    found.source
                );
                asking.broke(Failure::Failed(text)).map_err(failed)?;
                continue;
            }
            let mut intake = match begun.take().filter(|old| !old.is_empty()) {
                Some(old) => old,
                None => self.begin(&subject, &found, publisher).await?,
            };
            intake.start_over();
            let source = found.source.clone();
            let (intake, ended) = receive(intake, found)
                .await
                .map_err(|e| intake_refusal(&subject, &source, &e))?;
            match ended {
                Ok(()) => return Ok((intake, source)),
                Err(failure) => {
                    asking.broke(failure).map_err(|failure| {
                        // A cut client sees nothing of this text; the next one who asks does.
                        failed(failure)
                    })?;
                    begun = Some(intake);
                }
            }
        }
    }

    async fn begin(
        &self,
        subject: &str,
        found: &Found,
        publisher: &Publisher<ZipStage>,
    ) -> Result<Intake, Refusal> {
        let (keep, total) = (self.clone(), found.total);
        let made = tokio::task::spawn_blocking(move || keep.inner.store.spool(total));
        let made = made
            .await
            .map_err(|_| Refusal::new(Blame::Ours, format!("{subject}: the fetch was lost")))?;
        let (writer, spool) = made.map_err(|e| Refusal::from_store(subject, &e))?;
        let intake = Intake::new(writer);
        publisher.publish(ZipStage::Arriving(spool));
        Ok(intake)
    }

    /// Makes a checked zip visible.
    async fn admit_zip(
        &self,
        key: &FileKey,
        checked: Checked,
        sealed: std::io::Result<Content>,
        source: String,
        sums: Sums,
    ) -> Result<(), Refusal> {
        let proof = self.judge(key, checked.h1, &source, &sums)?;
        // Durable in our log before it is visible here.
        self.log_file(key, checked.h1, &sums).await?;
        let content =
            sealed.map_err(|e| Refusal::from_store(&key.to_string(), &StoreError::Disk(e)))?;
        let bytes = content.len();
        let file = NewFile {
            key: key.clone(),
            content,
            h1: Some(checked.h1.0),
            source,
            inner: checked.go_mod.as_deref().map(|own| hash_mod(own).0),
            proof,
        };
        self.keep_file(file).await?;
        self.inner.counters.kept_bytes.plus(bytes);
        Ok(())
    }
}

fn intake_refusal(subject: &str, source: &str, error: &IntakeError) -> Refusal {
    match error {
        IntakeError::Disk(e) => {
            let e = StoreError::Disk(std::io::Error::new(e.kind(), e.to_string()));
            Refusal::from_store(subject, &e)
        }
        IntakeError::Differs | IntakeError::TooLarge => Refusal::lied(subject, source, error),
        IntakeError::Lost => Refusal::new(Blame::Ours, format!("{subject}: {error}")),
    }
}

/// Whether a small zip's outcome is known in a moment: then a refusal is a text, where it would be a
/// connection that breaks right after its first bytes.
async fn landed_soon(passenger: &mut Passenger<ZipStage>, spool: &Spool) -> bool {
    let small = spool.total().is_some_and(|total| total <= MEMORY_MAX);
    let landed = passenger.wait(|stage| matches!(stage, ZipStage::Landed(_)));
    small && tokio::time::timeout(OUTCOME_WAIT, landed).await.is_ok()
}

/// Moves a body into an intake. The inner result is the body's end, the outer one the disk's.
async fn receive(
    intake: Intake,
    mut found: Found,
) -> Result<(Intake, Result<(), Failure>), IntakeError> {
    let pump = Pump::start(intake);
    let ended = loop {
        match found.body.next().await {
            Ok(Some(chunk)) => {
                if pump.chunks.send(chunk).await.is_err() {
                    // The thread ended: `finish` says why.
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    let intake = pump.finish().await?;
    let ended = match (ended, found.total) {
        (Ok(()), Some(total)) if intake.at() != total => Err(Failure::Failed(format!(
            "{}: {} of {total} bytes came",
            found.source,
            intake.at()
        ))),
        (ended, _) => ended,
    };
    Ok((intake, ended))
}
