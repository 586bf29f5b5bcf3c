//! `modkeep compare M@V`: every source's hash side by side, and who is the odd one out.

use super::explain::{lang, print};
use super::{colored, json_flag};
use crate::boot;
use crate::compare::{Asked, Gathered, files_of, gather};
use crate::config::default_data;
use crate::exit::{BAD, Failed};
use crate::goenv::GoEnv;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use doctor::compare::{Agreement, Change, FileChange, Source, Verdict, changes, judge, shape};
use doctor::explain::Subject;
use doctor::{Cause, Lang, cause};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Files that are named of two zips that differ.
const FILES_SHOWN: usize = 50;

pub fn command() -> Command {
    Command::new("compare")
        .about("Every source's hash of a version side by side; who is the odd one out")
        .long_about(
            "Every source's hash of a version side by side: go.sum, module cache, each proxy of GOPROXY, the\n\
             checksum database with its proof, the origin, modkeep's own store; who is the odd one out, and the\n\
             one safe next step.\n\n\
               modkeep compare example.com/m@v1.2.3\n  modkeep compare example.com/m@v1.2.3 --proxy https://goproxy.io\n\n\
             Private modules (GOPRIVATE) are named to no proxy and no checksum database.\n\
             Exit status: 0 all agree, 1 they differ, 3 it could not be found out.",
        )
        .arg(Arg::new("version").value_name("M@V").required(true).help("The module and its version"))
        .arg(Arg::new("proxy").long("proxy").value_name("URL").action(ArgAction::Append).help("A further proxy to ask"))
        .arg(Arg::new("private").long("private").value_name("PATTERNS").default_value("").help("Private modules besides GOPRIVATE's"))
        .arg(Arg::new("no-origin").long("no-origin").action(ArgAction::SetTrue).help("Do not ask the origin: no version control is run"))
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .env("MODKEEP_DATA")
                .help("The data directory of modkeep's own store [default: the user's]"),
        )
        .arg(super::server_flag().help("Ask a running modkeep what it has kept, instead of the data directory"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .default_value("60")
                .value_parser(value_parser!(u64).range(1..=3600))
                .help("Time for each source"),
        )
        .arg(json_flag())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let asked = asked(args)?;
    let version = asked.version.clone();
    let runtime = boot::runtime()?;
    let gathered = runtime.block_on(gather(asked));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let gathered = gathered?;
    let sources = gathered.sources();
    let mut verdict = judge(&sources);
    let files = files(&gathered, &verdict, &version);
    if let Some(said) = files.as_ref().and_then(|f| f.shape) {
        verdict.also.push(said.into());
    }
    let subject = Subject {
        module: Some(version.path().to_string()),
        version: Some(version.version().to_string()),
        ..Subject::default()
    };
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    let screen = Screen {
        version: &version,
        sources: &sources,
        verdict: &verdict,
        files: files.as_ref(),
        subject: &subject,
        lang,
    };
    match args.get_flag("json") {
        true => {
            print(&(serde_json::to_string_pretty(&screen.json()).map_err(Failed::unknown)? + "\n"))?
        }
        false => print(&screen.text(colored(args, &std::io::stdout())))?,
    };
    Ok(match verdict.agreement {
        Agreement::Agree => ExitCode::SUCCESS,
        Agreement::Differ => ExitCode::from(BAD),
        Agreement::Unknown => ExitCode::from(3),
    })
}

fn asked(args: &ArgMatches) -> Result<Asked, Failed> {
    let text = args.get_one::<String>("version").map_or("", String::as_str);
    let version = ModuleVersion::parse(text)
        .map_err(|e| Failed::usage(format!("{e}; it looks like example.com/m@v1.2.3")))?;
    let private = Patterns::parse(args.get_one::<String>("private").map_or("", String::as_str))
        .map_err(Failed::usage)?;
    if let Some(warning) = private.warnings().first() {
        // Ignored as the go command does it, it would name a private module to the world.
        return Err(Failed::usage(format!("--private: {warning}")));
    }
    let data = args
        .get_one::<PathBuf>("data")
        .cloned()
        .or_else(default_data);
    Ok(Asked {
        version,
        env: GoEnv::read("go".as_ref()),
        more: args
            .get_many::<String>("proxy")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        private,
        origin: !args.get_flag("no-origin"),
        // Looking must not make one.
        store: data.filter(|dir| dir.join("catalog.db").is_file()),
        server: args.get_one::<String>("server").cloned(),
        patience: Duration::from_secs(args.get_one::<u64>("timeout").copied().unwrap_or(60)),
    })
}

