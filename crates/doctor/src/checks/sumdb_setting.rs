//! D06: is GOSUMDB a checksum database?
//!
//! Source of the grammar: `dbDial` of cmd/go/internal/modfetch: `off`, a known name, or a verifier
//! key, each with an optional URL. A URL goes round the `/sumdb/` of every proxy.

use super::settings::place;
use crate::check::Check;
use crate::facts::{EnvFacts, Origin};

/// The only name that the go command knows the key of.
const KNOWN: &str = "sum.golang.org";

/// An alias of it, reachable inside mainland China, that implies an explicit URL.
const ALIAS: &str = "sum.golang.google.cn";

pub fn check(env: &EnvFacts) -> Check {
    let setting = env.setting("GOSUMDB");
    let wrong = |what: String| {
        let line = format!(
            "GOSUMDB={} from the {}",
            setting.value,
            place(setting.origin, env)
        );
        let check = Check::fail("D06", "GOSUMDB", what.clone());
        check.because("sumdb_config_invalid", 0.97, [line, what])
    };
    if setting.value == "off" {
        let detail = "off: nothing that is downloaded is compared with a checksum database";
        return match setting.origin {
            Origin::UserFile => Check::warn(
                "D06",
                "GOSUMDB",
                format!("{detail}, for ever (go env -u GOSUMDB switches it on again)"),
            ),
            _ => Check::ok("D06", "GOSUMDB", detail),
        };
    }
    let fields: Vec<&str> = setting.value.split_whitespace().collect();
    let (name, url) = match fields[..] {
        [] => {
            return wrong("missing GOSUMDB: a space is not the default, an empty value is".into());
        }
        [name] => (name, None),
        [name, url] => (name, Some(url)),
        _ => {
            return wrong(
                "invalid GOSUMDB: too many fields: it is a name or key, and perhaps a URL".into(),
            );
        }
    };
    if name != KNOWN && name != ALIAS {
        if let Err(why) = tlog::client::Verifier::new(name) {
            return wrong(format!(
                "invalid GOSUMDB: {}",
                meaning(name, &why.to_string())
            ));
        }
    } else if name == ALIAS && url.is_some() {
        return wrong(format!(
            "{ALIAS} stands alone: with a URL it is written {KNOWN} URL"
        ));
    }
    let scheme = |url: &&str| {
        !url.starts_with("https://") && !url.starts_with("http://") && !url.starts_with("file://")
    };
    if let Some(url) = url.filter(scheme) {
        return wrong(format!("invalid GOSUMDB URL: {url} has no scheme"));
    }
    let route = match (name, url) {
        (ALIAS, None) => {
            "an alias with a URL of its own: it goes round the /sumdb/ of every proxy".to_owned()
        }
        (_, Some(url)) => format!("asked at {url} only: the /sumdb/ of every proxy is gone round"),
        (_, None) => "asked through the proxies' /sumdb/ first, then directly".to_owned(),
    };
    let shown = name.split('+').next().unwrap_or(name);
    Check::ok("D06", "GOSUMDB", format!("{shown}: {route}"))
}

/// Whether the database in force is the public one.
pub fn is_public(env: &EnvFacts) -> bool {
    let value = env.setting("GOSUMDB").value;
    let name = value.split(['+', ' ']).next().unwrap_or_default();
    name == KNOWN || name == ALIAS
}

/// What somebody who wrote this meant.
fn meaning(name: &str, why: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match &*lower {
        "on" | "true" | "1" | "yes" | "default" | "auto" => {
            format!("{name} is no name and no key: leave it empty for the default, {KNOWN}")
        }
        "direct" | "none" | "disable" | "false" | "0" => {
            format!(
                "{name} is no name and no key: the word is off, and private modules are excluded by GONOSUMDB"
            )
        }
        _ if lower.contains("://") => {
            format!("{name} is a URL: a name or key comes first, as in {KNOWN} {name}")
        }
        _ if name.contains('+') => format!("malformed verifier key {name}: {why}"),
        _ => format!(
            "malformed verifier id: the go command knows the key of {KNOWN} only; {name} needs NAME+HASH+KEY"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::State;

    fn with(value: &str) -> Check {
        check(&EnvFacts {
            os: Some([("GOSUMDB".to_owned(), value.to_owned())].into()),
            ..EnvFacts::default()
        })
    }

    #[test]
    fn what_the_go_command_takes_is_good() {
        for value in [
            "",
            "off",
            "sum.golang.org",
            "sum.golang.google.cn",
            "sum.golang.org https://sum.example",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 https://a.example/x",
        ] {
            assert_eq!(with(value).state, State::Ok, "{value}");
        }
    }

    #[test]
    fn what_it_refuses_is_named() {
        for value in [
            " ",
            "on",
            "direct",
            "https://sum.golang.org",
            "sum.goproxy.cn",
            "sum.golang.org+033de0ae+broken",
            "sum.golang.org https://a https://b",
            "sum.golang.org sum.example",
        ] {
            let check = with(value);
            assert_eq!(check.state, State::Fail, "{value}");
            let label = check.finding.map(|finding| finding.label);
            assert_eq!(label, Some("sumdb_config_invalid"));
        }
    }
}
