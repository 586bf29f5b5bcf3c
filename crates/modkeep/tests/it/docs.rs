//! Screens in the documentation are what the commands print.
//!
//! A block after `<!-- snapshot: NAME -->` is compared with what a test made; with
//! `MODKEEP_UPDATE_DOCS=1` it is written instead.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{Behaviour, Module, Tree, Upstream};

use crate::golang::{Project, SUMDB, log_of, relay};

/// Compares a screen with its block in a file of `docs/`.
#[track_caller]
pub fn is_shown(file: &str, name: &str, screen: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mark = format!("<!-- snapshot: {name} -->\n```text\n");
    let start = text
        .find(&mark)
        .unwrap_or_else(|| panic!("{file} has no snapshot {name}"))
        + mark.len();
    let length = text[start..].find("```").unwrap();
    let screen = screen.trim_end().to_owned() + "\n";
    if std::env::var_os("MODKEEP_UPDATE_DOCS").is_some() {
        // Several tests of one process may write.
        static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one = ONE.lock().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let start = text.find(&mark).unwrap() + mark.len();
        let length = text[start..].find("```").unwrap();
        std::fs::write(
            &path,
            format!("{}{screen}{}", &text[..start], &text[start + length..]),
        )
        .unwrap();
        return;
    }
    let shown = &text[start..start + length];
    assert!(
        shown == screen,
        "docs/{file} shows {name} otherwise; MODKEEP_UPDATE_DOCS=1 writes it:\n{screen}"
    );
}

/// Times, rates and addresses that differ from run to run, made the same; columns keep their width.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(&measures(line));
        out.push('\n');
    }
    out
}

