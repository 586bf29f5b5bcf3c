//! An extracted module, held against its zip while that is unpacked and hashed anyway: comparing
//! bytes is several times cheaper than hashing them a second time.

use gomod::zip::Beside;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files named of a tree that differs.
const NAMED_MAX: usize = 20;

/// Files of an extracted module: more than a zip may have entries.
const ENTRIES_MAX: usize = 500_000;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The tree below one directory.
pub struct Tree<'a> {
    root: &'a Path,
    /// Names in the zip.
    names: Mutex<HashSet<String>>,
    differing: Mutex<Vec<String>>,
}

/// One file of it on the way.
pub struct Pending {
    name: String,
    file: Option<File>,
    /// Bytes that the zip has still to give.
    rest: u64,
    why: Option<String>,
}

impl<'a> Tree<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self {
            root,
            names: Mutex::default(),
            differing: Mutex::default(),
        }
    }

    /// What differs, in words; empty when the tree is what the zip holds. To be asked after the whole
    /// zip went by. `besides` says which files may be there too.
    pub fn differences(self, besides: impl Fn(&Path) -> bool) -> Result<Vec<String>, String> {
        let names = self.names.into_inner();
        let names = names.unwrap_or_else(PoisonError::into_inner);
        let differing = self.differing.into_inner();
        let mut differing = differing.unwrap_or_else(PoisonError::into_inner);
        for file in walk(self.root)? {
            let known = file.to_str().is_some_and(|name| names.contains(name));
            if !known && !besides(&self.root.join(&file)) {
                differing.push(format!("{}: not in the zip", file.display()));
            }
        }
        differing.sort();
        let more = differing.len().saturating_sub(NAMED_MAX);
        differing.truncate(NAMED_MAX);
        if more > 0 {
            differing.push(format!("and {more} more"));
        }
        Ok(differing)
    }
}

impl Beside for Tree<'_> {
    type File = Pending;

    fn begin(&self, name: &str, size: u64) -> Pending {
        let opened = File::open(self.root.join(name));
        let why = opened.as_ref().err().map(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "missing".into(),
            _ => e.to_string(),
        });
        Pending {
            name: name.to_owned(),
            file: opened.ok(),
            rest: size,
            why,
        }
    }

    fn part(&self, pending: &mut Pending, bytes: &[u8]) {
        pending.rest = pending.rest.saturating_sub(bytes.len() as u64);
        let Some(file) = &mut pending.file else {
            return;
        };
        // One byte more than there should be shows whether the file ends with the zip's.
        let wanted = bytes.len() + usize::from(pending.rest == 0);
        if let Err(why) = same(file, bytes, wanted) {
            (pending.file, pending.why) = (None, Some(why));
        }
    }

    fn end(&self, mut pending: Pending) {
        // Of an empty file no part came.
        if let Some(file) = pending.file.as_mut().filter(|_| pending.why.is_none()) {
            pending.why = same(file, &[], 1).err();
        }
        if let Some(why) = pending.why {
            let told = format!("{}: {why}", pending.name);
            lock(&self.differing).push(told);
        }
        lock(&self.names).insert(pending.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the next bytes of a file are these, when this many are wanted of it.
fn same(file: &mut File, bytes: &[u8], wanted: usize) -> Result<(), String> {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let mut got = 0;
        while got < wanted {
            match file.read(&mut buffer[got..wanted]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.to_string()),
            }
        }
        match got == bytes.len() && buffer[..got] == *bytes {
            true => Ok(()),
            false => Err("differs from the zip".into()),
        }
    })
}

/// Everything below a directory that is none itself, relative to it. Symbolic links are not followed.
fn walk(root: &Path) -> Result<Vec<PathBuf>, String> {
    let (mut dirs, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(dir) = dirs.pop() {
        let shown = |e: std::io::Error| format!("{}: {e}", root.join(&dir).display());
        for entry in fs::read_dir(root.join(&dir)).map_err(shown)? {
            let entry = entry.map_err(shown)?;
            let inside = dir.join(entry.file_name());
            match entry.file_type().map_err(shown)?.is_dir() {
                true => dirs.push(inside),
                false => files.push(inside),
            }
            if files.len() + dirs.len() > ENTRIES_MAX {
                return Err(format!("{}: more than {ENTRIES_MAX} files", root.display()));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gomod::version::ModuleVersion;
    use gomod::zip::{Writer, verify_beside};
    use std::io::Cursor;

    const FILES: &[(&str, &str)] = &[
        ("go.mod", "module m.example/m\n"),
        ("a/b.go", "package a\n"),
        ("empty", ""),
    ];

    fn differences(change: impl Fn(&Path)) -> Vec<String> {
        let version = ModuleVersion::parse("m.example/m@v1.0.0").unwrap();
        let mut writer = Writer::new(Vec::new(), &version);
        let dir = tempfile::tempdir().unwrap();
        let big: String = "0123456789".repeat(600_000);
        for (name, text) in FILES.iter().copied().chain([("big.txt", big.as_str())]) {
            writer.add(name, 1 << 30, text.as_bytes()).unwrap();
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let (_, zip) = writer.finish().unwrap();
        change(dir.path());
        let tree = Tree::new(dir.path());
        let open = || Ok(Cursor::new(&zip));
        verify_beside(open, zip.len() as u64, &version, 2, &tree).unwrap();
        tree.differences(|_| false).unwrap()
    }

    #[test]
    fn a_tree_is_what_its_zip_holds_or_the_difference_is_named() {
        assert_eq!(differences(|_| {}), Vec::<String>::new());
        let put = |name: &'static str, text: &'static str| {
            move |dir: &Path| fs::write(dir.join(name), text).unwrap()
        };
        let one = |text: &str| vec![text.to_owned()];
        let differs = |name: &str| one(&format!("{name}: differs from the zip"));
        assert_eq!(differences(put("a/b.go", "package b\n")), differs("a/b.go"));
        assert_eq!(
            differences(put("a/b.go", "package a\n ")),
            differs("a/b.go")
        );
        assert_eq!(differences(put("a/b.go", "package a")), differs("a/b.go"));
        assert_eq!(differences(put("empty", " ")), differs("empty"));
        assert_eq!(
            differences(put("more.go", "")),
            one("more.go: not in the zip")
        );
        let gone = |dir: &Path| fs::remove_file(dir.join("go.mod")).unwrap();
        assert_eq!(differences(gone), one("go.mod: missing"));
        let late = |dir: &Path| {
            let file = dir.join("big.txt");
            let mut bytes = fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() = b'x';
            fs::write(file, bytes).unwrap();
        };
        assert_eq!(differences(late), differs("big.txt"));
        let link = |dir: &Path| std::os::unix::fs::symlink("go.mod", dir.join("link")).unwrap();
        assert_eq!(differences(link), one("link: not in the zip"));
    }
}
