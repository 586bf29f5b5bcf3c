//! Reading commits, files and trees of a clone.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::DirectError;
use super::super::refs::is_hash;
use super::super::repo::{FileData, TreeFile};
use super::super::run::{Call, Running};
use super::GitRepo;

/// go.mod and LICENSE files may have 16 MiB (the go command's limit).
const FILE_MAX: usize = 16 << 20;

/// Files remembered per clone; they are asked for again by info, mod and zip.
const MEMO_FILES_MAX: usize = 512;
const MEMO_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Memo {
    pub times: HashMap<String, i64>,
    files: HashMap<(String, String), FileData>,
    bytes: usize,
}

/// One answer of `git cat-file --batch`.
pub(super) struct Object {
    pub kind: String,
    pub data: Vec<u8>,
}

impl GitRepo {
    /// Files of a commit that is here; `None` where there is none. Remembered, because info, mod
    /// and zip of one version ask for the same ones.
    pub(crate) async fn read_files(
        &self,
        hash: &str,
        paths: &[String],
    ) -> Result<Vec<FileData>, DirectError> {
        let key = |path: &String| (hash.to_owned(), path.clone());
        {
            let memo = self.memo();
            let known: Option<Vec<_>> = paths
                .iter()
                .map(|path| memo.files.get(&key(path)).cloned())
                .collect();
            if let Some(known) = known {
                return Ok(known);
            }
        }
        let specs: Vec<String> = paths.iter().map(|path| format!("{hash}:{path}")).collect();
        let objects = self.objects(&specs).await?;
        let mut files = Vec::with_capacity(objects.len());
        for (object, path) in objects.into_iter().zip(paths) {
            let file = object
                .filter(|object| object.kind == "blob")
                .map(|object| object.data);
            if file.as_ref().is_some_and(|data| data.len() > FILE_MAX) {
                return Err(DirectError::limits(format!(
                    "{path} is larger than {FILE_MAX} bytes"
                )));
            }
            files.push(file.map(Arc::new));
        }
        let mut memo = self.memo();
        for (file, path) in files.iter().zip(paths) {
            memo.keep(key(path), file.clone());
        }
        Ok(files)
    }

    /// Every file under `subdir` of a commit: names, kinds and stored sizes.
    pub(crate) async fn list_tree(
        &self,
        hash: &str,
        subdir: &str,
    ) -> Result<Vec<TreeFile>, DirectError> {
        let mut call = Call::new("git", self.local_env()).arg("--literal-pathspecs");
        call = call.args(["ls-tree", "-r", "-l", "-z", "--full-tree", hash]);
        if !subdir.is_empty() {
            call = call.args(["--", subdir]);
        }
        let max = self.shared.settings.limits.output_bytes;
        let out = self.read_local(call.stdout_max(max)).await?;
        out.split(|b| *b == 0)
            .filter(|entry| !entry.is_empty())
            .map(parse_tree_entry)
            .collect()
    }

    /// Starts `git archive` of a commit as a tar stream.
    ///
    /// Attributes of the tree apply (`eol`, `ident`, `working-tree-encoding`), as they do for the
    /// go command; filters do not, because nothing configures one.
    pub(crate) async fn archive(
        &self,
        hash: &str,
        subdir: &str,
    ) -> Result<Running<'_>, DirectError> {
        self.write_attributes().await?;
        let mut call = Call::new("git", self.local_env())
            .arg("--literal-pathspecs")
            .args(["-c", "core.autocrlf=input", "-c", "core.eol=lf"])
            .args([
                "-c",
                "core.attributesFile=/dev/null",
                "-c",
                "tar.umask=0022",
            ])
            .args(["archive", "--format=tar", "--end-of-options", hash]);
        if !subdir.is_empty() {
            call = call.arg(subdir);
        }
        self.shared.runner.start(call)
    }

    /// Looks up several objects with one process.
    pub(super) async fn objects(
        &self,
        specs: &[String],
    ) -> Result<Vec<Option<Object>>, DirectError> {
        if specs.iter().any(|spec| spec.contains(['\n', '\0'])) {
            return Err(DirectError::refused("a line break in a file name"));
        }
        let input = specs.join("\n") + "\n";
        let call = self
            .local()
            .args(["cat-file", "--batch"])
            .stdin(input.into_bytes())
            .stdout_max(self.shared.settings.limits.output_bytes);
        parse_batch(&self.read_local(call).await?, specs.len())
            .ok_or_else(|| DirectError::damaged("git cat-file: unreadable answer"))
    }
}

impl Memo {
    fn keep(&mut self, key: (String, String), file: FileData) {
        let size = file.as_ref().map_or(0, |data| data.len());
        if self.files.len() >= MEMO_FILES_MAX || self.bytes + size > MEMO_BYTES_MAX {
            self.files.clear();
            self.bytes = 0;
        }
        if size <= MEMO_BYTES_MAX / 4 {
            self.bytes += size;
            self.files.insert(key, file);
        }
        if self.times.len() > 100_000 {
            self.times.clear();
        }
    }
}

/// `MODE SP KIND SP HASH SP SIZE TAB NAME` of `git ls-tree -l`.
fn parse_tree_entry(entry: &[u8]) -> Result<TreeFile, DirectError> {
    let parsed = || {
        let tab = entry.iter().position(|b| *b == b'\t')?;
        let head = std::str::from_utf8(&entry[..tab]).ok()?;
        let mut words = head.split_ascii_whitespace();
        let mode = words.next()?;
        let size = words.nth(2)?;
        let name = entry[tab + 1..].to_vec();
        let regular = mode.starts_with("100");
        Some(TreeFile {
            name,
            regular,
            size: size.parse().unwrap_or(0),
        })
    };
    parsed().ok_or_else(|| DirectError::damaged("git ls-tree: unreadable answer"))
}

/// The answers of `git cat-file --batch`, in order; `None` when they cannot be read.
fn parse_batch(mut bytes: &[u8], count: usize) -> Option<Vec<Option<Object>>> {
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 1..];
        let words: Vec<&str> = line.rsplitn(3, ' ').collect();
        let absent = matches!(
            words.first(),
            Some(&("missing" | "ambiguous" | "submodule"))
        );
        if absent {
            objects.push(None);
            continue;
        }
        let [size, kind, hash] = words.as_slice() else {
            return None;
        };
        let size: usize = size.parse().ok()?;
        if !is_hash(hash) || bytes.len() <= size {
            return None;
        }
        objects.push(Some(Object {
            kind: (*kind).to_owned(),
            data: bytes[..size].to_vec(),
        }));
        bytes = &bytes[size + 1..];
    }
    Some(objects)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: &str = "1111111aaaa11111111111111111111111111111";
    const B: &str = "1111111bbbb11111111111111111111111111111";

    #[test]
    fn batch_answers_hold_any_bytes_and_may_be_missing() {
        let text = format!("{A} blob 3\na\nb\nx:y z missing\n{B} commit 0\n\n");
        let objects = parse_batch(text.as_bytes(), 3).unwrap();
        assert_eq!(objects[0].as_ref().unwrap().data, b"a\nb");
        assert!(objects[1].is_none());
        assert_eq!(objects[2].as_ref().unwrap().kind, "commit");
        assert!(parse_batch(b"garbage\n", 1).is_none());
    }
}
