//! GOPROXY trees made from nothing: the same call gives the same bytes on every machine, so a
//! test may rely on sizes and hashes, and a benchmark compares like with like.
//!
//! Zips are written as the go command wants them (`MODULE@VERSION/` before every name), but
//! nothing is checked: a test of a refused zip needs to be able to build one.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// One filler file is at most this big: the go command holds no file of a module zip to less
/// than the zip's own 500 MiB limit, but several files exercise more than one entry does.
const FILLER_FILE_BYTES_MAX: usize = 8 << 20;

/// The moment every generated `.info` names unless told otherwise.
const TIME: &str = "2024-02-03T04:05:06Z";

/// One version of one module, to be put into a [`Tree`].
#[derive(Debug, Clone)]
pub struct Module {
    path: String,
    version: String,
    time: String,
    go: String,
    requires: Vec<(String, String)>,
    retracts: Vec<String>,
    go_mod: Option<Vec<u8>>,
    files: Vec<(String, Vec<u8>)>,
}

impl Module {
    /// A module with a `go.mod` and one small Go package.
    #[must_use]
    pub fn new(path: &str, version: &str) -> Self {
        Self {
            path: path.to_owned(),
            version: version.to_owned(),
            time: TIME.to_owned(),
            go: "1.21".to_owned(),
            requires: Vec::new(),
            retracts: Vec::new(),
            go_mod: None,
            files: Vec::new(),
        }
    }

    /// Adds a `require` line.
    #[must_use]
    pub fn require(mut self, path: &str, version: &str) -> Self {
        self.requires.push((path.to_owned(), version.to_owned()));
        self
    }

    /// Adds a `retract` line, written as it stands (`v1.0.0 // why`).
    #[must_use]
    pub fn retract(mut self, line: &str) -> Self {
        self.retracts.push(line.to_owned());
        self
    }

    /// Names the `go` line's version.
    #[must_use]
    pub fn go(mut self, version: &str) -> Self {
        version.clone_into(&mut self.go);
        self
    }

    /// Sets the time in `.info`, in the form of RFC 3339.
    #[must_use]
    pub fn time(mut self, time: &str) -> Self {
        time.clone_into(&mut self.time);
        self
    }

    /// Replaces the whole `go.mod`, for files that are odd on purpose.
    #[must_use]
    pub fn go_mod(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.go_mod = Some(text.into());
        self
    }

    /// Adds a file, named inside the module.
    #[must_use]
    pub fn file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), bytes.into()));
        self
    }

    /// Adds `size` bytes that do not compress, so that the zip is about `size` bytes long.
    #[must_use]
    pub fn filler(mut self, size: usize) -> Self {
        let seed = seed_of(&format!("{}@{}", self.path, self.version));
        let mut left = size;
        let mut index = 0_u64;
        while left > 0 {
            let take = left.min(FILLER_FILE_BYTES_MAX);
            let bytes = noise(seed.wrapping_add(index), take);
            self.files.push((format!("data/{index}.bin"), bytes));
            left -= take;
            index += 1;
        }
        self
    }

    /// The module's path, as written in a `require` line.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The module's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `.info` as a proxy answers it.
    #[must_use]
    pub fn info(&self) -> Vec<u8> {
        format!(
            "{{\"Version\":\"{}\",\"Time\":\"{}\"}}",
            self.version, self.time
        )
        .into_bytes()
    }

    /// `go.mod`'s bytes.
    #[must_use]
    pub fn go_mod_bytes(&self) -> Vec<u8> {
        if let Some(bytes) = &self.go_mod {
            return bytes.clone();
        }
        let mut text = format!("module {}\n\ngo {}\n", self.path, self.go);
        if !self.requires.is_empty() {
            text.push_str("\nrequire (\n");
            for (path, version) in &self.requires {
                text.push_str(&format!("\t{path} {version}\n"));
            }
            text.push_str(")\n");
        }
        for line in &self.retracts {
            text.push_str(&format!("\nretract {line}\n"));
        }
        text.into_bytes()
    }

    /// The module's zip.
    ///
    /// # Errors
    /// When the zip library refuses a name, such as one given twice.
    pub fn zip(&self) -> io::Result<Vec<u8>> {
        let mut out = ZipWriter::new(Cursor::new(Vec::new()));
        let mut put = |name: &str, bytes: &[u8]| -> io::Result<()> {
            let method = if name.ends_with(".bin") {
                CompressionMethod::Stored
            } else {
                CompressionMethod::Deflated
            };
            let options = SimpleFileOptions::default()
                .compression_method(method)
                .last_modified_time(zip::DateTime::default());
            let full = format!("{}@{}/{name}", self.path, self.version);
            out.start_file(full, options).map_err(io::Error::other)?;
            out.write_all(bytes)
        };
        put("go.mod", &self.go_mod_bytes())?;
        let package = format!(
            "// Package module is generated.\npackage module\n\nconst Path = {:?}\n",
            self.path
        );
        put("module.go", package.as_bytes())?;
        for (name, bytes) in &self.files {
            put(name, bytes)?;
        }
        Ok(out.finish().map_err(io::Error::other)?.into_inner())
    }
}

