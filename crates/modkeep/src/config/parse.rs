//! Text becomes typed settings here, once; all mistakes are reported together.

use super::log::LogSettings;
use super::sumdb::{self, SumdbSetting};
use super::{Origin, SETTINGS, Shape, Values, env_name, switch};
use gomod::govcs::GoVcs;
use gomod::pattern::Patterns;
use server::{AccessFormat, Address};
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use upstream::vcs::Credentials;
use upstream::{NetSettings, Patience, ProxyList};

/// Something wrong in the settings.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Flag, variable, or file with line and column.
    pub place: String,
    /// What is wrong and what was meant.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stderr,
    File(PathBuf),
}

/// All settings, typed.
#[derive(Debug)]
pub struct Typed {
    pub data: PathBuf,
    pub upstream: ProxyList,
    pub net: NetSettings,
    pub patience: Patience,
    pub vcs: VcsSettings,
    pub sumdb: Vec<SumdbSetting>,
    pub no_sumdb: Patterns,
    /// Our own log; served when it has a name.
    pub log: LogSettings,
    pub keep: keep::Settings,
    pub server: server::Settings,
    pub access: AccessTarget,
    pub log_format: AccessFormat,
    pub log_level: String,
    /// Whether the event log has colours.
    pub log_color: bool,
}

/// What concerns version control.
#[derive(Debug, Clone)]
pub struct VcsSettings {
    pub insecure: Patterns,
    pub rules: GoVcs,
    pub credentials: Credentials,
}

/// Collects problems while values are read.
pub(super) struct Reader<'a> {
    pub(super) values: &'a Values,
    problems: Vec<Problem>,
}

impl Typed {
    /// Reads all values.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Problem>> {
        let mut r = Reader {
            values,
            problems: Vec::new(),
        };
        let keep = r.keep();
        let server = r.server();
        let patience = Patience {
            answer: r.time("upstream-timeout"),
            crawl: r.time("crawl-time"),
            crawl_bytes: r.time("crawl-time").as_secs().max(1) << 10,
            ..Patience::default()
        };
        let upstream = r.parse("upstream", |t| {
            ProxyList::parse(t).map_err(|e| e.to_string())
        });
        let log_format = r.choice(
            "log-format",
            &[("text", AccessFormat::Text), ("json", AccessFormat::Json)],
        );
        let vcs = r.vcs();
        let sumdb = r.parse_many("sumdb", sumdb::parse);
        let no_sumdb = r.parse("no-sumdb", patterns);
        let log = r.log(sumdb.as_deref().unwrap_or_default());
        let net = NetSettings {
            ca_files: values.many("ca").iter().map(PathBuf::from).collect(),
            ..NetSettings::default()
        };
        let data = match values.one("data") {
            "" => default_data(),
            dir => Some(dir.into()),
        };
        if data.is_none() {
            r.problem(
                "data",
                "no home directory to keep things in; give --data DIR".into(),
            );
        }
        let access = match values.one("access-log") {
            "off" | "" => AccessTarget::Off,
            "-" => AccessTarget::Stderr,
            file => AccessTarget::File(file.into()),
        };
        let log_level = r.parse("log-level", log_level);
        r.switches();
        let read = (
            upstream, vcs, sumdb, no_sumdb, log, keep, server, log_format, log_level, data,
        );
        match read {
            (
                Some(upstream),
                Some(vcs),
                Some(sumdb),
                Some(no_sumdb),
                Some(log),
                Some(keep),
                Some(server),
                Some(log_format),
                Some(log_level),
                Some(data),
            ) if r.problems.is_empty() => Ok(Self {
                data,
                upstream,
                net,
                patience,
                vcs,
                sumdb,
                no_sumdb,
                log,
                keep,
                server,
                access,
                log_format,
                log_level,
                log_color: false,
            }),
            _ => Err(r.problems),
        }
    }
}

