//! From the text of a failing go command to ranked root causes.
//!
//! Clean the text, split it into failures, score every cause against each, rank. Text alone is
//! a symptom: a quarter of public failures cannot be told apart by words, so a finding carries a
//! confidence, its evidence, and the command that would prove it.

mod clean;
mod env;
mod facts;
mod rank;
mod split;
mod subject;
mod wrap;

use serde::Serialize;

use crate::cause::{Cause, Lang};

pub use clean::clean;
pub use env::Env;
pub use subject::Subject;

/// Only the end of a longer text is read: that is where a build log says what failed.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// One likely root cause of one failure.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is known about it.
    pub cause: &'static Cause,
    /// The variant, where the text tells.
    pub variant: Option<String>,
    /// 0 to 1, compared with the other causes of the same failure.
    pub confidence: f64,
    /// Lines of the text and settings that it rests on, credentials masked.
    pub evidence: Vec<String>,
    /// Module, host and URL that commands are filled with.
    pub subject: Subject,
    /// Which failure of the text, from 1.
    pub failure: usize,
}

/// What a text was found to say.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Most likely first; the first finding of each failure before any second one.
    pub findings: Vec<Finding>,
}

/// Names the likely root causes of the failures in a text.
///
/// Pure: the same text and settings give the same report. The work is linear in the text, of
/// which the last [`TEXT_BYTES_MAX`] bytes are read. A text without a known failure gives an
/// empty report.
pub fn explain(text: &str, env: &Env) -> Report {
    explain_with(text, env, |cause| cause.reports)
}

/// As [`explain`], with another count of reports per cause: a measurement leaves out the counts
/// that came from the cases it measures.
pub fn explain_with(text: &str, env: &Env, reports: impl Fn(&Cause) -> u32) -> Report {
    let text = clean(text);
    let env = env.with_text(&text);
    let blocks = split::blocks(&text);
    Report {
        findings: rank::findings(&text, &blocks, &env, &reports),
    }
}

/// The JSON document of `modkeep explain --json`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    findings: Vec<FindingView<'a>>,
}

/// A finding as JSON shows it, shared by all commands that report causes.
#[derive(Debug, Serialize)]
pub struct FindingView<'a> {
    label: &'a str,
    variant: Option<&'a str>,
    confidence: f64,
    title: &'a str,
    evidence: &'a [String],
    remedy: Vec<RemedyView<'a>>,
    avoid: Vec<AvoidView<'a>>,
    prove: Option<String>,
    failure: usize,
}

#[derive(Debug, Serialize)]
struct RemedyView<'a> {
    class: &'static str,
    text: &'a str,
    command: Option<String>,
}

#[derive(Debug, Serialize)]
struct AvoidView<'a> {
    advice: &'a str,
    why: &'a str,
}

impl Report {
    /// The report in the shape of `modkeep.explain/1`.
    pub fn document(&self, lang: Lang) -> Document<'_> {
        Document {
            schema: "modkeep.explain/1",
            findings: self.findings.iter().map(|f| f.view(lang)).collect(),
        }
    }

    /// The document as text.
    ///
    /// # Errors
    /// None in practice: every value is a string, a number or a list of them.
    pub fn to_json(&self, lang: Lang) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.document(lang))
    }
}

impl Finding {
    /// The finding in JSON's shape, titles and remedies in one language.
    pub fn view(&self, lang: Lang) -> FindingView<'_> {
        let remedy = self.cause.remedy.iter().map(|remedy| RemedyView {
            class: remedy.class.letter(),
            text: remedy.text(lang),
            command: remedy.command.as_deref().map(|c| self.subject.fill(c)),
        });
        let avoid = self.cause.avoid.iter().map(|avoid| AvoidView {
            advice: avoid.advice(lang),
            why: avoid.why(lang),
        });
        FindingView {
            label: &self.cause.label,
            variant: self.variant.as_deref(),
            confidence: (self.confidence * 100.0).round() / 100.0,
            title: &self.cause.prose(lang).title,
            evidence: &self.evidence,
            remedy: remedy.collect(),
            avoid: avoid.collect(),
            prove: self.prove(),
            failure: self.failure,
        }
    }

    /// The proving command with the module, host and URL of this failure.
    pub fn prove(&self) -> Option<String> {
        let command = self.cause.prove_command.as_deref()?;
        Some(self.subject.fill(command))
    }
}
