//! What one change of a setting proves about a failing download. Pure.
//!
//! The same download is tried under other settings, one change at a time, each in an environment of
//! its own. A change that helps proves where the cause lies; what it costs in safety is a separate
//! matter. Switching the checksum database off may prove something and is never a fix.

use crate::cause::{self, Class};
use serde::Serialize;
use std::time::Duration;

/// A download that works after this time has waited for something dead: the go command's own limits
/// begin at ten seconds.
const SLOW: Duration = Duration::from_secs(8);

/// One change of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change", content = "value")]
pub enum Trial {
    /// None: the settings as they are, in a clean environment.
    AsSet,
    /// GOPROXY is this proxy alone.
    Proxy(String),
    /// GOPROXY=direct.
    Direct,
    /// Without HTTP_PROXY and HTTPS_PROXY.
    NoForwardProxy,
    /// The same checksum database by another route: this GOSUMDB.
    SumdbElsewhere(String),
    /// GOSUMDB=off.
    SumdbOff,
}

impl Trial {
    /// The change as one would type it, without credentials.
    pub fn shown(&self) -> String {
        match self {
            Self::AsSet => "as set".into(),
            Self::Proxy(url) => format!("GOPROXY={url}"),
            Self::Direct => "GOPROXY=direct".into(),
            Self::NoForwardProxy => "without HTTP(S)_PROXY".into(),
            Self::SumdbElsewhere(value) => {
                // The key is long and says nothing here.
                let url = value.split_whitespace().nth(1).unwrap_or(value);
                format!("GOSUMDB by {url}")
            }
            Self::SumdbOff => "GOSUMDB=off".into(),
        }
    }

    /// What the change costs in safety.
    pub fn cost(&self) -> (Class, &'static str) {
        match self {
            Self::SumdbOff => (
                Class::C,
                "nothing is verified: whatever is delivered is believed; a proof, never a fix",
            ),
            Self::Direct => (
                Class::A,
                "nothing in safety; the origin is asked, and what it deleted is gone",
            ),
            Self::NoForwardProxy => (Class::A, "nothing in safety; your network may forbid it"),
            Self::AsSet | Self::Proxy(_) | Self::SumdbElsewhere(_) => {
                (Class::A, "nothing: everything stays verified")
            }
        }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum End {
    /// It was downloaded.
    Works {
        /// The zip's hash.
        h1: Option<String>,
    },
    /// It was not.
    Fails {
        /// What the go command said, shortened.
        said: String,
        /// The likely cause of that.
        label: Option<String>,
    },
    /// It did not end in time.
    TimedOut,
}

/// One trial and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was changed.
    #[serde(flatten)]
    pub trial: Trial,
    /// How it ended.
    #[serde(flatten)]
    pub end: End,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Outcome {
    fn works(&self) -> bool {
        matches!(self.end, End::Works { .. })
    }

    fn label(&self) -> Option<&str> {
        match &self.end {
            End::Fails { label, .. } => label.as_deref(),
            End::TimedOut => Some("server_stall"),
            End::Works { .. } => None,
        }
    }
}

/// What the trials prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conclusion {
    /// Whether the download fails with the settings as they are.
    pub fails: bool,
    /// The cause in the taxonomy.
    pub label: Option<String>,
    /// What is proved, each a sentence.
    pub proves: Vec<String>,
    /// The single change that helps and keeps everything verified, as a command.
    pub fix: Option<String>,
}

/// Draws the conclusion.
pub fn conclude(outcomes: &[Outcome]) -> Conclusion {
    let table = Table(outcomes);
    let mut conclusion = match table.of(|t| *t == Trial::AsSet) {
        None => Conclusion {
            proves: vec!["the settings as they are were not tried".into()],
            ..Conclusion::default()
        },
        Some(control) if control.works() => table.as_set_works(control),
        Some(control) => table.as_set_fails(control),
    };
    if let Some(said) = table.other_bytes() {
        conclusion.proves.push(said);
    }
    conclusion
}

struct Table<'a>(&'a [Outcome]);