impl Reader<'_> {
    fn vcs(&mut self) -> Option<VcsSettings> {
        let insecure = self.parse("insecure", patterns);
        let rules = self.parse("vcs", |t| {
            GoVcs::parse(t)
                .map(GoVcs::with_defaults)
                .map_err(|e| e.to_string())
        });
        let credentials = self.parse("credentials", |file| match file {
            "" => Ok(Credentials::default()),
            file => {
                let text = std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
                Credentials::parse(&text).map_err(|e| format!("{file}: {e}"))
            }
        });
        Some(VcsSettings {
            insecure: insecure?,
            rules: rules?,
            credentials: credentials?,
        })
    }

    fn keep(&mut self) -> Option<keep::Settings> {
        let private = self.parse("private", patterns);
        let look_ahead = self.choice("look-ahead", &[("on", true), ("off", false)]);
        let memory = self.parse("memory", size);
        let verify_strict = self.choice("verify", &[("available", false), ("strict", true)]);
        Some(keep::Settings {
            private: private?,
            // `off` alone means the same: nobody is asked, what is kept is served.
            offline: self.values.on("offline") || self.values.one("upstream").trim() == "off",
            look_ahead: look_ahead?,
            fresh: self.time("fresh"),
            not_found: self.time("not-found"),
            answer: self.time("answer-timeout"),
            memory: memory?,
            verify_strict: verify_strict?,
            verify_again: self.time("verify-again"),
            webhook: Some(self.values.one("alarm-webhook").to_owned()).filter(|u| !u.is_empty()),
        })
    }

    fn server(&mut self) -> Option<server::Settings> {
        let mut listen = Vec::new();
        for text in self.values.many("listen") {
            match text.parse::<Address>() {
                Ok(address) => listen.push(address),
                Err(what) => self.problem("listen", what),
            }
        }
        let tls = match (self.values.one("tls-cert"), self.values.one("tls-key")) {
            ("", "") => None,
            (cert, key) if !cert.is_empty() && !key.is_empty() => Some((cert.into(), key.into())),
            _ => {
                self.problem("tls-cert", "--tls-cert and --tls-key go together".into());
                None
            }
        };
        let prefix = self.parse("prefix", |t| {
            match t.starts_with('/') && !t.contains(['?', '#', ' ']) {
                true => Ok(t.to_owned()),
                false => Err(format!("{t:?} is no base path; it looks like /go")),
            }
        });
        let admin_token = match self.values.one("admin-token-file") {
            "" => None,
            file => self.token(file),
        };
        Some(server::Settings {
            listen,
            tls,
            prefix: prefix?,
            connections: self.parse("connections", |t| {
                t.parse::<usize>()
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or_else(|| format!("{t:?} is no number above 0"))
            })?,
            head_timeout: self.time("client-timeout"),
            stall_timeout: self.time("client-timeout"),
            grace: self.time("grace"),
            admin_token,
        })
    }

    fn token(&mut self, file: &str) -> Option<String> {
        match std::fs::read_to_string(file) {
            Ok(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Ok(_) => {
                self.problem("admin-token-file", format!("{file} is empty"));
                None
            }
            Err(e) => {
                self.problem("admin-token-file", format!("{file}: {e}"));
                None
            }
        }
    }

    /// A switch that is neither on nor off must not count as off: it may be the one that keeps
    /// names at home.
    fn switches(&mut self) {
        for setting in SETTINGS.iter().filter(|s| s.shape == Shape::Switch) {
            self.parse(setting.name, |text| {
                let on = switch(text);
                on.ok_or_else(|| format!("{text:?} is neither true nor false"))
            });
        }
    }

    pub(super) fn time(&mut self, name: &'static str) -> Duration {
        self.parse(name, duration).unwrap_or_default()
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(n, _)| *n).collect();
        self.parse(name, |text| {
            let found = choices.iter().find(|(n, _)| *n == text).map(|(_, v)| *v);
            found.ok_or_else(|| format!("{text:?} is none of {}", names.join(", ")))
        })
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.values.one(name)) {
            Ok(value) => Some(value),
            Err(what) => {
                self.problem(name, what);
                None
            }
        }
    }

    pub(super) fn parse_many<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Option<T> {
        parse(self.values.many(name))
            .map_err(|what| self.problem(name, what))
            .ok()
    }

    pub(super) fn problem(&mut self, name: &'static str, what: String) {
        let place = match self.values.0.get(name).map(|v| &v.origin) {
            Some(Origin::File { path, line, column }) => {
                format!("{}:{line}:{column}", path.display())
            }
            Some(Origin::Environment(_)) => env_name(name),
            _ => format!("--{name}"),
        };
        self.problems.push(Problem { place, what });
    }
}

/// The go command passes over a malformed pattern; here it would name a private module to a public
/// server, so it is a mistake.
pub fn patterns(text: &str) -> Result<Patterns, String> {
    let patterns = Patterns::parse(text).map_err(|e| e.to_string())?;
    match patterns.warnings().first() {
        Some(warning) => Err(warning.clone()),
        None => Ok(patterns),
    }
}

/// `1m`, `30s`, `500ms`, `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; it looks like 500ms, 30s, 5m or 2h");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let millis = match &text[split..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    // A year: beyond, sums of times could overflow.
    millis
        .filter(|m| *m <= 31_536_000_000)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// `24MiB`, `512KiB`, `1GiB`, or plain bytes.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; it looks like 24MiB");
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let shift = match &text[split..] {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Checked here, where its place is known; the log reads it again when it starts.
fn log_level(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(format!("{text:?}: {e}")),
    }
}

/// Where the user's own data lies, by the XDG rules.
pub fn default_data() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|v| !v.is_empty())
            .map(|h| PathBuf::from(h).join(".local/share"))
    };
    base.or_else(home).map(|dir| dir.join("modkeep"))
}
