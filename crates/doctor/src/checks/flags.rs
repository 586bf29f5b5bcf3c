//! D09: does every word of GOFLAGS mean something to this go command?
//!
//! Source of the rules: cmd/go/internal/base/goflags.go: words are split at white space with
//! simple quotes, each must be `-name` or `-name=value`, and some go command must know the name.

use super::settings::place;
use crate::check::Check;
use crate::facts::{EnvFacts, Facts, Seen};

/// Flags of all go sub-commands of Go 1.27.
const KNOWN: &[&str] = &[
    "C",
    "a",
    "all",
    "artifacts",
    "asan",
    "asmflags",
    "bench",
    "benchmem",
    "benchtime",
    "blockprofile",
    "blockprofilerate",
    "buildmode",
    "buildvcs",
    "c",
    "cache",
    "changed",
    "cmd",
    "compat",
    "compiled",
    "compiler",
    "count",
    "cover",
    "covermode",
    "coverpkg",
    "coverprofile",
    "cpu",
    "cpuprofile",
    "debug-actiongraph",
    "debug-runtime-trace",
    "debug-trace",
    "deps",
    "diff",
    "droprequire",
    "dropreplace",
    "dropexclude",
    "dropretract",
    "dropuse",
    "e",
    "ex",
    "exec",
    "export",
    "f",
    "failfast",
    "find",
    "fix",
    "fmt",
    "fullpath",
    "fuzz",
    "fuzzcache",
    "fuzzminimizetime",
    "fuzztime",
    "gccgoflags",
    "gcflags",
    "go",
    "http",
    "i",
    "installsuffix",
    "json",
    "ldflags",
    "linkshared",
    "list",
    "m",
    "memprofile",
    "memprofilerate",
    "mod",
    "modcache",
    "modcacherw",
    "modfile",
    "module",
    "msan",
    "mutexprofile",
    "mutexprofilefraction",
    "n",
    "o",
    "outputdir",
    "overlay",
    "p",
    "parallel",
    "pgo",
    "pkgdir",
    "print",
    "r",
    "race",
    "require",
    "replace",
    "exclude",
    "retract",
    "retracted",
    "reuse",
    "run",
    "short",
    "shuffle",
    "skip",
    "src",
    "t",
    "tags",
    "test",
    "testcache",
    "timeout",
    "tool",
    "toolchain",
    "toolexec",
    "trace",
    "trimpath",
    "u",
    "use",
    "v",
    "vendor",
    "versions",
    "vet",
    "vettool",
    "w",
    "work",
    "x",
    "ignore",
    "dropignore",
    "droptool",
    "dropgodebug",
    "godebug",
    "recursive",
    "h",
    "help",
];

/// Flags that went away, with what took their place.
const GONE: &[(&str, &str)] = &[
    (
        "insecure",
        "went away in Go 1.17: GOINSECURE names the hosts",
    ),
    (
        "d",
        "does nothing since Go 1.18 and is refused by most commands",
    ),
    ("getmode", "never left the prototype of modules: it is -mod"),
];

