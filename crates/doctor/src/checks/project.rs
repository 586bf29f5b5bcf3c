//! D50, D53, D54, D55, D57, D60: go.mod, nested modules, replaced ones, vendor, retracted versions.

use std::collections::BTreeMap;

use gomod::modfile::{ModFile, Replace};
use gomod::semver;

use super::{imports, late, sums, versions};
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{EnvFacts, Facts, FileText, ProjectFacts, RequiredModule, Seen, Vendor};

/// Everything the rules of a project ask for.
pub struct Project<'f> {
    /// All facts.
    pub facts: &'f Facts,
    /// Those of the project.
    pub seen: &'f ProjectFacts,
    /// Settings.
    pub env: &'f EnvFacts,
    /// What it says.
    pub file: ModFile,
}

impl Project<'_> {
    /// The replacement in force for a version, if any: one for the version before one for all.
    pub fn replacement(&self, path: &str, version: &str) -> Option<&Replace> {
        let of = |r: &&Replace| r.old == path;
        let exact = self
            .file
            .replace
            .iter()
            .filter(of)
            .find(|r| r.old_version.as_deref() == Some(version));
        exact.or_else(|| {
            self.file
                .replace
                .iter()
                .filter(of)
                .find(|r| r.old_version.is_none())
        })
    }

    /// The value of a flag in GOFLAGS.
    pub fn goflag(&self, name: &str) -> Option<String> {
        let words = super::flags::split(&self.env.setting("GOFLAGS").value).ok()?;
        let prefix = format!("-{name}=");
        words.iter().rev().find_map(|word| {
            let word = word
                .strip_prefix('-')
                .filter(|rest| rest.starts_with('-'))
                .unwrap_or(word);
            word.strip_prefix(&prefix).map(str::to_owned)
        })
    }

    /// Whether builds read the vendor directory instead of the module cache.
    pub fn is_vendored(&self) -> bool {
        let there = self.seen.vendor.present().is_some();
        let go = self
            .file
            .go
            .as_deref()
            .and_then(crate::goversion::GoVersion::parse);
        match self.goflag("mod").as_deref() {
            Some("vendor") => there,
            Some(_) => false,
            None => there && go.is_some_and(|go| go.at_least(14)),
        }
    }
}

/// The main module's file, read strictly or, if that fails, leniently.
pub fn mod_file(facts: &Facts) -> Option<ModFile> {
    let text = facts.project.as_ref()?.go_mod.present()?;
    let bytes = text.text.as_bytes();
    ModFile::parse_strict("go.mod", bytes)
        .or_else(|_| ModFile::parse_lax("go.mod", bytes))
        .ok()
}

pub fn checks(facts: &Facts, seen: &ProjectFacts) -> Vec<Check> {
    let took = facts.took("project");
    let text = match &seen.go_mod {
        Seen::Unknown => return vec![late("D50", "go.mod")],
        Seen::Absent => return vec![none(seen).took(took)],
        Seen::Present(text) => text,
    };
    if let Some(error) = &text.error {
        return vec![Check::unknown("D50", &text.path, error)];
    }
    let mut checks = vec![go_mod(text, facts)];
    let (Some(file), Some(env)) = (mod_file(facts), &facts.env) else {
        return checks;
    };
    let project = Project {
        facts,
        seen,
        env,
        file,
    };
    checks.extend(sums::checks(&project));
    checks.extend(nested(&project));
    checks.extend(replaced(&project));
    checks.extend(vendor(&project));
    checks.extend(versions::checks(&project));
    checks.push(retracted(&project));
    checks.extend(imports::checks(&project));
    checks.push(forks(&project));
    checks.into_iter().map(|check| check.took(took)).collect()
}

fn none(seen: &ProjectFacts) -> Check {
    let sources = seen
        .packages
        .as_ref()
        .is_some_and(|packages| !packages.is_empty());
    match sources {
        true => {
            let detail = "there are Go files, but no go.mod here or in any directory above";
            let evidence = [format!("{}: no go.mod here or above", seen.dir)];
            Check::fail("D50", &seen.dir, detail).because("no_go_mod", 0.9, evidence)
        }
        false => Check::skipped("D50", &seen.dir, "no Go project here"),
    }
}

