//! Names that cannot stand beside each other on every file system.

use crate::quote::quote;
use crate::unicode::to_fold;
use std::collections::HashMap;

/// Bytes of names and their directories that are remembered. A module of 100,000 files has 10 MiB
/// of them; without a bound one name of 64 KiB could ask for a gigabyte, a directory at a time.
const BYTES_MAX: usize = 64 << 20;

struct Seen {
    /// The name, where it differs from its key.
    name: Option<Box<str>>,
    is_dir: bool,
    /// What is wrong with a directory above.
    wrong: Option<Box<str>>,
}

/// Finds names that differ only by case, and names that are file and directory at once.
#[derive(Default)]
pub(super) struct Collisions {
    /// By folded name.
    seen: HashMap<Box<str>, Seen>,
    bytes: usize,
}

impl Collisions {
    /// Adds a name and the directories above it.
    pub fn check(&mut self, name: &str, is_dir: bool) -> Result<(), String> {
        let (mut name, mut is_dir) = (name, is_dir);
        let mut added = Vec::new();
        let outcome = loop {
            match self.add(name, is_dir) {
                Ok(Some(key)) => added.push(key),
                Ok(None) => break Ok(()),
                Err(why) => break Err(why),
            }
            match name.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => (name, is_dir) = (parent, true),
                _ => break Ok(()),
            }
        };
        if let Err(why) = &outcome {
            for key in added {
                if let Some(seen) = self.seen.get_mut(&key) {
                    seen.wrong = Some(why.as_str().into());
                }
            }
        }
        outcome
    }

    /// Adds one name and gives its key; nothing for a directory that is known, as those above it
    /// are then known too.
    fn add(&mut self, name: &str, is_dir: bool) -> Result<Option<Box<str>>, String> {
        let key = to_fold(name);
        if let Some(seen) = self.seen.get(key.as_ref()) {
            let other = seen.name.as_deref().unwrap_or(&key);
            return match () {
                () if other != name => Err(format!(
                    "case-insensitive file name collision: {} and {}",
                    quote(other),
                    quote(name)
                )),
                () if seen.is_dir != is_dir => Err(format!(
                    "entry {} is both a file and a directory",
                    quote(name)
                )),
                () if !is_dir => Err(format!("multiple entries for file {}", quote(name))),
                () => match &seen.wrong {
                    Some(why) => Err(why.to_string()),
                    None => Ok(None),
                },
            };
        }
        self.bytes += 2 * key.len();
        if self.bytes > BYTES_MAX {
            return Err("too many directories".into());
        }
        let seen = Seen {
            name: (key != name).then(|| name.into()),
            is_dir,
            wrong: None,
        };
        let key: Box<str> = key.into();
        self.seen.insert(key.clone(), seen);
        Ok(Some(key))
    }
}
