//! `modkeep verify`: what is here, held against the checksum database.
//!
//! Everything that is checked is a [`Claim`]: a hash that a file here has, or that a go.sum line says.
//! Claims are made without the database, records are asked for without the claims, so both go on at
//! once; [`judge`] puts them together.

mod database;
mod lines;
mod modcache;
pub mod show;
mod store;
mod tree;

pub use database::{Record, records};
pub use lines::{Sums, read};
pub use modcache::{Cached, hash, listed};
pub use store::{files as stored_files, hash as hash_stored};

use std::collections::{BTreeMap, BTreeSet};

/// What a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A line of go.sum.
    GoSum,
    /// A zip of the module cache.
    Zip,
    /// An extracted module.
    Dir,
    /// A `.mod` of the module cache.
    Mod,
    /// A file that modkeep keeps.
    Store,
}

impl What {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            What::GoSum => "gosum",
            What::Zip => "zip",
            What::Dir => "dir",
            What::Mod => "mod",
            What::Store => "store",
        }
    }
}

/// Module path and version, as they are written.
pub type Name = (String, String);

/// Something with a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: Name,
    pub what: What,
    /// Whether it is about the `.mod` file: go.sum and the database have a line of its own for it.
    pub go_mod: bool,
    /// Its hash.
    pub got: String,
    /// Where it is: a file, for go.sum with the line's number.
    pub source: String,
    /// The line's number in a go.sum.
    pub line: Option<usize>,
    /// What it should be by something else that is here, and what that is: for modules that no
    /// database knows.
    pub local: Option<(String, String)>,
    /// More about a difference.
    pub detail: Vec<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub name: Name,
    pub what: What,
    pub want: String,
    pub got: String,
    /// Where the wrong thing is.
    pub source: String,
    /// Who says what is right.
    pub against: String,
    pub line: Option<usize>,
    pub detail: Vec<String>,
}

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The database has no record of the version.
    NeverLogged,
    /// The database could not be asked.
    Unreachable,
    /// It could not be read here.
    Unreadable,
    /// The hash is of a kind that is not known.
    Algorithm,
}

impl Reason {
    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Reason::NeverLogged => "never_logged",
            Reason::Unreachable => "unreachable",
            Reason::Unreadable => "unreadable",
            Reason::Algorithm => "unknown_algorithm",
        }
    }
}

/// Something that could not be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub name: Name,
    pub what: What,
    pub reason: Reason,
    pub source: String,
    pub line: Option<usize>,
    pub why: String,
}

/// What was found without asking anybody.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub claims: Vec<Claim>,
    pub bad: Vec<Bad>,
    pub unknown: Vec<Unknown>,
    /// Number of files that are good and that no database knows anything of.
    pub sound: usize,
}

impl Found {
    /// Adds what was found elsewhere.
    pub fn extend(&mut self, other: Found) {
        self.claims.extend(other.claims);
        self.bad.extend(other.bad);
        self.unknown.extend(other.unknown);
        self.sound += other.sound;
    }
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines and files that were looked at.
    pub checked: usize,
    /// Those that a proved record confirms.
    pub proved: usize,
    /// Those that nobody is asked about, and nothing here contradicts.
    pub private: BTreeSet<Name>,
    pub bad: Vec<Bad>,
    pub unknown: Vec<Unknown>,
}

/// Holds everything found against the records; `database` is the name of who made them.
pub fn judge(found: Found, records: &BTreeMap<Name, Record>, database: &str) -> Report {
    let mut report = Report {
        checked: found.sound + found.claims.len() + found.bad.len() + found.unknown.len(),
        unknown: found.unknown,
        ..Report::default()
    };
    let mut proved = BTreeSet::new();
    for claim in found.claims {
        let record = records.get(&claim.name).unwrap_or(&Record::Private);
        match record {
            Record::Known { .. } => match record.hash(claim.go_mod) {
                Some(hash) if hash == claim.got => {
                    report.proved += 1;
                    proved.insert(claim.source);
                }
                hash => {
                    let want = hash.unwrap_or("no hash of this file").to_owned();
                    report.bad.push(wrong(claim, want, database.into()));
                }
            },
            _ if claim
                .local
                .as_ref()
                .is_some_and(|(want, _)| *want != claim.got) =>
            {
                let (want, from) = claim.local.clone().unwrap_or_default();
                report.bad.push(wrong(claim, want, from));
            }
            Record::Private => {
                report.private.insert(claim.name);
            }
            Record::Absent => {
                let why = format!("{database} has no record of it");
                report.unknown.push(open(claim, Reason::NeverLogged, why));
            }
            Record::Unreachable(why) => {
                let why = why.clone();
                report.unknown.push(open(claim, Reason::Unreachable, why));
            }
        }
    }
    // One mistake is told once, by the record if there is one.
    let seen: BTreeSet<String> = report.bad.iter().map(|b| b.source.clone()).collect();
    let local = found.bad.into_iter().filter(|b| !seen.contains(&b.source));
    report
        .bad
        .extend(local.map(|b| match proved.contains(&b.source) {
            // What is proved is right, so what it was held against is not.
            true => Bad {
                want: b.got,
                got: b.want,
                source: b.against,
                against: database.into(),
                ..b
            },
            false => b,
        }));
    report
        .bad
        .sort_by(|a, b| (&a.name, a.what, a.line).cmp(&(&b.name, b.what, b.line)));
    report
        .unknown
        .sort_by(|a, b| (a.reason, &a.name, a.what).cmp(&(b.reason, &b.name, b.what)));
    report
}