fn go_mod(text: &FileText, facts: &Facts) -> Check {
    if let Some(number) = conflict(&text.text) {
        let detail = format!("line {number}: marks of a merge conflict");
        return Check::fail("D50", &text.path, detail)
            .because("go_mod_parse_error", 0.98, [])
            .variant("conflict");
    }
    match ModFile::parse_strict("go.mod", text.text.as_bytes()) {
        Ok(file) if file.module.is_none() => {
            let detail = "no module line";
            Check::fail("D50", &text.path, detail).because("go_mod_parse_error", 0.95, [])
        }
        Ok(file) => old_go(text, &file, facts).unwrap_or_else(|| {
            let go = file.go.as_deref().unwrap_or("no go line");
            let name = file.module.as_deref().unwrap_or_default();
            Check::ok(
                "D50",
                &text.path,
                format!("{name}, go {go}, {} requirements", file.require.len()),
            )
        }),
        Err(error) => {
            let first = error.mistakes.first().map_or("", String::as_str);
            let evidence: Vec<String> = error.mistakes.iter().take(4).cloned().collect();
            Check::fail("D50", &text.path, first).because(label_of(first), 0.93, evidence)
        }
    }
}

/// Before 1.21 a go line had two numbers, and a third made the file invalid.
fn old_go(text: &FileText, file: &ModFile, facts: &Facts) -> Option<Check> {
    let version = facts
        .go
        .as_ref()?
        .on_path
        .as_ref()?
        .first()?
        .version
        .clone()?;
    let local = crate::goversion::GoVersion::parse(&version)?;
    let go = file.go.as_deref()?;
    let wanted = crate::goversion::GoVersion::parse(go)?;
    let refused = !local.at_least(21) && (!wanted.is_language() || file.toolchain.is_some());
    refused.then(|| {
        let detail = format!("{version} cannot read it: go {go} and toolchain lines need Go 1.21");
        Check::fail("D50", &text.path, detail).because("go_version_too_old", 0.9, [])
    })
}

/// The first line that a version control system left in the middle of a merge.
pub fn conflict(text: &str) -> Option<usize> {
    let marks = ["<<<<<<< ", ">>>>>>> ", "||||||| "];
    let at = |line: &str| {
        marks.iter().any(|mark| line.starts_with(mark)) || line.trim_end() == "======="
    };
    text.lines().position(at).map(|index| index + 1)
}

fn label_of(mistake: &str) -> &'static str {
    if mistake.contains("+incompatible") {
        "incompatible_version"
    } else if mistake.contains("should be v") {
        "major_version_suffix"
    } else if mistake.contains("invalid version") || mistake.contains("invalid: must be") {
        "invalid_version_syntax"
    } else {
        "go_mod_parse_error"
    }
}

/// Directories of this repository that are modules of their own, and are imported as if not.
fn nested(project: &Project<'_>) -> Vec<Check> {
    let Some(nested) = &project.seen.nested else {
        return vec![late("D53", "nested modules")];
    };
    let own = project.file.module.as_deref().unwrap_or_default();
    let mut checks = Vec::new();
    for module in nested {
        let path = format!("{own}/{}", module.written);
        let below = |import: &str| {
            import == path
                || import
                    .strip_prefix(&path)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let declared = module.module.as_deref().unwrap_or_default();
        let required = project
            .file
            .require
            .iter()
            .any(|require| require.path == path || require.path == declared);
        let in_work = project.seen.work.present().is_some_and(|work| {
            work.uses
                .iter()
                .any(|used| used.module.as_deref() == Some(declared))
        });
        let import = project
            .seen
            .imports
            .iter()
            .flatten()
            .find(|import| below(&import.path));
        if let Some(import) = import.filter(|_| !required && !in_work) {
            let detail = format!(
                "{} has a go.mod of its own ({declared}), so {} is not part of this module: {}:{} imports it",
                module.written, import.path, import.file, import.line
            );
            let subject = Subject {
                module: Some(path.clone()),
                ..Subject::default()
            };
            checks.push(
                Check::fail("D53", &module.written, detail)
                    .because("nested_module", 0.93, [])
                    .about(subject),
            );
        }
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            "D53",
            "nested modules",
            format!("{}", nested.len()),
        ));
    }
    checks
}

