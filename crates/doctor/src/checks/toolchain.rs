//! D12: may this go command build this project, and if it has to switch, can it?
//!
//! Source of the rules: cmd/go/internal/toolchain/select.go. A toolchain is downloaded as a module
//! and needs the checksum database, whatever GOSUMDB and GONOSUMDB say.

use super::project::mod_file;
use super::proxy_list;
use super::settings::place;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{EnvFacts, Facts};
use crate::goversion::GoVersion;
use crate::gowork;

/// The newest language that is known here; a project may ask for one that is two years newer
/// (four releases) before it is doubted.
const NEWEST_MINOR: u32 = 27;
const YEARS_MINORS: u32 = 4;

/// What the project asks for.
struct Wanted {
    go: GoVersion,
    text: String,
    from: String,
}

pub fn check(facts: &Facts, env: &EnvFacts) -> Check {
    let setting = env.setting("GOTOOLCHAIN");
    let own_line = format!(
        "GOTOOLCHAIN={} from the {}",
        setting.value,
        place(setting.origin, env)
    );
    let local_text = facts
        .go
        .as_ref()
        .and_then(|go| go.on_path.as_ref()?.first()?.version.clone());
    let Some(local) = local_text.as_deref().and_then(GoVersion::parse) else {
        return Check::unknown(
            "D12",
            "toolchain",
            "the version of the go command is not known",
        );
    };
    let local_line = format!(
        "the go command is {}",
        local_text.as_deref().unwrap_or_default()
    );
    let switches = local.at_least(21);
    let mode = match switches.then(|| mode(&setting.value)).transpose() {
        Ok(mode) => mode,
        Err(what) => {
            let check = Check::fail("D12", "GOTOOLCHAIN", what.clone());
            return check.because("toolchain_version_unreleased", 0.9, [own_line, what]);
        }
    };
    let base = mode
        .as_ref()
        .and_then(|mode| mode.minimum.clone())
        .unwrap_or_else(|| local.clone());
    let Some(wanted) = wanted(facts).filter(|wanted| wanted.go > base) else {
        return Check::ok("D12", "toolchain", format!("{local} is new enough"));
    };
    let lines = vec![
        format!("{} asks for go {}", wanted.from, wanted.text),
        local_line,
        own_line,
    ];
    let Some(mode) = mode else {
        let detail = format!(
            "{} asks for go {}, newer than {local}, and this release cannot switch",
            wanted.from, wanted.text
        );
        return Check::fail("D12", "toolchain", detail).because("go_version_too_old", 0.93, lines);
    };
    if mode.stays {
        let detail = format!(
            "{} asks for go {}; the go command is {local} and GOTOOLCHAIN={} forbids to switch",
            wanted.from, wanted.text, setting.value
        );
        return Check::fail("D12", "toolchain", detail).because("go_version_too_old", 0.97, lines);
    }
    if mode.path_only {
        let why = format!(
            "go {} is searched on PATH only (GOTOOLCHAIN={})",
            wanted.text, setting.value
        );
        return Check::unknown("D12", "toolchain", why);
    }
    switching(facts, env, &local, &wanted, lines)
}