/// A GOPROXY's files, by their path below the root, without a leading slash.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<String, Bytes>,
}

impl Tree {
    /// A tree with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a version: `.info`, `.mod`, `.zip`, its line in `@v/list`, and `@latest`, which
    /// always names the version that was added last.
    ///
    /// # Errors
    /// When the zip can not be built.
    pub fn add(&mut self, module: &Module) -> io::Result<&mut Self> {
        let zip = module.zip()?;
        self.add_with_zip(module, zip);
        Ok(self)
    }

    /// The same with another zip than the module's own, for zips that must be refused.
    pub fn add_with_zip(&mut self, module: &Module, zip: impl Into<Bytes>) -> &mut Self {
        let base = escape(&module.path);
        let version = escape(&module.version);
        self.put(&format!("{base}/@v/{version}.info"), module.info());
        self.put(&format!("{base}/@v/{version}.mod"), module.go_mod_bytes());
        self.put(&format!("{base}/@v/{version}.zip"), zip);
        self.put(&format!("{base}/@latest"), module.info());
        let list = format!("{base}/@v/list");
        let mut text = self.files.get(&list).map_or(Vec::new(), |b| b.to_vec());
        text.extend_from_slice(module.version.as_bytes());
        text.push(b'\n');
        self.put(&list, text)
    }

    /// Sets a file's bytes.
    pub fn put(&mut self, path: &str, bytes: impl Into<Bytes>) -> &mut Self {
        self.files
            .insert(path.trim_start_matches('/').to_owned(), bytes.into());
        self
    }

    /// Takes a file away.
    pub fn remove(&mut self, path: &str) -> Option<Bytes> {
        self.files.remove(path.trim_start_matches('/'))
    }

    /// A file's bytes.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path.trim_start_matches('/'))
    }

    /// Every path with its bytes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// Writes the files below `root`, for a server of static files or a `file://` upstream.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        for (path, bytes) in &self.files {
            let file: PathBuf = root.join(path);
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir)?;
            }
            std::fs::write(file, bytes)?;
        }
        Ok(())
    }
}

/// A tree that looks like a project's dependencies, and the project's own `go.mod`.
#[derive(Debug, Clone)]
pub struct Project {
    /// The dependencies, as a proxy serves them.
    pub tree: Tree,
    /// The text of the `go.mod` that needs all of them.
    pub go_mod: String,
    /// The dependencies' paths and versions.
    pub modules: Vec<(String, String)>,
}

/// A project of `count` modules in layers: each module requires up to three of the next layer,
/// so that a client finds the whole only step by step, as in life. Zips are 16 KiB to 1 MiB.
///
/// # Errors
/// When a zip can not be built.
pub fn project(count: usize) -> io::Result<Project> {
    /// Wide enough that a client has something to do in parallel, small enough for five layers
    /// in a project of thirty.
    const LAYER: usize = 6;
    const SIZES: [usize; 6] = [16 << 10, 48 << 10, 1 << 20, 160 << 10, 400 << 10, 32 << 10];
    let name = |i: usize| format!("bench.example/Team{}/lib{i}", i % 4);
    let version = |i: usize| format!("v1.{}.{}", i % 7, i % 3);
    let mut tree = Tree::new();
    let mut go_mod = "module bench.example/project\n\ngo 1.21\n\nrequire (\n".to_owned();
    let mut modules = Vec::with_capacity(count);
    for i in 0..count {
        let mut module = Module::new(&name(i), &version(i)).filler(SIZES[i % SIZES.len()]);
        for step in [0, 1, 3] {
            let dep = i + LAYER + step;
            if dep < count {
                module = module.require(&name(dep), &version(dep));
            }
        }
        for part in 0..12 {
            module = module.file(&format!("part{part}/part.go"), source(i, part));
        }
        tree.add(&module)?;
        let mark = if i < LAYER { "" } else { " // indirect" };
        go_mod.push_str(&format!("\t{} {}{mark}\n", name(i), version(i)));
        modules.push((name(i), version(i)));
    }
    go_mod.push_str(")\n");
    Ok(Project {
        tree,
        go_mod,
        modules,
    })
}

/// `!x` for every upper-case `X`: how module paths and versions stand in URLs and file names.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// `size` bytes that look random and are always the same for a `seed`.
#[must_use]
pub fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        // xorshift64*: no statistics are hung on it, only that deflate finds nothing.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(size);
    out
}

fn source(module: usize, part: usize) -> String {
    let mut text = format!("package part{part}\n\n");
    for line in 0..40 {
        text.push_str(&format!(
            "// Value{line} is made for module {module}.\nfunc Value{line}() int {{ return {} }}\n\n",
            module * 1000 + part * 50 + line
        ));
    }
    text
}

/// FNV-1a: spreads names over seeds.
fn seed_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