pub fn check(facts: &Facts, env: &EnvFacts) -> Check {
    let setting = env.setting("GOFLAGS");
    if setting.value.is_empty() {
        return Check::ok("D09", "GOFLAGS", "empty");
    }
    let place = place(setting.origin, env);
    let line = format!("GOFLAGS={} from the {place}", setting.value);
    let wrong = |what: String| {
        let check = Check::fail("D09", "GOFLAGS", what.clone());
        check.because("goflags_invalid", 0.95, [line.clone(), what])
    };
    let words = match split(&setting.value) {
        Ok(words) => words,
        Err(what) => return wrong(format!("parsing $GOFLAGS: {what}")),
    };
    if let Some(what) = words.iter().find_map(|word| bad_word(word)) {
        return wrong(format!("parsing $GOFLAGS: {what}"));
    }
    let value_of = |name: &str| {
        let found = words
            .iter()
            .rev()
            .find_map(|word| flag(word).filter(|(flag, _)| *flag == name));
        found.map(|(_, value)| value.unwrap_or(""))
    };
    match value_of("mod") {
        None | Some("mod" | "readonly") => {}
        Some("vendor") => {
            let missing = facts.project.as_ref().is_some_and(|project| {
                matches!(project.vendor, Seen::Absent) && project.go_mod.present().is_some()
            });
            if missing {
                let detail = "-mod=vendor, but this module has no vendor directory";
                return Check::fail("D09", "GOFLAGS", detail).because(
                    "vendor_inconsistent",
                    0.9,
                    [line],
                );
            }
        }
        Some(other) => return wrong(format!("-mod={other}: it is readonly, vendor or mod")),
    }
    if value_of("modfile").is_some_and(|file| !file.ends_with(".mod")) {
        return wrong("-modfile must name a file that ends in .mod".into());
    }
    Check::ok("D09", "GOFLAGS", setting.value)
}

/// Name and value of a flag word.
fn flag(word: &str) -> Option<(&str, Option<&str>)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    match name.split_once('=') {
        Some((name, value)) => Some((name, Some(value))),
        None => Some((name, None)),
    }
}

fn bad_word(word: &str) -> Option<String> {
    // A masked value, or the rest of one.
    if word == "***" {
        return None;
    }
    let name = flag(word).map(|(name, _)| name).unwrap_or_default();
    if name.is_empty() || name.starts_with('-') {
        let joined = "a value is joined to its flag with '='";
        return Some(format!("non-flag {word:?}: {joined}"));
    }
    if let Some((_, what)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return Some(format!("flag -{name} {what}"));
    }
    let vet = name.split('.').next().unwrap_or(name);
    let known = KNOWN.contains(&name) || VET.contains(&vet);
    (!known).then(|| format!("unknown flag -{name}"))
}

/// Names of vet's analyzers: each is a flag, and so is `name.option`.
const VET: &[&str] = &[
    "appends",
    "asmdecl",
    "assign",
    "atomic",
    "bool",
    "bools",
    "buildtag",
    "buildtags",
    "cgocall",
    "composites",
    "copylocks",
    "defers",
    "directive",
    "errorsas",
    "framepointer",
    "hostport",
    "httpresponse",
    "ifaceassert",
    "loopclosure",
    "lostcancel",
    "methods",
    "nilfunc",
    "printf",
    "rangeloops",
    "shift",
    "sigchanyzer",
    "slog",
    "stdmethods",
    "stdversion",
    "stringintconv",
    "structtag",
    "testinggoroutine",
    "tests",
    "timeformat",
    "unmarshal",
    "unreachable",
    "unsafeptr",
    "unusedresult",
    "waitgroup",
];

/// Splits as `quoted.Split` of the go command: a word may be wholly in quotes.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '\'') {
            let Some(end) = rest[1..].find(first) else {
                return Err(format!("unterminated {first} string"));
            };
            words.push(rest[1..=end].to_owned());
            rest = rest[end + 2..].trim_start();
            continue;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    fn state(value: &str) -> State {
        let env = EnvFacts {
            os: Some([("GOFLAGS".to_owned(), value.to_owned())].into()),
            ..EnvFacts::default()
        };
        check(&Facts::default(), &env).state
    }

    #[test]
    fn words_that_go_refuses_are_told() {
        for good in [
            "",
            "-mod=mod",
            "-modcacherw -v",
            "'-ldflags=-s -w' -tags=a,b",
            "--trimpath",
            "-vet=off -printf.funcs=x",
        ] {
            assert_eq!(state(good), State::Ok, "{good}");
        }
        for bad in [
            "-modcacherw -nosuch",
            "mod=mod",
            "-mod vendor",
            "-mod=vendors",
            "-insecure",
            "'-x",
            "-",
            "---x",
        ] {
            assert_eq!(state(bad), State::Fail, "{bad}");
        }
    }
}
