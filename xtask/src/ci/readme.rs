//! README's commands, run as they stand: a command that a reader copies must work.
//!
//! Every block fenced as `sh` is run, in order, except one after a line
//! `<!-- not in ci: REASON -->`. A block of `cargo` commands runs in the project's root, any
//! other in one scratch directory, as a reader would do it in a project of their own. A block
//! whose last line starts `... serve ...` goes to the background: it is waited for until it says
//! `modkeep ready`, the blocks after it run against it, and at the end it must leave with exit
//! status 0 on SIGTERM. `cargo xtask ci` itself is what runs.
//!
//! So that this works anywhere, the server is given a free port (`127.0.0.1:8080` in later blocks
//! becomes that one) and an upstream that has every `MODULE@VERSION` README speaks of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::{Module, Tree, Upstream};

use super::Notes;
use crate::server::{self, Server};
use crate::{sh, tools};

/// Where README says the server listens: the built-in default.
const ADDRESS: &str = "127.0.0.1:8080";
/// `cargo run --release` may have to build everything first.
const SERVE_LIMIT: Duration = Duration::from_secs(25 * 60);
/// The command that this is part of.
const ITSELF: &str = "cargo xtask ci";

pub fn run() -> Result<Notes> {
    let text = std::fs::read_to_string(sh::root().join("README.md"))
        .context("README.md could not be read")?;
    let blocks = blocks(&text);
    if blocks.is_empty() {
        bail!("README.md has no ```sh block to run");
    }
    let upstream = Upstream::start_blocking(tree(&blocks)?)?;
    let mut tour = Tour::new(upstream.url())?;
    for block in &blocks {
        tour.block(block)
            .with_context(|| format!("README.md:{}", block.line))?;
    }
    tour.end()?;
    Ok(vec![format!("{} blocks", blocks.len())])
}

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Of its first command, counted from 1.
    line: usize,
    commands: Vec<String>,
}

impl Block {
    fn serves(&self) -> bool {
        self.commands
            .last()
            .is_some_and(|line| line.split_whitespace().any(|word| word == "serve"))
    }

    fn in_root(&self) -> bool {
        self.commands.iter().all(|line| line.starts_with("cargo "))
    }

    fn script(&self, address: &str) -> String {
        self.commands.join("\n").replace(ADDRESS, address)
    }
}

/// The blocks to run, without comments, empty lines and the command that runs this.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let mut passed_over = false;
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim();
        match &mut open {
            Some(_) if bare == "```" => found.extend(open.take()),
            Some(block) => {
                let comment = bare.is_empty() || bare.starts_with('#') || bare == ITSELF;
                if !comment {
                    block.commands.push(line.to_owned());
                }
            }
            None if bare == "```sh" && !passed_over => {
                open = Some(Block {
                    line: index + 2,
                    commands: Vec::new(),
                });
            }
            None => passed_over = bare.starts_with("<!-- not in ci: "),
        }
    }
    found.retain(|block| !block.commands.is_empty());
    found
}

/// Every `MODULE@VERSION` of the commands, as an upstream would have it.
fn tree(blocks: &[Block]) -> Result<Tree> {
    let mut names = BTreeSet::new();
    for line in blocks.iter().flat_map(|block| &block.commands) {
        for word in line.split(|c: char| c.is_whitespace() || "\"'=()".contains(c)) {
            let Some((path, version)) = word.split_once('@') else {
                continue;
            };
            if path.contains('.') && version.starts_with('v') {
                let path = path.trim_start_matches("http://").to_owned();
                names.insert((path, version.to_owned()));
            }
        }
    }
    let mut tree = Tree::new();
    for (path, version) in names {
        tree.add(&Module::new(&path, &version))?;
    }
    Ok(tree)
}

/// A reader's way through README.
struct Tour {
    scratch: PathBuf,
    upstream: String,
    server: Option<Server>,
}

impl Tour {
    fn new(upstream: String) -> Result<Self> {
        let scratch = sh::target().join("readme");
        if scratch.exists() {
            std::fs::remove_dir_all(&scratch)?;
        }
        std::fs::create_dir_all(scratch.join("home"))?;
        std::fs::create_dir_all(scratch.join("project"))?;
        let go_mod = "module example.com/project\n\ngo 1.21\n";
        std::fs::write(scratch.join("project/go.mod"), go_mod)?;
        Ok(Self {
            scratch,
            upstream,
            server: None,
        })
    }

