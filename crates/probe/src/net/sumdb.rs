//! The checksum database as the go command asks it, every answer proved with the pinned key.
//!
//! Source of the rules: cmd/go/internal/modfetch/sumdb.go (initBase) and golang.org/x/mod/sumdb.

use bytes::Bytes;
use doctor::net::{KeptHead, Step, SumSource, SumdbFault, SumdbProblem, SumdbSeen, Try, What};
use futures_util::future::join_all;
use gomod::version::ModuleVersion;
use tlog::client::{Error, Session, SignedHead, Step as Next, Supply, TileRequest, Verified};
use tlog::note::NoteError;
use tlog::record::SumOf;
use url::Url;

use super::fetch::{Fetched, fetch};
use super::hop::shown;
use super::plan::{Entry, Place, Sumdb, below};
use super::walk::{Walk, tried};

/// Rounds of a session; it ends after six by itself.
const ROUNDS_MAX: usize = 8;

/// Tiles of one round: a lookup in the largest database needs a dozen.
const TILES_MAX: usize = 64;

/// The walk cannot go on: the facts tell why.
pub struct Stuck;

/// Looks a module up. The facts hold the proved sums, or why there are none.
pub async fn look(walk: &Walk<'_>, module: &ModuleVersion) -> Result<(), Stuck> {
    let Some((sumdb, base)) = begin(walk).await? else {
        return Ok(());
    };
    let proved = lookup(walk, sumdb, &base, module, true).await;
    end(walk, proved)
}

/// Looks at the newest head, without a module.
pub async fn head(walk: &Walk<'_>) {
    let Ok(Some((sumdb, base))) = begin(walk).await else {
        return;
    };
    let fetched = request(walk, &base, "latest", What::Head, true).await;
    let Ok(fetched) = fetched else {
        let _noted = end(walk, Err(failed_request("latest")));
        return;
    };
    let held = held(walk, sumdb);
    let session = sumdb.verifier.head(held.as_ref(), &fetched.body);
    let proved = match session {
        Ok(session) => drive(walk, &base, session, true).await,
        Err(error) => Err(problem(&error)),
    };
    let proved = proved.map(|verdict| {
        walk.note(|facts| {
            let seen = facts.sumdb.get_or_insert_default();
            seen.size = Some(verdict.head.tree().size);
        });
        None
    });
    let _noted = end(walk, proved);
}

/// Asks the same of the other routes to the database: a fork shows itself only so.
pub async fn other_routes(walk: &Walk<'_>, module: &ModuleVersion) {
    let Some(sumdb) = walk.sumdb else {
        return;
    };
    let used = {
        let facts = walk.facts.lock();
        let facts = facts.unwrap_or_else(std::sync::PoisonError::into_inner);
        facts.sumdb.as_ref().and_then(|seen| seen.base.clone())
    };
    let relayed = walk.entries.iter().filter_map(|entry| match &entry.place {
        Place::Proxy(url) => Some(below(url, &format!("sumdb/{}", sumdb.verifier.name()))),
        _ => None,
    });
    let routes: Vec<Url> = relayed.chain(Some(sumdb.own.clone())).collect();
    for route in routes.iter().filter(|route| Some(shown(route)) != used) {
        let Ok(Some(verified)) = lookup(walk, sumdb, route, module, false).await else {
            continue;
        };
        let source = SumSource {
            name: format!("checksum database by {}", shown(route)),
            sumdb: true,
            zip: verified.sums.h1(SumOf::Zip).map(str::to_owned),
            go_mod: verified.sums.h1(SumOf::GoMod).map(str::to_owned),
        };
        walk.note(|facts| facts.sums.push(source));
    }
}

