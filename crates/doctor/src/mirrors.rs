//! Which mirror to set, from measurements. Pure: whoever measures passes numbers in.
//!
//! A mirror is out when it cannot be reached, delivers other bytes than the proved record, or breaks
//! every client by what it answers about the checksum database. Of the others the one comes first
//! with which an ordinary download would end first. Speed never outweighs correctness, and a stale
//! list is a reason to stand behind the others.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use std::time::Duration;

const DATA: &str = include_str!("../data/mirrors.toml");

/// An ordinary cold download: small requests that come one after the other (the go command asks for
/// many at once, but the graph has some ten layers), and bytes of zips.
const ROUND_TRIPS: u32 = 30;
const BYTES: u64 = 20 << 20;

/// How much longer a download may take with the mirror that is named second.
const SECOND_MAX: u32 = 20;

/// A public mirror.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Its address.
    pub url: String,
    /// Who runs it.
    pub operator: String,
    en: String,
    zh: String,
}

impl Mirror {
    /// What to know of it.
    pub fn note(&self, lang: crate::Lang) -> &str {
        match lang {
            crate::Lang::En => &self.en,
            crate::Lang::Zh => &self.zh,
        }
    }
}

/// The version that mirrors are measured with, and its record.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The module.
    pub module: String,
    /// The version.
    pub version: String,
    /// The zip's recorded go.sum hash.
    pub h1: String,
    /// The go.mod's.
    pub gomod: String,
}

/// The data file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// What to measure with.
    pub sample: Sample,
    /// Mirrors, the default first.
    pub mirror: Vec<Mirror>,
}

/// What is known of public mirrors; `None` only for a data file that a test would have refused.
pub fn known() -> Option<&'static Known> {
    static KNOWN: OnceLock<Option<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| toml::from_str(DATA).ok()).as_ref()
}

/// Whether delivered bytes are the recorded ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum Bytes {
    /// They are.
    Correct,
    /// They are not: the hash that came.
    Wrong(String),
    /// They came, and there is no record to hold them against.
    Unproved,
    /// It does not have the version.
    Absent,
    /// They did not come, and why.
    Failed(String),
    /// Not tried.
    #[default]
    Unknown,
}

/// What a mirror answers about the checksum database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum Relay {
    /// It relays it (200).
    Yes,
    /// It says that it does not (404, 410): the go command goes to the database itself.
    No,
    /// Another status, which ends every client's download.
    Broken(u16),
    /// Not found out.
    #[default]
    Unknown,
}

/// What was measured of one mirror.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measured {
    /// Its address, without credentials.
    pub url: String,
    /// Why it cannot be reached, if so.
    pub error: Option<String>,
    /// Until the first answer: name, connection, TLS and one request, in milliseconds.
    pub first_ms: Option<u64>,
    /// Median of small requests on an open connection, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Bytes per second of one zip.
    pub bytes_per_s: Option<u64>,
    /// Whether the zip is the recorded one.
    pub bytes: Bytes,
    /// Versions in the list.
    pub versions: Option<usize>,
    /// The newest of them.
    pub newest: Option<String>,
    /// What it answers about the checksum database.
    pub sumdb: Relay,
}

impl Measured {
    /// How long an ordinary download would take, as far as that is known.
    pub fn expected(&self) -> Option<Duration> {
        let round_trips = Duration::from_millis(self.latency_ms?) * ROUND_TRIPS;
        let millis = BYTES * 1000 / self.bytes_per_s?.max(1);
        Some(round_trips + Duration::from_millis(millis))
    }

    /// Why it may not be set, if so.
    pub fn unfit(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(format!("cannot be reached: {error}"));
        }
        match (&self.bytes, &self.sumdb) {
            (Bytes::Wrong(h1), _) => Some(format!(
                "delivers other bytes than recorded ({h1}): never use it"
            )),
            (_, Relay::Broken(status)) => Some(format!(
                "answers {status} to /sumdb/.../supported, which ends every download (200, 404 or 410 would be right)"
            )),
            (Bytes::Failed(why), _) => Some(format!("did not deliver the sample: {why}")),
            (Bytes::Absent, _) => Some("does not have the sample".into()),
            _ => None,
        }
    }
}

