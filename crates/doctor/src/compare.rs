//! Who is the odd one out when hashes of one version differ.
//!
//! Sources are put side by side: go.sum, the module cache, each proxy, the checksum database with
//! its proof, the origin, modkeep's own store. The verdict follows from who agrees with whom, and
//! is a label of the taxonomy; where the table has no row, nobody is named. Source of the table:
//! the decision procedures of diagnosis, MISMATCH. Pure: hashes are arguments.
//!
//! Two situations look alike: everybody has other bytes than the database recorded. Either the
//! tag was moved around the time of the first record, or the record itself is wrong. They are told
//! apart by a second route to the database, by earlier witnesses, and by the origin; see
//! `Judge::everybody_but_the_database`.

mod files;

use serde::Serialize;
use std::collections::BTreeMap;

pub use files::{Change, FileChange, FileSum, Shape, changes, shape};

/// What kind of source a hash comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A line of the project's go.sum.
    GoSum,
    /// The module cache: the zip, its recorded hash, or the extracted tree.
    Cache,
    /// A proxy.
    Proxy,
    /// The checksum database, its record proved to be in the log that the pinned key signs.
    Sumdb,
    /// The version control repository at the tag.
    Origin,
    /// What this modkeep kept when it first saw the version.
    Store,
}

/// What one source says of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Who, without credentials.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The zip's go.sum hash.
    pub h1: Option<String>,
    /// The go.mod's go.sum hash.
    pub gomod: Option<String>,
    /// SHA-256 of the zip's own bytes, which may differ where the files do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip_sha256: Option<String>,
    /// Why there is no hash, or only one.
    pub error: Option<String>,
    /// Whether it was meant to answer and did not: then not finding a difference proves little.
    #[serde(skip)]
    pub failed: bool,
}

impl Source {
    /// A source that has said nothing yet.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            h1: None,
            gomod: None,
            zip_sha256: None,
            error: None,
            failed: false,
        }
    }

    /// A source that could not be asked, or does not have it.
    #[must_use]
    pub fn without(mut self, why: impl Into<String>, failed: bool) -> Self {
        self.error = Some(why.into());
        self.failed = failed;
        self
    }
}

/// How far the sources agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// All that answered have the same.
    Agree,
    /// They have not.
    Differ,
    /// Fewer than two answered.
    Unknown,
}

/// Which of the two hashes a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The zip's.
    Zip,
    /// The go.mod's.
    GoMod,
}

/// Who is the odd one out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether there is a difference at all.
    pub agreement: Agreement,
    /// The cause in the taxonomy, where there is a difference.
    pub label: Option<&'static str>,
    /// What kind of it.
    pub variant: Option<&'static str>,
    /// Names of the sources that are the odd ones.
    pub odd: Vec<String>,
    /// The hash to go by, where one is proved or agreed on.
    pub good: Option<String>,
    /// Which hash differs.
    pub of: Of,
    /// Further remarks, each a sentence.
    pub also: Vec<String>,
}

/// Judges the sources of one version.
pub fn judge(sources: &[Source]) -> Verdict {
    let zip = Judge::new(sources, Of::Zip).verdict();
    let go_mod = Judge::new(sources, Of::GoMod).verdict();
    let only_go_mod = zip.agreement != Agreement::Differ && go_mod.agreement == Agreement::Differ;
    let mut verdict = if only_go_mod || zip.agreement == Agreement::Unknown {
        go_mod.clone()
    } else {
        zip
    };
    if only_go_mod {
        verdict.also.push(
            "only the go.mod hash differs: the .mod file is served differently, the zip is the same".into(),
        );
    } else if verdict.of == Of::Zip && go_mod.agreement == Agreement::Differ {
        verdict.also.push(format!(
            "the go.mod hash differs too ({})",
            go_mod.odd.join(", ")
        ));
    }
    verdict.also.extend(packed_otherwise(sources));
    if verdict.agreement == Agreement::Agree
        && !sources
            .iter()
            .any(|s| s.kind == Kind::Sumdb && s.h1.is_some())
    {
        verdict
            .also
            .push("no record of a checksum database took part: agreement is no proof".into());
    }
    verdict
}