/// Finds the way to the database.
async fn begin<'a>(walk: &Walk<'a>) -> Result<Option<(&'a Sumdb, Url)>, Stuck> {
    let Some(sumdb) = walk.sumdb else {
        return Ok(None);
    };
    walk.note(|facts| {
        facts.sumdb = Some(SumdbSeen {
            name: sumdb.verifier.name().to_owned(),
            explicit: sumdb.explicit.is_some(),
            ..SumdbSeen::default()
        });
    });
    let Some(base) = base(walk, sumdb).await else {
        walk.note(|facts| {
            let seen = facts.sumdb.get_or_insert_default();
            seen.problem = Some(failed_request("supported"));
        });
        return Err(Stuck);
    };
    walk.note(|facts| facts.sumdb.get_or_insert_default().base = Some(shown(&base)));
    Ok(Some((sumdb, base)))
}

/// The proxy that relays it, or its own address. `None`: an entry failed, and the go command goes
/// no further.
async fn base(walk: &Walk<'_>, sumdb: &Sumdb) -> Option<Url> {
    if let Some(explicit) = &sumdb.explicit {
        return Some(explicit.clone());
    }
    let mut step = Step {
        what: What::Supported,
        tries: Vec::new(),
    };
    let mut failed = false;
    let mut found = None;
    for entry in walk.entries {
        let Place::Proxy(proxy) = &entry.place else {
            failed = false;
            break;
        };
        let relay = below(proxy, &format!("sumdb/{}", sumdb.verifier.name()));
        let url = below(&relay, "supported");
        let asked = fetch(walk.prober, &url, What::Supported, None)
            .await
            .exchange;
        let (answered, absent) = (asked.is_answered(), asked.is_absent());
        step.tries.push(tried(entry, false, asked));
        if answered {
            found = Some(relay);
            break;
        }
        failed |= !absent;
        if !absent && !entry.on_any_error {
            break;
        }
    }
    walk.note(|facts| facts.steps.push(step));
    match (found, failed) {
        (Some(relay), _) => Some(relay),
        (None, false) => Some(sumdb.own.clone()),
        (None, true) => None,
    }
}

async fn lookup(
    walk: &Walk<'_>,
    sumdb: &Sumdb,
    base: &Url,
    module: &ModuleVersion,
    recorded: bool,
) -> Result<Option<Verified>, SumdbProblem> {
    let name = format!(
        "lookup/{}@{}",
        module.path().escaped(),
        module.version().escaped()
    );
    let fetched = request(walk, base, &name, What::Lookup, recorded).await;
    let fetched = fetched.map_err(|()| failed_request(&name))?;
    let held = if recorded { held(walk, sumdb) } else { None };
    let (path, version) = (module.path().as_str(), module.version().as_str());
    let session = sumdb
        .verifier
        .lookup(held.as_ref(), path, version, &fetched.body);
    let session = session.map_err(|error| problem(&error))?;
    let verified = drive(walk, base, session, recorded).await?;
    if let (true, Some(held)) = (recorded, &held) {
        let size = held.tree().size;
        walk.note(|facts| {
            facts.sumdb.get_or_insert_default().kept = Some(KeptHead::Continued(size));
        });
    }
    Ok(Some(verified))
}

fn end(walk: &Walk<'_>, proved: Result<Option<Verified>, SumdbProblem>) -> Result<(), Stuck> {
    match proved {
        Ok(verified) => {
            if let Some(verified) = verified {
                walk.note(|facts| {
                    let seen = facts.sumdb.get_or_insert_default();
                    seen.size = Some(verified.head.tree().size);
                    seen.zip = verified.sums.h1(SumOf::Zip).map(str::to_owned);
                    seen.go_mod = verified.sums.h1(SumOf::GoMod).map(str::to_owned);
                });
            }
            Ok(())
        }
        Err(problem) => {
            walk.note(|facts| {
                let seen = facts.sumdb.get_or_insert_default();
                if problem.kind == SumdbFault::Fork {
                    seen.kept = Some(KeptHead::Contradicted(problem.text.clone()));
                }
                seen.problem = Some(problem);
            });
            Err(Stuck)
        }
    }
}

