//! `modkeep trace M@V`: the whole download, request by request.

use super::doctor::{Live, asked, duration, resolver_flag, resolvers};
use super::explain::{lang, print};
use super::{colored, json_flag};
use crate::exit::{BAD, Failed, UNKNOWN};
use crate::repro::pack;
use clap::{Arg, ArgMatches, Command, value_parser};
use doctor::Lang;
use doctor::check::{Report, diagnose};
use doctor::facts::{Facts, Group};
use doctor::net::NetFacts;
use doctor::trace::{Hidden, Outcome, Route, Trace};
use probe::Request;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Time for the way to the last host; it is asked after everything else.
const ROUTE_TIME: Duration = Duration::from_secs(3);

pub fn command() -> Command {
    Command::new("trace")
        .about("A whole download, request by request: who answered, what took how long, where it ended")
        .long_about(
            "The whole download of a module as the go command would do it under the present settings: each request,\n\
             the proxy that answered, each redirect with name resolution, connection, TLS, first byte and body, what\n\
             caches on the way say, which fallback was taken and why, and the way to the last host.\n\n\
               modkeep trace example.com/m@v1.2.3\n\
             \u{20} modkeep trace example.com/m --resolver 9.9.9.9     # @latest, names by another DNS server\n\
             \u{20} modkeep trace example.com/m@v1.2.3 --bundle report.tar.gz\n\n\
             Bars: . name, c connect, t TLS, - waiting for the first byte, = body. Nothing is kept. Private modules\n\
             (GONOPROXY) are named to nobody but their own origin.\n\
             Exit status: 0 the download is complete, 1 it failed, 2 wrong usage, 3 the time ended first.",
        )
        .arg(
            Arg::new("module")
                .value_name("M@V")
                .required(true)
                .help("The module; @V may be a version, a branch, a hash or latest"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("TIME")
                .default_value("2m")
                .help("Time for everything together, such as 30s or 5m"),
        )
        .arg(resolver_flag())
        .arg(
            Arg::new("bundle")
                .long("bundle")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write an archive (.tar.gz) for a bug report: secrets and private names are masked"),
        )
        .arg(json_flag())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let named = args.get_one::<String>("module").map_or("", String::as_str);
    let bundle = args.get_one::<PathBuf>("bundle");
    if let Some(file) = bundle.filter(|file| file.exists()) {
        return Err(Failed::usage(format!(
            "{}: is there already; name a new file",
            file.display()
        )));
    }
    let timeout = args
        .get_one::<String>("timeout")
        .map_or("2m", String::as_str);
    let request = Request {
        dir: std::env::current_dir().map_err(Failed::unknown)?,
        asked: Some(asked(named)?),
        groups: vec![Group::Env, Group::Net],
        budget: duration(timeout)?,
        resolvers: resolvers(args)?,
    };
    let (facts, route) = gather(args, &request)?;
    let report = diagnose(&facts);
    let net = facts.net.clone().unwrap_or_default();
    let trace = Trace {
        asked: named,
        net: &net,
        route: route.as_ref(),
        report: &report,
    };
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    if let Some(file) = bundle {
        write_bundle(file, &facts, &trace, lang)?;
    }
    let text = match args.get_flag("json") {
        true => format!("{:#}\n", trace.json(lang)),
        false => trace.text(lang, colored(args, &std::io::stdout())),
    };
    print(&text)?;
    Ok(match trace.outcome() {
        Outcome::Complete => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::from(BAD),
        Outcome::Unknown => ExitCode::from(UNKNOWN),
    })
}

/// What the network says, and then the way to the last host.
fn gather(args: &ArgMatches, request: &Request) -> Result<(Facts, Option<Route>), Failed> {
    let live = Live::new(!args.get_flag("quiet") && !args.get_flag("json"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failed::unknown)?;
    let gathered = runtime.block_on(async {
        let facts = probe::gather(request, &live.watcher()).await;
        let net = facts.net.clone().unwrap_or_default();
        let route = match last_address(&net) {
            Some((host, address)) => {
                Some(probe::route::route(&host, &address, ROUTE_TIME.min(request.budget)).await)
            }
            None => None,
        };
        (facts, route)
    });
    // A look at a hanging disk cannot be taken back; it ends with the process.
    runtime.shutdown_background();
    live.end();
    Ok(gathered)
}

fn last_address(net: &NetFacts) -> Option<(String, String)> {
    let trace = Trace {
        asked: "",
        net,
        route: None,
        report: &Report::default(),
    };
    trace.last_address()
}

/// Everything that a stranger needs to understand the failure, and nothing that is not theirs.
fn write_bundle(file: &Path, facts: &Facts, trace: &Trace<'_>, lang: Lang) -> Result<(), Failed> {
    let hidden = Hidden::of(facts, &here());
    let dir = tempfile::tempdir().map_err(Failed::unknown)?;
    let readme = format!(
        "Written by modkeep {} trace --bundle. Logins and the values of signed addresses are masked;\n\
         names of private modules, of hosts inside and of this machine are replaced, each by a word of its own.\n\n\
         trace.txt   what the command showed\n\
         trace.json  the same for machines (modkeep.trace/1)\n\
         facts.json  everything measured; judge it again: modkeep doctor --facts facts.json\n",
        env!("CARGO_PKG_VERSION")
    );
    let facts = facts.to_json().map_err(Failed::unknown)?;
    for (name, text) in [
        ("README.txt", readme),
        ("trace.txt", hidden.apply(&trace.text(Lang::En, false))),
        (
            "trace.json",
            hidden.apply(&format!("{:#}\n", trace.json(lang))),
        ),
        ("facts.json", hidden.apply(&facts)),
    ] {
        std::fs::write(dir.path().join(name), text).map_err(Failed::unknown)?;
    }
    pack(dir.path(), file)
}

/// Names of this machine and its user.
fn here() -> Vec<String> {
    let variables = ["HOME", "USER", "LOGNAME", "HOSTNAME"];
    let mut names: Vec<String> = variables
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .filter(|value| value.len() > 1 && value != "root" && value != "/root")
        .collect();
    names.extend(
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .filter(|name| name.trim() != "localhost"),
    );
    names
}