/// What to set, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// The value for GOPROXY; `None` when no mirror is fit.
    pub goproxy: Option<String>,
    /// Why these, in order.
    pub reasons: Vec<String>,
    /// Mirrors that may not be set, and why.
    pub unfit: Vec<(String, String)>,
}

/// Chooses. `database`: whether the checksum database itself can be reached from here, if known.
pub fn recommend(measured: &[Measured], database: Option<bool>) -> Recommendation {
    let unfit: Vec<(String, String)> = measured
        .iter()
        .filter_map(|m| Some((m.url.clone(), m.unfit()?)))
        .collect();
    let mut fit: Vec<&Measured> = measured.iter().filter(|m| m.unfit().is_none()).collect();
    let most = fit.iter().filter_map(|m| m.versions).max();
    let rank = |m: &Measured| {
        let needs_relay = database == Some(false) && m.sumdb != Relay::Yes;
        (
            needs_relay,
            is_stale(m, most),
            m.expected().unwrap_or(Duration::MAX),
        )
    };
    // Stable: of equals the one that was given first.
    fit.sort_by_key(|m| rank(m));
    let Some(first) = fit.first() else {
        let reasons = vec!["no mirror is fit to be set".into()];
        return Recommendation {
            goproxy: None,
            reasons,
            unfit,
        };
    };
    let mut reasons = vec![reason(first, most)];
    let mut goproxy = first.url.clone();
    if let Some(second) = fit
        .get(1)
        .filter(|second| worth_naming(first, second) && rank(second).0 == rank(first).0)
    {
        goproxy.push('|');
        goproxy.push_str(&second.url);
        reasons.push(format!(
            "{}; after a bar, so that any failure of the first leads on to it",
            reason(second, most)
        ));
    }
    goproxy.push_str(",direct");
    reasons.push("direct after a comma: the origin is asked only for what no mirror has".into());
    if database == Some(false) && first.sumdb != Relay::Yes {
        reasons.push("no fit mirror relays the checksum database, and it cannot be reached from here: downloads will fail at its check; GOSUMDB=sum.golang.google.cn is the same database by another address".into());
    }
    Recommendation {
        goproxy: Some(goproxy),
        reasons,
        unfit,
    }
}

/// Whether a list lacks what others have.
fn is_stale(m: &Measured, most: Option<usize>) -> bool {
    m.versions.zip(most).is_some_and(|(own, most)| own < most)
}

fn worth_naming(first: &Measured, second: &Measured) -> bool {
    match (first.expected(), second.expected()) {
        (Some(a), Some(b)) => b <= a * SECOND_MAX,
        _ => true,
    }
}

fn reason(m: &Measured, most: Option<usize>) -> String {
    let mut parts = Vec::new();
    if let Some(latency) = m.latency_ms {
        parts.push(format!("{latency} ms for a small request"));
    }
    if let Some(rate) = m.bytes_per_s {
        parts.push(format!("{} for zips", rate_text(rate)));
    }
    parts.push(match m.bytes {
        Bytes::Correct => "bytes as recorded".into(),
        _ => "bytes not compared with a record".into(),
    });
    match (m.versions, is_stale(m, most)) {
        (Some(own), true) => parts.push(format!(
            "its list is behind ({own} of {} versions)",
            most.unwrap_or(own)
        )),
        (Some(_), false) => parts.push("its list is complete".into()),
        (None, _) => {}
    }
    if m.sumdb == Relay::Yes {
        parts.push("relays the checksum database".into());
    }
    format!("{}: {}", m.url, parts.join(", "))
}

