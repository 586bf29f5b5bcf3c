//! Settings: from flags, the environment, a file and defaults, in that order of strength.

mod file;
mod log;
mod parse;
mod sumdb;
mod table;

pub use file::{ConfigFile, find};
pub use log::{LogSetting, log_name};
pub use parse::{AccessTarget, Problem, Typed, default_data, duration, patterns};
pub use sumdb::{SumdbSetting, known_key, parse as parse_sumdb};
pub use table::{SETTINGS, Setting, Shape, env_name};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Environment(String),
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "environment ({name})"),
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value as text, and where it came from.
#[derive(Clone, Debug)]
pub struct Value {
    pub texts: Vec<String>,
    pub origin: Origin,
}

/// Every setting's value.
#[derive(Clone, Debug)]
pub struct Values(pub BTreeMap<&'static str, Value>);

impl Values {
    /// The built-in defaults with these put over them: for commands that work without settings,
    /// whatever the environment and files hold for a server.
    pub fn with(given: &[(&'static str, String)]) -> Self {
        let defaults = SETTINGS.iter().map(|setting| {
            let given = given.iter().filter(|(name, _)| *name == setting.name);
            let given: Vec<String> = given.map(|(_, text)| text.clone()).collect();
            let default =
                || Vec::from_iter((!setting.default.is_empty()).then(|| setting.default.into()));
            let texts = if given.is_empty() { default() } else { given };
            let origin = Origin::Default;
            (setting.name, Value { texts, origin })
        });
        Self(defaults.collect())
    }

    /// The single value of a setting; empty when it has none.
    pub fn one(&self, name: &str) -> &str {
        self.0
            .get(name)
            .and_then(|v| v.texts.last())
            .map_or("", String::as_str)
    }

    /// All values of a setting.
    pub fn many(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], |v| v.texts.as_slice())
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str) -> bool {
        switch(self.one(name)).unwrap_or_default()
    }
}

/// What a switch's text means; an empty one is off.
fn switch(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "on" | "yes" => Some(true),
        "false" | "0" | "off" | "no" | "" => Some(false),
        _ => None,
    }
}

/// Adds the settings as flags to a command.
pub fn add_flags(mut command: Command, server: bool) -> Command {
    command = command.arg(Arg::new("config").long("config").value_name("FILE").help(
        "Settings file [default: $MODKEEP_CONFIG, ./modkeep.toml, the user's config directory]",
    ));
    for setting in SETTINGS.iter().filter(|s| server || !s.server_only) {
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let help = format!(
            "{}{default} [env: {}]",
            setting.help,
            env_name(setting.name)
        );
        let arg = Arg::new(setting.name).long(setting.name).help(help);
        command = command.arg(match setting.shape {
            Shape::One => arg.value_name(setting.value),
            Shape::Many => arg.value_name(setting.value).action(ArgAction::Append),
            Shape::Switch => arg.action(ArgAction::SetTrue),
        });
    }
    command
}

/// Collects every setting's value from all sources.
pub fn collect(matches: &ArgMatches, file: Option<&ConfigFile>) -> Result<Values, Vec<Problem>> {
    let mut values = BTreeMap::new();
    let mut problems = file.map(|f| f.unknown_keys()).unwrap_or_default();
    for setting in SETTINGS {
        match value_of(setting, matches, file) {
            Ok(value) => {
                values.insert(setting.name, value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(Values(values))
    } else {
        Err(problems)
    }
}

fn value_of(
    setting: &Setting,
    matches: &ArgMatches,
    file: Option<&ConfigFile>,
) -> Result<Value, Problem> {
    if let Some(texts) = flag(setting, matches) {
        return Ok(Value {
            texts,
            origin: Origin::Flag,
        });
    }
    let name = env_name(setting.name);
    if let Ok(text) = std::env::var(&name) {
        let texts = match setting.shape {
            Shape::Many => text
                .split(';')
                .map(|t| t.trim().to_owned())
                .filter(|t| !t.is_empty())
                .collect(),
            Shape::One | Shape::Switch => vec![text],
        };
        return Ok(Value {
            texts,
            origin: Origin::Environment(name),
        });
    }
    if let Some(value) = file.map(|f| f.value(setting)).transpose()?.flatten() {
        return Ok(value);
    }
    let texts = if setting.default.is_empty() {
        Vec::new()
    } else {
        vec![setting.default.to_owned()]
    };
    Ok(Value {
        texts,
        origin: Origin::Default,
    })
}

fn flag(setting: &Setting, matches: &ArgMatches) -> Option<Vec<String>> {
    // Commands other than `serve` do not have every flag.
    if !matches.try_contains_id(setting.name).is_ok_and(|has| has)
        || matches.value_source(setting.name) != Some(ValueSource::CommandLine)
    {
        return None;
    }
    Some(match setting.shape {
        Shape::Switch => vec![matches.get_flag(setting.name).to_string()],
        Shape::One | Shape::Many => matches.get_many::<String>(setting.name)?.cloned().collect(),
    })
}
