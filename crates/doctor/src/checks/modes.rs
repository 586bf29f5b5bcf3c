//! D10 and D11: is the go command in module mode, where is GOPATH, and which workspace counts?
//!
//! Source of the rules: cmd/go/internal/modload/init.go and `go help gopath`.

use std::path::Path;

use super::project::mod_file;
use super::settings::place;
use crate::check::Check;
use crate::facts::{EnvFacts, Facts, ProjectFacts, Seen, WorkFacts};
use crate::goversion::GoVersion;
use crate::gowork;

pub fn checks(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let mut checks = vec![mode(facts, env)];
    checks.push(gopath(facts, env));
    checks.extend(
        facts
            .project
            .as_ref()
            .map(|project| workspace(facts, project, env)),
    );
    checks
}

fn mode(facts: &Facts, env: &EnvFacts) -> Check {
    let setting = env.setting("GO111MODULE");
    let line = format!(
        "GO111MODULE={} from the {}",
        setting.value,
        place(setting.origin, env)
    );
    let project = facts.project.as_ref();
    let outside = project.is_some_and(|project| matches!(project.go_mod, Seen::Absent));
    let inside = project.is_some_and(|project| project.go_mod.present().is_some());
    match &*setting.value {
        "" | "on" => Check::ok("D10", "GO111MODULE", "modules are on"),
        "auto" if outside => {
            let detail =
                "auto, and there is no go.mod here or above: the go command works in GOPATH mode";
            Check::warn("D10", "GO111MODULE", detail).because("gopath_mode", 0.8, [line])
        }
        "auto" => Check::ok("D10", "GO111MODULE", "auto: modules are on below a go.mod"),
        "off" => {
            let detail = "off: go.mod is not looked at, packages are searched in GOPATH/src only";
            let confidence = if inside { 0.97 } else { 0.85 };
            Check::fail("D10", "GO111MODULE", detail).because("gopath_mode", confidence, [line])
        }
        other => {
            let detail =
                format!("unknown environment setting GO111MODULE={other}: it is on, auto or off");
            Check::fail("D10", "GO111MODULE", detail).because("gopath_mode", 0.9, [line])
        }
    }
}

fn gopath(facts: &Facts, env: &EnvFacts) -> Check {
    let setting = env.setting("GOPATH");
    let line = format!(
        "GOPATH={} from the {}",
        setting.value,
        place(setting.origin, env)
    );
    let first = setting.value.split(':').next().unwrap_or_default();
    if first.is_empty() {
        let own = !env.setting("GOMODCACHE").value.is_empty();
        let detail = "neither GOPATH nor HOME is set: the module cache has no place";
        return match own {
            true => Check::ok("D10", "GOPATH", "not set, but GOMODCACHE is"),
            false => Check::fail("D10", "GOPATH", detail).because("cache_permission", 0.9, [line]),
        };
    }
    if !first.starts_with('/') {
        let detail = format!("GOPATH entry is relative; must be absolute path: {first:?}");
        return Check::fail("D10", "GOPATH", detail).because("gopath_mode", 0.95, [line]);
    }
    let goroot = facts
        .go
        .as_ref()
        .and_then(|go| go.on_path.as_ref()?.first()?.goroot.clone());
    if goroot.is_some_and(|root| Path::new(&root) == Path::new(first)) {
        let detail = "GOPATH is the Go tree itself (GOROOT): go refuses to work there";
        return Check::warn("D10", "GOPATH", detail).because("gopath_mode", 0.85, [line]);
    }
    let root = facts
        .project
        .as_ref()
        .and_then(|project| project.go_mod.present());
    let at_top = root.is_some_and(|file| Path::new(&file.path).parent() == Some(Path::new(first)));
    if at_top {
        let detail = format!("{first}/go.mod is ignored: the project must not be GOPATH itself");
        let evidence = [
            line,
            format!("$GOPATH/go.mod exists but should not: {first}/go.mod"),
        ];
        return Check::warn("D10", "GOPATH", detail).because("gopath_mode", 0.9, evidence);
    }
    Check::ok("D10", "GOPATH", setting.value)
}