fn wrong(claim: Claim, want: String, against: String) -> Bad {
    Bad {
        name: claim.name,
        what: claim.what,
        want,
        got: claim.got,
        source: claim.source,
        against,
        line: claim.line,
        detail: claim.detail,
    }
}

fn open(claim: Claim, reason: Reason, why: String) -> Unknown {
    Unknown {
        name: claim.name,
        what: claim.what,
        reason,
        source: claim.source,
        line: claim.line,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(what: What, got: &str, local: Option<&str>) -> Claim {
        Claim {
            name: ("m".into(), "v1".into()),
            what,
            go_mod: what == What::Mod,
            got: got.into(),
            source: "here".into(),
            line: None,
            local: local.map(|l| (l.into(), "beside".into())),
            detail: Vec::new(),
        }
    }

    fn judged(claims: Vec<Claim>, record: Record) -> Report {
        let found = Found {
            claims,
            ..Found::default()
        };
        let records = [(("m".into(), "v1".into()), record)].into();
        judge(found, &records, "db")
    }

    fn known() -> Record {
        Record::Known {
            zip: Some("h1:z".into()),
            go_mod: Some("h1:m".into()),
        }
    }

    #[test]
    fn the_record_decides_where_there_is_one() {
        let claims = vec![
            claim(What::Zip, "h1:z", Some("h1:other")),
            claim(What::Mod, "h1:m", None),
            claim(What::Dir, "h1:x", Some("h1:x")),
        ];
        let report = judged(claims, known());
        assert_eq!((report.checked, report.proved), (3, 2));
        let [bad] = report.bad.as_slice() else {
            panic!("{report:?}")
        };
        assert_eq!(
            (bad.what, bad.want.as_str(), bad.against.as_str()),
            (What::Dir, "h1:z", "db")
        );
        let half = Record::Known {
            zip: Some("h1:z".into()),
            go_mod: None,
        };
        let report = judged(vec![claim(What::Mod, "h1:m", None)], half);
        assert_eq!(report.bad.len(), 1, "a file that the record does not name");
    }

    #[test]
    fn without_a_record_what_is_beside_it_decides() {
        for record in [
            Record::Private,
            Record::Absent,
            Record::Unreachable("no".into()),
        ] {
            let claims = vec![
                claim(What::Zip, "h1:x", Some("h1:z")),
                claim(What::Dir, "h1:x", Some("h1:x")),
            ];
            let report = judged(claims, record.clone());
            assert_eq!(
                (report.bad.len(), report.bad[0].against.as_str()),
                (1, "beside")
            );
            assert_eq!(report.unknown.is_empty(), record == Record::Private);
        }
    }

    #[test]
    fn one_mistake_is_told_once() {
        let bad = Bad {
            name: ("m".into(), "v1".into()),
            what: What::Zip,
            want: "h1:w".into(),
            got: "h1:x".into(),
            source: "here".into(),
            against: ".ziphash".into(),
            line: None,
            detail: Vec::new(),
        };
        let found = Found {
            claims: vec![claim(What::Zip, "h1:x", None)],
            bad: vec![bad],
            ..Found::default()
        };
        let records = [(("m".into(), "v1".into()), known())].into();
        let report = judge(found, &records, "db");
        assert_eq!(report.bad.len(), 1);
        assert_eq!(report.bad[0].against, "db");
    }
}