/// Feeds a session with tiles until it is done.
async fn drive<T>(
    walk: &Walk<'_>,
    base: &Url,
    mut session: Session<T>,
    recorded: bool,
) -> Result<T, SumdbProblem> {
    for _ in 0..ROUNDS_MAX {
        match session.step().map_err(|error| problem(&error))? {
            Next::Done(done) => return Ok(done),
            Next::Need(wanted) => {
                let wanted: Vec<TileRequest> = wanted.into_iter().take(TILES_MAX).collect();
                let asked = wanted.iter().map(|one| async {
                    let path = one.tile.path();
                    fetch(walk.prober, &below(base, &path), What::Tile, None).await
                });
                for (one, fetched) in wanted.iter().zip(join_all(asked).await) {
                    let supply = supply(&fetched);
                    if recorded {
                        note(walk, base, What::Tile, fetched);
                    }
                    let supply = supply.ok_or_else(|| failed_request(&one.tile.path()))?;
                    session.supply(one.tile, supply);
                }
            }
        }
    }
    Err(SumdbProblem {
        kind: SumdbFault::Inconsistent,
        text: "its tiles lead nowhere".into(),
    })
}

fn supply(fetched: &Fetched) -> Option<Supply> {
    if fetched.exchange.is_answered() {
        return Some(Supply::Fetched(Bytes::from(fetched.body.clone())));
    }
    fetched.exchange.is_absent().then_some(Supply::NotFound)
}

async fn request(
    walk: &Walk<'_>,
    base: &Url,
    path: &str,
    what: What,
    recorded: bool,
) -> Result<Fetched, ()> {
    let fetched = fetch(walk.prober, &below(base, path), what, None).await;
    if recorded {
        note(walk, base, what, fetched.clone());
    }
    match fetched.exchange.is_good() {
        true => Ok(fetched),
        false => Err(()),
    }
}

fn note(walk: &Walk<'_>, base: &Url, what: What, fetched: Fetched) {
    let step = Step {
        what,
        tries: vec![Try {
            before: Vec::new(),
            vcs: None,
            place: shown(base),
            on_any_error: false,
            beyond: false,
            exchange: fetched.exchange,
        }],
    };
    walk.note(|facts| facts.steps.push(step));
}

/// The head that the go command keeps on this machine.
fn held(walk: &Walk<'_>, sumdb: &Sumdb) -> Option<SignedHead> {
    let kept = walk.targets.kept_head(sumdb.verifier.name())?;
    match sumdb.verifier.open_head(&kept) {
        Ok(head) => Some(head),
        Err(error) => {
            let unreadable = KeptHead::Unreadable(error.to_string());
            walk.note(|facts| facts.sumdb.get_or_insert_default().kept = Some(unreadable));
            None
        }
    }
}

fn failed_request(path: &str) -> SumdbProblem {
    SumdbProblem {
        kind: SumdbFault::Request,
        text: format!("no answer to {path}"),
    }
}

fn problem(error: &Error) -> SumdbProblem {
    let kind = match error {
        Error::Note(NoteError::Unverified | NoteError::InvalidSignature { .. }) => SumdbFault::Key,
        Error::Fork(_) => SumdbFault::Fork,
        Error::OtherRecord { .. }
        | Error::OtherRecords { .. }
        | Error::TileMissing(_)
        | Error::TileLength { .. }
        | Error::BeyondHead { .. }
        | Error::Inconsistent { .. } => SumdbFault::Inconsistent,
        _ => SumdbFault::Malformed,
    };
    SumdbProblem {
        kind,
        text: error.to_string(),
    }
}

/// The entries that lead to a web address, for questions that need some endpoint.
pub fn web(entries: &[Entry]) -> impl Iterator<Item = &Url> {
    entries.iter().filter_map(|entry| match &entry.place {
        Place::Proxy(url) if url.scheme() != "file" => Some(url),
        _ => None,
    })
}
