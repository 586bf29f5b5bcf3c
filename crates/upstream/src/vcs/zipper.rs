//! Module zips straight from the archive stream, hashed in the same pass.
//!
//! The rules need all names before the first byte (a nested go.mod excludes its whole directory,
//! two names may differ by case only), so the tree is listed first; then the archive is read once
//! and each file deflated and hashed on the way. Order, level and times are fixed, so the same
//! commit gives the same bytes on every machine; the `h1` hash does not depend on them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gomod::h1::{H1, Hasher};
use gomod::version::ModuleVersion;

use super::Shared;
use super::clones::in_background;
use super::coderepo::CodeRepo;
use super::error::DirectError;
use super::hg::ARCHIVE_PREFIX;
use super::law;
use super::packer::{HELD_BYTES_MAX, Packer};
use super::repo::{Code, FileData, RevInfo, TreeFile};
use super::run::Running;
use super::svn::SvnRepo;
use super::tar::TarReader;

/// All files of a module together, and the zip itself.
pub(crate) const ZIP_BYTES_MAX: u64 = gomod::zip::MAX_ZIP_FILE;

/// Which files go into the zip.
struct Plan {
    /// `module@version/`.
    prefix: String,
    /// What stands before a module's file names in the archive.
    strip: Vec<u8>,
    /// File name in the module to whether it has been written.
    names: HashMap<Vec<u8>, bool>,
    /// The root's LICENSE, for a module in a directory that has none.
    license: FileData,
}

/// A written zip.
struct Written {
    sum: H1,
    /// Language version of the go.mod that went in.
    language: String,
}

/// What a zip is made of.
struct Job<'a> {
    repo: &'a CodeRepo<'a>,
    mv: &'a ModuleVersion,
    rev: &'a RevInfo,
    dir: &'a str,
    out: &'a Path,
}

impl Shared {
    /// Writes the zip of a revision.
    pub(crate) async fn zip(
        &self,
        repo: &CodeRepo<'_>,
        mv: &ModuleVersion,
        rev: &RevInfo,
        out: &Path,
    ) -> Result<H1, DirectError> {
        let found = repo.find_dir(&rev.name, mv.version().as_str()).await?;
        let job = Job {
            repo,
            mv,
            rev,
            dir: &found.dir,
            out,
        };
        let stored = found
            .go_mod
            .map(|data| gomod::zip::language(&data))
            .unwrap_or_default();
        let mut result = self.zip_once(&job, &stored).await;
        if let Ok(written) = &result
            && written.language != stored
        {
            // Attributes altered the go.mod on its way out, and what goes in decides.
            let language = written.language.clone();
            tokio::fs::remove_file(out).await.ok();
            result = self.zip_once(&job, &language).await;
        }
        if result.is_err() {
            tokio::fs::remove_file(out).await.ok();
        }
        result
            .map(|written| written.sum)
            .map_err(|error| error.under(&mv.to_string()))
    }

    async fn zip_once(&self, job: &Job<'_>, language: &str) -> Result<Written, DirectError> {
        let (name, dir) = (&job.rev.name, job.dir);
        match job.repo.code {
            Code::Git(git) => {
                let tree = git.list_tree(name, dir).await?;
                let plan = plan(job, b"", &tree, language).await?;
                self.pack(git.archive(name, dir).await?, plan, job.out)
                    .await
            }
            Code::Hg(hg) => {
                let tree = hg.list_tree(name, dir).await?;
                let plan = plan(job, ARCHIVE_PREFIX.as_bytes(), &tree, language).await?;
                self.pack(hg.archive(name, dir)?, plan, job.out).await
            }
            Code::Svn(svn) => self.zip_svn(svn, job, language).await,
        }
    }

