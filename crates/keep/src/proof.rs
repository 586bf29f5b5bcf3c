//! Checked before kept: every public file is compared with its proved record.

use crate::alarm::AlarmKind;
use crate::database::Sums;
use crate::refusal::{Blame, Refusal};
use crate::serve::Keep;
use gomod::h1::H1;
use std::time::Duration;
use store::{FileKey, Kind, Mark, Proof, Unproved};
use tlog::record::SumOf;

/// Before the first round over what could not be checked when it came: the start is busy enough.
const FIRST: Duration = Duration::from_secs(5);

/// Between two rounds at least.
const LEAST: Duration = Duration::from_millis(50);

/// Files looked at in one read of the catalog.
const BATCH: usize = 200;

impl Keep {
    /// Whether a file may be kept, and what is known of it. Raises the alarm for one that may not.
    pub(crate) fn judge(
        &self,
        key: &FileKey,
        h1: H1,
        source: &str,
        sums: &Sums,
    ) -> Result<Proof, Refusal> {
        match sums {
            Sums::NotAsked => Ok(Proof::NotAsked),
            Sums::Known(sums) => match sums.check(sum_of(key), &h1.to_string()) {
                Ok(()) => Ok(Proof::Proved),
                Err(_) => Err(self.mismatch(key, h1, source, sums.h1(sum_of(key)))),
            },
            Sums::Unknown if !self.inner.settings.verify_strict => Ok(Proof::Open),
            Sums::Unavailable(_) if !self.inner.settings.verify_strict => Ok(Proof::Open),
            Sums::Unknown => Err(Refusal::new(
                Blame::Denied(403),
                format!(
                    "{key}: no checksum database knows it, and modkeep runs with --verify strict\n\
                     if it is private, the server needs --private (or --no-sumdb) for it"
                ),
            )),
            Sums::Unavailable(why) => Err(Refusal {
                retry_after: Some(Duration::from_secs(10)),
                ..Refusal::new(
                    Blame::Busy,
                    format!("{key}: cannot be checked now (--verify strict): {why}"),
                )
            }),
        }
    }

    fn mismatch(&self, key: &FileKey, found: H1, source: &str, recorded: Option<&str>) -> Refusal {
        let recorded = recorded.unwrap_or("no hash of this file");
        let database = self.inner.databases.all.first().map_or("", |d| d.name());
        let text = format!(
            "{key}: checksum mismatch\n  {source}: {found}\n  {database}: {recorded}\n\
             not kept; find the odd one out: modkeep compare {}@{}",
            key.module, key.version
        );
        self.inner.counters.check_failed.add();
        self.alarm(AlarmKind::Mismatch, &key.to_string(), &text, None);
        Refusal::new(Blame::Upstream, text)
    }

    /// Checks in the background what could not be checked when it came.
    pub(crate) fn start_proving(&self) {
        if self.inner.databases.all.is_empty() || self.inner.settings.offline {
            return;
        }
        let inner = std::sync::Arc::downgrade(&self.inner);
        // A catalog that is read without pause would leave no time for anything else.
        let again = self.inner.settings.verify_again.max(LEAST);
        tokio::spawn(async move {
            tokio::time::sleep(FIRST.min(again)).await;
            while let Some(inner) = inner.upgrade() {
                Keep { inner }.prove_round().await;
                tokio::time::sleep(again).await;
            }
        });
    }

    async fn prove_round(&self) {
        let mut after = 0;
        loop {
            let keep = self.clone();
            let read = tokio::task::spawn_blocking(move || keep.inner.store.unproved(after, BATCH));
            let Ok(Ok(batch)) = read.await else { return };
            let Some(last) = batch.last() else { return };
            after = last.row;
            for file in &batch {
                // While nobody answers, asking about the rest would only take time.
                if !self.prove_file(file).await {
                    return;
                }
            }
        }
    }

    /// False: the database could not be asked.
    async fn prove_file(&self, file: &Unproved) -> bool {
        let key = &file.key;
        let mark = match self.sums(&key.module, key.version.as_str()).await {
            Sums::Unavailable(_) => return false,
            Sums::Unknown | Sums::NotAsked => return true,
            Sums::Known(sums) => match sums.check(sum_of(key), &H1(file.h1).to_string()) {
                Ok(()) => {
                    if let Err(refusal) = self.log_file(key, H1(file.h1), &Sums::Known(sums)).await
                    {
                        tracing::warn!(module.path = %key.module, module.version = %key.version, error = refusal.text, "could not log a proved version");
                        return false;
                    }
                    Mark::Proved
                }
                Err(_) => {
                    // The refusal is nobody's answer here; the alarm is what counts.
                    let _ = self.mismatch(key, H1(file.h1), "kept here", sums.h1(sum_of(key)));
                    Mark::Quarantined
                }
            },
        };
        if let Err(error) = self.inner.store.mark(key, mark).await {
            tracing::error!(module.path = %key.module, module.version = %key.version, %error, "could not record a check");
        }
        if mark == Mark::Quarantined {
            self.inner.memory.invalidate_all();
        }
        true
    }
}

fn sum_of(key: &FileKey) -> SumOf {
    match key.kind {
        Kind::Mod => SumOf::GoMod,
        Kind::Info | Kind::Zip => SumOf::Zip,
    }
}
