//! Findings and pages as text for people, in English or Chinese, with or without colour.
//!
//! Pure: the caller prints. Escape characters cannot come in from a text that is explained,
//! since cleaning removes them.

use std::fmt::Write as _;

use crate::cause::{self, Cause, Class, Lang};
use crate::explain::{Finding, Report};

/// Second and further causes of a failure are only named below this confidence.
const CONFIDENCE_SHORT: f64 = 0.15;

/// Words of the screens.
struct Words {
    nothing: &'static str,
    likely: &'static str,
    also: &'static str,
    evidence: &'static str,
    means: &'static str,
    see: &'static str,
    shows: &'static str,
    prove: &'static str,
    fix: &'static str,
    dont: &'static str,
    aliases: &'static str,
    more: &'static str,
    a: &'static str,
    b: &'static str,
    c: &'static str,
}

const EN: Words = Words {
    nothing: "No known failure of a go command in this text.",
    likely: "likely cause",
    also: "Also possible",
    evidence: "Evidence",
    means: "What it means",
    see: "What you see",
    shows: "In its words",
    prove: "Prove it",
    fix: "Fix it",
    dont: "Do not",
    aliases: "Also called",
    more: "More",
    a: "safe",
    b: "changes the project",
    c: "lowers verification",
};

const ZH: Words = Words {
    nothing: "这段文字里没有认识的 go 命令错误。",
    likely: "可能的原因",
    also: "也可能是",
    evidence: "依据",
    means: "这是什么意思",
    see: "你看到什么",
    shows: "原文大致是",
    prove: "怎样证明",
    fix: "怎样解决",
    dont: "不要这样",
    aliases: "也叫",
    more: "详细",
    a: "安全",
    b: "会改动项目",
    c: "会降低校验",
};

struct Screen {
    lang: Lang,
    words: &'static Words,
    color: bool,
    out: String,
}

/// The findings, most likely first, each failure with its leading cause at length.
pub fn report(report: &Report, lang: Lang, color: bool) -> String {
    let mut screen = Screen::new(lang, color);
    if report.findings.is_empty() {
        screen.line(screen.words.nothing);
        return screen.out;
    }
    let failures = report.findings.iter().map(|f| f.failure).max().unwrap_or(1);
    for failure in 1..=failures {
        let mut findings = report.findings.iter().filter(|f| f.failure == failure);
        if let Some(first) = findings.next() {
            screen.finding(first, (failures > 1).then_some((failure, failures)));
        }
        screen.others(findings);
    }
    screen.out
}

/// One finding at length.
pub fn finding(finding: &Finding, lang: Lang, color: bool) -> String {
    let mut screen = Screen::new(lang, color);
    screen.finding(finding, None);
    screen.out
}

/// Findings by name, with what would prove each.
pub fn named(findings: &[Finding], lang: Lang, color: bool) -> String {
    let mut screen = Screen::new(lang, color);
    screen.others(findings.iter());
    screen.out
}

/// Every known cause with its title, by family.
pub fn list(lang: Lang, color: bool) -> String {
    let mut screen = Screen::new(lang, color);
    let mut causes: Vec<&Cause> = cause::all().iter().collect();
    causes.sort_by(|a, b| (&a.family, &a.label).cmp(&(&b.family, &b.label)));
    let mut family = "";
    for cause in causes {
        if cause.family != family {
            family = &cause.family;
            screen.head(family);
        }
        let title = &cause.prose(lang).title;
        let _ = writeln!(screen.out, "  {:<36} {title}", cause.label);
    }
    screen.out
}