fn replaced(project: &Project<'_>) -> Vec<Check> {
    let Some(dirs) = &project.seen.replaced else {
        return vec![late("D54", "replace")];
    };
    let mut checks = Vec::new();
    for dir in dirs {
        let what = match (dir.exists, dir.has_go_mod) {
            (Some(false), _) => "is not there",
            (Some(true), Some(false)) => "has no go.mod",
            _ => continue,
        };
        let old = project
            .file
            .replace
            .iter()
            .find(|r| r.new == dir.written)
            .map_or("", |r| r.old.as_str());
        let detail = format!("{old} => {}: {} {what}", dir.written, dir.path);
        let subject = Subject {
            module: Some(old.to_owned()),
            ..Subject::default()
        };
        checks.push(
            Check::fail("D54", &dir.written, detail)
                .because("replace_target_missing", 0.97, [])
                .about(subject),
        );
    }
    checks.extend(outside_image(project));
    if checks.is_empty() {
        let (replaces, excludes) = (project.file.replace.len(), project.file.exclude.len());
        let note = match replaces + excludes {
            0 => "",
            _ => "; go install MODULE@VERSION of this module refuses them",
        };
        checks.push(Check::ok(
            "D54",
            "replace",
            format!("{replaces} replace and {excludes} exclude lines{note}"),
        ));
    }
    checks
}

/// A Dockerfile copies this directory, and a replaced module lies outside it.
fn outside_image(project: &Project<'_>) -> Option<Check> {
    let copy = project
        .seen
        .docker
        .iter()
        .find(|(_, _, text)| text.to_ascii_uppercase().starts_with("COPY"))?;
    let outside =
        project.file.replace.iter().find(|r| {
            r.new_version.is_none() && (r.new.starts_with("..") || r.new.starts_with('/'))
        })?;
    let detail = format!(
        "{} => {} lies outside this directory: {} line {} cannot copy it into the image",
        outside.old, outside.new, copy.0, copy.1
    );
    Some(Check::warn("D54", &outside.new, detail).because("replace_target_missing", 0.6, []))
}

fn vendor(project: &Project<'_>) -> Vec<Check> {
    let vendor = match &project.seen.vendor {
        Seen::Unknown => return vec![late("D55", "vendor")],
        Seen::Absent => return vec![Check::ok("D55", "vendor", "no vendor directory")],
        Seen::Present(vendor) => vendor,
    };
    if !project.is_vendored() {
        return vec![Check::skipped(
            "D55",
            "vendor",
            "there, but builds do not use it (-mod or an old go line)",
        )];
    }
    let Some(modules) = &vendor.modules else {
        return match project.file.require.is_empty() {
            true => vec![Check::ok(
                "D55",
                "vendor",
                "no modules.txt, and nothing is required",
            )],
            false => {
                let detail = "vendor/modules.txt is missing: go mod vendor writes it";
                vec![Check::fail("D55", "vendor", detail).because("vendor_inconsistent", 0.93, [])]
            }
        };
    };
    let mut wrong = inconsistent(project, &modules.text);
    wrong.extend(missing(vendor));
    if wrong.is_empty() {
        return vec![Check::ok("D55", "vendor", "agrees with go.mod")];
    }
    let detail = format!(
        "{}{}",
        wrong[0],
        if wrong.len() > 1 { " (and more)" } else { "" }
    );
    vec![Check::fail("D55", "vendor/modules.txt", detail).because(
        "vendor_inconsistent",
        0.97,
        wrong,
    )]
}

fn missing(vendor: &Vendor) -> Option<String> {
    let first = vendor.missing.first()?;
    Some(format!(
        "{first}: listed in vendor/modules.txt, but vendor/{first} is not there"
    ))
}

/// What modules.txt says of one module.
#[derive(Default)]
struct Listed {
    explicit: bool,
    replaced_by: Option<String>,
}

