//! Checks: what the facts of a machine mean.
//!
//! A check looks at one subject and says one of five things. Not found out is `unknown` and never
//! bad; what does not apply is `skipped`. A check that proves a cause carries a finding, whose
//! title, remedies and warnings come from the same data as `explain`'s.

use serde::Serialize;

use crate::cause::{self, Lang};
use crate::explain::{Finding, FindingView, Subject};
use crate::facts::{Facts, Group};

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Looked at and good.
    Ok,
    /// Works, but something is not as it should be.
    Warn,
    /// A go command fails on it.
    Fail,
    /// Could not be found out.
    Unknown,
    /// Does not apply here.
    Skipped,
}

/// A cause that a check proves or suspects.
#[derive(Clone, Debug, PartialEq)]
pub struct Cited {
    /// Its label in the taxonomy.
    pub label: &'static str,
    /// The variant.
    pub variant: Option<String>,
    /// 0 to 1: 1 is proved by what was measured.
    pub confidence: f64,
    /// What it rests on, masked.
    pub evidence: Vec<String>,
    /// What commands are filled with.
    pub subject: Subject,
}

/// One check of one subject.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// `D01` to `D61`.
    pub id: &'static str,
    /// What it says.
    pub state: State,
    /// What was looked at: a variable, a file, a host.
    pub subject: String,
    /// What was seen, in one line, or a few with a caret.
    pub detail: String,
    /// Milliseconds that gathering its facts took; 0 if not measured.
    pub took_ms: u64,
    /// The cause.
    #[serde(skip)]
    pub finding: Option<Cited>,
}

impl Check {
    /// A check that says `state`.
    pub fn new(
        id: &'static str,
        state: State,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            id,
            state,
            subject: subject.into(),
            detail: detail.into(),
            took_ms: 0,
            finding: None,
        }
    }

    /// Good.
    pub fn ok(id: &'static str, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(id, State::Ok, subject, detail)
    }

    /// Works, but.
    pub fn warn(id: &'static str, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(id, State::Warn, subject, detail)
    }

    /// Fails.
    pub fn fail(id: &'static str, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(id, State::Fail, subject, detail)
    }

    /// Not found out, and why.
    pub fn unknown(id: &'static str, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(id, State::Unknown, subject, why)
    }

    /// Does not apply, and why.
    pub fn skipped(id: &'static str, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(id, State::Skipped, subject, why)
    }

    /// With the cause: its label, how sure, and what it rests on. Without evidence the check's
    /// own subject and detail are it.
    #[must_use]
    pub fn because(
        mut self,
        label: &'static str,
        confidence: f64,
        evidence: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut evidence: Vec<String> = evidence.into_iter().collect();
        if evidence.is_empty() {
            evidence.push(format!("{}: {}", self.subject, self.detail));
        }
        self.finding = Some(Cited {
            label,
            variant: None,
            confidence,
            evidence,
            subject: Subject::default(),
        });
        self
    }

    /// With the variant of its cause.
    #[must_use]
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        if let Some(finding) = &mut self.finding {
            finding.variant = Some(variant.into());
        }
        self
    }

    /// With what the cause's commands are filled with.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        if let Some(finding) = &mut self.finding {
            finding.subject = subject;
        }
        self
    }

    /// With the time that gathering took.
    #[must_use]
    pub fn took(mut self, took_ms: u64) -> Self {
        self.took_ms = took_ms;
        self
    }

    /// The group it belongs to.
    pub fn group(&self) -> Group {
        let number: u32 = self.id.get(1..).and_then(|n| n.parse().ok()).unwrap_or(0);
        match number {
            0..20 => Group::Env,
            20..40 => Group::Net,
            40..50 => Group::Local,
            _ => Group::Project,
        }
    }
}

/// What a machine's facts mean.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By group, then by number.
    pub checks: Vec<Check>,
    /// What fails before what warns, surest first; one for each cause.
    pub findings: Vec<Finding>,
}

/// Judges a machine's facts. Pure: the same facts give the same report.
pub fn diagnose(facts: &Facts) -> Report {
    let mut checks = Vec::new();
    for group in Group::ALL.into_iter().filter(|group| facts.wants(*group)) {
        let mut of_group = match group {
            Group::Env => crate::checks::env(facts),
            Group::Net => crate::net::checks(facts),
            Group::Local => crate::checks::local(facts),
            Group::Project => crate::checks::project(facts),
        };
        of_group.sort_by_key(|check| check.id);
        checks.extend(of_group);
    }
    let findings = findings(&checks);
    Report { checks, findings }
}

