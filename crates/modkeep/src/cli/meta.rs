//! `modkeep completions` and `modkeep man`.

use crate::exit::Failed;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use std::io::Write;
use std::process::ExitCode;

pub fn commands() -> [Command; 2] {
    let shell = Arg::new("shell")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("For which shell");
    [
        Command::new("completions")
            .about("Print shell completions")
            .after_help("  modkeep completions bash > /etc/bash_completion.d/modkeep")
            .arg(shell),
        Command::new("man")
            .about("Print the manual page (roff)")
            .after_help("  modkeep man | man -l -"),
    ]
}

pub fn completions(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let shell = *args
        .get_one::<Shell>("shell")
        .ok_or_else(|| Failed::usage("which shell?"))?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "modkeep", &mut text);
    print(&text)
}

pub fn man() -> Result<ExitCode, Failed> {
    let mut text = Vec::new();
    render(&super::command(), &mut text).map_err(Failed::unknown)?;
    print(&text)
}

/// The page of the command, followed by the flags of each verb.
fn render(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    for verb in command.get_subcommands() {
        let verb = verb.clone();
        let name = format!("modkeep {}", verb.get_name());
        writeln!(out, ".SH \"{}\"", name.to_uppercase())?;
        let page = clap_mangen::Man::new(verb.bin_name(name));
        page.render_synopsis_section(out)?;
        page.render_options_section(out)?;
    }
    Ok(())
}

fn print(text: &[u8]) -> Result<ExitCode, Failed> {
    match std::io::stdout().write_all(text) {
        // `modkeep man | head` is no failure.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failed::unknown(e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