fn workspace(facts: &Facts, project: &ProjectFacts, env: &EnvFacts) -> Check {
    let setting = env.setting("GOWORK");
    let work = match &project.work {
        Seen::Unknown => return Check::unknown("D11", "GOWORK", "not looked at"),
        Seen::Absent if setting.value == "off" => return Check::ok("D11", "GOWORK", "off"),
        Seen::Absent => return Check::ok("D11", "GOWORK", "no go.work here or above"),
        Seen::Present(work) => work,
    };
    let name = &work.file.path;
    let wrong = |detail: String, confidence: f64, more: Option<String>| {
        let from = match work.named {
            true => format!(
                "GOWORK={} from the {}",
                setting.value,
                place(setting.origin, env)
            ),
            false => format!("{name} is in force because it lies here or above"),
        };
        let evidence = [Some(from), Some(detail.clone()), more];
        Check::fail("D11", name, detail).because(
            "go_work_mismatch",
            confidence,
            evidence.into_iter().flatten(),
        )
    };
    if !work.exists {
        return wrong("GOWORK names a file that is not there".into(), 0.97, None);
    }
    if let Some(error) = &work.file.error {
        return Check::unknown("D11", name, format!("cannot be read: {error}"));
    }
    if let Some(used) = work.uses.iter().find(|used| used.has_go_mod == Some(false)) {
        let what = if used.exists == Some(false) {
            "is not there"
        } else {
            "has no go.mod"
        };
        return wrong(
            format!("use {}: {} {what}", used.written, used.path),
            0.95,
            None,
        );
    }
    if let Some(detail) = twice(work) {
        return wrong(detail, 0.95, None);
    }
    if let Some(detail) = not_used(project, work) {
        let more = project
            .go_mod
            .present()
            .map(|file| format!("module here: {}", file.path));
        return wrong(detail, 0.93, more);
    }
    match older(facts, work) {
        Some(detail) => wrong(detail, 0.95, None),
        None => Check::ok("D11", name, format!("{} modules", work.uses.len())),
    }
}

fn twice(work: &WorkFacts) -> Option<String> {
    let mut seen: Vec<&str> = Vec::new();
    for used in &work.uses {
        let module = used.module.as_deref().filter(|module| !module.is_empty());
        if let Some(module) = module {
            if seen.contains(&module) {
                return Some(format!(
                    "module {module} appears multiple times in workspace"
                ));
            }
            seen.push(module);
        }
    }
    None
}

fn not_used(project: &ProjectFacts, work: &WorkFacts) -> Option<String> {
    let go_mod = project.go_mod.present()?;
    let root = Path::new(&go_mod.path).parent()?;
    let used = work.uses.iter().any(|used| Path::new(&used.path) == root);
    (!used).then(|| {
        format!(
            "this directory's module ({}) is not one of the workspace's: go work use adds it, GOWORK=off leaves the workspace",
            root.display()
        )
    })
}

fn older(facts: &Facts, work: &WorkFacts) -> Option<String> {
    let parsed = gowork::parse(&work.file.text);
    let own_text = parsed.go.unwrap_or_else(|| "1.18".to_owned());
    let own = GoVersion::parse(&own_text)?;
    let mut needs: Vec<(String, String)> = Vec::new();
    if let (Some(file), Some(project)) = (mod_file(facts), &facts.project) {
        let path = project
            .go_mod
            .present()
            .map(|file| file.path.clone())
            .unwrap_or_default();
        needs.extend(file.go.map(|go| (path, go)));
    }
    let used = work
        .uses
        .iter()
        .filter_map(|used| Some((used.written.clone(), used.go.clone()?)));
    needs.extend(used);
    let newer = needs
        .iter()
        .find(|(_, go)| GoVersion::parse(go).is_some_and(|go| go > own))?;
    Some(format!(
        "{} requires go >= {}, but go.work says go {own_text}: go work use updates it",
        newer.0, newer.1
    ))
}
