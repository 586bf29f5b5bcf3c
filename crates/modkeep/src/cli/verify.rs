//! `modkeep verify`: go.sum, a module cache, the store, against the checksum database.

use super::explain::print;
use super::{json_flag, server_flag, values, with_settings};
use crate::boot;
use crate::config::{Origin, SumdbSetting, Typed, Values, default_data};
use crate::exit::{BAD, Failed, UNKNOWN};
use crate::goenv::GoEnv;
use crate::verify::{self, Found, Name, Reason, Report, Sums, show};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use keep::Keep;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::JoinHandle;
use store::Store;
use tempfile::TempDir;

pub fn command() -> Command {
    let command = Command::new("verify")
        .about("Hold go.sum, a module cache or the store against the checksum database")
        .long_about(
            "Hold every line of a go.sum against the checksum database, with proofs; with --modcache every zip,\n\
             extracted tree and .mod of a module cache, with --store all that modkeep keeps, hashed again.\n\n\
               modkeep verify                          # ./go.sum\n\
             \u{20} modkeep verify --modcache               # and the module cache of the go command\n\
             \u{20} modkeep verify --server https://modkeep.example.com\n\
             \u{20} modkeep verify --offline                # with what the data directory holds\n\
             \u{20} modkeep verify --annotate github        # in CI: marks the lines of go.sum\n\n\
             Whom to ask comes from GOPROXY, GOSUMDB, GOPRIVATE and GONOSUMDB unless it is given here. Private\n\
             modules are named to nobody.\n\
             Exit status: 0 all proved or private, 1 something is wrong or was never logged, 2 wrong usage,\n\
             3 the database could not be asked.",
        )
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("A go.sum, or the directory of one [default: .]"),
        )
        .arg(
            Arg::new("modcache")
                .long("modcache")
                .value_name("DIR")
                .num_args(0..=1)
                .value_parser(value_parser!(PathBuf))
                .help("Check a module cache too [default DIR: GOMODCACHE]"),
        )
        .arg(
            Arg::new("store")
                .long("store")
                .action(ArgAction::SetTrue)
                .conflicts_with("server")
                .help("Hash all that modkeep keeps in the data directory again"),
        )
        .arg(
            Arg::new("annotate")
                .long("annotate")
                .value_name("CI")
                .value_parser(["github", "gitlab"])
                .conflicts_with("json")
                .help("Print annotations: workflow commands, or a code quality report"),
        )
        .arg(server_flag().help("Reach the checksum database through a running modkeep"))
        .arg(json_flag());
    with_settings(command, false)
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let env = GoEnv::read("go".as_ref());
    let mut settings = typed(args, &env)?;
    let (mut found, sums) = lines(args)?;
    let cached = cached(args, &env)?;
    let local = cached.is_some() || args.get_flag("store");
    if settings.sumdb.is_empty() && !local {
        return Err(Failed::usage(
            "no checksum database to check with (GOSUMDB=off?); name one: --sumdb sum.golang.org",
        ));
    }
    boot::event_log(&settings)?;
    let mut names: BTreeSet<Name> = found.claims.iter().map(|c| c.name.clone()).collect();
    names.extend(cached.iter().flatten().map(verify::Cached::name));
    let hashing = hashing(args, cached.unwrap_or_default(), sums);
    let database = settings
        .sumdb
        .first()
        .map_or_else(|| show::NOBODY.to_owned(), |d| d.verifier.name().to_owned());
    let mut records = BTreeMap::new();
    names.retain(|(module, _)| {
        !settings.sumdb.is_empty()
            && !settings.keep.private.matches(module)
            && !settings.no_sumdb.matches(module)
    });
    if args.get_flag("store") || !names.is_empty() {
        let _temporary = place(args, &mut settings)?;
        let (kept, asked) = boot::runtime()?.block_on(with_keep(args, &settings, names))?;
        found.extend(kept);
        records = asked;
    }
    let lost = |_| Failed::unknown("a hashing thread is gone");
    found.extend(hashing.join().map_err(lost)?);
    let report = verify::judge(found, &records, &database);
    shown(args, &report, &database)
}

