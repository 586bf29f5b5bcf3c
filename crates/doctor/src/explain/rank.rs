//! Scores every cause against every failure and puts the findings in order.
//!
//! A cause's score is its strongest sign, shifted by its hints, plus a little for how often the
//! cause was reported (so that it decides only between equals). Scores of one failure are turned
//! into confidences by a soft maximum, lowered when even the best sign is weak. Weights were
//! chosen by what the words mean in the go command's sources, not fitted to cases.

use std::collections::BTreeSet;

use super::env::Env;
use super::facts::facts;
use super::split::Block;
use super::subject::{Subject, without_login};
use super::{Finding, Report};
use crate::cause::{self, Cause, Condition, Fact, Sign};

/// A sign below this says too little to name a failure by itself.
const SCORE_MIN: f64 = 40.0;
/// From here a failure stands beside others in the same text.
const SCORE_OF_OWN: f64 = 62.0;
/// Score difference that makes one cause about 2.7 times as likely as another.
const SOFTNESS: f64 = 9.0;
/// Decisive wording; a failure whose best score is lower is told with less confidence.
const SCORE_SURE: f64 = 95.0;
/// Findings of one failure, and of one text.
const PER_FAILURE_MAX: usize = 6;
const PER_TEXT_MAX: usize = 12;
/// The end of the whole text that conditions on "anywhere" read; keeps the work per block small.
const WHOLE_BYTES_MAX: usize = 64 * 1024;
const EVIDENCE_LINES_MAX: usize = 4;
const EVIDENCE_CHARS_MAX: usize = 300;

/// How strongly reports of a cause count between equals: 15 reports give 8 points, one gives 2.
const PRIOR: f64 = 2.0;

/// How often a cause was reported.
type Reports<'a> = dyn Fn(&Cause) -> u32 + 'a;

/// What every block is judged with.
struct Setting<'a> {
    whole: &'a str,
    env: &'a Env,
    reports: &'a Reports<'a>,
}

/// One block, ready for conditions.
struct Scene<'a> {
    block: &'a Block,
    reports: &'a Reports<'a>,
    whole: &'a str,
    env: &'a Env,
    facts: BTreeSet<Fact>,
    minor: Option<u32>,
}

struct Scored {
    cause: &'static Cause,
    score: f64,
    variant: Option<String>,
    evidence: Vec<String>,
}

struct Failure {
    ranked: Vec<Scored>,
    subject: Subject,
}

/// Ranks the causes of all blocks.
pub fn findings(whole: &str, blocks: &[Block], env: &Env, reports: &Reports<'_>) -> Vec<Finding> {
    let whole = end(whole);
    let setting = Setting {
        whole,
        env,
        reports,
    };
    let serious = blocks.iter().filter(|block| !block.chatter);
    let mut failures = merge(serious.filter_map(|block| failure(&setting, block)));
    if failures.is_empty() {
        let chatter = blocks.iter().filter(|block| block.chatter);
        failures = merge(chatter.filter_map(|block| failure(&setting, block)));
    }
    failures.sort_by(|a, b| best(b).total_cmp(&best(a)));
    let keep = |(index, f): &(usize, &Failure)| *index == 0 || best(f) >= SCORE_OF_OWN;
    let kept = failures.iter().enumerate().filter(keep).count();
    failures.truncate(kept);
    arrange(failures)
}

