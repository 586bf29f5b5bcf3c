//! `modkeep trace M@V`: the whole download, request by request.

use super::doctor::{Live, asked, duration, resolver_flag, resolvers};
use super::explain::{lang, print};
use super::{colored, json_flag};
use crate::boot::Links;
use crate::exit::{BAD, Failed, UNKNOWN};
use crate::goenv::GoEnv;
use crate::repro::pack;
use clap::{Arg, ArgMatches, Command, value_parser};
use doctor::Lang;
use doctor::check::{Report, State, diagnose};
use doctor::explain::Env;
use doctor::facts::{Facts, Group, Origin};
use doctor::net::NetFacts;
use doctor::trace::{Here, Hidden, Outcome, Route, Trace};
use probe::Request;
use probe::net::Replay;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use upstream::{Chain, Place};

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
             Bars: . name, c connect, t TLS, - waiting for the first byte, = body, v version control. Nothing is\n\
             kept, and the name is told to nobody whom the go command would not ask. Ctrl-C shows what is there.\n\
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
        replay: None,
    };
    let secrets = Arc::default();
    let (facts, route) = gather(args, request, &secrets)?;
    let report = judged(&facts);
    let net = facts.net.clone().unwrap_or_default();
    let trace = Trace {
        asked: named,
        net: &net,
        route: route.as_ref(),
        report: &report,
    };
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    if let Some(file) = bundle {
        write_bundle(file, &facts, &trace, lang, &here(&secrets))?;
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
fn gather(
    args: &ArgMatches,
    mut request: Request,
    secrets: &Arc<Mutex<Vec<String>>>,
) -> Result<(Facts, Option<Route>), Failed> {
    let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
    let (stop, stopped) = watch::channel(false);
    let live = Live::new(!args.get_flag("quiet") && !args.get_flag("json"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failed::unknown)?;
    let gathered = runtime.block_on(async {
        tokio::spawn(interrupted(stop));
        request.replay = Some(Replay {
            origin: origin(scratch.path(), request.budget),
            scratch: scratch.path().to_owned(),
            told: live.told(),
            secrets: Arc::clone(secrets),
            stop: stopped.clone(),
        });
        let facts = probe::gather(&request, &live.watcher()).await;
        let net = facts.net.clone().unwrap_or_default();
        let route = match last_address(&net) {
            Some((host, address)) if !*stopped.borrow() => {
                Some(probe::route::route(&host, &address, ROUTE_TIME.min(request.budget)).await)
            }
            _ => None,
        };
        (facts, route)
    });
    // A look at a hanging disk cannot be taken back; it ends with the process.
    runtime.shutdown_background();
    live.end();
    Ok(gathered)
}

/// The first Ctrl-C shows what is there; the second one is for whoever cannot wait for that.
async fn interrupted(stop: watch::Sender<bool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.send_replace(true);
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(UNKNOWN));
        }
    }
    // Its end would look like an end of everything.
    std::future::pending::<()>().await;
}

/// Version control by the go command's settings, from nothing, as a machine without a cache has it.
fn origin(scratch: &Path, patience: Duration) -> Option<Chain> {
    let mut settings = GoEnv::read("go".as_ref())
        .settings(scratch, "direct")
        .ok()?;
    settings.patience.answer = patience;
    settings.keep.answer = patience;
    Some(Links::new(&settings).ok()?.only(Place::Direct))
}

