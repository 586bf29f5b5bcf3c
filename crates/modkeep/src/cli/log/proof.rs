//! `modkeep log prove` and `modkeep log verify-proof`: a record's proof, to be carried away.

use super::place;
use crate::boot;
use crate::cli::{json_flag, settings, with_settings};
use crate::exit::{BAD, Failed};
use audit::GoRecord;
use audit::heads::GO_ORIGIN;
use audit::prove::{ProveError, prove};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use gomod::version::ModuleVersion;
use serde_json::{Value, json};
use std::process::ExitCode;
use tlog::Hash;
use tlog::note::{Algorithm, VerifierKey};
use tlog::proof::{PROOF_BYTES_MAX, Proof, Trust};
use tlog::record::go_sum_text;

pub fn commands() -> [Command; 2] {
    let prove = Command::new("prove")
        .about("Write a proof that a module version is in a log, to be checked offline")
        .long_about(
            "Write a proof that a module version is in a log (.tlog-proof), to be checked offline.\n\n\
               modkeep log prove example.com/m@v1.2.3 -o m.tlog-proof\n  \
               modkeep log prove rsc.io/quote@v1.5.2 --log https://sum.golang.org\n\n\
             The file holds the record itself, so it says which sums the version has, and proves it.",
        )
        .arg(version("M@V").required(true))
        .args(place::args("log"))
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .help("Write the proof to a file, and the record to standard output"),
        )
        .arg(json_flag());
    let verify = Command::new("verify-proof")
        .about("Check a proof, offline, by nothing but the log's key")
        .long_about(
            "Check a proof (.tlog-proof), offline, by nothing but the log's key.\n\n\
               modkeep log verify-proof m.tlog-proof --key sum.example.com+...\n  \
               modkeep log verify-proof m.tlog-proof --key sum.example.com+... example.com/m@v1.2.3 h1:...\n\n\
             Prints the proved record. A record, a version or sums that are given must be the proved ones.",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("The proof"))
        .arg(version("M@V"))
        .arg(
            Arg::new("sum")
                .value_name("H1")
                .num_args(0..=2)
                .help("The sums that the version must have: the zip's, and go.mod's"),
        )
        .arg(place::key().required(true))
        .arg(Arg::new("origin").long("origin").value_name("LINE").help("The log's origin, when it is not its key's name"))
        .arg(Arg::new("record").long("record").value_name("FILE").help("The record, when it is not in the proof"))
        .arg(
            Arg::new("quorum")
                .long("quorum")
                .value_name("N")
                .default_value("0")
                .value_parser(value_parser!(u16))
                .action(ArgAction::Set)
                .help("So many of the witnesses whose keys are given must have cosigned"),
        )
        .arg(json_flag());
    [with_settings(prove, false), verify]
}