/// A rate for people.
pub fn rate_text(bytes_per_s: u64) -> String {
    match bytes_per_s {
        rate if rate >= 1 << 20 => format!("{:.1} MiB/s", rate as f64 / f64::from(1 << 20)),
        rate => format!("{} KiB/s", rate >> 10),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mirror(url: &str, latency_ms: u64, rate: u64) -> Measured {
        Measured {
            url: url.into(),
            latency_ms: Some(latency_ms),
            bytes_per_s: Some(rate),
            bytes: Bytes::Correct,
            versions: Some(10),
            sumdb: Relay::Yes,
            ..Measured::default()
        }
    }

    fn choice(measured: &[Measured], database: Option<bool>) -> String {
        recommend(measured, database).goproxy.unwrap()
    }

    #[test]
    fn the_data_is_sound() {
        let known = known().unwrap();
        assert!(known.mirror.len() >= 4);
        for mirror in &known.mirror {
            assert!(
                mirror.url.starts_with("https://") && !mirror.url.ends_with('/'),
                "{}",
                mirror.url
            );
            assert!(
                !mirror.note(crate::Lang::Zh).is_empty()
                    && !mirror.note(crate::Lang::En).is_empty()
            );
        }
        assert!(known.sample.h1.starts_with("h1:") && known.sample.gomod.starts_with("h1:"));
    }

    #[test]
    fn the_fastest_comes_first_and_the_next_stands_behind_a_bar() {
        let all = [
            mirror("https://slow", 300, 1 << 20),
            mirror("https://fast", 20, 10 << 20),
            mirror("https://mid", 100, 5 << 20),
        ];
        assert_eq!(choice(&all, None), "https://fast|https://mid,direct");
        assert_eq!(choice(&all[..1], None), "https://slow,direct");
        // One that would take for ever is no help.
        let crawl = [
            mirror("https://fast", 20, 10 << 20),
            mirror("https://crawl", 5000, 1 << 10),
        ];
        assert_eq!(choice(&crawl, None), "https://fast,direct");
    }

    #[test]
    fn wrong_bytes_and_a_broken_relay_are_never_recommended() {
        let wrong = Measured {
            bytes: Bytes::Wrong("h1:x".into()),
            ..mirror("https://wrong", 1, 1 << 30)
        };
        let broken = Measured {
            sumdb: Relay::Broken(403),
            ..mirror("https://broken", 1, 1 << 30)
        };
        let dead = Measured {
            url: "https://dead".into(),
            error: Some("refused".into()),
            ..Measured::default()
        };
        let all = [wrong, broken, dead, mirror("https://good", 900, 1 << 10)];
        let chosen = recommend(&all, None);
        assert_eq!(chosen.goproxy.as_deref(), Some("https://good,direct"));
        assert_eq!(
            chosen.unfit.iter().map(|u| &*u.0).collect::<Vec<_>>(),
            ["https://wrong", "https://broken", "https://dead"]
        );
        let none = recommend(&all[..3], None);
        assert_eq!(none.goproxy, None);
        assert!(!none.reasons.is_empty());
    }

    #[test]
    fn a_relay_counts_where_the_database_cannot_be_reached() {
        let plain = Measured {
            sumdb: Relay::No,
            ..mirror("https://plain", 1, 1 << 30)
        };
        let all = [plain.clone(), mirror("https://relay", 500, 1 << 20)];
        assert_eq!(
            choice(&all, Some(true)).split('|').next(),
            Some("https://plain,direct")
        );
        assert_eq!(choice(&all, Some(false)), "https://relay,direct");
        let alone = recommend(&[plain], Some(false));
        assert!(
            alone
                .reasons
                .iter()
                .any(|r| r.contains("sum.golang.google.cn")),
            "{alone:?}"
        );
    }

    #[test]
    fn a_list_that_is_behind_stands_behind() {
        let stale = Measured {
            versions: Some(8),
            ..mirror("https://stale", 10, 9 << 20)
        };
        let all = [stale, mirror("https://fresh", 30, 5 << 20)];
        let chosen = recommend(&all, None);
        assert_eq!(
            chosen.goproxy.as_deref(),
            Some("https://fresh|https://stale,direct")
        );
        assert!(chosen.reasons[1].contains("8 of 10"), "{chosen:?}");
    }
}