/// The same hash over differently packed zips is no difference: go.sum is about files.
fn packed_otherwise(sources: &[Source]) -> Option<String> {
    let mut packings: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for source in sources {
        if let (Some(h1), Some(zip)) = (&source.h1, &source.zip_sha256) {
            packings.entry(h1).or_default().push((zip, &source.name));
        }
    }
    let differ = |same: &&Vec<(&str, &str)>| same.iter().any(|(zip, _)| *zip != same[0].0);
    let names: Vec<&str> = packings
        .values()
        .find(differ)?
        .iter()
        .map(|(_, name)| *name)
        .collect();
    Some(format!(
        "{} pack the same files into different zips, which is fine: the hash is over the files",
        names.join(", ")
    ))
}

/// One hash of every source that has it.
struct Judge<'a> {
    of: Of,
    known: Vec<(&'a Source, &'a str)>,
}

impl<'a> Judge<'a> {
    fn new(sources: &'a [Source], of: Of) -> Self {
        let hash = |s: &'a Source| match of {
            Of::Zip => s.h1.as_deref(),
            Of::GoMod => s.gomod.as_deref(),
        };
        let known = sources.iter().filter_map(|s| Some((s, hash(s)?))).collect();
        Self { of, known }
    }

    fn verdict(&self) -> Verdict {
        let first = self.known.first().map(|(_, hash)| *hash);
        if self.known.len() < 2 {
            return self.named(Agreement::Unknown, None, None, &[], first);
        }
        if self.known.iter().all(|(_, hash)| Some(*hash) == first) {
            return self.named(Agreement::Agree, None, None, &[], first);
        }
        let recorded = self.hashes(Kind::Sumdb);
        match recorded.as_slice() {
            // Two routes to one log, two records: that alone is the proof.
            [_, _, ..] => self.odd("sumdb_divergent", Some("two_records"), &[Kind::Sumdb], None),
            [recorded] => self.against(recorded),
            [] => self.without_a_record(),
        }
    }

    /// With a proved record: who has something else.
    fn against(&self, recorded: &'a str) -> Verdict {
        let differs = |kind| self.of_kind(kind).any(|hash| hash != recorded);
        let agrees = |kind| self.of_kind(kind).any(|hash| hash == recorded);
        let bytes_agree = [Kind::Proxy, Kind::Origin, Kind::Cache, Kind::Store]
            .into_iter()
            .any(agrees);
        let others: Vec<Kind> = [
            Kind::GoSum,
            Kind::Cache,
            Kind::Store,
            Kind::Proxy,
            Kind::Origin,
        ]
        .into_iter()
        .filter(|kind| differs(*kind))
        .collect();
        let odd = |label, variant| self.odd(label, variant, &others, Some(recorded));
        match others.as_slice() {
            [Kind::GoSum] if bytes_agree => odd("checksum_mismatch_gosum_wrong", None),
            [Kind::Cache] | [Kind::Cache, Kind::GoSum] if bytes_agree => odd("cache_corrupt", None),
            [Kind::Store] if bytes_agree => odd("cache_corrupt", Some("store")),
            [Kind::GoSum, Kind::Cache] if bytes_agree => self.go_sum_and_cache(recorded, &others),
            _ if !bytes_agree && !agrees(Kind::GoSum) => {
                self.everybody_but_the_database(recorded, &others)
            }
            _ if differs(Kind::Origin) && self.same_as_origin(recorded) => {
                odd("checksum_mismatch_tag_moved", Some("after_publication"))
            }
            _ if differs(Kind::Proxy)
                && (agrees(Kind::Proxy)
                    || agrees(Kind::Origin)
                    || bytes_agree
                    || agrees(Kind::GoSum))
                && !differs(Kind::Origin) =>
            {
                self.proxy(recorded, &others)
            }
            _ => odd("checksum_mismatch_unresolved", None),
        }
    }

    /// go.sum and cache both differ: the same bytes in both were taken in together; otherwise
    /// nothing ties them.
    fn go_sum_and_cache(&self, recorded: &'a str, odd: &[Kind]) -> Verdict {
        let same = self.hashes(Kind::GoSum) == self.hashes(Kind::Cache);
        match same {
            true => self.odd(
                "checksum_mismatch_gosum_wrong",
                Some("with_cache"),
                odd,
                Some(recorded),
            ),
            false => self.odd("checksum_mismatch_unresolved", None, odd, Some(recorded)),
        }
    }

    /// A proxy differs while the origin does not: bytes in go.sum and cache that are the proxy's own
    /// came from it.
    fn proxy(&self, recorded: &'a str, odd: &[Kind]) -> Verdict {
        let wrong: Vec<&str> = self
            .of_kind(Kind::Proxy)
            .filter(|h| *h != recorded)
            .collect();
        let from_it = |kind| {
            self.of_kind(kind)
                .all(|h| h == recorded || wrong.contains(&h))
        };
        let spread = odd.iter().any(|kind| *kind != Kind::Proxy);
        match [Kind::GoSum, Kind::Cache, Kind::Store]
            .into_iter()
            .all(from_it)
        {
            true => {
                let variant = spread.then_some("already_taken_in");
                self.odd(
                    "checksum_mismatch_proxy_divergent",
                    variant,
                    odd,
                    Some(recorded),
                )
            }
            false => self.odd("checksum_mismatch_unresolved", None, odd, Some(recorded)),
        }
    }

    /// Whether all that differ from the record have the origin's present bytes.
    fn same_as_origin(&self, recorded: &str) -> bool {
        let origin = self.hashes(Kind::Origin);
        let differing = self
            .known
            .iter()
            .filter(|(s, h)| s.kind != Kind::Origin && *h != recorded);
        let mut all = differing.map(|(_, hash)| *hash);
        all.all(|hash| origin.contains(&hash))
    }

    /// Nobody has the recorded bytes.
    ///
    /// The same record over two routes is what the whole world's log holds: then the bytes came
    /// later, and the tag was moved around the first record. Over one route it is one voice against
    /// go.sum, cache and store, which held their bytes before the question arose: the record is
    /// the odd one, and an alarm. With neither, the origin decides: if even it has other bytes, they
    /// changed there; if it was not asked, the record stands alone.
    fn everybody_but_the_database(&self, recorded: &'a str, others: &[Kind]) -> Verdict {
        let mut served: Vec<&str> = self
            .known
            .iter()
            .filter(|(s, _)| s.kind != Kind::Sumdb)
            .map(|(_, h)| *h)
            .collect();
        served.dedup();
        if served.iter().any(|hash| *hash != served[0]) {
            return self.odd("checksum_mismatch_unresolved", None, others, None);
        }
        let routes = self
            .known
            .iter()
            .filter(|(s, _)| s.kind == Kind::Sumdb)
            .count();
        let witness = [Kind::GoSum, Kind::Cache, Kind::Store]
            .iter()
            .any(|k| self.of_kind(*k).next().is_some());
        let origin = self.of_kind(Kind::Origin).next().is_some();
        let proxies = self.of_kind(Kind::Proxy).next().is_some();
        if !origin && !proxies {
            // Only what lies here differs from the record, and nobody was asked for the bytes.
            return self.odd("checksum_mismatch_unresolved", None, others, Some(recorded));
        }
        if origin && (routes > 1 || !witness) {
            return self.odd(
                "checksum_mismatch_tag_moved",
                Some("around_first_record"),
                others,
                Some(recorded),
            );
        }
        self.odd("sumdb_divergent", Some("one_route"), &[Kind::Sumdb], None)
    }

    /// Without a record (private, or never logged) go.sum is the only memory.
    fn without_a_record(&self) -> Verdict {
        let mut counts: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
        for (source, hash) in &self.known {
            counts.entry(hash).or_default().push(source);
        }
        let mut groups: Vec<(&str, Vec<&Source>)> = counts.into_iter().collect();
        groups.sort_by_key(|(_, sources)| std::cmp::Reverse(independent(sources)));
        let unresolved = || {
            self.named(
                Agreement::Differ,
                Some("checksum_mismatch_unresolved"),
                None,
                &self.names(&groups),
                None,
            )
        };
        let [(good, many), (_, odd)] = groups.as_slice() else {
            return unresolved();
        };
        let kinds = |sources: &[&Source]| Vec::from_iter(sources.iter().map(|s| s.kind));
        let (many, few) = (kinds(many), kinds(odd));
        let only = |kind| few.iter().all(|k| *k == kind);
        let names: Vec<String> = odd.iter().map(|s| s.name.clone()).collect();
        let named = |label, variant| {
            self.named(Agreement::Differ, Some(label), variant, &names, Some(*good))
        };
        match () {
            // The present bytes differ from the remembered ones: private tags move unseen.
            () if many.contains(&Kind::Origin) && only(Kind::GoSum) => {
                named("checksum_mismatch_tag_moved", Some("never_logged"))
            }
            () if many.contains(&Kind::GoSum)
                && few.contains(&Kind::Origin)
                && !few.contains(&Kind::Cache) =>
            {
                named("checksum_mismatch_tag_moved", Some("never_logged"))
            }
            () if only(Kind::Cache) && many.len() > 1 => named("cache_corrupt", None),
            () if only(Kind::Store) && many.len() > 1 => named("cache_corrupt", Some("store")),
            () if only(Kind::Proxy) && independent(odd) < many.len() => {
                named("checksum_mismatch_proxy_divergent", None)
            }
            () if only(Kind::GoSum) && many.len() > 1 => {
                named("checksum_mismatch_gosum_wrong", None)
            }
            () => unresolved(),
        }
    }

    fn names(&self, groups: &[(&str, Vec<&Source>)]) -> Vec<String> {
        groups
            .iter()
            .flat_map(|(_, sources)| sources.iter().map(|s| s.name.clone()))
            .collect()
    }

    /// All of these kinds that do not have the good hash.
    fn odd(
        &self,
        label: &'static str,
        variant: Option<&'static str>,
        kinds: &[Kind],
        good: Option<&str>,
    ) -> Verdict {
        let is_odd =
            |(source, hash): &&(&Source, &str)| kinds.contains(&source.kind) && Some(*hash) != good;
        let names: Vec<String> = self
            .known
            .iter()
            .filter(is_odd)
            .map(|(s, _)| s.name.clone())
            .collect();
        self.named(Agreement::Differ, Some(label), variant, &names, good)
    }

    fn named(
        &self,
        agreement: Agreement,
        label: Option<&'static str>,
        variant: Option<&'static str>,
        odd: &[String],
        good: Option<&str>,
    ) -> Verdict {
        Verdict {
            agreement,
            label,
            variant,
            odd: odd.to_vec(),
            good: good.map(str::to_owned),
            of: self.of,
            also: Vec::new(),
        }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a str> {
        self.known
            .iter()
            .filter(move |(s, _)| s.kind == kind)
            .map(|(_, hash)| *hash)
    }

    /// Different hashes of a kind.
    fn hashes(&self, kind: Kind) -> Vec<&'a str> {
        let mut hashes: Vec<&str> = self.of_kind(kind).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }
}

/// Sources that do not hang on each other: the parts of one cache are one.
fn independent(sources: &[&Source]) -> usize {
    let caches = sources.iter().filter(|s| s.kind == Kind::Cache).count();
    sources.len() - caches.saturating_sub(1)
}
