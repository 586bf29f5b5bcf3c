//! Alarms: what must not pass unseen. Each is logged, counted, shown in readiness, and posted to the
//! webhook; what proves it goes to a file.

use crate::serve::Keep;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Alarms shown; older ones are in the log.
const SHOWN: usize = 50;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// A checksum database signed two trees that contradict each other.
    Fork,
    /// A checksum database answered what cannot be proved.
    BadAnswer,
    /// A file is not the one that the checksum database recorded.
    Mismatch,
    /// An upstream has other bytes than were kept before.
    Changed,
    /// Too few witnesses cosign our own log.
    Unwitnessed,
}

/// An alarm.
#[derive(Clone, Debug, Serialize)]
pub struct Alarm {
    /// What happened.
    pub kind: AlarmKind,
    /// To what: a version or a checksum database.
    pub subject: String,
    /// In words.
    pub text: String,
    /// The file with the evidence.
    pub evidence: Option<PathBuf>,
    /// When, in Unix seconds.
    pub time: u64,
}

/// The alarms since the start.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    shown: Mutex<Vec<Alarm>>,
}

impl Alarms {
    pub fn all(&self) -> Vec<Alarm> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds where the evidence lies to an alarm that is shown.
    fn prove(&self, alarm: &Alarm) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |a: &&mut Alarm| a.subject == alarm.subject && a.text == alarm.text;
        if let Some(found) = shown.iter_mut().find(same) {
            found.evidence.clone_from(&alarm.evidence);
        }
    }

    /// True for an alarm that has not been raised before in these words.
    fn add(&self, alarm: &Alarm) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown
            .iter()
            .any(|a| a.subject == alarm.subject && a.text == alarm.text)
        {
            return false;
        }
        if shown.len() == SHOWN {
            shown.remove(0);
        }
        shown.push(alarm.clone());
        true
    }
}

impl Keep {
    /// Raises an alarm; one that was raised before is only counted.
    pub(crate) fn alarm(
        &self,
        kind: AlarmKind,
        subject: &str,
        text: &str,
        evidence: Option<String>,
    ) {
        self.inner.counters.alarms.add();
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let mut alarm = Alarm {
            kind,
            subject: subject.into(),
            text: text.into(),
            evidence: None,
            time,
        };
        if !self.inner.alarms.add(&alarm) {
            return;
        }
        tracing::error!(alarm.kind = ?kind, alarm.subject = subject, "ALARM: {text}");
        let keep = self.clone();
        tokio::spawn(async move {
            if let Some(evidence) = evidence {
                alarm.evidence = keep.write_evidence(&alarm, evidence).await;
                keep.inner.alarms.prove(&alarm);
            }
            keep.post_alarm(&alarm).await;
        });
    }

    async fn write_evidence(&self, alarm: &Alarm, evidence: String) -> Option<PathBuf> {
        let plain: String = alarm
            .subject
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let store = self.clone();
        let name = format!("{}-{plain}.txt", alarm.time);
        let written = tokio::task::spawn_blocking(move || {
            store.inner.store.keep_evidence(&name, evidence.as_bytes())
        });
        match written.await {
            Ok(Ok(path)) => {
                tracing::error!(evidence = %path.display(), "evidence written");
                Some(path)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the evidence could not be written");
                None
            }
            Err(_) => None,
        }
    }

    async fn post_alarm(&self, alarm: &Alarm) {
        let Some(url) = &self.inner.settings.webhook else {
            return;
        };
        let Ok(body) = serde_json::to_string(alarm) else {
            return;
        };
        let posted = match upstream::api_client() {
            Ok(client) => client.post_json(url, body, None).await.map(drop),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = posted {
            tracing::warn!(error, "the alarm could not be posted");
        }
    }
}
