//! The names as one search over a text.

use super::names::Names;
use regex::{Regex, RegexBuilder};
use std::collections::HashMap;

/// A name this long is looked for inside of other words too: `payments` in `payments_v2`.
const INSIDE_MIN: usize = 5;

/// Names at most: a machine has some dozens.
const NAMES_MAX: usize = 2000;

/// Tokens by their look, wherever they stand.
const TOKENS: &str = concat!(
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{12,}",
    r"|AKIA[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{30,}|xox[a-z]-[A-Za-z0-9-]{10,}",
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
    r"|(?i:authorization: *(?:basic|bearer|token) +)[^\s,;]+|(?i:bearer) [A-Za-z0-9._~+/-]{12,}=*",
);

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A password, a token.
    Secret,
    /// The home directory.
    Home,
    /// A host, by its name in lower case.
    Host(String),
    /// A name in a path, a user, a machine: its canonical form.
    Name(String),
}

/// Everything to look for.
#[derive(Debug)]
pub struct Rules {
    tokens: Regex,
    secrets: Option<Regex>,
    home: Option<Regex>,
    hosts: Option<Regex>,
    words: Option<Regex>,
    canonical: HashMap<String, String>,
}

impl Rules {
    /// # Errors
    /// Too many names.
    pub fn new(names: Names) -> Result<Self, String> {
        let many = names.secrets.len() + names.hosts.len() + names.words.len();
        if many > NAMES_MAX {
            return Err(format!(
                "{many} private names are too many to be taken out safely"
            ));
        }
        let literal = |text: &String| regex::escape(text);
        // Each label before a hidden domain belongs to it.
        let host = |text: &String| format!(r"(?:[A-Za-z0-9_-]+\.)*{}\b", regex::escape(text));
        let home = names
            .home
            .iter()
            .map(|home| format!(r"{}(?:\b|$)", regex::escape(home)));
        let words: Vec<String> = longest_first(names.words.keys()).map(|w| word(w)).collect();
        Ok(Self {
            tokens: Regex::new(TOKENS).map_err(|e| e.to_string())?,
            secrets: any(longest_first(names.secrets.iter()).map(literal), false)?,
            home: any(home, false)?,
            hosts: any(longest_first(names.hosts.iter()).map(host), true)?,
            words: any(words.into_iter(), true)?,
            canonical: names.words,
        })
    }

    /// What is found, in order, none within another: secrets before names, the first before later ones.
    pub fn hits(&self, text: &str) -> Vec<(usize, usize, Kind)> {
        let mut found: Vec<(usize, usize, u8, Kind)> = Vec::new();
        let mut take = |regex: Option<&Regex>, rank: u8, kind: &dyn Fn(&str) -> Kind| {
            for hit in regex.into_iter().flat_map(|regex| regex.find_iter(text)) {
                found.push((hit.start(), hit.end(), rank, kind(hit.as_str())));
            }
        };
        take(Some(&self.tokens), 0, &|_| Kind::Secret);
        take(self.secrets.as_ref(), 0, &|_| Kind::Secret);
        take(self.home.as_ref(), 1, &|_| Kind::Home);
        take(self.hosts.as_ref(), 2, &|hit| {
            Kind::Host(hit.to_lowercase())
        });
        take(self.words.as_ref(), 3, &|hit| {
            let hit = hit.to_lowercase();
            Kind::Name(self.canonical.get(&hit).cloned().unwrap_or(hit))
        });
        // Whatever overlaps is taken together, under the name that ranks first: no part of it is left.
        found.sort_by_key(|(from, _, rank, _)| (*from, *rank));
        let mut hits: Vec<(usize, usize, u8, Kind)> = Vec::new();
        for (from, to, rank, kind) in found {
            match hits.last_mut() {
                Some(last) if from < last.1 => {
                    last.1 = last.1.max(to);
                    if rank < last.2 {
                        (last.2, last.3) = (rank, kind);
                    }
                }
                _ => hits.push((from, to, rank, kind)),
            }
        }
        hits.into_iter()
            .map(|(from, to, _, kind)| (from, to, kind))
            .collect()
    }
}

fn longest_first<'a>(words: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a String> {
    let mut words: Vec<&String> = words.collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.into_iter()
}

fn any(parts: impl Iterator<Item = String>, fold: bool) -> Result<Option<Regex>, String> {
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let mut builder = RegexBuilder::new(&parts.join("|"));
    let built = builder.case_insensitive(fold).size_limit(64 << 20).build();
    let regex = built.map_err(|_| "the private names are too long to be taken out safely")?;
    Ok(Some(regex))
}

/// Short names only where they stand for themselves.
fn word(text: &str) -> String {
    let alone = text.chars().count() < INSIDE_MIN;
    let edge = |c: Option<char>| match c {
        Some(c) if alone && (c.is_alphanumeric() || c == '_') => r"\b",
        _ => "",
    };
    let (first, last) = (edge(text.chars().next()), edge(text.chars().last()));
    format!("{first}{}{last}", regex::escape(text))
}