impl Table<'_> {
    fn of(&self, wanted: impl Fn(&Trial) -> bool) -> Option<&Outcome> {
        self.0.iter().find(|o| wanted(&o.trial))
    }

    fn proxies(&self, works: bool) -> Vec<(&str, &Outcome)> {
        let named = |o: &'_ Outcome| matches!(o.trial, Trial::Proxy(_)) && o.works() == works;
        let proxies = self.0.iter().filter(|o| named(o));
        proxies
            .filter_map(|o| {
                if let Trial::Proxy(url) = &o.trial {
                    Some((url.as_str(), o))
                } else {
                    None
                }
            })
            .collect()
    }

    fn as_set_works(&self, control: &Outcome) -> Conclusion {
        let dead: Vec<_> = self.proxies(false);
        let slow = Duration::from_millis(control.took_ms) >= SLOW;
        if let Some((url, _)) = dead.first().filter(|_| slow) {
            return Conclusion {
                label: Some("dead_proxy_in_list".into()),
                proves: vec![format!(
                    "it works, after {} s: {url} is waited for at every file",
                    control.took_ms / 1000
                )],
                fix: self.without_the_failing(),
                ..Conclusion::default()
            };
        }
        let mut proves = vec![
            "it works with your settings in a clean environment: what fails lies in local state (module cache, go.sum, locks) or in the project, or has passed".into(),
        ];
        proves.extend(dead.iter().map(|(url, o)| {
            format!(
                "{url} alone does not have it or fails ({})",
                o.label().unwrap_or("no known cause")
            )
        }));
        Conclusion {
            proves,
            ..Conclusion::default()
        }
    }

    fn as_set_fails(&self, control: &Outcome) -> Conclusion {
        let works = |wanted: fn(&Trial) -> bool| self.of(wanted).is_some_and(Outcome::works);
        let found = |label: Option<&str>, proves: Vec<String>, fix: Option<String>| Conclusion {
            fails: true,
            label: label.map(str::to_owned),
            proves,
            fix,
        };
        if !self.0.iter().any(Outcome::works) {
            return found(control.label(), self.nothing_helps(), None);
        }
        let (good, bad) = (self.proxies(true), self.proxies(false));
        if let Some((first_bad, outcome)) = bad.first()
            && let Some((first_good, _)) = good.first()
        {
            let says = format!(
                "{first_good} alone delivers it, {first_bad} alone does not: {first_bad} is what stops the list"
            );
            return found(
                outcome.label().or(control.label()),
                vec![says],
                self.without_the_failing(),
            );
        }
        if works(|t| *t == Trial::NoForwardProxy) {
            let says =
                "without the forward proxy it works: the forward proxy (HTTPS_PROXY) is in the way";
            let label = control
                .label()
                .filter(|l| l.starts_with("http_proxy"))
                .unwrap_or("http_proxy_misconfig");
            return found(
                Some(label),
                vec![says.into()],
                Some("export NO_PROXY=HOSTS_OF_GOPROXY".into()),
            );
        }
        if let Some(elsewhere) = self
            .of(|t| matches!(t, Trial::SumdbElsewhere(_)))
            .filter(|o| o.works())
            && let Trial::SumdbElsewhere(value) = &elsewhere.trial
        {
            let says = "the same checksum database by another route proves everything: the relay of the proxy is at fault, not the database and not the module";
            return found(
                Some("sumdb_mirror_inconsistent"),
                vec![says.into()],
                Some(format!("go env -w 'GOSUMDB={value}'")),
            );
        }
        if works(|t| *t == Trial::Direct) {
            let says = "the origin delivers it, no proxy of the list does".to_owned();
            let label = bad.first().and_then(|(_, o)| o.label()).or(control.label());
            return found(label, vec![says], self.with_direct(label));
        }
        if works(|t| *t == Trial::SumdbOff) {
            return self.only_without_the_database(control);
        }
        let says = "one of your proxies delivers it alone, though the list does not: the failure comes and goes".to_owned();
        found(control.label(), vec![says], None)
    }

    /// The bytes come, and only their check fails.
    fn only_without_the_database(&self, control: &Outcome) -> Conclusion {
        let about_proof = |label: &&str| {
            cause::find(label).is_some_and(|c| matches!(c.family.as_str(), "sumdb" | "integrity"))
        };
        let label = control
            .label()
            .filter(about_proof)
            .unwrap_or("sumdb_unreachable");
        let mismatch = cause::find(label).is_some_and(|c| c.family == "integrity");
        let meaning = match mismatch {
            true => {
                "the module is delivered, and its bytes are not the recorded ones: exactly what the check is there for; find out who is wrong with modkeep compare"
            }
            false => {
                "the module is delivered, and only the checksum database's answer is missing or wrong: mend the way to it"
            }
        };
        Conclusion {
            fails: true,
            label: Some(label.to_owned()),
            proves: vec![meaning.into(), "GOSUMDB=off made it work and is no fix: it hides the one thing that is known to be wrong".into()],
            fix: None,
        }
    }

    fn nothing_helps(&self) -> Vec<String> {
        let mut labels: Vec<&str> = self.0.iter().filter_map(Outcome::label).collect();
        labels.sort_unstable();
        labels.dedup();
        let says = match labels.as_slice() {
            [one] => format!("it fails in the same way under every setting ({one}): the cause is common to all of them"),
            _ => "no single change helps: either several things are wrong, or the cause is common to all (network, version, origin)".into(),
        };
        vec![says]
    }

    /// The proxies that deliver, in their order.
    fn without_the_failing(&self) -> Option<String> {
        let good: Vec<&str> = self.proxies(true).into_iter().map(|(url, _)| url).collect();
        (!good.is_empty()).then(|| format!("go env -w 'GOPROXY={},direct'", good.join("|")))
    }

    /// The list with its origin behind it: after a comma where the proxies say "not here", after a bar
    /// where they fail.
    fn with_direct(&self, label: Option<&str>) -> Option<String> {
        let bad: Vec<&str> = self
            .proxies(false)
            .into_iter()
            .map(|(url, _)| url)
            .collect();
        let separator = if label.is_some_and(|l| l.starts_with("proxy_404")) {
            ","
        } else {
            "|"
        };
        (!bad.is_empty()).then(|| format!("go env -w 'GOPROXY={}{separator}direct'", bad.join("|")))
    }

    /// Two trials that work with different bytes.
    fn other_bytes(&self) -> Option<String> {
        let hashes = self.0.iter().filter_map(|o| match &o.end {
            End::Works { h1: Some(h1) } => Some((o.trial.shown(), h1.as_str())),
            _ => None,
        });
        let hashes: Vec<_> = hashes.collect();
        let (name, first) = hashes.first()?;
        let (other, _) = hashes.iter().find(|(_, h1)| h1 != first)?;
        Some(format!(
            "{name} and {other} deliver different bytes: modkeep compare says who is wrong"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn works(trial: Trial) -> Outcome {
        Outcome {
            trial,
            end: End::Works {
                h1: Some("h1:a".into()),
            },
            took_ms: 100,
        }
    }

    fn fails(trial: Trial, label: &str) -> Outcome {
        let end = End::Fails {
            said: "go: it failed".into(),
            label: Some(label.into()),
        };
        Outcome {
            trial,
            end,
            took_ms: 100,
        }
    }

    fn proxy(name: &str) -> Trial {
        Trial::Proxy(format!("https://{name}"))
    }

    fn label(outcomes: &[Outcome]) -> String {
        conclude(outcomes).label.unwrap_or_default()
    }

    #[test]
    fn the_proxy_that_stops_the_list_is_named_and_left_out() {
        let found = conclude(&[
            fails(Trial::AsSet, "upstream_5xx"),
            fails(proxy("bad"), "upstream_5xx"),
            works(proxy("good")),
            works(Trial::SumdbOff),
        ]);
        assert_eq!(found.label.as_deref(), Some("upstream_5xx"));
        assert_eq!(
            found.fix.as_deref(),
            Some("go env -w 'GOPROXY=https://good,direct'")
        );
        assert!(found.fails && found.proves[0].contains("https://bad is what stops the list"));
    }

    #[test]
    fn what_only_the_origin_has_needs_direct_behind_the_list() {
        let of = |cause: &str| {
            conclude(&[
                fails(Trial::AsSet, cause),
                fails(proxy("p"), cause),
                works(Trial::Direct),
            ])
        };
        assert_eq!(
            of("proxy_404_private_module").fix.unwrap(),
            "go env -w 'GOPROXY=https://p,direct'"
        );
        assert_eq!(
            of("connect_refused").fix.unwrap(),
            "go env -w 'GOPROXY=https://p|direct'"
        );
        assert_eq!(of("connect_refused").label.unwrap(), "connect_refused");
    }

    #[test]
    fn switching_the_database_off_proves_and_never_fixes() {
        let of = |cause: &str| {
            conclude(&[
                fails(Trial::AsSet, cause),
                fails(proxy("p"), cause),
                works(Trial::SumdbOff),
            ])
        };
        let mismatch = of("checksum_mismatch_proxy_divergent");
        assert_eq!(
            (mismatch.label.as_deref(), &mismatch.fix),
            (Some("checksum_mismatch_proxy_divergent"), &None)
        );
        assert!(
            mismatch.proves.iter().any(|p| p.contains("no fix")),
            "{mismatch:?}"
        );
        assert_eq!(
            of("server_stall").label.as_deref(),
            Some("sumdb_unreachable")
        );
        assert_eq!(
            of("sumdb_key_mismatch").label.as_deref(),
            Some("sumdb_key_mismatch")
        );
        assert_eq!(Trial::SumdbOff.cost().0, Class::C);
    }

    #[test]
    fn a_relay_at_fault_is_gone_round_with_the_database_on() {
        let elsewhere = Trial::SumdbElsewhere("sum.golang.org https://sum.golang.org".into());
        let found = conclude(&[
            fails(Trial::AsSet, "sumdb_upstream_error"),
            fails(proxy("p"), "sumdb_upstream_error"),
            works(elsewhere),
            works(Trial::SumdbOff),
        ]);
        assert_eq!(found.label.as_deref(), Some("sumdb_mirror_inconsistent"));
        assert_eq!(
            found.fix.unwrap(),
            "go env -w 'GOSUMDB=sum.golang.org https://sum.golang.org'"
        );
    }

    #[test]
    fn a_forward_proxy_in_the_way_is_named() {
        let found = [
            fails(Trial::AsSet, "http_proxy_denied"),
            fails(proxy("p"), "http_proxy_denied"),
            works(Trial::NoForwardProxy),
        ];
        assert_eq!(label(&found), "http_proxy_denied");
        let found = [
            fails(Trial::AsSet, "connect_timeout"),
            works(Trial::NoForwardProxy),
        ];
        assert_eq!(label(&found), "http_proxy_misconfig");
    }

    #[test]
    fn what_works_in_a_clean_environment_is_local() {
        let found = conclude(&[works(Trial::AsSet), works(proxy("p"))]);
        assert_eq!((found.fails, found.label, found.fix), (false, None, None));
        assert!(found.proves[0].contains("local state"));
        // It works, but only after a dead proxy has been waited for.
        let dead = Outcome {
            end: End::TimedOut,
            ..works(proxy("dead"))
        };
        let slow = Outcome {
            took_ms: 90_000,
            ..works(Trial::AsSet)
        };
        let found = conclude(&[slow, dead, works(proxy("good"))]);
        assert_eq!(found.label.as_deref(), Some("dead_proxy_in_list"));
        assert_eq!(
            found.fix.unwrap(),
            "go env -w 'GOPROXY=https://good,direct'"
        );
    }

    #[test]
    fn nothing_helps_and_different_bytes_are_said() {
        let found = conclude(&[
            fails(Trial::AsSet, "unknown_revision"),
            fails(Trial::Direct, "unknown_revision"),
        ]);
        assert_eq!(found.label.as_deref(), Some("unknown_revision"));
        assert!(found.proves[0].contains("every setting"), "{found:?}");
        let other = Outcome {
            end: End::Works {
                h1: Some("h1:b".into()),
            },
            ..works(Trial::Direct)
        };
        let found = conclude(&[works(Trial::AsSet), other]);
        assert!(
            found.proves.iter().any(|p| p.contains("different bytes")),
            "{found:?}"
        );
        assert!(conclude(&[]).label.is_none());
    }
}
