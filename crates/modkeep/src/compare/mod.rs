//! Every source of one version, asked alone and side by side; who is the odd one out is judged by
//! the `doctor` crate.
//!
//! The name of a private module goes to no proxy and no checksum database: only what lies here and
//! its own origin are asked.

mod here;
mod there;

pub use here::hash_tree;
pub use there::{record, short};

use crate::boot::Links;
use crate::exit::Failed;
use crate::goenv::{GoEnv, list_text, split_list};
use doctor::compare::{FileSum, Kind, Source, Verdict, judge};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use upstream::{Place, ProxyList};

/// What to compare, and whom to ask.
pub struct Asked {
    /// The version.
    pub version: ModuleVersion,
    /// The go command's settings.
    pub env: GoEnv,
    /// Proxies besides GOPROXY's.
    pub more: Vec<String>,
    /// Private patterns besides GOPRIVATE's.
    pub private: Patterns,
    /// Whether the origin is asked.
    pub origin: bool,
    /// The data directory of a modkeep, if there is one to look into.
    pub store: Option<PathBuf>,
    /// A running modkeep to ask instead.
    pub server: Option<String>,
    /// Time for each source.
    pub patience: Duration,
}

/// A source and the zip it gave.
pub struct Answer {
    /// What it says.
    pub source: Source,
    /// Its zip, in the directory of [`Gathered`] or where it lies.
    pub zip: Option<PathBuf>,
}

impl From<Source> for Answer {
    fn from(source: Source) -> Self {
        Self { source, zip: None }
    }
}

/// All answers, in the order of the table.
pub struct Gathered {
    /// The answers.
    pub answers: Vec<Answer>,
    /// Holds the zips until they have been compared.
    _scratch: TempDir,
}

impl Gathered {
    /// What the sources say.
    pub fn sources(&self) -> Vec<Source> {
        self.answers.iter().map(|a| a.source.clone()).collect()
    }

    /// Two zips whose difference is worth showing: the good one first, an odd one second.
    pub fn differing(&self, verdict: &Verdict) -> Option<(&Answer, &Answer)> {
        let with_zip = || {
            self.answers
                .iter()
                .filter(|a| a.zip.is_some() && a.source.h1.is_some())
        };
        let good = with_zip().find(|a| verdict.good.is_none() || a.source.h1 == verdict.good);
        let good = good.or_else(|| with_zip().next())?;
        let other = with_zip().find(|a| a.source.h1 != good.source.h1)?;
        Some((good, other))
    }
}

/// Asks everybody at once.
pub async fn gather(asked: Asked) -> Result<Gathered, Failed> {
    let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
    let module = asked.version.path().as_str();
    let matches = |text: &str| Patterns::parse(text).is_ok_and(|p| p.matches(module));
    let private = asked.private.matches(module) || matches(&asked.env.private());
    let no_sumdb = private || matches(&asked.env.no_sumdb());
    let mut settings = asked.env.settings(scratch.path(), "direct")?;
    settings.patience.answer = asked.patience;
    settings.keep.answer = asked.patience;
    let links = Links::new(&settings)?;
    let mut running = JoinSet::new();
    let mut answers = here::asked(&asked, scratch.path()).await;
    for (number, place) in proxies(&asked)?.into_iter().enumerate() {
        let (name, version) = (place.to_string(), asked.version.clone());
        let to = scratch.path().join(format!("proxy-{number}.zip"));
        if private && matches!(place, Place::Http(_)) {
            let why = "not asked: the module is private (GOPRIVATE, GONOPROXY or --private)";
            running.spawn(async move {
                (
                    number,
                    Source::new(name, Kind::Proxy).without(why, false).into(),
                )
            });
            continue;
        }
        let (links, patience) = (links.clone(), asked.patience);
        running.spawn(async move {
            let source = Source::new(name, Kind::Proxy);
            (
                number,
                there::asked(&links, place, source, &version, &to, patience).await,
            )
        });
    }
    let (database, origin) = (usize::MAX - 1, usize::MAX);
    if asked.origin {
        let (links, version) = (links.clone(), asked.version.clone());
        let (to, patience) = (scratch.path().join("origin.zip"), asked.patience);
        running.spawn(async move {
            let source = Source::new("origin (version control)", Kind::Origin);
            (
                origin,
                there::asked(&links, Place::Direct, source, &version, &to, patience).await,
            )
        });
    }
    let record = there::record(&asked, no_sumdb, scratch.path(), None);
    let (record, mut rest) = tokio::join!(record, collect(&mut running));
    rest.push((database, record.into()));
    rest.sort_by_key(|(place, _)| *place);
    answers.extend(rest.into_iter().map(|(_, answer)| answer));
    second_route(&asked, &mut answers, scratch.path()).await;
    Ok(Gathered {
        answers,
        _scratch: scratch,
    })
}