/// As `checkVendorConsistency` of the go command, in the order of go.mod. Source:
/// cmd/go/internal/modload/vendor.go.
fn inconsistent(project: &Project<'_>, text: &str) -> Vec<String> {
    let listed = listed(text);
    let mut wrong = Vec::new();
    for require in &project.file.require {
        let key = format!("{} {}", require.path, require.version);
        if !listed.get(&key).is_some_and(|entry| entry.explicit) {
            wrong.push(format!("{}@{}: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt", require.path, require.version));
        }
    }
    for replace in &project.file.replace {
        let old = replace
            .old_version
            .as_deref()
            .map_or(replace.old.clone(), |v| format!("{} {v}", replace.old));
        let new = replace
            .new_version
            .as_deref()
            .map_or(replace.new.clone(), |v| format!("{} {v}", replace.new));
        match listed.get(&old).and_then(|entry| entry.replaced_by.as_deref()) {
            None => wrong.push(format!("{old}: is replaced in go.mod, but not marked as replaced in vendor/modules.txt")),
            Some(by) if by != new => wrong.push(format!("{old}: is replaced by {new} in go.mod, but marked as replaced by {by} in vendor/modules.txt")),
            Some(_) => {}
        }
    }
    for (key, entry) in listed.iter().filter(|(_, entry)| entry.explicit) {
        let (path, version) = key.split_once(' ').unwrap_or((key, ""));
        let required = project
            .file
            .require
            .iter()
            .any(|r| r.path == path && r.version == version);
        if !required && !version.is_empty() && entry.replaced_by.is_none() {
            wrong.push(format!("{path}@{version}: is marked as explicit in vendor/modules.txt, but not explicitly required in go.mod"));
        }
    }
    wrong.truncate(20);
    wrong
}

fn listed(text: &str) -> BTreeMap<String, Listed> {
    let mut found: BTreeMap<String, Listed> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("## ") {
            let explicit = rest.split(';').any(|word| word.trim() == "explicit");
            if let Some(entry) = current.as_ref().and_then(|key| found.get_mut(key)) {
                entry.explicit |= explicit;
            }
            continue;
        }
        let Some(rest) = line.strip_prefix("# ") else {
            continue;
        };
        let (old, new) = match rest.split_once(" => ") {
            Some((old, new)) => (old.trim(), Some(new.trim().to_owned())),
            None => (rest.trim(), None),
        };
        let entry = found.entry(old.to_owned()).or_default();
        if let Some(new) = new {
            entry.replaced_by = Some(new);
        }
        current = Some(old.to_owned());
    }
    found
}

fn retracted(project: &Project<'_>) -> Check {
    let Some(required) = &project.seen.required else {
        return late("D57", "retracted versions");
    };
    let within = |module: &RequiredModule| {
        let hit = module.retracts.iter().find(|(low, high, _)| {
            let version = &module.version;
            semver::compare(version, low).is_ge() && semver::compare(version, high).is_le()
        });
        hit.map(|(_, _, why)| (module.module.clone(), module.version.clone(), why.clone()))
    };
    match required.iter().find_map(within) {
        Some((module, version, why)) => {
            let why = if why.is_empty() {
                "no reason given".to_owned()
            } else {
                why
            };
            let detail = format!("{module}@{version} was retracted by its author: {why}");
            let subject = Subject {
                module: Some(module.clone()),
                version: Some(version),
                ..Subject::default()
            };
            Check::warn("D57", module, detail)
                .because("retracted", 0.85, [])
                .about(subject)
        }
        None => Check::ok(
            "D57",
            "retracted versions",
            "none, as far as the module cache knows",
        ),
    }
}

/// A module that calls itself by another name: a fork or a renamed one.
fn forks(project: &Project<'_>) -> Check {
    let Some(required) = &project.seen.required else {
        return late("D60", "module lines");
    };
    for module in required {
        let Some(declared) = module
            .declares
            .as_deref()
            .filter(|declared| !declared.is_empty())
        else {
            continue;
        };
        let asked =
            project.file.replace.iter().find(|r| {
                r.new == module.module && r.new_version.as_deref() == Some(&*module.version)
            });
        let known_as = asked.map_or(&*module.module, |replace| &*replace.old);
        if declared == module.module || declared == known_as {
            continue;
        }
        let detail = format!(
            "{}@{} declares its path as {declared}, but is required as {known_as}",
            module.module, module.version
        );
        let subject = Subject {
            module: Some(module.module.clone()),
            version: Some(module.version.clone()),
            declared: Some(declared.to_owned()),
            ..Subject::default()
        };
        return Check::fail("D60", &module.module, detail)
            .because("path_mismatch", 0.97, [])
            .about(subject);
    }
    Check::ok(
        "D60",
        "module lines",
        "every module in the cache calls itself as it is required",
    )
}