/// What the facts say; where no rule knows a cause, what version control said is explained as the go
/// command's own text would be.
fn judged(facts: &Facts) -> Report {
    let mut report = diagnose(facts);
    let steps = facts.net.iter().flat_map(|net| &net.steps);
    let failed = steps.filter(|step| step.answered().is_none());
    let mut said = failed
        .flat_map(|step| &step.tries)
        .filter_map(|one| one.vcs.as_ref()?.error.clone());
    let named = report
        .checks
        .iter()
        .any(|c| c.state == State::Fail && c.group() == Group::Net);
    if let (false, Some(text)) = (named, said.next_back()) {
        let mut explained = doctor::explain(&format!("go: {text}\n"), &Env::default()).findings;
        explained.append(&mut report.findings);
        report.findings = explained;
    }
    report
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
fn write_bundle(
    file: &Path,
    facts: &Facts,
    trace: &Trace<'_>,
    lang: Lang,
    here: &Here,
) -> Result<(), Failed> {
    let mut hidden = Hidden::of(facts, here).map_err(Failed::unknown)?;
    let dir = tempfile::tempdir().map_err(Failed::unknown)?;
    let document = hidden.json(&trace.json(lang));
    let settings = hidden.json(&settings(facts));
    for (name, text) in [
        ("README.txt", README.to_owned()),
        ("trace.json", format!("{document:#}\n")),
        ("trace.txt", hidden.text(&trace.text(Lang::En, false))),
        ("settings.json", format!("{settings:#}\n")),
        ("facts.json", format!("{:#}\n", hidden.facts(facts))),
    ] {
        std::fs::write(dir.path().join(name), text).map_err(Failed::unknown)?;
    }
    pack(dir.path(), file)
}

/// What the archive says about itself.
const README: &str = concat!(
    "Written by modkeep ",
    env!("CARGO_PKG_VERSION"),
    " trace --bundle.\n\n\
     trace.txt      what the command showed\n\
     trace.json     the same for machines (modkeep.trace/1)\n\
     settings.json  versions, and settings of the go command with where each comes from\n\
     facts.json     everything measured; judge it again: modkeep doctor --facts facts.json\n\n\
     Passwords, tokens and the values of signed addresses are *** . Hosts, paths and names that are private, or\n\
     not known to be public, are private-1, private-2 and so on, the same name always the same number; ~ is the\n\
     home directory. Addresses inside are others of 10.0.0.0/8 or fd00::/8, those of hidden hosts of 203.0.113.0/24\n\
     or 2001:db8::/32. The project's files are not in here. Look through it before you send it.\n"
);

/// Settings that bear on a download.
const SETTINGS: &[&str] = &[
    "GOPROXY",
    "GOSUMDB",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOINSECURE",
    "GOVCS",
    "GOAUTH",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "GO111MODULE",
    "GOENV",
    "GODEBUG",
];

/// Variables of the system that do.
const VARIABLES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NETRC",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_TERMINAL_PROMPT",
    "GIT_SSL_NO_VERIFY",
];

fn settings(facts: &Facts) -> serde_json::Value {
    let value = |name: &&str| {
        let setting = facts.setting(name)?;
        let from = match setting.origin {
            Origin::Os => "operating system",
            Origin::UserFile => "go env -w",
            Origin::GorootFile => "go.env of the Go tree",
            Origin::Default => "default",
        };
        Some((
            name.to_string(),
            json!({ "value": setting.value, "from": from }),
        ))
    };
    let env = facts.env.as_ref();
    let variable = |name: &&str| Some((name.to_string(), json!(env?.os(name)?)));
    let go = facts
        .go
        .iter()
        .flat_map(|go| go.on_path.iter().flatten())
        .next();
    let tools = env.iter().flat_map(|env| env.tools.iter().flatten());
    json!({
        "modkeep": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "go": go.and_then(|go| go.version.clone()),
        "tools": tools.filter_map(|tool| tool.version.clone()).collect::<Vec<_>>(),
        "settings": SETTINGS.iter().filter_map(value).collect::<serde_json::Map<_, _>>(),
        "variables": VARIABLES.iter().filter_map(variable).collect::<serde_json::Map<_, _>>(),
    })
}

/// Names of this machine and its user, and what must not be told of them.
fn here(learnt: &Mutex<Vec<String>>) -> Here {
    let mut secrets = probe::secrets();
    secrets.extend(
        learnt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned(),
    );
    let variable = |name: &&str| std::env::var(name).ok();
    let mut names: Vec<String> = ["USER", "LOGNAME", "SUDO_USER", "HOSTNAME"]
        .iter()
        .filter_map(variable)
        .collect();
    names.retain(|name| name != "root");
    names.extend(std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let dir = std::env::current_dir().ok();
    // Names of a directory above are those of the machine.
    names.extend(
        dir.iter()
            .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())),
    );
    Here {
        home: variable(&"HOME"),
        names,
        secrets,
    }
}
