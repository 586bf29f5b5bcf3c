//! Which log a command is about, and whose key it must be signed with.

use crate::boot::own_log_options;
use crate::config::{Typed, known_key};
use crate::exit::Failed;
use audit::heads::Keys;
use audit::source::OpenLog;
use audit::{Form, Source};
use bytes::Bytes;
use clap::{Arg, ArgAction, ArgMatches};
use ledger::{Ledger, LedgerError, Reader};
use std::sync::Arc;
use tlog::Tile;
use tlog::note::VerifierKey;
use tlog::tile::{HEIGHT, Level};
use upstream::Net;

/// The argument that names a log, and the flag for its keys.
pub fn args(name: &'static str) -> [Arg; 2] {
    let place = Arg::new("log").value_name("URL|DIR").help(
        "The log: its address, or a directory of its static files [default: the log of this data directory]",
    );
    let place = match name {
        "" => place,
        flag => place.long(flag),
    };
    [place, key()]
}

/// The `--key` flag.
pub fn key() -> Arg {
    Arg::new("key")
        .long("key")
        .value_name("VERIFIER-KEY")
        .action(ArgAction::Append)
        .help("The log's key as in GOSUMDB, NAME+HASH+KEY; may be repeated, also for witnesses [default: known for sum.golang.org, else that of this data directory]")
}

/// A log that can be asked. What is open stays so for as long as this lives.
pub struct Place {
    pub source: Source,
    pub keys: Keys,
    /// The log of this data directory.
    pub own: Option<Ledger>,
}

/// Finds out which log is meant.
pub fn find(args: &ArgMatches, settings: &Typed) -> Result<Place, Failed> {
    let given = given_keys(args)?;
    let Some(text) = text(args) else {
        return own(settings, given);
    };
    let net = || Net::new(&settings.net).map_err(|e| e.to_string());
    let source = Source::parse(text, net).map_err(Failed::usage)?;
    let keys = match given.is_empty() {
        false => given,
        true => vec![default_key(&source, settings)?],
    };
    Ok(Place {
        source,
        keys: Keys::new(&keys).map_err(Failed::usage)?,
        own: None,
    })
}

/// The log as the command line names it.
pub fn text(args: &ArgMatches) -> Option<&str> {
    args.get_one::<String>("log").map(String::as_str)
}

/// The keys of the command line.
pub fn given_keys(args: &ArgMatches) -> Result<Vec<VerifierKey>, Failed> {
    let texts = args.get_many::<String>("key").into_iter().flatten();
    texts.map(|text| parse_key(text)).collect()
}

/// A key, or the name of a database whose key is known.
pub fn parse_key(text: &str) -> Result<VerifierKey, Failed> {
    let text = known_key(text).unwrap_or(text).trim();
    text.parse()
        .map_err(|e| Failed::usage(format!("--key {text}: {e}")))
}

fn default_key(source: &Source, settings: &Typed) -> Result<VerifierKey, Failed> {
    if let Some(known) = source.host().and_then(known_key) {
        return known.parse().map_err(Failed::usage);
    }
    match settings.log_setting().key.read() {
        Ok(signer) => Ok(signer.verifier().clone()),
        Err(_) => Err(Failed::usage(format!(
            "whose signature is to be believed? Give --key NAME+HASH+KEY of the log at {source}"
        ))),
    }
}

/// The log of this data directory, opened.
pub fn own(settings: &Typed, given: Vec<VerifierKey>) -> Result<Place, Failed> {
    let log = settings.log_setting();
    let signer = log.key.read().map_err(|e| {
        Failed::usage(format!(
            "{e}\nname a log (URL or directory), or make one here: modkeep log init NAME"
        ))
    })?;
    let mut keys = given;
    if keys.is_empty() {
        keys.push(signer.verifier().clone());
    }
    let ledger = open(own_log_options(settings, &log, signer))?;
    let reader = ledger.reader().clone();
    let name = reader.key().name().into();
    let answer = move |path: &str| answer(&reader, path).map_err(|e| e.to_string());
    Ok(Place {
        source: Source::Open(name, OpenLog(Arc::new(answer))),
        keys: Keys::new(&keys).map_err(Failed::usage)?,
        own: Some(ledger),
    })
}

fn open(options: ledger::Options) -> Result<Ledger, Failed> {
    Ledger::open(options).map_err(|error| {
        let hint = "a log that a server has open is asked through it: URL/sumdb/NAME";
        Failed::unknown(format!("{error}\n{hint}"))
    })
}

/// What the server would answer.
fn answer(reader: &Reader, path: &str) -> Result<Option<Bytes>, LedgerError> {
    match path {
        "latest" => return Ok(Some(reader.head().latest.clone())),
        "checkpoint" => return Ok(Some(reader.head().checkpoint.clone())),
        _ => {}
    }
    if let Some(escaped) = path.strip_prefix("lookup/") {
        return lookup(reader, escaped);
    }
    let tile = Tile::parse(path)
        .ok()
        .filter(|tile| tile.height() == HEIGHT)
        .map(|tile| (Form::Go, tile))
        .or_else(|| Tile::parse_c2sp(path).ok().map(|tile| (Form::C2sp, tile)));
    match tile {
        None => Ok(None),
        Some((form, tile)) => match (tile.level(), form) {
            (Level::Hashes(level), _) => reader.tile(level, tile.n(), tile.width()),
            (Level::Data, Form::Go) => reader.data_tile(tile.n(), tile.width()),
            (Level::Data, Form::C2sp) => reader.entries(tile.n(), tile.width()),
        },
    }
}

fn lookup(reader: &Reader, escaped: &str) -> Result<Option<Bytes>, LedgerError> {
    let Some((module, version)) = escaped.split_once('@') else {
        return Ok(None);
    };
    let plain = (
        gomod::escape::unescape_path(module),
        gomod::escape::unescape_version(version),
    );
    let (Ok(module), Ok(version)) = plain else {
        return Ok(None);
    };
    let Some(found) = reader.lookup(module.as_str(), version.as_str())? else {
        return Ok(None);
    };
    let mut answer = format!("{}\n{}\n", found.id, found.text).into_bytes();
    answer.extend_from_slice(&reader.head().latest);
    Ok(Some(answer.into()))
}