/// What needs the store or the database: the kept files, and the records of these names.
async fn with_keep(
    args: &ArgMatches,
    settings: &Typed,
    mut names: BTreeSet<Name>,
) -> Result<(Found, BTreeMap<Name, verify::Record>), Failed> {
    let keep = boot::keep(settings)?;
    let kept = kept(args, &keep, &mut names)?;
    let asked = bar(args, names.len());
    let records = verify::records(&keep, names, || asked.inc(1)).await;
    asked.finish_and_clear();
    Ok((kept.await.map_err(Failed::unknown)?, records))
}

/// The settings: those given, else those of the go command. Private is what either calls so.
fn typed(args: &ArgMatches, env: &GoEnv) -> Result<Typed, Failed> {
    let mut values = values(args)?;
    fall_back(&mut values, "upstream", env.get("GOPROXY"));
    fall_back(&mut values, "sumdb", env.get("GOSUMDB"));
    fall_back(&mut values, "vcs", env.get("GOVCS"));
    for (name, more) in [
        ("private", env.private()),
        ("no-sumdb", env.no_sumdb()),
        ("insecure", env.get("GOINSECURE").to_owned()),
    ] {
        // Without patterns of its own, --no-sumdb is what --private is.
        let own = match values.one(name) {
            "" if name == "no-sumdb" => values.one("private"),
            own => own,
        };
        let joined: Vec<&str> = [own, &more].into_iter().filter(|p| !p.is_empty()).collect();
        let joined = joined.join(",");
        if let Some(value) = values.0.get_mut(name) {
            value.texts = Vec::from_iter((!joined.is_empty()).then_some(joined));
        }
    }
    let mut settings = Typed::from_values(&values).map_err(|p| Failed::usage(super::lines(&p)))?;
    settings.log.name = None;
    settings.keep.look_ahead = false;
    if !args.get_flag("verbose") {
        settings.log_level = "off".into();
    }
    if let Some(server) = args.get_one::<String>("server") {
        through(server, &mut settings.sumdb)?;
    }
    Ok(settings)
}

fn fall_back(values: &mut Values, name: &str, text: &str) {
    if let Some(value) = values.0.get_mut(name)
        && value.origin == Origin::Default
        && !text.trim().is_empty()
    {
        value.texts = vec![text.trim().to_owned()];
    }
}

/// Every database is reached at the server's relay of it.
fn through(server: &str, databases: &mut [SumdbSetting]) -> Result<(), Failed> {
    for database in databases {
        let address = format!(
            "{}/sumdb/{}",
            server.trim_end_matches('/'),
            database.verifier.name()
        );
        let url = url::Url::parse(&address).map_err(|e| Failed::usage(format!("{server}: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failed::usage(format!(
                "{server}: give an http or https address"
            )));
        }
        database.url = Some(url);
    }
    Ok(())
}

/// The lines of go.sum. Where there is a cache or a store to check, it may be missing.
fn lines(args: &ArgMatches) -> Result<(Found, Sums), Failed> {
    let named = args.get_one::<PathBuf>("path");
    let path = named.map_or(Path::new("."), PathBuf::as_path);
    let besides = args.contains_id("modcache") || args.get_flag("store");
    match verify::read(path)? {
        Some(read) => Ok(read),
        None if named.is_none() && besides => Ok(Default::default()),
        None => Err(Failed::usage(format!(
            "{}: there is no go.sum here; give its directory, or check a cache: --modcache",
            path.display()
        ))),
    }
}