fn measures(line: &str) -> String {
    let mut line = line.to_owned();
    for (unit, shown) in [
        (" ms", "20 ms"),
        (" MiB/s", "5.0 MiB/s"),
        (" KiB/s", "5.0 MiB/s"),
        (" s  ", "0.3 s  "),
        (" s", "0.3 s"),
    ] {
        let mut from = 0;
        while let Some(found) = line[from..].find(unit).map(|at| from + at) {
            let end = found + unit.len();
            let digits = line[..found]
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
            let padded = line[..digits].trim_end_matches(' ').len();
            let whole = line[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
            if digits == found || whole {
                from = end;
                continue;
            }
            let column = digits - padded > 1;
            let text = if column {
                format!("{shown:>width$}", width = end - padded)
            } else {
                shown.to_owned()
            };
            let start = if column { padded } else { digits };
            line.replace_range(start..end, &text);
            from = start + text.len();
        }
    }
    line
}

/// The loopback addresses of a test as names of the same meaning.
fn named(text: &str, names: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (address, name) in names {
        text = text.replace(address, name);
    }
    // What is left is the front of `run`.
    while let Some(at) = text.find("http://127.0.0.1:") {
        let digits = at + "http://127.0.0.1:".len();
        let end = text[digits..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(text.len(), |n| digits + n);
        text.replace_range(at..end, "http://FRONT");
    }
    text
}

fn module() -> Module {
    Module::new("github.com/some/m", "v1.0.0").file("a.txt", "one\n")
}

fn proxy(served: &Module) -> (Upstream, String) {
    let mut tree = Tree::new();
    tree.add(served).unwrap();
    let log = log_of(&[&module()]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&module()]);
    (Upstream::start_blocking(tree).unwrap(), log.vkey())
}

/// The database at an address of its own: no name is resolved in a test.
fn explicit(key: &str, at: &Upstream) -> String {
    format!("{key} {}/sumdb/{SUMDB}", at.url())
}

const A: &str = "https://proxy.example";
const B: &str = "https://second.example";

#[test]
fn the_screen_of_run() {
    let (upstream, _) = proxy(&module());
    upstream.on(
        "/github.com/some/m/",
        Behaviour::status(500, "the disk is on fire"),
    );
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project.run(&[
        "run",
        "--",
        "go",
        "mod",
        "download",
        "github.com/some/m@v1.0.0",
    ]);
    let screen = format!(
        "$ modkeep run -- go mod download github.com/some/m@v1.0.0\n{}{}",
        ran.stdout, ran.stderr
    );
    // The page of the cause stands in the middle: `explain` shows it, and it is another file's.
    let (before, page) = screen.split_once("What it means\n").expect(&screen);
    let after = page.split_once("\nThe proxies, as").expect(page).1;
    let screen = format!(
        "{before}(what it means, how to prove it, what to do, what not to do)\n\nThe proxies, as{after}"
    );
    is_shown(
        "DIAGNOSIS.md",
        "run",
        &named(&screen, &[(&upstream.url(), A)]),
    );
}

#[test]
fn the_screen_of_compare() {
    let ((good, key), (bad, _)) = (proxy(&module()), proxy(&module().file("b.txt", "two\n")));
    let Some(project) = Project::new(&good.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &explicit(&key, &good));
    let ran = project.run(&[
        "compare",
        "github.com/some/m@v1.0.0",
        "--no-origin",
        "--proxy",
        &bad.url(),
    ]);
    let names = [(&*bad.url(), B), (&*good.url(), A)];
    let screen = format!(
        "$ modkeep compare github.com/some/m@v1.0.0 --no-origin --proxy {B}\n{}",
        ran.stdout
    );
    is_shown("DIAGNOSIS.md", "compare", &table(&named(&screen, &names)));
}

#[test]
fn the_screen_of_the_matrix() {
    let ((good, key), (bad, _)) = (proxy(&module()), proxy(&module()));
    bad.on("/github.com/some/", Behaviour::status(500, "on fire"));
    let Some(project) = Project::new(&format!("{},{}", bad.url(), good.url())) else {
        return;
    };
    let project = project
        .env("GOSUMDB", &explicit(&key, &good))
        .env("GOVCS", "*:off");
    let ran = project.run(&["doctor", "github.com/some/m@v1.0.0", "--matrix"]);
    let names = [(&*bad.url(), A), (&*good.url(), B)];
    let screen = format!(
        "$ modkeep doctor github.com/some/m@v1.0.0 --matrix\n{}",
        steady(&ran.stdout)
    );
    is_shown("DIAGNOSIS.md", "matrix", &table(&named(&screen, &names)));
}

#[test]
fn the_screen_of_mirrors() {
    let ((good, key), (bad, _)) = (proxy(&module()), proxy(&module().file("b.txt", "two\n")));
    let Some(project) = Project::new(&good.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let ran = project.run(&[
        "mirrors",
        "--module",
        "github.com/some/m@v1.0.0",
        &good.url(),
        &bad.url(),
    ]);
    let names = [(&*good.url(), A), (&*bad.url(), B)];
    let screen = format!(
        "$ modkeep mirrors --module github.com/some/m@v1.0.0 {A} {B}\n{}",
        steady(&ran.stdout)
    );
    is_shown("DIAGNOSIS.md", "mirrors", &table(&named(&screen, &names)));
}

#[test]
fn the_screen_of_repro_check() {
    let (upstream, key) = proxy(&module());
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    project.write(
        "go.mod",
        "module test.example/p\n\ngo 1.21\n\nrequire github.com/some/m v1.0.0\n",
    );
    assert_eq!(project.run(&["repro", "lock", "--cold"]).code, Some(0));
    let mut lock: Value = serde_json::from_str(&project.read("modkeep.repro.json")).unwrap();
    lock["go"]["arch"] = "s390x".into();
    lock["env"]["GOFLAGS"]["value"] = "-trimpath".into();
    lock["modules"][0]["route"] = "direct".into();
    project.write("modkeep.repro.json", serde_json::to_string(&lock).unwrap());
    let ran = project.run(&["repro", "check", "--cold"]);
    let screen = format!(
        "$ modkeep repro check --cold\n{}",
        ran.stdout
            .replace("aarch64", "amd64")
            .replace("arm64", "amd64")
    );
    is_shown(
        "DIAGNOSIS.md",
        "repro",
        &named(&screen, &[(&upstream.url(), A)]),
    );
}

#[test]
fn the_screen_of_trace() {
    let ((good, key), (bad, _)) = (proxy(&module()), proxy(&module()));
    bad.set(Behaviour::status(500, "on fire"));
    let list = format!("{}|{}", bad.url(), good.url());
    let Some(project) = Project::new(&list) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let ran = project.run(&["trace", "github.com/some/m@v1.0.0"]);
    let ports = [&bad, &good].map(|u| format!("127.0.0.1:{}", u.address().port()));
    // One step shows how all look; how long things took is another each time, and bars with it.
    let (head, rest) = ran.stdout.split_once("\nmod\n").expect(&ran.stdout);
    let end = rest.split_once("\nsum.test.example: ").expect(rest).1;
    let end = end.split_once("\nroute to ").expect(end);
    let last = end.1.lines().last().unwrap();
    let screen = format!(
        "{head}\n(mod, sumdb lookup and tiles, zip)\n\nsum.test.example: {}\n{last}",
        end.0
    );
    let bars: String = screen
        .lines()
        .map(|line| match line.trim_start().starts_with('[') {
            true => "    [cc--------====                  ]\n".to_owned(),
            false => measures(line) + "\n",
        })
        .collect();
    let names = [(&*bad.url(), A), (&*good.url(), B)];
    let named = named(
        &format!("$ modkeep trace github.com/some/m@v1.0.0\n{bars}"),
        &names,
    );
    let named = named.replace("name     127.0.0.1", "name     192.0.2.1");
    let addresses = [(&*ports[0], "192.0.2.1:443"), (&*ports[1], "192.0.2.1:443")];
    is_shown("DIAGNOSIS.md", "trace", &self::named(&named, &addresses));
}

/// Names have other lengths than addresses: columns are set anew.
fn table(text: &str) -> String {
    let cells = |line: &str| -> Vec<String> {
        line.trim_start()
            .split("  ")
            .map(str::trim)
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let is_row =
        |line: &str| line.starts_with("  ") && !line.starts_with("    ") && cells(line).len() > 2;
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    for block in lines.chunk_by(|a, b| is_row(a) && is_row(b)) {
        let rows: Vec<Vec<String>> = block.iter().map(|l| cells(l)).collect();
        let width = |column: usize| {
            rows.iter()
                .filter_map(|r| r.get(column))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        };
        for (line, row) in block.iter().zip(&rows) {
            if is_row(line) {
                let padded = row
                    .iter()
                    .enumerate()
                    .map(|(i, cell)| format!("{cell:<0$}", width(i)));
                out.push_str(&format!("  {}", padded.collect::<Vec<_>>().join("  ")));
            } else {
                out.push_str(line);
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
    }
    out
}
