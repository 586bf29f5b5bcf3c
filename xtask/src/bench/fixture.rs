//! One tree of files, kept by modkeep and served by nginx: what hits are measured on.

use std::path::Path;

use anyhow::Result;
use testkit::{Module, Tree, Upstream};

use super::{http, nginx::Nginx};
use crate::server::Server;

/// The sizes of zips that are compared, with their names and the connections of a load.
pub const SIZES: [(&str, usize, usize); 5] = [
    ("8 KiB", 8 << 10, 32),
    ("64 KiB", 64 << 10, 32),
    ("1 MiB", 1 << 20, 8),
    ("8 MiB", 8 << 20, 4),
    ("100 MiB", 100 << 20, 2),
];

/// How many versions the long list has.
pub const MANY: usize = 1_000;

/// Zips that are not asked for before memory is measured, and their size.
pub const COLD_ZIPS: usize = 8;
const COLD_BYTES: usize = 16 << 20;

pub struct Fixture {
    pub modkeep: Server,
    pub nginx: Nginx,
    pub upstream: Upstream,
}

impl Fixture {
    pub fn start(work: &Path) -> Result<Self> {
        let root = work.join("tree");
        let tree = tree()?;
        tree.write_to(&root)?;
        let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_owned()).collect();
        drop(tree);
        let upstream = Upstream::start_blocking(root.as_path())?;
        let modkeep = Server::start(&work.join("warm"), &upstream.url())?;
        let nginx = Nginx::start(work, &root)?;
        // Twice: the second time everything is a hit and lies where hits are served from.
        for _ in 0..2 {
            let kept = paths.iter().filter(|path| !path.contains("/cold"));
            http::get_all(&modkeep.url, kept.cloned().collect())?;
        }
        Ok(Self {
            modkeep,
            nginx,
            upstream,
        })
    }

    /// The same path on both sides.
    pub fn urls(&self, path: &str) -> (String, String) {
        (
            format!("{}/{path}", self.modkeep.url),
            format!("{}/{path}", self.nginx.url),
        )
    }

    pub fn stop(self) -> Result<()> {
        self.modkeep.stop()?;
        self.nginx.stop()?;
        self.upstream.stop();
        Ok(())
    }
}

/// The path of the zip of a size.
pub fn zip_path(bytes: usize) -> String {
    format!("bench.example/size{bytes}/@v/v1.0.0.zip")
}

/// The path of a zip that modkeep does not keep yet.
pub fn cold_path(index: usize) -> String {
    format!("bench.example/cold{index}/@v/v1.0.0.zip")
}

fn tree() -> Result<Tree> {
    let mut tree = Tree::new();
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        let module = Module::new("bench.example/small", version)
            .require("golang.org/x/text", "v0.14.0")
            .require("golang.org/x/sys", "v0.20.0");
        tree.add(&module)?;
    }
    for (_, bytes, _) in SIZES {
        let path = format!("bench.example/size{bytes}");
        tree.add(&Module::new(&path, "v1.0.0").filler(bytes))?;
    }
    for index in 0..COLD_ZIPS {
        let path = format!("bench.example/cold{index}");
        tree.add(&Module::new(&path, "v1.0.0").filler(COLD_BYTES))?;
    }
    let mut list = String::new();
    for patch in 0..MANY {
        list.push_str(&format!("v1.0.{patch}\n"));
    }
    tree.put("bench.example/many/@v/list", list);
    Ok(tree)
}
