//! The log of this data directory: made, shown, recovered.

use crate::boot::own_log_options;
use crate::cli::{json_flag, settings, with_settings};
use crate::config::{LogSetting, Typed};
use crate::exit::Failed;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use keep::{Policy, Witnesses};
use ledger::{Ledger, LedgerError};
use serde_json::{Value, json};
use std::process::ExitCode;

pub fn commands() -> [Command; 5] {
    let init = Command::new("init")
        .about("Make the key and an empty log; print the verifier key and the GOSUMDB value")
        .long_about(
            "Make the key and an empty log; print the verifier key and the GOSUMDB value.\n\n\
               modkeep log init sum.example.com\n\n\
             The name looks like a host, optionally with a path; clients know the log by it for ever. The key \
             goes to DATA/log.key with mode 0600, unless --log-key names another file, a variable or a command.",
        )
        .arg(Arg::new("name").value_name("NAME").required(true).help("The log's name"));
    let plain =
        |name, about| with_settings(Command::new(name).about(about).arg(json_flag()), false);
    [
        with_settings(init.arg(json_flag()), false),
        plain("status", "What the log holds, and how it is"),
        plain("key", "The public part of the key, and the GOSUMDB value"),
        plain(
            "recover",
            "Rebuild what can be rebuilt from the log's frames, and nothing more",
        ),
        plain(
            "adopt",
            "Take this copy of the log for the newest and only one: after the witness file was lost, or the data moved",
        ),
    ]
}

