//! `modkeep log export` and `modkeep log import`: a whole log in one file.

use super::place;
use crate::boot::own_log_options;
use crate::cli::{json_flag, settings, with_settings};
use crate::exit::{BAD, Failed};
use clap::{Arg, ArgMatches, Command};
use ledger::{Ledger, LedgerError, NewRecord, RECORDS_MAX};
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use tlog::TreeHead;
use tlog::export::{self, Reader};
use tlog::note::VerifierKey;

/// A file is read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// Records and bytes appended at once: half of what the ledger takes.
const BATCH_RECORDS: usize = 2048;
const BATCH_BYTES: usize = 2 << 20;

pub fn commands() -> [Command; 2] {
    let file = |help| {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .help(help)
    };
    let export = Command::new("export")
        .about("Write the whole log of this data directory into one file")
        .long_about(
            "Write the whole log of this data directory into one file: the signed heads and every record.\n\n\
               modkeep log export sum.example.com.log\n\n\
             The file proves itself: its records must have the root that the log signed. While a server has the log \
             open it cannot be exported.",
        )
        .arg(file("The file to write; it must not exist"))
        .arg(json_flag());
    let import = Command::new("import")
        .about("Bring an exported log back: into an empty data directory, or behind what is there")
        .long_about(
            "Bring an exported log back: into an empty data directory, or behind what is there.\n\n\
               modkeep log import sum.example.com.log --log-key old.key\n\n\
             The whole file is checked first (signatures, root, one record for each version), and nothing is written \
             unless it is the log of this key. Records that are there already must be the same, so an interrupted \
             import can be repeated. An export that is older than what was signed since forks the log: give \
             --log-witness-file, which refuses that.",
        )
        .arg(file("The exported log"))
        .arg(json_flag());
    [with_settings(export, false), with_settings(import, false)]
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn export_run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    let place = place::own(&settings, Vec::new())?;
    let file = args.get_one::<String>("file").map_or("", String::as_str);
    let wrong = |e: &dyn std::fmt::Display| Failed::unknown(format!("{file}: {e}"));
    let Some(ledger) = &place.own else {
        return Err(Failed::unknown("there is no log here"));
    };
    let reader = ledger.reader();
    let head = reader.head();
    let out = File::options().write(true).create_new(true).open(file);
    let mut out = BufWriter::new(out.map_err(|e| wrong(&e))?);
    let notes: [&[u8]; 2] = [&head.latest, &head.checkpoint];
    let header = export::header(head.size, &notes).map_err(|e| wrong(&e))?;
    out.write_all(&header).map_err(|e| wrong(&e))?;
    let mut id = 0;
    while id < head.size {
        let texts = reader
            .records(id..head.size.min(id + RECORDS_MAX))
            .map_err(Failed::unknown)?;
        for text in texts {
            let record = export::record(id, text.as_bytes()).map_err(|e| wrong(&e))?;
            out.write_all(&record).map_err(|e| wrong(&e))?;
            id += 1;
        }
    }
    let out = out.into_inner().map_err(|e| wrong(&e))?;
    out.sync_all().map_err(|e| wrong(&e))?;
    match args.get_flag("json") {
        true => println!(
            "{}",
            json!({ "schema": "modkeep.log.export/1", "log": reader.key().name(), "records": head.size,
                    "root": head.root.to_string(), "file": file })
        ),
        false => println!("{file}: {} records of {}", head.size, reader.key().name()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Why an import ends.
enum Ended {
    /// The file is not the log.
    Bad(String),
    /// It could not be done.
    Failed(Failed),
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
pub fn import_run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    let log = settings.log_setting();
    let signer = log.key.read().map_err(Failed::usage)?;
    let key = signer.verifier().clone();
    let file = Path::new(args.get_one::<String>("file").map_or("", String::as_str));
    let options = own_log_options(&settings, &log, signer);
    let done = import(file, &key, options);
    match done {
        Ok(head) => {
            match args.get_flag("json") {
                true => println!(
                    "{}",
                    json!({ "schema": "modkeep.log.import/1", "log": key.name(), "records": head.size,
                            "root": head.hash.to_string() })
                ),
                false => println!("{}: {} records are in the log", key.name(), head.size),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Ended::Bad(what)) => {
            eprintln!("modkeep: {}: {what}", file.display());
            Ok(ExitCode::from(BAD))
        }
        Err(Ended::Failed(failed)) => Err(failed),
    }
}

fn import(file: &Path, key: &VerifierKey, options: ledger::Options) -> Result<TreeHead, Ended> {
    let failed = |e: LedgerError| Ended::Failed(Failed::unknown(e));
    let there = match Ledger::open(options.clone()) {
        Ok(ledger) => Some(ledger),
        Err(LedgerError::Missing(_)) => None,
        Err(e) => return Err(failed(e)),
    };
    // Everything is read, proved and compared before the first record is written.
    let mut same = There::new(there.as_ref());
    let head = read(file, key, |id, text| same.check(id, &text))?;
    let ledger = match there {
        Some(ledger) => ledger,
        None => Ledger::create(options).map_err(failed)?,
    };
    append(file, key, head, &ledger)?;
    Ok(head)
}

/// The records that are there already.
struct There<'a> {
    reader: Option<&'a ledger::Reader>,
    size: u64,
    /// Some of them, from this number on.
    texts: Vec<String>,
    from: u64,
}

impl<'a> There<'a> {
    fn new(ledger: Option<&'a Ledger>) -> Self {
        let reader = ledger.map(Ledger::reader);
        Self {
            reader,
            size: reader.map_or(0, |reader| reader.head().size),
            texts: Vec::new(),
            from: 0,
        }
    }

    /// Whether record `id` may be this: it is not there yet, or is the same.
    fn check(&mut self, id: u64, text: &str) -> Result<(), Ended> {
        let Some(reader) = self.reader.filter(|_| id < self.size) else {
            return Ok(());
        };
        if id >= self.from + self.texts.len() as u64 {
            let read = reader.records(id..self.size.min(id + RECORDS_MAX));
            self.texts = read.map_err(|e| Ended::Failed(Failed::unknown(e)))?;
            self.from = id;
        }
        let place = usize::try_from(id - self.from).unwrap_or(usize::MAX);
        match self.texts.get(place).is_some_and(|there| there == text) {
            true => Ok(()),
            false => Err(Ended::Bad(format!(
                "the log here is another: record {id} differs"
            ))),
        }
    }
}

/// Reads an export to its end, and gives every record to `each` on the way.
fn read(
    file: &Path,
    key: &VerifierKey,
    mut each: impl FnMut(u64, String) -> Result<(), Ended>,
) -> Result<TreeHead, Ended> {
    let wrong = |e: io::Error| Ended::Failed(Failed::usage(format!("{}: {e}", file.display())));
    let bad = |e: &dyn std::fmt::Display| Ended::Bad(e.to_string());
    let mut input = File::open(file).map_err(wrong)?;
    let mut reader = Reader::new(vec![key.clone()]);
    let mut piece = vec![0; PIECE];
    let mut id = 0;
    loop {
        let n = input.read(&mut piece).map_err(wrong)?;
        if n == 0 {
            break;
        }
        reader.push(&piece[..n]);
        while let Some(record) = reader.next_record().map_err(|e| bad(&e))? {
            let text =
                String::from_utf8(record).map_err(|_| bad(&format!("record {id} is not UTF-8")))?;
            NewRecord::new(text.as_str()).map_err(|e| bad(&format!("record {id}: {e}")))?;
            each(id, text)?;
            id += 1;
        }
    }
    let (head, _) = reader.finish().map_err(|e| bad(&e))?;
    Ok(head)
}

fn append(file: &Path, key: &VerifierKey, head: TreeHead, ledger: &Ledger) -> Result<(), Ended> {
    let failed = |e: LedgerError| Ended::Failed(Failed::unknown(e));
    let mut batch = Vec::new();
    let mut next = 0;
    let mut flush = |batch: &mut Vec<NewRecord>| -> Result<(), Ended> {
        let count = batch.len() as u64;
        let ids = ledger
            .append_blocking(std::mem::take(batch))
            .map_err(failed)?;
        if !ids.into_iter().eq(next..next + count) {
            let what =
                format!("the log here is another: it has other records behind number {next}");
            return Err(Ended::Bad(what));
        }
        next += count;
        Ok(())
    };
    let mut bytes = 0;
    let again = read(file, key, |_, text| {
        bytes += text.len();
        batch.push(NewRecord::new(text).map_err(failed)?);
        if batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            return Ok(());
        }
        bytes = 0;
        flush(&mut batch)
    })?;
    flush(&mut batch)?;
    let root = ledger.reader().root(head.size).map_err(failed)?;
    if again != head || root != head.hash {
        return Err(Ended::Bad("the file changed while it was read".into()));
    }
    Ok(())
}
