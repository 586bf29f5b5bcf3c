//! The settings file: TOML, one key for each setting.

use super::{Origin, Problem, SETTINGS, Setting, Shape, Value};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A settings file larger than this is not one.
const SIZE_MAX: u64 = 1 << 20;

/// A settings file that was read.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    entries: Vec<Entry>,
}

/// A key, its value, and where both begin.
#[derive(Debug)]
struct Entry {
    key: String,
    key_at: usize,
    value: Raw,
    at: usize,
}

/// A value, as far as settings need to tell them apart.
#[derive(Debug)]
enum Raw {
    Text(String),
    Switch(bool),
    List(Vec<Raw>),
    Other,
}

impl From<&DeValue<'_>> for Raw {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(n) => Raw::Text(n.as_str().to_owned()),
            DeValue::Boolean(on) => Raw::Switch(*on),
            DeValue::Array(items) => {
                Raw::List(items.iter().map(|i| Raw::from(i.get_ref())).collect())
            }
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Raw::Other,
        }
    }
}

/// The file to read: the one that is named, else the first that exists.
pub fn find(named: Option<&str>) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.into());
    }
    if let Some(named) = std::env::var_os("MODKEEP_CONFIG").filter(|v| !v.is_empty()) {
        return Some(named.into());
    }
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    let places = [
        Some(PathBuf::from("modkeep.toml")),
        user.map(|dir| dir.join("modkeep/modkeep.toml")),
    ];
    places.into_iter().flatten().find(|p| p.is_file())
}

impl ConfigFile {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let wrong = |what: String| Problem {
            place: path.display().to_string(),
            what,
        };
        let size = std::fs::metadata(path)
            .map_err(|e| wrong(e.to_string()))?
            .len();
        if size > SIZE_MAX {
            return Err(wrong(format!(
                "is {size} bytes long; a settings file has at most {SIZE_MAX}"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let parsed = DeTable::parse(&text).map_err(|e| {
            let (line, column) = e.span().map_or((1, 1), |s| position(&text, s.start));
            Problem {
                place: format!("{}:{line}:{column}", path.display()),
                what: e.message().to_owned(),
            }
        })?;
        let entries = parsed
            .get_ref()
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_at: key.span().start,
                value: Raw::from(value.get_ref()),
                at: value.span().start,
            })
            .collect();
        Ok(Self {
            path: path.into(),
            entries,
            text,
        })
    }

    /// Keys that are no settings, each with what was probably meant.
    pub fn unknown_keys(&self) -> Vec<Problem> {
        let unknown = self
            .entries
            .iter()
            .filter(|e| !SETTINGS.iter().any(|s| s.name == e.key));
        unknown
            .map(|entry| {
                let near = SETTINGS
                    .iter()
                    .map(|s| (distance(&entry.key, s.name), s.name))
                    .min();
                let hint = match near {
                    // A third of the letters may be wrong: beyond, it is another word.
                    Some((d, name)) if d * 3 <= name.len() => format!("; did you mean {name}?"),
                    _ => "; see modkeep config show for all settings".into(),
                };
                self.problem(
                    entry.key_at,
                    format!("there is no setting {:?}{hint}", entry.key),
                )
            })
            .collect()
    }

    /// The file's value of a setting.
    pub fn value(&self, setting: &Setting) -> Result<Option<Value>, Problem> {
        let Some(entry) = self.entries.iter().find(|e| e.key == setting.name) else {
            return Ok(None);
        };
        let texts = match (&entry.value, setting.shape) {
            (Raw::List(items), Shape::Many) => items.iter().map(|i| scalar(setting, i)).collect(),
            (value, _) => scalar(setting, value).map(|text| vec![text]),
        };
        let texts = texts.map_err(|what| self.problem(entry.at, what))?;
        let (line, column) = position(&self.text, entry.at);
        Ok(Some(Value {
            texts,
            origin: Origin::File {
                path: self.path.clone(),
                line,
                column,
            },
        }))
    }

    fn problem(&self, at: usize, what: String) -> Problem {
        let (line, column) = position(&self.text, at);
        Problem {
            place: format!("{}:{line}:{column}", self.path.display()),
            what,
        }
    }
}

fn scalar(setting: &Setting, value: &Raw) -> Result<String, String> {
    match (value, setting.shape) {
        (Raw::Text(text), Shape::One | Shape::Many) => Ok(text.clone()),
        (Raw::Switch(on), Shape::Switch) => Ok(on.to_string()),
        (_, Shape::One) => Err(format!("{} must be a string", setting.name)),
        (_, Shape::Many) => Err(format!(
            "{} must be a string or a list of strings",
            setting.name
        )),
        (_, Shape::Switch) => Err(format!("{} must be true or false", setting.name)),
    }
}

/// Line and column of a byte, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Levenshtein distance, for guessing what was meant.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