/// The settings of a command about the log of the data directory.
fn own(args: &ArgMatches) -> Result<(Typed, LogSetting), Failed> {
    let settings = settings(args)?;
    let log = settings.log_setting();
    Ok((settings, log))
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn init(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let (settings, log) = own(args)?;
    let name = args.get_one::<String>("name").map_or("", String::as_str);
    let name = crate::config::log_name(name).map_err(Failed::usage)?;
    let (signer, made) = log.key.read_or_make(&name).map_err(Failed::unknown)?;
    let key = signer.verifier().to_string();
    if signer.verifier().name() != name {
        return Err(Failed::usage(format!(
            "{} holds a key for {}, not for {name}",
            log.key,
            signer.verifier().name()
        )));
    }
    let options = own_log_options(&settings, &log, signer);
    let dir = options.dir.clone();
    Ledger::create(options).map_err(Failed::unknown)?.close();
    if args.get_flag("json") {
        let document = json!({
            "schema": "modkeep.log.init/1", "name": name, "key": key, "gosumdb": key,
            "key_source": log.key.to_string(), "dir": dir,
        });
        println!("{document}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("log           {}", dir.display());
    println!(
        "private key   {}{}",
        log.key,
        if made { " (made now)" } else { "" }
    );
    println!("verifier key  {key}");
    println!("\nServe it, and tell every go command:");
    println!("  modkeep serve --log-name {name}{}", given(args));
    println!("  go env -w GOSUMDB='{key}'");
    println!(
        "\nKeep a copy of the private key where nobody else reads it. Without it the log can never grow"
    );
    println!(
        "again: it would take a new name, a new key, and a new GOSUMDB value for everybody. Who has it can"
    );
    println!(
        "sign a second history, which only clients and witnesses that remember the first would notice."
    );
    if log.witness.is_none() {
        println!(
            "\nGive the server --log-witness-file FILE on another disk: without it a restored backup would"
        );
        println!("fork the log unnoticed.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The flags that the server needs too.
fn given(args: &ArgMatches) -> String {
    let flags = ["data", "log-key", "log-witness-file"].into_iter();
    let given = flags.filter_map(|name| {
        let flag = args.value_source(name) == Some(ValueSource::CommandLine);
        let value = args.get_one::<String>(name).filter(|_| flag)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:+=".contains(c);
        Some(match value.chars().all(plain) {
            true => format!(" --{name} {value}"),
            false => format!(" --{name} '{}'", value.replace('\'', r"'\''")),
        })
    });
    given.collect()
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn status(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let (ledger, log) = open(args, false)?;
    let witnesses = settings(args)?.log.witnesses;
    let witnesses = witnesses.map(|settings| Cosigners::of(&ledger, settings));
    let status = ledger.status();
    let head = ledger.reader().head();
    let root = head.root.to_string();
    let witness = status.witness.as_ref().map(|w| w.display().to_string());
    let trouble = status.trouble.as_ref().map(ToString::to_string);
    if args.get_flag("json") {
        let document = json!({
            "schema": "modkeep.log.status/1", "name": status.name, "records": status.size, "root": root,
            "witness_file": witness, "cosigned": status.cosigned, "trouble": trouble,
            "witnesses": witnesses.as_ref().map(Cosigners::document),
            "key": ledger.reader().key().to_string(), "key_source": log.key.to_string(),
        });
        println!("{document}");
    } else {
        println!("name          {}", status.name);
        println!("records       {}", status.size);
        println!("root          {root}");
        println!(
            "witness file  {}",
            witness
                .as_deref()
                .unwrap_or("none: a restored backup would fork the log unnoticed")
        );
        if let Some(size) = status.cosigned {
            println!("cosigned      up to {size}");
        }
        if let Some(witnesses) = &witnesses {
            witnesses.print();
        }
        if let Some(trouble) = &trouble {
            println!("trouble       {trouble}");
        }
    }
    Ok(match trouble {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(crate::exit::BAD),
    })
}

/// The witnesses of the settings, and which of them cosigned the newest cosigned head.
struct Cosigners {
    settings: Witnesses,
    cosigned: Vec<bool>,
}

impl Cosigners {
    fn of(ledger: &Ledger, settings: Witnesses) -> Self {
        let newest = ledger.reader().cosigned();
        let lines = newest.map(|c| settings.cosignatures(&c.checkpoint));
        let lines = lines.unwrap_or_default();
        let by = |place| lines.iter().any(|(by, _)| *by == place);
        Self {
            cosigned: (0..settings.all.len()).map(by).collect(),
            settings,
        }
    }

    fn each(&self) -> impl Iterator<Item = (&str, bool)> {
        let names = self.settings.all.iter().map(|witness| witness.key().name());
        names.zip(self.cosigned.iter().copied())
    }

    fn document(&self) -> Value {
        let each = self
            .each()
            .map(|(name, cosigned)| json!({ "name": name, "cosigned": cosigned }));
        json!({
            "policy": self.settings.policy, "quorum": self.settings.quorum,
            "each": each.collect::<Vec<_>>(),
        })
    }

    #[expect(clippy::print_stdout, reason = "the command line's own voice")]
    fn print(&self) {
        let (quorum, all) = (self.settings.quorum, self.settings.all.len());
        let policy = match self.settings.policy {
            Policy::Open => "open: heads with fewer are shown all the same",
            Policy::Closed => "closed: heads with fewer are not shown",
        };
        println!("witnesses     {quorum} of {all} have to cosign ({policy})");
        for (name, cosigned) in self.each() {
            let word = if cosigned { "cosigned it" } else { "did not" };
            println!("              {name}: {word}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn key(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let (_, log) = own(args)?;
    let signer = log.key.read().map_err(Failed::unknown)?;
    let (name, key) = (signer.verifier().name(), signer.verifier().to_string());
    match args.get_flag("json") {
        true => println!(
            "{}",
            json!({ "schema": "modkeep.log.key/1", "name": name, "key": key, "gosumdb": key })
        ),
        false => println!("{key}"),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn recover(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let (settings, log) = own(args)?;
    let signer = log.key.read().map_err(Failed::unknown)?;
    let options = own_log_options(&settings, &log, signer);
    let records = ledger::recover(options).map_err(Failed::unknown)?;
    match args.get_flag("json") {
        true => println!(
            "{}",
            json!({ "schema": "modkeep.log.recover/1", "records": records })
        ),
        false => println!("rebuilt from the frames: {records} records"),
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn adopt(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let (ledger, log) = open(args, true)?;
    let records = ledger.status().size;
    ledger.close();
    match args.get_flag("json") {
        true => println!(
            "{}",
            json!({ "schema": "modkeep.log.adopt/1", "records": records })
        ),
        false => {
            let place = log.witness.map(|w| w.display().to_string());
            let place = place.unwrap_or_else(|| "no witness file is set".into());
            println!("this copy, with {records} records, is the log now ({place})");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(args: &ArgMatches, adopt: bool) -> Result<(Ledger, LogSetting), Failed> {
    let (settings, log) = own(args)?;
    let signer = log.key.read().map_err(Failed::unknown)?;
    let mut options = own_log_options(&settings, &log, signer);
    options.adopt = adopt;
    let ledger = Ledger::open(options).map_err(|error| match error {
        LedgerError::Locked(_) => Failed::unknown(format!(
            "{error}\na running server says how its log is: URL/-/readyz; modkeep log check may run beside it"
        )),
        error => Failed::unknown(error),
    })?;
    Ok((ledger, log))
}
