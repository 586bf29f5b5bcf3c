//! The download as the go command would do it: which questions, to whom, in which order.
//!
//! Source of the rules: cmd/go/internal/modfetch. Each question goes through GOPROXY anew: after
//! 404 and 410 to the next entry, after `|` in any case. A module that GONOPROXY covers is asked
//! at its own host only. After the first question that nobody answers nothing more is asked, as
//! there; the entries that follow it are asked for comparison only, marked as `beyond`.

use std::sync::{Mutex, PoisonError};

use doctor::net::{Exchange, NetFacts, Step, SumSource, Try, What};
use gomod::escape::percent_encode;
use gomod::info::Info;
use gomod::path::ModulePath;
use gomod::version::{ModuleVersion, Revision, Version};
use url::Url;

use super::fetch::{Fetched, fetch};
use super::plan::{Entry, Place, Sumdb, below};
use super::prober::Prober;
use super::query::{self, Query};
use super::targets::Targets;
use super::{origin, sumdb};

/// A module that the Go project keeps for ever and that every public proxy can get.
pub const CONTROL: &str = "golang.org/x/text/@v/v0.3.0.info";

/// Entries behind a failed one that are asked for comparison.
const BEYOND_MAX: usize = 2;

/// The facts as they grow: what is there when the time ends is kept.
pub type Growing = Mutex<NetFacts>;

/// Everything a walk needs.
pub struct Walk<'a> {
    /// The means.
    pub prober: &'a Prober,
    /// The settings.
    pub targets: &'a Targets,
    /// GOPROXY.
    pub entries: &'a [Entry],
    /// GOSUMDB.
    pub sumdb: Option<&'a Sumdb>,
    /// Where facts go.
    pub facts: &'a Growing,
}

/// What a question brought.
pub struct Answer {
    /// The answer, if there is one.
    pub good: Option<Fetched>,
    /// Who gave it.
    pub place: Option<Place>,
}