/// The causes of the checks that warn or fail. The same cause of several subjects is one finding.
fn findings(checks: &[Check]) -> Vec<Finding> {
    let mut ranked: Vec<(State, Finding)> = Vec::new();
    for check in checks {
        let Some(cited) = &check.finding else {
            continue;
        };
        let Some(cause) = cause::find(cited.label) else {
            continue;
        };
        let same = |(_, other): &&mut (State, Finding)| {
            other.cause.label == cause.label && other.variant == cited.variant
        };
        if let Some((state, other)) = ranked.iter_mut().find(same) {
            *state = (*state).max(check.state);
            other.confidence = other.confidence.max(cited.confidence);
            for line in &cited.evidence {
                if !other.evidence.contains(line) && other.evidence.len() < EVIDENCE_MAX {
                    other.evidence.push(line.clone());
                }
            }
            continue;
        }
        let finding = Finding {
            cause,
            variant: cited.variant.clone(),
            confidence: cited.confidence.clamp(0.0, 1.0),
            evidence: cited.evidence.iter().take(EVIDENCE_MAX).cloned().collect(),
            subject: cited.subject.clone(),
            failure: 0,
        };
        ranked.push((check.state, finding));
    }
    ranked.sort_by(|(a_state, a), (b_state, b)| {
        let worse = b_state.cmp(a_state);
        worse.then(b.confidence.total_cmp(&a.confidence))
    });
    let numbered = ranked.into_iter().enumerate();
    numbered
        .map(|(index, (_, finding))| Finding {
            failure: index + 1,
            ..finding
        })
        .collect()
}

/// Lines of evidence that one finding shows: more tell nothing new.
const EVIDENCE_MAX: usize = 12;

/// How a diagnosis ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing fails.
    Healthy,
    /// Something fails.
    Failing,
    /// About a group that was asked for nothing could be found out.
    Unknown,
}

/// The JSON document of `modkeep doctor --json`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    findings: Vec<FindingView<'a>>,
    checks: &'a [Check],
}

impl Report {
    /// The report in the shape of `modkeep.doctor/1`.
    pub fn document(&self, lang: Lang) -> Document<'_> {
        Document {
            schema: "modkeep.doctor/1",
            findings: self.findings.iter().map(|f| f.view(lang)).collect(),
            checks: &self.checks,
        }
    }

    /// The document as text.
    ///
    /// # Errors
    /// None in practice: every value is a string, a number or a list of them.
    pub fn to_json(&self, lang: Lang) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.document(lang))
    }

    /// How it ends. Unknown checks alone are not bad; a group of nothing else is not known.
    pub fn verdict(&self) -> Verdict {
        if self.checks.iter().any(|check| check.state == State::Fail) {
            return Verdict::Failing;
        }
        let blind = |group: &Group| {
            let of_group = || self.checks.iter().filter(|check| check.group() == *group);
            of_group().any(|check| check.state == State::Unknown)
                && of_group().all(|check| matches!(check.state, State::Unknown | State::Skipped))
        };
        match Group::ALL.iter().any(blind) {
            true => Verdict::Unknown,
            false => Verdict::Healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_comes_first_and_a_cause_is_named_once() {
        let checks = [
            Check::warn("D05", "GOPROXY", "x").because("goproxy_order_direct_first", 0.9, []),
            Check::fail("D40", "GOMODCACHE", "x").because("disk_full", 0.7, ["a".to_owned()]),
            Check::fail("D40", "GOCACHE", "x").because("disk_full", 0.8, ["b".to_owned()]),
        ];
        let found = findings(&checks);
        let labels: Vec<&str> = found.iter().map(|f| f.cause.label.as_str()).collect();
        assert_eq!(labels, ["disk_full", "goproxy_order_direct_first"]);
        assert_eq!(found[0].evidence, ["a", "b"]);
        assert_eq!((found[0].failure, found[1].failure), (1, 2));
    }

    #[test]
    fn unknown_is_not_bad_unless_a_whole_group_is() {
        let mut report = Report {
            checks: vec![Check::ok("D01", "go", ""), Check::unknown("D02", "x", "")],
            findings: Vec::new(),
        };
        assert_eq!(report.verdict(), Verdict::Healthy);
        report.checks.push(Check::unknown("D40", "x", ""));
        assert_eq!(report.verdict(), Verdict::Unknown);
        report.checks.push(Check::fail("D01", "x", ""));
        assert_eq!(report.verdict(), Verdict::Failing);
    }
}