fn version(name: &'static str) -> Arg {
    Arg::new("version")
        .value_name(name)
        .help("The module version")
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
pub fn prove_run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let text = args.get_one::<String>("version").map_or("", String::as_str);
    let version = ModuleVersion::parse(text).map_err(Failed::usage)?;
    let settings = settings(args)?;
    let place = place::find(args, &settings)?;
    let runtime = boot::runtime()?;
    let carried = match runtime.block_on(prove(&place.source, &place.keys, &version)) {
        Ok(carried) => carried,
        Err(ProveError::Unknown(what)) => return Err(Failed::unknown(what)),
        Err(ProveError::NotLogged(what)) => {
            eprintln!("modkeep: {what}");
            return Ok(ExitCode::from(BAD));
        }
        Err(ProveError::Bad(finding)) => {
            eprintln!("modkeep: {}: {finding}", place.source);
            return Ok(ExitCode::from(BAD));
        }
    };
    let proof = carried.proof.to_string();
    let output = args.get_one::<String>("output");
    if let Some(file) = output {
        std::fs::write(file, &proof).map_err(|e| Failed::unknown(format!("{file}: {e}")))?;
    }
    if args.get_flag("json") {
        let document = json!({
            "schema": "modkeep.log.prove/1",
            "module": version.path().as_str(), "version": version.version().as_str(),
            "log": carried.head.origin, "record": carried.proof.index, "records": carried.head.tree.size,
            "text": carried.record, "proof": proof, "file": output,
        });
        println!("{document}");
    } else if output.is_some() {
        print!("{}", carried.record);
    } else {
        print!("{proof}");
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
pub fn verify_run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let file = args.get_one::<String>("file").map_or("", String::as_str);
    let keys = place::given_keys(args)?;
    let bytes = read(file)?;
    let as_json = args.get_flag("json");
    match verify(args, &bytes, &keys) {
        Ok(proved) => {
            match as_json {
                true => println!("{}", proved.document()),
                false => proved.print(),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Wrong::Usage(failed)) => Err(failed),
        Err(Wrong::Bad(what)) => {
            if as_json {
                let document =
                    json!({ "schema": "modkeep.log.verify-proof/1", "ok": false, "error": what });
                println!("{document}");
            }
            eprintln!("modkeep: {file}: {what}");
            Ok(ExitCode::from(BAD))
        }
    }
}

/// Why a proof was not verified.
enum Wrong {
    Usage(Failed),
    Bad(String),
}

struct Proved {
    index: u64,
    record: String,
    proved: tlog::proof::Proved,
}

fn verify(args: &ArgMatches, bytes: &[u8], keys: &[VerifierKey]) -> Result<Proved, Wrong> {
    let bad = |e: &dyn std::fmt::Display| Wrong::Bad(e.to_string());
    let proof = Proof::parse(bytes).map_err(|e| bad(&e))?;
    let wanted = wanted(args)?;
    let record = record(args, &proof, wanted.as_ref())?;
    let (witnesses, log): (Vec<VerifierKey>, Vec<VerifierKey>) = keys
        .iter()
        .cloned()
        .partition(|key| key.algorithm() == Algorithm::CosignatureV1);
    let origin = proof.checkpoint.lines().next().unwrap_or_default();
    let given = args.get_one::<String>("origin");
    // A Go checksum database's heads all begin alike; which one it is is in its key.
    let is_go = given.is_none() && origin == GO_ORIGIN;
    let name = log.first().map(|key| key.name().to_owned());
    let trust = Trust {
        origin: match is_go {
            true => GO_ORIGIN.to_owned(),
            false => given.cloned().or(name).unwrap_or_default(),
        },
        log,
        witnesses,
        quorum: usize::from(*args.get_one::<u16>("quorum").unwrap_or(&0)),
    };
    let proved = proof
        .verify(&Hash::leaf(record.as_bytes()), &trust)
        .map_err(|e| bad(&e))?;
    if let Some((version, sums)) = wanted {
        holds(&record, &version, &sums).map_err(Wrong::Bad)?;
    }
    Ok(Proved {
        index: proof.index,
        record,
        proved,
    })
}

/// The version and sums of the command line.
fn wanted(args: &ArgMatches) -> Result<Option<(ModuleVersion, Vec<String>)>, Wrong> {
    let Some(text) = args.get_one::<String>("version") else {
        return Ok(None);
    };
    let version = ModuleVersion::parse(text).map_err(|e| Wrong::Usage(Failed::usage(e)))?;
    let sums = args.get_many::<String>("sum").into_iter().flatten();
    Ok(Some((version, sums.cloned().collect())))
}

/// The record that is to be proved: from a file, from the proof, or made of both sums.
fn record(
    args: &ArgMatches,
    proof: &Proof,
    wanted: Option<&(ModuleVersion, Vec<String>)>,
) -> Result<String, Wrong> {
    let utf8 =
        |bytes| String::from_utf8(bytes).map_err(|_| Wrong::Bad("the record is not UTF-8".into()));
    if let Some(file) = args.get_one::<String>("record") {
        return utf8(read(file).map_err(Wrong::Usage)?);
    }
    if let Some(extra) = &proof.extra {
        return utf8(extra.clone());
    }
    if let Some((version, sums)) = wanted
        && let [zip, go_mod] = sums.as_slice()
    {
        let (module, version) = (version.path().as_str(), version.version().as_str());
        return Ok(go_sum_text(module, version, zip, go_mod));
    }
    Err(Wrong::Usage(Failed::usage(
        "the proof does not hold the record: give --record FILE, or M@V with both sums",
    )))
}

/// Whether a proved record is about this version and has these sums.
fn holds(record: &str, version: &ModuleVersion, sums: &[String]) -> Result<(), String> {
    let found = GoRecord::parse(record).map_err(|what| format!("the record: {what}"))?;
    if (found.module, found.version) != (version.path().as_str(), version.version().as_str()) {
        return Err(format!(
            "the proof is about {}@{}, not {version}",
            found.module, found.version
        ));
    }
    for (sum, (recorded, of)) in sums
        .iter()
        .zip([(found.zip, "zip"), (found.go_mod, "go.mod")])
    {
        if sum != recorded {
            return Err(format!(
                "{version}: the log's sum of the {of} is {recorded}, not {sum}"
            ));
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<Vec<u8>, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::usage(format!("{file}: {e}"));
    let length = std::fs::metadata(file).map_err(|e| wrong(&e))?.len();
    if length > PROOF_BYTES_MAX as u64 {
        return Err(wrong(&format!("is {length} bytes long: no proof is")));
    }
    std::fs::read(file).map_err(|e| wrong(&e))
}

impl Proved {
    fn document(&self) -> Value {
        let head = self.proved.checkpoint.head;
        json!({
            "schema": "modkeep.log.verify-proof/1", "ok": true,
            "log": self.proved.checkpoint.origin, "record": self.index, "records": head.size,
            "root": head.hash.to_string(), "witnesses": self.proved.witnesses, "text": self.record,
        })
    }

    #[expect(clippy::print_stdout, reason = "the command line's own voice")]
    fn print(&self) {
        print!("{}", self.record);
        if !self.record.ends_with('\n') {
            println!();
        }
        let (origin, head) = (&self.proved.checkpoint.origin, self.proved.checkpoint.head);
        println!("proved: record {} of {} in {origin}", self.index, head.size);
        if !self.proved.witnesses.is_empty() {
            println!("cosigned by {}", self.proved.witnesses.join(", "));
        }
    }
}