/// A newer toolchain is needed and allowed.
fn switching(
    facts: &Facts,
    env: &EnvFacts,
    local: &GoVersion,
    wanted: &Wanted,
    lines: Vec<String>,
) -> Check {
    if wanted.go.is_language() && wanted.go.at_least(21) && local.minor() == 21 {
        let detail = format!(
            "go {} names a language, not a release: Go 1.21 looks for go{} and finds none; write go {}.0",
            wanted.text, wanted.text, wanted.text
        );
        return Check::fail("D12", "toolchain", detail).because(
            "toolchain_version_unreleased",
            0.93,
            lines,
        );
    }
    let name = match wanted.go.is_language() && wanted.go.at_least(21) {
        true => format!("go{}.0", wanted.go),
        false => format!("go{}", wanted.go),
    };
    let there = facts.go.as_ref().and_then(|go| go.toolchains.as_ref());
    if there.is_some_and(|there| there.contains(&name)) {
        return Check::ok("D12", "toolchain", format!("{name} is in the module cache"));
    }
    let subject = Subject {
        module: Some("golang.org/toolchain".into()),
        ..proxy_list::first_server(env)
    };
    let cannot = |why: &str| {
        let detail = format!(
            "{} asks for go {}, so {name} must be downloaded, but {why}",
            wanted.from, wanted.text
        );
        let check = Check::fail("D12", "toolchain", detail);
        check
            .because("toolchain_download", 0.93, lines.clone())
            .about(subject.clone())
    };
    let proxies = env.setting("GOPROXY").value;
    match proxy_list::entries(&proxies)
        .first()
        .map(|entry| entry.text)
    {
        Some("off") => return cannot("GOPROXY=off"),
        Some("direct") => return cannot("GOPROXY=direct: toolchains come from proxies only"),
        _ => {}
    }
    if env.setting("GOSUMDB").value == "off" {
        return cannot("GOSUMDB=off: toolchains are always compared with the checksum database");
    }
    if wanted.go.minor() > NEWEST_MINOR.max(local.minor()) + YEARS_MINORS {
        let detail = format!(
            "{} asks for go {}: no such Go is known to be released",
            wanted.from, wanted.text
        );
        return Check::warn("D12", "toolchain", detail).because(
            "toolchain_version_unreleased",
            0.7,
            lines,
        );
    }
    Check::ok(
        "D12",
        "toolchain",
        format!(
            "{} asks for go {}: the go command downloads {name}",
            wanted.from, wanted.text
        ),
    )
}

/// How GOTOOLCHAIN is read.
struct Mode {
    minimum: Option<GoVersion>,
    /// Never switches.
    stays: bool,
    /// Switches to what PATH has, downloads nothing.
    path_only: bool,
}

fn mode(value: &str) -> Result<Mode, String> {
    if matches!(value, "auto" | "path" | "") {
        return Ok(Mode {
            minimum: None,
            stays: value.is_empty(),
            path_only: value == "path",
        });
    }
    let (first, suffix) = match value.split_once('+') {
        Some((first, suffix)) => (first, Some(suffix)),
        None => (value, None),
    };
    if suffix.is_some_and(|suffix| !matches!(suffix, "auto" | "path")) {
        return Err(format!(
            "invalid GOTOOLCHAIN {value:?}: only version suffixes are +auto and +path"
        ));
    }
    let mode = Mode {
        minimum: None,
        stays: suffix.is_none(),
        path_only: suffix == Some("path"),
    };
    if first == "local" {
        return Ok(mode);
    }
    let version = first
        .rsplit_once("-go")
        .map_or(first, |(_, version)| version);
    let named = first.starts_with("go1") || first.contains("-go1");
    match GoVersion::parse(version).filter(|_| named) {
        Some(minimum) => Ok(Mode {
            minimum: Some(minimum),
            ..mode
        }),
        None => Err(format!(
            "invalid GOTOOLCHAIN {value:?}: it is local, auto, path or a name such as go1.27.0"
        )),
    }
}

/// The highest go version that the project or something it requires asks for.
fn wanted(facts: &Facts) -> Option<Wanted> {
    let project = facts.project.as_ref()?;
    let mut found: Vec<(String, String)> = Vec::new();
    if let Some(work) = project.work.present().filter(|work| work.exists) {
        let parsed = gowork::parse(&work.file.text);
        found.extend(parsed.go.map(|go| (work.file.path.clone(), go)));
    }
    if let (Some(file), Some(text)) = (mod_file(facts), project.go_mod.present()) {
        found.extend(file.go.map(|go| (text.path.clone(), go)));
    }
    for module in project.required.iter().flatten() {
        let name = format!("{}@{}", module.module, module.version);
        found.extend(module.go.clone().map(|go| (name, go)));
    }
    let parsed = found.into_iter().filter_map(|(from, text)| {
        Some(Wanted {
            go: GoVersion::parse(&text)?,
            text,
            from,
        })
    });
    // A dependency's file may be newer than the tool only from 1.21 on; before, it was a hint.
    let hard = |wanted: &Wanted| wanted.go.at_least(21) || wanted.from.ends_with("go.mod");
    parsed
        .filter(hard)
        .reduce(|a, b| if b.go > a.go { b } else { a })
}
