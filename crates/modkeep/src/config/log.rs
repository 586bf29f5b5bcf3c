//! Settings of our own log.

use super::SumdbSetting;
use super::parse::{Reader, Typed};
use crate::log_key::KeySource;
use keep::cosign::WitnessAddress;
use keep::{Policy, Witnesses};
use std::path::PathBuf;

/// What concerns our own log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    pub name: Option<String>,
    pub key: Option<KeySource>,
    pub witness: Option<PathBuf>,
    /// Who is asked to cosign its heads.
    pub witnesses: Option<Witnesses>,
}

/// Our own log, with what is not set filled in.
#[derive(Debug, Clone)]
pub struct LogSetting {
    pub key: KeySource,
    pub witness: Option<PathBuf>,
}

/// A log's name: a host, optionally with a path, as the go command wants it.
pub fn log_name(text: &str) -> Result<String, String> {
    let host = text.split('/').next().unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let clean = text.split('/').all(|e| !matches!(e, "" | "." | ".."));
    let endpoint = |e: &str| matches!(e, "supported" | "latest" | "checkpoint" | "lookup" | "tile");
    match clean && text.chars().all(good) && host.contains('.') && !text.split('/').any(endpoint) {
        true => Ok(text.into()),
        false => Err(format!(
            "{text:?}: a log's name looks like a host, optionally with a path: sum.example.com/team"
        )),
    }
}

impl Typed {
    /// Where our log's key and its witness file are, set or not.
    pub fn log_setting(&self) -> LogSetting {
        let in_data = || KeySource::File(self.data.join("log.key"));
        LogSetting {
            key: self.log.key.clone().unwrap_or_else(in_data),
            witness: self.log.witness.clone(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn log(&mut self, databases: &[SumdbSetting]) -> Option<LogSettings> {
        let name = self.parse("log-name", |text| match text {
            "" => Ok(None),
            text if databases.iter().any(|d| d.verifier.name() == text) => {
                Err(format!("{text} is the name of a --sumdb"))
            }
            text => log_name(text).map(Some),
        });
        let key = self.parse("log-key", |text| match text {
            "" => Ok(None),
            text => KeySource::parse(text).map(Some),
        });
        let witness = self.values.one("log-witness-file");
        let witnesses = self.witnesses();
        Some(LogSettings {
            name: name?,
            key: key?,
            witness: (!witness.is_empty()).then(|| witness.into()),
            witnesses: witnesses?,
        })
    }

    fn witnesses(&mut self) -> Option<Option<Witnesses>> {
        let all = self.parse_many("log-witness", addresses)?;
        let count = all.len();
        let quorum = self.parse("log-quorum", |text| quorum(text, count));
        let limit = self.time("log-witness-timeout");
        if limit.is_zero() {
            self.problem("log-witness-timeout", "must be more than nothing".into());
        }
        let policies = [("open", Policy::Open), ("closed", Policy::Closed)];
        let policy = self.choice("log-witness-policy", &policies)?;
        if all.is_empty() && policy == Policy::Closed {
            let what = "nothing could ever be shown: there is no --log-witness";
            self.problem("log-witness-policy", what.into());
        }
        let witnesses = Witnesses {
            all,
            quorum: quorum?,
            limit,
            policy,
        };
        Some((count > 0).then_some(witnesses))
    }
}

fn addresses(texts: &[String]) -> Result<Vec<WitnessAddress>, String> {
    let mut all: Vec<WitnessAddress> = Vec::new();
    for text in texts {
        let witness: WitnessAddress = text.parse()?;
        if all.iter().any(|other| other.key() == witness.key()) {
            return Err(format!("{} is there twice", witness.key()));
        }
        all.push(witness);
    }
    Ok(all)
}

/// More than half by default: any two majorities share a witness, so two histories cannot both get
/// one without a witness that contradicts itself, and a minority may be down.
fn quorum(text: &str, witnesses: usize) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(witnesses / 2 + 1);
    }
    let number = text.parse().ok();
    number
        .filter(|n| (1..=witnesses).contains(n))
        .ok_or_else(|| match witnesses {
            0 => format!("{text:?}: there is no --log-witness"),
            _ => format!("{text:?} is no number from 1 to {witnesses}, the number of witnesses"),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_quorum_is_more_than_half_unless_it_is_given() {
        for (witnesses, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            assert_eq!(quorum("", witnesses), Ok(majority));
        }
        assert_eq!(quorum("3", 3), Ok(3));
        for (bad, witnesses) in [("0", 3), ("4", 3), ("x", 3), ("-1", 3), ("1", 0)] {
            assert!(quorum(bad, witnesses).is_err(), "{bad} of {witnesses}");
        }
    }

    #[test]
    fn a_witness_counts_once() {
        let cosigner = tlog::note::Cosigner::from_seed("w.example", &[3; 32]).unwrap();
        let key = cosigner.verifier();
        let twice = [
            format!("{key} https://a.example"),
            format!("{key} https://b.example"),
        ];
        assert!(addresses(&twice[..1]).is_ok());
        assert!(addresses(&twice).unwrap_err().contains("twice"));
        assert!(addresses(&["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn a_log_is_named_like_a_host() {
        for good in ["sum.example.com", "sum.example.com/team"] {
            assert_eq!(log_name(good).unwrap(), good);
        }
        for bad in ["", "sum", "a.b//c", "a.b/latest", "a b.c"] {
            assert!(log_name(bad).is_err(), "{bad:?}");
        }
    }
}