async fn collect(running: &mut JoinSet<(usize, Answer)>) -> Vec<(usize, Answer)> {
    let mut done = Vec::new();
    while let Some(next) = running.join_next().await {
        done.extend(next.ok());
    }
    done
}

/// A record that contradicts somebody is asked for over a second route: the database itself
/// instead of a relay.
async fn second_route(asked: &Asked, answers: &mut Vec<Answer>, scratch: &Path) {
    let sources: Vec<Source> = answers.iter().map(|a| a.source.clone()).collect();
    let is_record = |s: &&Source| s.kind == Kind::Sumdb && s.h1.is_some();
    let Some(setting) = asked
        .env
        .sumdb()
        .filter(|_| sources.iter().any(|s| is_record(&s)))
    else {
        return;
    };
    let relayed = setting.url.is_none() && proxies(asked).is_ok_and(|p| !p.is_empty());
    if !relayed || judge(&sources).label.is_none() {
        return;
    }
    let direct = format!("https://{}", setting.verifier.name());
    let record = there::record(asked, false, scratch, Some(&direct)).await;
    let after = answers
        .iter()
        .position(|a| a.source.kind == Kind::Sumdb)
        .map_or(answers.len(), |at| at + 1);
    answers.insert(after, record.into());
}

/// The proxies of GOPROXY and the further ones, each once.
fn proxies(asked: &Asked) -> Result<Vec<Place>, Failed> {
    let mut places: Vec<Place> = match asked.env.get("GOPROXY") {
        "" => Vec::new(),
        _ => split_list(&asked.env.proxies()?)
            .0
            .entries
            .into_iter()
            .map(|e| e.place)
            .collect(),
    };
    for text in &asked.more {
        let list = ProxyList::parse(text).map_err(|e| Failed::usage(format!("--proxy: {e}")))?;
        for entry in list.entries {
            match entry.place {
                Place::Direct | Place::Off => {
                    return Err(Failed::usage(format!(
                        "--proxy {text}: it must be the address of a proxy"
                    )));
                }
                place if !places.contains(&place) => places.push(place),
                _ => {}
            }
        }
    }
    Ok(places)
}

/// The upstream list whose relays lead to the checksum database.
fn relays(asked: &Asked) -> String {
    let list = asked
        .env
        .proxies()
        .map(|list| list_text(&split_list(&list).0));
    list.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "direct".into())
}

/// The files of a zip, named inside the module.
pub fn files_of(zip: &Path, version: &ModuleVersion) -> Result<Vec<FileSum>, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{}: {e}", zip.display()));
    let file = std::fs::File::open(zip).map_err(|e| wrong(&e))?;
    let prefix = format!("{version}/");
    let files = gomod::zip::contents(file).map_err(|e| wrong(&e))?;
    let plain = |file: gomod::zip::FileSum| FileSum {
        name: file
            .name
            .strip_prefix(&prefix)
            .map_or(file.name.clone(), str::to_owned),
        size: file.size,
        sha256: hex(&file.sha256),
        sha256_lf: hex(&file.sha256_lf),
        lfs: file.lfs,
    };
    Ok(files.into_iter().map(plain).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
