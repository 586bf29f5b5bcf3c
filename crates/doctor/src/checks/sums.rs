//! D51: does go.sum hold a line for everything that a build will ask it, and no two that differ?

use gomod::gosum::GoSum;

use super::imports::provider;
use super::late;
use super::project::{Project, conflict};
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{FileText, Seen};

pub fn checks(project: &Project<'_>) -> Vec<Check> {
    let text = match &project.seen.go_sum {
        Seen::Unknown => return vec![late("D51", "go.sum")],
        Seen::Absent => None,
        Seen::Present(text) => Some(text),
    };
    if let Some(error) = text.and_then(|text| text.error.as_ref()) {
        return vec![Check::unknown("D51", "go.sum", error)];
    }
    let parsed = match text.map(parse).transpose() {
        Ok(parsed) => parsed.unwrap_or_default(),
        Err(check) => return vec![*check],
    };
    if let Some(check) = contradiction(&parsed) {
        return vec![check];
    }
    if text.is_some_and(|text| text.cut) {
        return vec![Check::unknown("D51", "go.sum", "larger than is read")];
    }
    vec![complete(project, &parsed, text.is_some())]
}

fn parse(text: &FileText) -> Result<GoSum, Box<Check>> {
    if let Some(number) = conflict(&text.text) {
        let detail = format!(
            "line {number}: marks of a merge conflict; keep the lines of both sides, then go mod tidy"
        );
        let check = Check::fail("D51", "go.sum", detail);
        return Err(Box::new(
            check
                .because("gosum_malformed", 0.98, [])
                .variant("conflict"),
        ));
    }
    GoSum::parse("go.sum", text.text.as_bytes()).map_err(|error| {
        let detail = error.to_string().replace('\n', " ");
        Box::new(Check::fail("D51", "go.sum", detail).because("gosum_malformed", 0.97, []))
    })
}

/// Two hashes for one file: the go command fails on the first that differs.
fn contradiction(sums: &GoSum) -> Option<Check> {
    for line in sums.lines().filter(|line| line.is_known()) {
        let mut others = sums.find(&line.path, &line.version, line.go_mod);
        let other = others.find(|other| {
            other.is_known() && other.number > line.number && other.text != line.text
        });
        if let Some(other) = other {
            let end = if line.go_mod { "/go.mod" } else { "" };
            let name = format!("{}@{}{end}", line.path, line.version);
            let detail = format!(
                "lines {} and {} give {name} two different hashes",
                line.number, other.number
            );
            let evidence = [
                format!("line {}: {}", line.number, line.text),
                format!("line {}: {}", other.number, other.text),
            ];
            let subject = subject(&line.path, &line.version);
            return Some(
                Check::fail("D51", name, detail)
                    .because("checksum_mismatch_gosum_wrong", 0.85, evidence)
                    .about(subject),
            );
        }
        if line.hash().is_none() {
            let detail = format!("line {}: {} is no hash", line.number, line.text);
            let subject = subject(&line.path, &line.version);
            return Some(
                Check::fail("D51", "go.sum", detail)
                    .because("checksum_mismatch_gosum_wrong", 0.8, [])
                    .about(subject),
            );
        }
    }
    None
}

fn subject(path: &str, version: &str) -> Subject {
    Subject {
        module: Some(path.to_owned()),
        version: Some(version.to_owned()),
        ..Subject::default()
    }
}

fn complete(project: &Project<'_>, sums: &GoSum, there: bool) -> Check {
    let lines = sums.lines().count();
    if project.is_vendored() {
        return Check::ok("D51", "go.sum", format!("{lines} lines; builds use vendor"));
    }
    if project.goflag("mod").as_deref() == Some("mod") || project.goflag("modfile").is_some() {
        return Check::ok(
            "D51",
            "go.sum",
            format!("{lines} lines; missing ones are added (-mod=mod)"),
        );
    }
    if project.seen.work.present().is_some_and(|work| work.exists) {
        return Check::ok(
            "D51",
            "go.sum",
            format!("{lines} lines; go.work.sum counts too"),
        );
    }
    if let Some((path, version, go_mod, why)) = first_missing(project, sums) {
        let end = if go_mod { "/go.mod" } else { "" };
        let what = if there {
            "missing go.sum entry"
        } else {
            "there is no go.sum; missing entry"
        };
        let detail = format!("{what} for {path}@{version}{end}: {why}");
        return Check::fail("D51", "go.sum", detail)
            .because("missing_go_sum_entry", 0.93, [])
            .about(subject(&path, &version));
    }
    Check::ok(
        "D51",
        "go.sum",
        format!("{lines} lines, none missing for what is required and imported"),
    )
}

/// The first file that a build will need and go.sum does not name. From go 1.17 on every module
/// that matters stands in go.mod; before, the rest is not known here and not judged.
fn first_missing(project: &Project<'_>, sums: &GoSum) -> Option<(String, String, bool, String)> {
    let has = |path: &str, version: &str, go_mod| sums.find(path, version, go_mod).next().is_some();
    for require in &project.file.require {
        let (path, version) = project.effective(&require.path, &require.version)?;
        if version.is_empty() {
            continue;
        }
        // The zip's line alone is enough for nothing: the go.mod is read first.
        if !has(&path, &version, true) {
            return Some((path, version, true, "go.mod requires it".into()));
        }
    }
    for import in project
        .seen
        .imports
        .iter()
        .flatten()
        .filter(|import| !import.constrained)
    {
        let Some(found) = provider(project, import) else {
            continue;
        };
        let Some((path, version)) = project.effective(&found.module, &found.version) else {
            continue;
        };
        if !version.is_empty() && !has(&path, &version, false) {
            let why = format!(
                "it provides {}, imported by {}:{}",
                import.path, import.file, import.line
            );
            return Some((path, version, false, why));
        }
    }
    None
}

impl Project<'_> {
    /// Path and version that are downloaded for a requirement; no version for a directory.
    fn effective(&self, path: &str, version: &str) -> Option<(String, String)> {
        Some(match self.replacement(path, version) {
            Some(replace) => (
                replace.new.clone(),
                replace.new_version.clone().unwrap_or_default(),
            ),
            None => (path.to_owned(), version.to_owned()),
        })
    }
}
