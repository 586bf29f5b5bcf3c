//! `modkeep purge`: forget a wrong "not found", an old list, or kept files.

use super::{json_flag, server_flag, settings, with_settings};
use crate::boot;
use crate::exit::Failed;
use clap::{Arg, ArgAction, ArgMatches, Command};
use gomod::path::ModulePath;
use gomod::version::Version;
use serde_json::{Value, json};
use std::process::ExitCode;

pub fn command() -> Command {
    let command = Command::new("purge")
        .about("Forget what may change about a module, or its kept files")
        .long_about(
            "Forget what may change about a module: \"not found\" answers, lists, latest, branch queries.\n\n\
               modkeep purge --server http://127.0.0.1:8080 example.com/team/lib\n\n\
             With --files the kept files of the version, or of all versions, are removed too.",
        )
        .arg(Arg::new("module").value_name("M[@V]").required(true).help("The module, or one version of it"))
        .arg(Arg::new("files").long("files").action(ArgAction::SetTrue).help("Remove kept files too"))
        .arg(server_flag())
        .arg(json_flag());
    with_settings(command, false)
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let text = args.get_one::<String>("module").map_or("", String::as_str);
    let (path, version) = text
        .split_once('@')
        .map_or((text, None), |(p, v)| (p, Some(v)));
    let module = ModulePath::parse(path).map_err(Failed::usage)?;
    let version = version
        .map(Version::parse)
        .transpose()
        .map_err(Failed::usage)?;
    let files = args.get_flag("files");
    let runtime = boot::runtime()?;
    let forgotten = match args.get_one::<String>("server") {
        Some(server) => {
            let body = json!({ "module": path, "version": version.as_ref().map(ToString::to_string), "files": files });
            let answer = runtime.block_on(super::fetch::post(server, "purge", &body))?;
            answer.get("forgotten").and_then(Value::as_u64).unwrap_or(0)
        }
        None => {
            let settings = settings(args)?;
            boot::event_log(&settings)?;
            runtime.block_on(async {
                let keep = boot::keep(&settings)?;
                keep.purge(&module, version.as_ref(), files)
                    .await
                    .map_err(|r| Failed::unknown(r.text))
            })?
        }
    };
    match args.get_flag("json") {
        true => println!(
            "{}",
            json!({ "schema": "modkeep.purge/1", "forgotten": forgotten })
        ),
        false => println!("forgotten: {forgotten}"),
    }
    Ok(ExitCode::SUCCESS)
}
