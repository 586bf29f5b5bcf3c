//! Straight from version control: twenty versions of a large repository, beside the real go command
//! with `GOPROXY=direct`; and what one new tag costs.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testkit::tree::noise;

use super::report::Target;
use super::{Bench, download, http};
use crate::server::Server;
use crate::sh;

const MODULE: &str = "github.com/team/big";

/// Files of the repository, and bytes of each: 80 MB.
const FILES: usize = 2000;
const FILE_BYTES: usize = 40_000;

/// Commits, each with a tag and one changed file.
const TAGS: usize = 2000;

/// Versions that are asked for.
const ASKED: usize = 20;

pub fn run(bench: &mut Bench) -> Result<()> {
    let home = bench.work.join("vcs");
    let tags = if bench.quick { TAGS / 10 } else { TAGS };
    let repository = generate(&home, tags)?;
    let versions: Vec<String> = (0..ASKED).map(|n| version(n * (tags / ASKED))).collect();
    let theirs = by_go(&home, &versions)?;
    let data = bench.work.join("vcs-data");
    std::fs::create_dir_all(&data)?;
    std::fs::copy(home.join(".gitconfig"), data.join(".gitconfig"))?;
    let server = Server::start(&data, "direct")?;
    let begun = Instant::now();
    let first = ask(server.address()?, &versions)?;
    let ours = begun.elapsed().as_secs_f64();
    bench.report.row(
        &format!("list, .info and .zip of {ASKED} versions of 80 MB with {tags} tags"),
        (format!("{ours:.1} s"), format!("go, direct {theirs:.1} s")),
        (theirs / ours, "x"),
        Target::AtLeast(3.0),
    );
    add_tag(&repository, tags)?;
    let info = http::timed(
        server.address()?,
        &format!("{MODULE}/@v/{}.info", version(tags)),
    )?;
    let new = info.end.as_secs_f64();
    server.stop()?;
    bench.report.row(
        ".info of a tag made since, beside the list and .info that cloned the repository",
        (format!("{new:.2} s"), format!("{first:.2} s")),
        (new / first, ""),
        Target::AtMost(0.5),
    );
    Ok(())
}

fn version(tag: usize) -> String {
    format!("v1.{}.{}", tag / 100, tag % 100)
}

/// Makes the repository and a home whose git finds it in place of the public one.
fn generate(home: &Path, tags: usize) -> Result<PathBuf> {
    let repository = home.join("repos/team/big");
    std::fs::create_dir_all(&repository)?;
    sh::run(
        sh::command("git")
            .args(["init", "-q", "--bare"])
            .arg(&repository),
    )?;
    import(&repository, |out| {
        commit(out, 0, (0..FILES).map(|file| (file, 0)))?;
        for tag in 1..tags {
            // A prime stride: changes are spread over all files.
            commit(out, tag, [(tag * 7919 % FILES, tag)])?;
        }
        Ok(())
    })?;
    let head = ["symbolic-ref", "HEAD", "refs/heads/main"];
    sh::run(sh::command("git").arg("-C").arg(&repository).args(head))?;
    let repositories = home.join("repos");
    let config = format!(
        "[url \"file://{}/\"]\n\tinsteadOf = https://github.com/\n",
        repositories.display()
    );
    std::fs::write(home.join(".gitconfig"), config)?;
    Ok(repository)
}

/// One more tag, on one more commit.
fn add_tag(repository: &Path, tag: usize) -> Result<()> {
    import(repository, |out| {
        writeln!(
            out,
            "reset refs/heads/main\nfrom refs/tags/{}^0\n",
            version(tag - 1)
        )?;
        commit(out, tag, [(tag % FILES, tag)])
    })
}

fn import(repository: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut child = sh::command("git")
        .arg("-C")
        .arg(repository)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut out = BufWriter::new(child.stdin.take().context("no stdin")?);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    ensure!(child.wait()?.success(), "git fast-import failed");
    Ok(())
}

fn commit(
    out: &mut dyn Write,
    tag: usize,
    files: impl IntoIterator<Item = (usize, usize)>,
) -> Result<()> {
    let time = 1_600_000_000 + tag * 60;
    write!(
        out,
        "commit refs/heads/main\ncommitter T <t@example.com> {time} +0000\ndata 1\nx\n"
    )?;
    if tag == 0 {
        blob(
            out,
            "go.mod",
            format!("module {MODULE}\n\ngo 1.20\n").as_bytes(),
        )?;
    }
    for (file, seed) in files {
        blob(
            out,
            &format!("d{}/f{file}.go", file % 60),
            &source(file, seed),
        )?;
    }
    write!(
        out,
        "\nreset refs/tags/{}\nfrom refs/heads/main\n\n",
        version(tag)
    )?;
    Ok(())
}

fn blob(out: &mut dyn Write, name: &str, bytes: &[u8]) -> Result<()> {
    write!(out, "M 644 inline {name}\ndata {}\n", bytes.len())?;
    out.write_all(bytes)?;
    writeln!(out)?;
    Ok(())
}

/// Text that packs about as well as source code does.
fn source(file: usize, seed: usize) -> Vec<u8> {
    let mut text = String::from("package d\n/*\n");
    for byte in noise((file * 10_000 + seed) as u64, FILE_BYTES / 8) {
        // Writing to a string cannot fail.
        let _ = write!(text, "word{:02x} ", byte & 0x3f);
    }
    text.push_str("\n*/\n");
    text.into_bytes()
}

/// Seconds that the go command takes with an empty cache.
fn by_go(home: &Path, versions: &[String]) -> Result<f64> {
    let dir = home.join("project");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(
        dir.join("go.mod"),
        "module bench.example/project\n\ngo 1.20\n",
    )?;
    std::fs::copy(home.join(".gitconfig"), dir.join(".gitconfig"))?;
    rustix::fs::sync();
    let begun = Instant::now();
    sh::output(download::go(&dir, "direct")?.args(["list", "-m", "-versions", MODULE]))?;
    let all = versions.iter().map(|version| format!("{MODULE}@{version}"));
    sh::output(
        download::go(&dir, "direct")?
            .args(["mod", "download"])
            .args(all),
    )?;
    let took = begun.elapsed().as_secs_f64();
    std::fs::remove_dir_all(dir.join("modcache"))?;
    rustix::fs::sync();
    Ok(took)
}

/// Asks as the go command would; gives the seconds until the first version was known.
fn ask(server: SocketAddr, versions: &[String]) -> Result<f64> {
    let begun = Instant::now();
    http::timed(server, &format!("{MODULE}/@v/list"))?;
    let mut first = None;
    for version in versions {
        http::timed(server, &format!("{MODULE}/@v/{version}.info"))?;
        first.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        http::timed(server, &format!("{MODULE}/@v/{version}.zip"))?;
    }
    first.context("no versions")
}