    fn block(&mut self, block: &Block) -> Result<()> {
        for line in &block.commands {
            println!("$ {line}");
        }
        if !block.serves() {
            return sh::run(&mut self.command(block)?);
        }
        if let Some(server) = self.server.take() {
            server.stop()?;
        }
        let server = Server::from_command(&mut self.command(block)?, SERVE_LIMIT)?;
        println!("  (in the background at {})", server.url);
        self.server = Some(server);
        Ok(())
    }

    /// The block as one script of `sh`, in an environment where nothing of the reader's own
    /// files is touched.
    fn command(&self, block: &Block) -> Result<Command> {
        let address = match &self.server {
            Some(server) => server.url.trim_start_matches("http://"),
            None => ADDRESS,
        };
        let home = self.scratch.join("home");
        let mut command = sh::command("sh");
        let script = match block.serves() {
            // The signal must reach the server and not a shell that waits for it.
            true => script_with_exec(block),
            false => block.script(address),
        };
        command.args(["-euc", &script]);
        command.current_dir(match block.in_root() {
            true => sh::root(),
            false => self.scratch.join("project"),
        });
        // Rust's own homes stay where they are when HOME moves.
        for (name, dir) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none()
                && let Some(real) = std::env::var_os("HOME")
            {
                command.env(name, Path::new(&real).join(dir));
            }
        }
        command
            .env("HOME", &home)
            .env("PATH", path()?)
            .env("MODKEEP_LISTEN", "127.0.0.1:0")
            .env("MODKEEP_DATA", self.scratch.join("data"))
            .env("MODKEEP_UPSTREAM", &self.upstream)
            .env("MODKEEP_SUMDB", "off")
            .env("GOENV", home.join("go.env"))
            .env("GOPATH", home.join("go"))
            .env("GOCACHE", home.join("go-build"))
            .env("GOFLAGS", "-modcacherw")
            .env("GOSUMDB", "off")
            .env("GOTELEMETRY", "off")
            .env("GOTOOLCHAIN", "local");
        for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            command.env_remove(name);
        }
        Ok(command)
    }

    fn end(mut self) -> Result<()> {
        match self.server.take() {
            Some(server) => server.stop(),
            None => Ok(()),
        }
    }
}

fn script_with_exec(block: &Block) -> String {
    let (last, before) = match block.commands.split_last() {
        Some((last, before)) => (last.as_str(), before.join("\n")),
        None => ("", String::new()),
    };
    format!("{before}\nexec {}", last.trim_end_matches('&').trim_end())
}

/// Our Go and our modkeep before everything else.
fn path() -> Result<std::ffi::OsString> {
    let go = tools::go::install()?;
    let mut dirs = Vec::new();
    dirs.extend(go.parent().map(Path::to_owned));
    dirs.extend(server::binary().parent().map(Path::to_owned));
    let old = std::env::var_os("PATH").unwrap_or_default();
    dirs.extend(std::env::split_paths(&old));
    Ok(std::env::join_paths(dirs)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{blocks, script_with_exec, tree};

    const TEXT: &str = "\
# x
```sh
cargo run --release --locked -- serve   # a server
```
text
<!-- not in ci: it would change the reader's settings -->
```sh
go env -w GOPROXY=http://127.0.0.1:8080
```
```toml
no = 1
```
```sh
# a comment
GOPROXY=http://127.0.0.1:8080 go mod download rsc.io/Quote@v1.5.2
cargo xtask ci
```
";

    #[test]
    fn blocks_are_found_in_order_and_told_apart() {
        let found = blocks(TEXT);
        assert_eq!(found.len(), 2);
        assert!(found[0].serves() && found[0].in_root());
        assert!(!found[1].serves() && !found[1].in_root());
        assert_eq!(found[1].commands.len(), 1);
        assert!(script_with_exec(&found[0]).contains("exec cargo run"));
    }

    #[test]
    fn later_blocks_speak_to_the_port_that_was_found() {
        let script = blocks(TEXT)[1].script("127.0.0.1:4711");
        assert!(script.contains("GOPROXY=http://127.0.0.1:4711 go"));
    }

    #[test]
    fn the_upstream_has_what_readme_asks_for() {
        let tree = tree(&blocks(TEXT)).unwrap();
        assert!(tree.get("rsc.io/!quote/@v/v1.5.2.zip").is_some());
    }
}