/// One cause at length.
pub fn page(cause: &Cause, lang: Lang, color: bool) -> String {
    let mut screen = Screen::new(lang, color);
    let prose = cause.prose(lang);
    let title = screen.bold(&prose.title);
    let _ = writeln!(screen.out, "{}: {title}", cause.label);
    if !cause.aliases.is_empty() {
        let _ = writeln!(
            screen.out,
            "({}: {})",
            screen.words.aliases,
            cause.aliases.join(", ")
        );
    }
    screen.section(screen.words.see, &prose.see);
    screen.head(screen.words.shows);
    for shown in &cause.shows {
        screen.line(&format!("  {shown}"));
    }
    screen.section(screen.words.means, &prose.means);
    screen.section(screen.words.prove, &prose.prove);
    if let Some(command) = &cause.prove_command {
        screen.command(&crate::explain::Subject::default().fill(command));
    }
    screen.remedies(cause, &crate::explain::Subject::default());
    screen.avoid(cause);
    screen.out
}

impl Screen {
    fn new(lang: Lang, color: bool) -> Self {
        let words = match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
        };
        Self {
            lang,
            words,
            color,
            out: String::new(),
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn bold(&self, text: &str) -> String {
        if self.color {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn head(&mut self, text: &str) {
        let text = self.bold(text);
        let _ = writeln!(self.out, "\n{text}");
    }

    fn section(&mut self, head: &str, text: &str) {
        self.head(head);
        self.line(&format!("  {text}"));
    }

    fn command(&mut self, command: &str) {
        self.line(&format!("    $ {command}"));
    }

    fn finding(&mut self, finding: &Finding, numbered: Option<(usize, usize)>) {
        let prose = finding.cause.prose(self.lang);
        if let Some((failure, failures)) = numbered {
            let gap = if failure > 1 { "\n" } else { "" };
            let _ = writeln!(self.out, "{gap}[{failure}/{failures}]");
        }
        let title = self.bold(&prose.title);
        let percent = (finding.confidence * 100.0).round();
        let likely = self.words.likely;
        let _ = writeln!(
            self.out,
            "{title}\n{likely}: {} ({percent} %)",
            full_name(finding)
        );
        self.head(self.words.evidence);
        for line in &finding.evidence {
            self.line(&format!("  {line}"));
        }
        self.section(self.words.means, &prose.means);
        self.section(self.words.prove, &prose.prove);
        if let Some(command) = finding.prove() {
            self.command(&command);
        }
        self.remedies(finding.cause, &finding.subject);
        self.avoid(finding.cause);
    }

    fn others<'f>(&mut self, findings: impl Iterator<Item = &'f Finding>) {
        let mut first = true;
        for finding in findings.filter(|f| f.confidence >= CONFIDENCE_SHORT / 3.0) {
            if first {
                self.head(self.words.also);
                first = false;
            }
            let title = &finding.cause.prose(self.lang).title;
            let percent = (finding.confidence * 100.0).round();
            let _ = writeln!(self.out, "  {} ({percent} %): {title}", full_name(finding));
            if finding.confidence >= CONFIDENCE_SHORT
                && let Some(command) = finding.prove()
            {
                self.command(&command);
            }
        }
        if !first {
            let _ = writeln!(self.out, "  {}: modkeep explain LABEL", self.words.more);
        }
    }

    fn remedies(&mut self, cause: &Cause, subject: &crate::explain::Subject) {
        self.head(self.words.fix);
        for remedy in &cause.remedy {
            let class = match remedy.class {
                Class::A => self.words.a,
                Class::B => self.words.b,
                Class::C => self.words.c,
            };
            let letter = remedy.class.letter();
            self.line(&format!("  {letter} ({class}) {}", remedy.text(self.lang)));
            if let Some(command) = &remedy.command {
                self.command(&subject.fill(command));
            }
        }
    }

    fn avoid(&mut self, cause: &Cause) {
        self.head(self.words.dont);
        for avoid in &cause.avoid {
            self.line(&format!("  {}", avoid.advice(self.lang)));
            self.line(&format!("    {}", avoid.why(self.lang)));
        }
    }
}

fn full_name(finding: &Finding) -> String {
    match &finding.variant {
        Some(variant) => format!("{}:{variant}", finding.cause.label),
        None => finding.cause.label.clone(),
    }
}