fn end(text: &str) -> &str {
    let mut start = text.len().saturating_sub(WHOLE_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn best(failure: &Failure) -> f64 {
    failure.ranked.first().map_or(0.0, |scored| scored.score)
}

fn failure(setting: &Setting<'_>, block: &Block) -> Option<Failure> {
    let Setting {
        whole,
        env,
        reports,
    } = *setting;
    let subject = Subject::of(&block.text, &env.goproxy());
    let scene = Scene {
        block,
        reports,
        whole,
        env,
        facts: facts(&block.text, &subject, env),
        minor: env.go_minor(whole),
    };
    let mut ranked: Vec<Scored> = cause::all().iter().filter_map(|c| scene.score(c)).collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    (ranked.first()?.score >= SCORE_MIN).then_some(Failure { ranked, subject })
}

/// Blocks with the same leading cause are one failure: a build names it once per module.
fn merge(found: impl Iterator<Item = Failure>) -> Vec<Failure> {
    let mut merged: Vec<Failure> = Vec::new();
    for failure in found {
        let label = &failure.ranked[0].cause.label;
        match merged
            .iter_mut()
            .find(|f| f.ranked[0].cause.label == *label)
        {
            Some(known) => absorb(known, failure),
            None => merged.push(failure),
        }
    }
    merged
}

fn absorb(known: &mut Failure, other: Failure) {
    for scored in other.ranked {
        let label = &scored.cause.label;
        match known.ranked.iter_mut().find(|s| s.cause.label == *label) {
            Some(same) => {
                same.score = same.score.max(scored.score);
                same.variant = same.variant.take().or(scored.variant);
                for line in scored.evidence {
                    push_evidence(&mut same.evidence, line);
                }
            }
            None => known.ranked.push(scored),
        }
    }
    known.ranked[1..].sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// The first finding of each failure, then the others by confidence; a cause stands once.
fn arrange(failures: Vec<Failure>) -> Vec<Finding> {
    let mut report = Report::default();
    let mut others = Vec::new();
    for (index, failure) in failures.into_iter().enumerate() {
        let confidences = confidences(&failure.ranked);
        let scored = failure.ranked.into_iter().zip(confidences);
        for (rank, (scored, confidence)) in scored.take(PER_FAILURE_MAX).enumerate() {
            let finding = Finding {
                cause: scored.cause,
                variant: scored.variant,
                confidence,
                evidence: scored.evidence,
                subject: failure.subject.clone(),
                failure: index + 1,
            };
            if rank == 0 {
                report.findings.push(finding);
            } else {
                others.push(finding);
            }
        }
    }
    others.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    for finding in others {
        let label = &finding.cause.label;
        let known = report.findings.iter().any(|f| f.cause.label == *label);
        if !known && report.findings.len() < PER_TEXT_MAX {
            report.findings.push(finding);
        }
    }
    report.findings
}

fn confidences(ranked: &[Scored]) -> Vec<f64> {
    let top = ranked.first().map_or(0.0, |scored| scored.score);
    let raw: Vec<f64> = ranked
        .iter()
        .map(|s| ((s.score - top) / SOFTNESS).exp())
        .collect();
    let sum: f64 = raw.iter().sum();
    let sure = (top / SCORE_SURE).clamp(0.0, 0.97);
    raw.into_iter().map(|value| value / sum * sure).collect()
}

impl Scene<'_> {
    fn score(&self, cause: &'static Cause) -> Option<Scored> {
        let mut scored: Option<Scored> = None;
        for sign in &cause.signs {
            let Some(evidence) = self.shows(sign) else {
                continue;
            };
            let weight = f64::from(sign.weight);
            let best = scored.get_or_insert_with(|| Scored {
                cause,
                score: 0.0,
                variant: None,
                evidence: Vec::new(),
            });
            if weight > best.score {
                best.score = weight;
                best.variant = sign.variant.clone().or(best.variant.take());
            }
            for line in evidence {
                push_evidence(&mut best.evidence, line);
            }
        }
        let mut scored = scored?;
        for hint in &cause.hints {
            if hint.conditions.iter().all(|c| self.holds(c)) {
                scored.score += f64::from(hint.add);
                for line in hint.conditions.iter().filter_map(|c| self.setting_shown(c)) {
                    push_evidence(&mut scored.evidence, line);
                }
            }
        }
        scored.score += PRIOR * f64::from(1 + (self.reports)(cause)).log2();
        Some(scored)
    }

    /// The evidence lines of a sign that holds.
    fn shows(&self, sign: &Sign) -> Option<Vec<String>> {
        let mut evidence = Vec::new();
        if let Some(fact) = sign.fact {
            if !self.facts.contains(&fact) {
                return None;
            }
            evidence.extend(self.fact_shown(fact));
        }
        match (&sign.env, &sign.text) {
            (Some(name), Some(text)) => {
                let value = self.env.get(name).filter(|value| text.is_match(value))?;
                evidence.push(format!("{name}={}", without_login(value)));
            }
            (None, Some(text)) => evidence.extend(self.lines_of(text)?),
            (_, None) => {}
        }
        sign.conditions
            .iter()
            .all(|c| self.holds(c))
            .then_some(evidence)
    }

    fn lines_of(&self, pattern: &cause::Pattern) -> Option<Vec<String>> {
        let texts = [Some(&self.block.text), self.block.joined.as_ref()];
        texts.into_iter().flatten().find_map(|text| {
            let found = pattern.find(text)?;
            let start = text[..found.start()].rfind('\n').map_or(0, |at| at + 1);
            let end = text[found.end()..]
                .find('\n')
                .map_or(text.len(), |at| found.end() + at);
            Some(text[start..end].lines().map(str::to_owned).collect())
        })
    }

    fn holds(&self, condition: &Condition) -> bool {
        use cause::Asks;
        let block = &self.block.text;
        let held = match &condition.asks {
            Asks::Text(re) => {
                re.is_match(block) || self.block.joined.as_ref().is_some_and(|t| re.is_match(t))
            }
            Asks::Any(re) => re.is_match(self.whole) || re.is_match(self.env.command()),
            Asks::Command(re) => re.is_match(self.env.command()),
            Asks::Setting(name, re) => self.env.get(name).is_some_and(|value| re.is_match(value)),
            Asks::Fact(fact) => self.facts.contains(fact),
            Asks::GoBelow(minor) => self.minor.is_some_and(|m| m < *minor),
        };
        held != condition.denied
    }

    fn setting_shown(&self, condition: &Condition) -> Option<String> {
        match &condition.asks {
            cause::Asks::Setting(name, _) if !condition.denied => self.setting(name),
            cause::Asks::Fact(fact) if !condition.denied => self.fact_shown(*fact),
            _ => None,
        }
    }

    fn fact_shown(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Mirror | Fact::MirrorOnly | Fact::GoproxyDirectOnly => self.setting("GOPROXY"),
            Fact::GoprivateSuspect => {
                let names = ["GOPRIVATE", "GONOPROXY", "GONOSUMDB"];
                names.iter().find_map(|name| self.setting(name))
            }
            _ => None,
        }
    }

    fn setting(&self, name: &str) -> Option<String> {
        let value = self.env.get(name)?;
        Some(format!("{name}={}", without_login(value)))
    }
}

fn push_evidence(evidence: &mut Vec<String>, line: String) {
    let line: String = line.trim().chars().take(EVIDENCE_CHARS_MAX).collect();
    let line = without_login(&line);
    if evidence.len() < EVIDENCE_LINES_MAX && !line.is_empty() && !evidence.contains(&line) {
        evidence.push(line);
    }
}