    /// Reads an archive program's output into a zip; both end, or neither counts.
    async fn pack(
        &self,
        mut running: Running<'_>,
        plan: Plan,
        out: &Path,
    ) -> Result<Written, DirectError> {
        let stream = running.take_stdout()?;
        let place = out.to_owned();
        let writing = in_background(move || {
            let mut tar = TarReader::new(io::BufReader::with_capacity(1 << 17, stream));
            Ok(write_zip(&place, plan, |writer| read_tar(&mut tar, writer)))
        });
        let both = async { tokio::join!(writing, running.finish(0)) };
        let Ok((written, answer)) = tokio::time::timeout(self.runner.time(), both).await else {
            let text = format!("archive: stopped after {} s", self.runner.time().as_secs());
            return Err(DirectError::Timeout { text });
        };
        let answer = answer?;
        let complains = answer
            .stderr
            .lines()
            .any(|l| l.starts_with("fatal:") || l.starts_with("error:"));
        match written? {
            Err(error @ (DirectError::Limits { .. } | DirectError::Refused { .. })) => Err(error),
            Ok(sum) if answer.code == Some(0) && !complains => Ok(sum),
            Ok(_) => Err(DirectError::damaged(format!("archive: {}", answer.stderr))),
            Err(error) if answer.stderr.is_empty() => Err(error),
            Err(_) => Err(DirectError::damaged(format!("archive: {}", answer.stderr))),
        }
    }

    async fn zip_svn(
        &self,
        svn: &Arc<SvnRepo>,
        job: &Job<'_>,
        language: &str,
    ) -> Result<Written, DirectError> {
        let (exported, files) = svn.export(&job.rev.name, job.dir, ZIP_BYTES_MAX).await?;
        let mut plan = plan(job, b"", &files, language).await?;
        // The export starts at the module's directory.
        plan.strip = Vec::new();
        let (place, tree) = (job.out.to_owned(), exported.path().join("tree"));
        in_background(move || {
            Ok(write_zip(&place, plan, |writer| {
                read_export(&tree, &files, writer)
            }))
        })
        .await?
    }
}

/// Applies the module zip rules to the listed tree.
async fn plan(
    job: &Job<'_>,
    archive_prefix: &[u8],
    tree: &[TreeFile],
    language: &str,
) -> Result<Plan, DirectError> {
    let (code, dir) = (job.repo.code, job.dir);
    let mut strip = archive_prefix.to_vec();
    let mut below = Vec::new();
    // svn lists from the directory itself, git and hg from the root.
    let from_root = !matches!(code, Code::Svn(_));
    if !dir.is_empty() {
        strip.extend_from_slice(dir.as_bytes());
        strip.push(b'/');
        if from_root {
            below = format!("{dir}/").into_bytes();
        }
    }
    let mut files: Vec<TreeFile> = Vec::with_capacity(tree.len());
    for file in tree {
        if let Some(name) = file.name.strip_prefix(below.as_slice()) {
            files.push(TreeFile {
                name: name.to_vec(),
                ..file.clone()
            });
        }
    }
    let inherits = !dir.is_empty() && !files.iter().any(|file| file.name == b"LICENSE");
    let license = match inherits {
        true => code
            .read_files(&job.rev.name, &["LICENSE".to_owned()])
            .await?
            .pop()
            .flatten(),
        false => None,
    };
    if let Some(data) = &license {
        let size = data.len() as u64;
        files.push(TreeFile {
            name: b"LICENSE".to_vec(),
            regular: true,
            size,
        });
    }
    let names = law::select(&files, language)?
        .into_iter()
        .map(|name| (name, false))
        .collect();
    let prefix = format!("{}/", job.mv);
    Ok(Plan {
        prefix,
        strip,
        names,
        license,
    })
}

/// Takes files as they come; each planned one exactly once.
struct ZipWriter {
    packer: Packer<BufWriter<File>>,
    plan: Plan,
    left: u64,
    go_mod: Vec<u8>,
}