fn cached(args: &ArgMatches, env: &GoEnv) -> Result<Option<Vec<verify::Cached>>, Failed> {
    if !args.contains_id("modcache") {
        return Ok(None);
    }
    let dir = args.get_one::<PathBuf>("modcache").cloned();
    let dir = dir.or_else(|| env.modcache()).ok_or_else(|| {
        Failed::usage("there is no module cache (GOMODCACHE); name it: --modcache DIR")
    })?;
    let listed = verify::listed(&dir)
        .map_err(|e| Failed::usage(format!("module cache {}: {e}", dir.display())))?;
    Ok(Some(listed))
}

/// Where what the database proves is kept: the data directory if there is one that nobody uses, so
/// that it need not be asked again; else a place that goes away.
fn place(args: &ArgMatches, settings: &mut Typed) -> Result<Option<TempDir>, Failed> {
    let wanted = args.get_flag("store")
        || args.get_flag("offline") && !args.contains_id("modcache") && !settings.sumdb.is_empty();
    if wanted && !settings.data.join("catalog.db").is_file() {
        return Err(Failed::usage(format!(
            "{}: nothing is kept there; give the data directory with --data DIR",
            settings.data.display()
        )));
    }
    let given = settings.data != default_data().unwrap_or_default();
    if wanted || given || settings.data.join("catalog.db").is_file() {
        match Store::open(&settings.data) {
            Ok(_) => return Ok(None),
            Err(e) if wanted => {
                return Err(Failed::unknown(format!(
                    "{e}\nask the modkeep that runs on it: --server URL"
                )));
            }
            Err(_) => {}
        }
    }
    let dir = tempfile::tempdir().map_err(Failed::unknown)?;
    settings.data = dir.path().to_owned();
    Ok(Some(dir))
}

/// Starts the hashing of the module cache, which needs nobody's answer.
fn hashing(args: &ArgMatches, cached: Vec<verify::Cached>, sums: Sums) -> JoinHandle<Found> {
    let hashed = bar(args, cached.len());
    std::thread::spawn(move || {
        let found = verify::hash(&cached, &sums, &|| hashed.inc(1));
        hashed.finish_and_clear();
        found
    })
}

/// Starts the hashing of the store, and adds what records are needed of.
fn kept(
    args: &ArgMatches,
    keep: &Keep,
    names: &mut BTreeSet<Name>,
) -> Result<tokio::task::JoinHandle<Found>, Failed> {
    let kept = match args.get_flag("store") {
        true => verify::stored_files(keep.store()).map_err(Failed::unknown)?,
        false => Vec::new(),
    };
    let with_hash = kept
        .iter()
        .flatten()
        .filter(|key| key.kind != store::Kind::Info);
    names.extend(with_hash.map(|key| (key.module.to_string(), key.version.to_string())));
    let (keep, hashed) = (keep.clone(), bar(args, kept.len()));
    Ok(tokio::task::spawn_blocking(move || {
        let found = verify::hash_stored(keep.store(), &kept, &|| hashed.inc(1));
        hashed.finish_and_clear();
        found
    }))
}

fn bar(args: &ArgMatches, length: usize) -> ProgressBar {
    let bar = match args.get_flag("quiet") || length == 0 {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(length as u64),
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn shown(args: &ArgMatches, report: &Report, database: &str) -> Result<ExitCode, Failed> {
    let text = match args.get_one::<String>("annotate").map(String::as_str) {
        Some("github") => show::github(report),
        Some(_) => format!("{:#}\n", show::gitlab(report)),
        None if args.get_flag("json") => format!("{:#}\n", show::json(report, database)),
        None => show::text(report, database),
    };
    print(&text)?;
    let never = |r: Reason| r == Reason::NeverLogged;
    let open = |r: Reason| matches!(r, Reason::Unreachable | Reason::Unreadable);
    let any = |of: fn(Reason) -> bool| report.unknown.iter().any(|u| of(u.reason));
    Ok(if !report.bad.is_empty() || any(never) {
        ExitCode::from(BAD)
    } else if any(open) {
        ExitCode::from(UNKNOWN)
    } else {
        ExitCode::SUCCESS
    })
}