/// Where two zips differ.
struct Files {
    left: String,
    right: String,
    changes: Vec<FileChange>,
    shape: Option<&'static str>,
}

fn files(gathered: &Gathered, verdict: &Verdict, version: &ModuleVersion) -> Option<Files> {
    let (good, odd) = gathered.differing(verdict)?;
    // Both were hashed a moment ago, so they can be read.
    let left = files_of(good.zip.as_deref()?, version).ok()?;
    let right = files_of(odd.zip.as_deref()?, version).ok()?;
    let changes = changes(&left, &right);
    let attributes = left
        .iter()
        .chain(&right)
        .any(|f| f.name == ".gitattributes" || f.name.ends_with("/.gitattributes"));
    Some(Files {
        left: good.source.name.clone(),
        right: odd.source.name.clone(),
        shape: shape(&changes, attributes).text(),
        changes,
    })
}

struct Screen<'a> {
    version: &'a ModuleVersion,
    sources: &'a [Source],
    verdict: &'a Verdict,
    files: Option<&'a Files>,
    subject: &'a Subject,
    lang: Lang,
}

impl Screen<'_> {
    fn cause(&self) -> Option<&'static Cause> {
        self.verdict.label.and_then(cause::find)
    }

    fn word(&self) -> &'static str {
        match (self.verdict.label, self.verdict.agreement) {
            (Some(label), _) => label,
            (None, Agreement::Unknown) => "unknown",
            (None, _) => "agree",
        }
    }

    fn json(&self) -> Value {
        let next = self.cause().and_then(|c| c.remedy.first()).map(|remedy| {
            json!({ "class": remedy.class.letter(), "text": remedy.text(self.lang), "command": remedy.command.as_deref().map(|c| self.subject.fill(c)) })
        });
        let avoid = self.cause().map_or(&[][..], |c| &c.avoid).iter();
        let avoid: Vec<Value> = avoid
            .map(|a| json!({ "advice": a.advice(self.lang), "why": a.why(self.lang) }))
            .collect();
        let files = self.files.map(|f| {
            json!({ "left": f.left, "right": f.right, "count": f.changes.len(), "changes": f.changes.iter().take(FILES_SHOWN).collect::<Vec<_>>() })
        });
        json!({
            "schema": "modkeep.compare/1",
            "module": self.version.path().as_str(),
            "version": self.version.version().as_str(),
            "sources": self.sources,
            "verdict": self.word(),
            "variant": self.verdict.variant,
            "odd": self.verdict.odd,
            "good": self.verdict.good,
            "also": self.verdict.also,
            "files": files,
            "next": next,
            "avoid": avoid,
        })
    }

    fn text(&self, color: bool) -> String {
        let bold = |text: &str| {
            if color {
                format!("\u{1b}[1m{text}\u{1b}[0m")
            } else {
                text.to_owned()
            }
        };
        let mut out = format!("{}\n\n", bold(&self.version.to_string()));
        self.table(&mut out);
        let variant = self
            .verdict
            .variant
            .map_or_else(String::new, |v| format!(":{v}"));
        let _ = writeln!(out, "\n{} {}{variant}", bold("Verdict:"), self.word());
        let title = match (self.cause(), self.verdict.agreement) {
            (Some(cause), _) => cause.prose(self.lang).title.as_str(),
            (None, Agreement::Unknown) => {
                "Fewer than two sources answered: there is nothing to compare"
            }
            (None, _) => "All that answered have the same",
        };
        let _ = writeln!(out, "  {title}");
        for line in &self.verdict.also {
            let _ = writeln!(out, "  also: {line}");
        }
        self.differing(&mut out);
        if let Some(cause) = self.cause() {
            self.steps(&mut out, cause, &bold);
        }
        out
    }

    /// A letter for each hash, so that a look tells who agrees with whom.
    fn table(&self, out: &mut String) {
        let (mut zips, mut mods) = (Letters::default(), Letters::default());
        let width = self
            .sources
            .iter()
            .map(|s| s.name.chars().count())
            .max()
            .unwrap_or(6)
            .max(6);
        let _ = writeln!(out, "  {:<width$}  zip  go.mod", "source");
        for source in self.sources {
            let (zip, go_mod) = (
                zips.of(source.h1.as_deref()),
                mods.of(source.gomod.as_deref()).to_lowercase(),
            );
            let odd = if self.verdict.odd.contains(&source.name) {
                "  <- differs"
            } else {
                ""
            };
            let error = source
                .error
                .as_ref()
                .map_or_else(String::new, |e| format!("  {}", printable(e)));
            let line = format!(
                "  {:<width$}  {zip:<3}  {go_mod:<6}{odd}{error}",
                printable(&source.name)
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for (hash, letter) in zips.sorted() {
            let _ = writeln!(out, "  {letter} = {}", printable(hash));
        }
        for (hash, letter) in mods.sorted() {
            let _ = writeln!(out, "  {} = {}", letter.to_lowercase(), printable(hash));
        }
    }

    fn differing(&self, out: &mut String) {
        let Some(files) = self.files.filter(|f| !f.changes.is_empty()) else {
            return;
        };
        let _ = writeln!(
            out,
            "\nFiles that differ ({} | {}):",
            files.left, files.right
        );
        let side = |side: &Option<(u64, String)>| match side {
            Some((size, sha256)) => format!("{size} bytes {}", sha256.get(..12).unwrap_or(sha256)),
            None => "-".into(),
        };
        for change in files.changes.iter().take(FILES_SHOWN) {
            let how = match change.change {
                Change::OnlyLeft => "only left",
                Change::OnlyRight => "only right",
                Change::LineEnds => "line ends",
                Change::Lfs => "LFS",
                Change::Content => "content",
            };
            let _ = writeln!(
                out,
                "  {how:<10} {}  {} | {}",
                printable(&change.name),
                side(&change.left),
                side(&change.right)
            );
        }
        let more = files.changes.len().saturating_sub(FILES_SHOWN);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
    }

    fn steps(&self, out: &mut String, cause: &Cause, bold: &dyn Fn(&str) -> String) {
        let (next, dont) = match self.lang {
            Lang::En => ("The safe next step", "Do not"),
            Lang::Zh => ("安全的下一步", "不要这样"),
        };
        if let Some(remedy) = cause.remedy.first() {
            let _ = writeln!(out, "\n{}\n  {}", bold(next), remedy.text(self.lang));
            let command = remedy.command.as_deref().map(|c| self.subject.fill(c));
            // Its own proof has just been made.
            if let Some(command) = command.filter(|c| !c.starts_with("modkeep compare")) {
                let _ = writeln!(out, "    $ {command}");
            }
        }
        let _ = writeln!(out, "\n{}", bold(dont));
        for avoid in &cause.avoid {
            let _ = writeln!(
                out,
                "  {}\n    {}",
                avoid.advice(self.lang),
                avoid.why(self.lang)
            );
        }
    }
}

/// `A`, `B`, ... in the order of first use; from the 27th on `Z`.
#[derive(Default)]
struct Letters<'a>(BTreeMap<&'a str, char>);

impl<'a> Letters<'a> {
    fn of(&mut self, hash: Option<&'a str>) -> String {
        let Some(hash) = hash else { return "-".into() };
        let next = u8::try_from(self.0.len().min(25)).unwrap_or(25);
        self.0
            .entry(hash)
            .or_insert(char::from(b'A' + next))
            .to_string()
    }

    fn sorted(&self) -> Vec<(&'a str, char)> {
        let mut all: Vec<(&str, char)> = self
            .0
            .iter()
            .map(|(hash, letter)| (*hash, *letter))
            .collect();
        all.sort_by_key(|(_, letter)| *letter);
        all
    }
}

/// Names and texts come from others: no control characters on a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