fn write_zip(
    out: &Path,
    plan: Plan,
    fill: impl FnOnce(&mut ZipWriter) -> Result<(), DirectError>,
) -> Result<Written, DirectError> {
    let file = File::create_new(out)?;
    let mut writer = ZipWriter {
        packer: Packer::new(BufWriter::with_capacity(1 << 17, file)),
        plan,
        left: ZIP_BYTES_MAX,
        go_mod: Vec::new(),
    };
    fill(&mut writer)?;
    if let Some(license) = writer.plan.license.take() {
        writer.add(b"LICENSE", &mut license.as_slice(), license.len() as u64)?;
    }
    if let Some((name, _)) = writer.plan.names.iter().find(|(_, written)| !**written) {
        let name = String::from_utf8_lossy(name);
        return Err(DirectError::damaged(format!(
            "archive: {name} is listed, but missing"
        )));
    }
    let (sums, length) = writer.packer.finish().map_err(writing)?;
    if length > ZIP_BYTES_MAX {
        return Err(DirectError::limits(format!(
            "module zip larger than {ZIP_BYTES_MAX} bytes"
        )));
    }
    let mut hasher = Hasher::default();
    for (name, sum) in sums {
        hasher
            .add(name.into_bytes(), sum)
            .map_err(|error| DirectError::refused(error.to_string()))?;
    }
    let language = gomod::zip::language(&writer.go_mod);
    Ok(Written {
        sum: hasher.finish(),
        language,
    })
}

fn writing(error: io::Error) -> DirectError {
    match error.kind() {
        io::ErrorKind::InvalidData => DirectError::damaged(error.to_string()),
        _ => DirectError::internal(format!("writing the zip: {error}")),
    }
}

impl ZipWriter {
    /// Adds a file of the archive if the plan wants it.
    fn offer(&mut self, name: &[u8], content: &mut dyn Read, size: u64) -> Result<(), DirectError> {
        let Some(name) = name.strip_prefix(self.plan.strip.as_slice()) else {
            return Ok(());
        };
        if !self.plan.names.contains_key(name) {
            return Ok(());
        }
        let name = name.to_vec();
        self.add(&name, content, size)
    }

    fn add(&mut self, name: &[u8], content: &mut dyn Read, size: u64) -> Result<(), DirectError> {
        let text = String::from_utf8_lossy(name).into_owned();
        match self.plan.names.get_mut(name) {
            Some(written) if !*written => *written = true,
            _ => return Err(DirectError::refused(format!("archive: {text} comes twice"))),
        }
        if size > self.left {
            return Err(DirectError::limits(format!(
                "module source tree too large (max size is {ZIP_BYTES_MAX} bytes)"
            )));
        }
        self.left -= size;
        if matches!(text.as_str(), "go.mod" | "LICENSE") && size > gomod::zip::MAX_GO_MOD {
            return Err(DirectError::limits(format!("{text} is larger than 16 MiB")));
        }
        let full = format!("{}{text}", self.plan.prefix);
        if text != "go.mod" && size > HELD_BYTES_MAX as u64 {
            return self.packer.add_large(full, content).map_err(writing);
        }
        let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        content.read_to_end(&mut data).map_err(writing)?;
        if text == "go.mod" {
            self.go_mod.clone_from(&data);
        }
        self.packer.add(full, data).map_err(writing)
    }
}

fn read_tar<R: Read>(tar: &mut TarReader<R>, writer: &mut ZipWriter) -> Result<(), DirectError> {
    let damaged = |error: io::Error| DirectError::damaged(error.to_string());
    while let Some(entry) = tar.next_entry().map_err(damaged)? {
        if entry.regular {
            writer.offer(&entry.name, &mut tar.content(), entry.size)?;
        }
    }
    // What follows the end mark is padding; unread, it would break the program's pipe.
    tar.drain().map_err(damaged)
}

fn read_export(tree: &Path, files: &[TreeFile], writer: &mut ZipWriter) -> Result<(), DirectError> {
    for file in files {
        let path: PathBuf = tree.join(String::from_utf8_lossy(&file.name).as_ref());
        writer.offer(&file.name, &mut File::open(path)?, file.size)?;
    }
    Ok(())
}

/// Checks a zip that somebody else made, and hashes it.
pub(crate) fn check(file: &Path, mv: &ModuleVersion) -> Result<H1, DirectError> {
    let input = File::open(file)?;
    let size = input.metadata()?.len();
    let checked = gomod::zip::verify(io::BufReader::new(input), size, mv);
    checked
        .map(|checked| checked.h1)
        .map_err(|error| DirectError::refused(format!("{mv}: {error}")))
}