impl Walk<'_> {
    /// Changes the facts.
    pub fn note(&self, change: impl FnOnce(&mut NetFacts)) {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Walks the whole download.
    pub async fn download(&self, path: &ModulePath, query: Option<&str>) {
        let private = self.targets.is_private(path.as_str());
        self.note(|facts| facts.private = Some(private));
        let Some(version) = self.version(path, query).await else {
            return;
        };
        let Ok(module) = ModuleVersion::new(path.clone(), version.clone()) else {
            self.note(|facts| {
                let text = format!("{path}@{version}: the version does not fit the path");
                facts.nothing = Some(text);
            });
            return;
        };
        if query != Some(version.as_str()) {
            self.note(|facts| facts.version = Some(version.to_string()));
        }
        let file = |kind: &str| format!("{}/@v/{}.{kind}", path.escaped(), version.escaped());
        let info = self.ask(What::Info, &file("info"), Some(&module)).await;
        let by_proxy = matches!(info.place, Some(Place::Proxy(_)));
        if info.good.is_none() || !(by_proxy || self.targets.replay.is_some()) {
            return;
        }
        let go_mod = self.ask(What::Mod, &file("mod"), Some(&module)).await;
        let Some(go_mod) = go_mod.good else {
            return;
        };
        let proved = match self.targets.wants_sumdb(&module) {
            true => sumdb::look(self, &module).await,
            false => Ok(()),
        };
        if proved.is_err() {
            return;
        }
        let zip = self.ask(What::Zip, &file("zip"), Some(&module)).await;
        if let (Some(got), Some(place)) = (zip.good, zip.place) {
            self.compare(&module, &go_mod, &got, &place).await;
        }
    }

    /// Looks at every endpoint once, without a module.
    pub async fn endpoints(&self) {
        for entry in self.entries {
            if let Place::Proxy(base) = &entry.place {
                let fetched = fetch(self.prober, &below(base, CONTROL), What::Control, None).await;
                let step = Step {
                    what: What::Control,
                    tries: vec![tried(entry, false, fetched.exchange)],
                };
                self.note(|facts| facts.steps.push(step));
            }
        }
        sumdb::head(self).await;
    }

    /// The version that a query means.
    async fn version(&self, path: &ModulePath, query: Option<&str>) -> Option<Version> {
        let text = query.unwrap_or("latest");
        if let Some(version) = Revision::parse(text).ok().and_then(|r| r.as_version()) {
            return Some(version);
        }
        let (what, file) = match Query::parse(text) {
            Some(query) if query.is_ambiguous() => {
                let said = format!("{path}@{text}: ambiguous semantic version in range {text:?}");
                self.note(|facts| facts.nothing = Some(said));
                return None;
            }
            Some(query) => {
                let list = format!("{}/@v/list", path.escaped());
                let listed = self.ask(What::List, &list, None).await.good?;
                let list = String::from_utf8_lossy(&listed.body).into_owned();
                if let Some(version) = self.of_list(path, query, &list).await {
                    return Some(version);
                }
                if query != Query::Latest {
                    let said = format!("{path}@{text}: no matching versions for query {text:?}");
                    self.note(|facts| facts.nothing = Some(said));
                    return None;
                }
                (What::Latest, "@latest".to_owned())
            }
            None => {
                let revision = Revision::parse(text).ok()?;
                (What::Info, format!("@v/{}.info", revision.escaped()))
            }
        };
        let file = format!("{}/{file}", path.escaped());
        let answered = self.ask(what, &file, None).await.good?;
        let info = Info::parse(&answered.body).ok()?;
        Some(info.version().clone())
    }

    async fn of_list(&self, path: &ModulePath, query: Query<'_>, list: &str) -> Option<Version> {
        let mut candidates = query::candidates(query, list);
        if let Some(version) = query::decisive(&candidates) {
            let file = format!("{}/@v/{}.mod", path.escaped(), version.escaped());
            let go_mod = self.ask(What::Mod, &file, None).await.good?;
            // A module without a go.mod of its own is given one with this line alone.
            let own = go_mod.body.trim_ascii() != format!("module {path}").as_bytes();
            candidates.retain(|version| !(own && version.is_incompatible()));
        }
        query::choose(query, &candidates).cloned()
    }

    /// Puts one question to one entry after the other.
    pub async fn ask(&self, what: What, file: &str, module: Option<&ModuleVersion>) -> Answer {
        let private = self.facts_private();
        let mut answer = Answer {
            good: None,
            place: None,
        };
        let mut step = Step {
            what,
            tries: Vec::new(),
        };
        let direct = Entry {
            place: Place::Direct,
            shown: "direct".into(),
            on_any_error: false,
        };
        let entries = match private {
            true => std::slice::from_ref(&direct),
            false => self.entries,
        };
        let mut ended = false;
        let mut beyond = 0;
        for entry in entries {
            let nobody = beyond >= BEYOND_MAX || self.targets.replay.is_some();
            if ended && (nobody || !matches!(entry.place, Place::Proxy(_))) {
                break;
            }
            let (fetched, before, vcs) = match &entry.place {
                Place::Proxy(base) => {
                    let url = below(base, file);
                    let fetched = fetch(self.prober, &url, what, module).await;
                    (fetched, Vec::new(), None)
                }
                Place::Direct => origin::fetched(self, what, file, module).await,
                Place::Off => break,
            };
            let one = Try {
                before,
                vcs,
                ..tried(entry, ended, fetched.exchange.clone())
            };
            let (good, absent) = (one.is_good(), one.is_absent());
            step.tries.push(one);
            if ended {
                beyond += 1;
                continue;
            }
            if good {
                answer.good = Some(fetched);
                answer.place = Some(entry.place.clone());
                break;
            }
            ended = !absent && !entry.on_any_error;
        }
        self.note(|facts| facts.steps.push(step));
        answer
    }

    fn facts_private(&self) -> bool {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.private == Some(true)
    }

    /// Holds what came against go.sum and the checksum database; asks others if they differ.
    async fn compare(
        &self,
        module: &ModuleVersion,
        go_mod: &Fetched,
        zip: &Fetched,
        place: &Place,
    ) {
        let (zip, go_mod) = (zip.h1.clone(), go_mod.h1.clone());
        let Some(zip_sum) = &zip else {
            return;
        };
        let (listed, listed_mod) = self.targets.go_sum(module);
        let recorded = {
            let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = facts.sumdb.as_ref();
            (
                seen.and_then(|s| s.zip.clone()),
                seen.and_then(|s| s.go_mod.clone()),
            )
        };
        let differs = |ours: Option<&String>, theirs: &Option<String>| matches!((ours, theirs), (Some(a), Some(b)) if a != b);
        let bad = differs(Some(zip_sum), &listed)
            || differs(Some(zip_sum), &recorded.0)
            || differs(go_mod.as_ref(), &listed_mod)
            || differs(go_mod.as_ref(), &recorded.1);
        if !bad {
            return;
        }
        let source = |name: String, sumdb, zip, go_mod| SumSource {
            name,
            sumdb,
            zip,
            go_mod,
        };
        let served = match place {
            Place::Proxy(url) => super::hop::shown(url),
            _ => "direct".into(),
        };
        let mut sources = vec![source(served, false, zip, go_mod)];
        if listed.is_some() || listed_mod.is_some() {
            sources.push(source("go.sum".into(), false, listed, listed_mod));
        }
        if let Some(cached) = self.targets.cached(module) {
            sources.push(source("module cache".into(), false, Some(cached), None));
        }
        if recorded.0.is_some() {
            sources.push(source(
                "checksum database".into(),
                true,
                recorded.0,
                recorded.1,
            ));
        }
        let proved = sources.iter().any(|source| source.sumdb);
        self.note(|facts| facts.sums = sources);
        // Only what everybody may read in a checksum database may be named to anybody else.
        if self.facts_private() || (self.targets.replay.is_some() && !proved) {
            return;
        }
        self.prober.extend();
        self.ask_others(module, place).await;
    }

    /// The same module at the other proxies, and the checksum database by other routes.
    async fn ask_others(&self, module: &ModuleVersion, asked: &Place) {
        let base = format!(
            "{}/@v/{}",
            module.path().escaped(),
            module.version().escaped()
        );
        for entry in self.entries.iter().filter(|entry| entry.place != *asked) {
            let Place::Proxy(url) = &entry.place else {
                continue;
            };
            let zip = below(url, &format!("{base}.zip"));
            let go_mod = below(url, &format!("{base}.mod"));
            let (zip, go_mod) = tokio::join!(
                fetch(self.prober, &zip, What::Zip, Some(module)),
                fetch(self.prober, &go_mod, What::Mod, Some(module)),
            );
            if zip.h1.is_some() {
                let source = SumSource {
                    name: entry.shown.clone(),
                    sumdb: false,
                    zip: zip.h1,
                    go_mod: go_mod.h1,
                };
                self.note(|facts| facts.sums.push(source));
            }
        }
        sumdb::other_routes(self, module).await;
    }
}

/// A source and what came of asking it.
pub fn tried(entry: &Entry, beyond: bool, exchange: Exchange) -> Try {
    Try {
        before: Vec::new(),
        vcs: None,
        place: entry.shown.clone(),
        on_any_error: entry.on_any_error,
        beyond,
        exchange,
    }
}

/// The path of a module at its own host, for discovery.
pub fn discovery(scheme: &str, path: &str) -> Option<Url> {
    let escaped: Vec<String> = path.split('/').map(percent_encode).collect();
    Url::parse(&format!("{scheme}://{}?go-get=1", escaped.join("/"))).ok()
}
