//! What the version control tests share: a home, repositories, pages.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gomod::path::ModulePath;
use gomod::version::{ModuleVersion, Revision, Version};
use upstream::vcs::{Direct, DirectSettings, Page, PageError, Pages};
use url::Url;

/// Pages from a table; everything else is unreachable, as on a machine without a network.
#[derive(Default)]
pub struct Table(pub HashMap<String, (u16, Vec<u8>)>);

impl Pages for Table {
    fn get<'a>(
        &'a self,
        url: &'a Url,
        _public_only: bool,
    ) -> BoxFuture<'a, Result<Page, PageError>> {
        let found = self.0.get(url.as_str()).cloned();
        async move {
            let unreachable = || PageError::Unreachable(format!("no route to {url}"));
            let (status, body) = found.ok_or_else(unreachable)?;
            Ok(Page {
                status,
                final_url: url.clone(),
                content_type: String::new(),
                body,
            })
        }
        .boxed()
    }

    fn download<'a>(
        &'a self,
        url: &'a Url,
        public_only: bool,
        to: &'a Path,
        _bytes_max: u64,
    ) -> BoxFuture<'a, Result<u16, PageError>> {
        async move {
            let page = self.get(url, public_only).await?;
            std::fs::write(to, &page.body).unwrap();
            Ok(page.status)
        }
        .boxed()
    }
}

/// A temporary home whose git configuration leads `https://github.com/modkeep-test/` to a folder.
pub struct Home {
    pub dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("repos")).unwrap();
        let home = Self { dir };
        let rewrite = format!(
            "[url \"file://{}/\"]\n\tinsteadOf = https://github.com/modkeep-test/\n",
            home.repos().display()
        );
        home.write(".gitconfig", &rewrite);
        home
    }

    /// With every bundle of the test data as a bare repository.
    pub fn with_bundles() -> Self {
        let home = Self::new();
        for entry in std::fs::read_dir(bundles()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "bundle") {
                let name = path.file_stem().unwrap();
                let to = home.repos().join(name);
                home.git(&[
                    "clone",
                    "-q",
                    "--mirror",
                    path.to_str().unwrap(),
                    to.to_str().unwrap(),
                ]);
            }
        }
        home
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn repos(&self) -> PathBuf {
        self.path().join("repos")
    }

    pub fn repo(&self, name: &str) -> PathBuf {
        self.repos().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn append(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, old + text).unwrap();
    }

    pub fn git(&self, args: &[&str]) -> String {
        self.git_in(self.path(), args)
    }

    pub fn git_in(&self, dir: &Path, args: &[&str]) -> String {
        self.run(dir, "git", args)
    }

    /// Runs a program with fixed names and dates, away from the machine's configuration.
    pub fn run(&self, dir: &Path, program: &str, args: &[&str]) -> String {
        let output = self.command(dir, program, args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn command(&self, dir: &Path, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C.UTF-8");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "T")
                .env(format!("GIT_{who}_EMAIL"), "t@x");
            command.env(format!("GIT_{who}_DATE"), "2024-05-06T07:08:09Z");
        }
        command
    }

    /// A work tree with one commit of these files; its `.git` is served as `repos/NAME`.
    pub fn make_repo(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let work = self.path().join(format!("{name}.work"));
        std::fs::create_dir_all(&work).unwrap();
        self.git_in(&work, &["init", "-q", "-b", "main"]);
        self.commit(&work, files, "one");
        std::os::unix::fs::symlink(work.join(".git"), self.repo(name)).unwrap();
        work
    }

    pub fn commit(&self, work: &Path, files: &[(&str, &str)], message: &str) -> String {
        for (name, text) in files {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git_in(work, &["add", "-A", "-f"]);
        self.git_in(work, &["commit", "-q", "--allow-empty", "-m", message]);
        self.git_in(work, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub fn settings(&self) -> DirectSettings {
        let mut settings = DirectSettings::new(self.path().join("cache"));
        settings.environment = vec![
            ("HOME".into(), self.path().display().to_string()),
            (
                "XDG_CONFIG_HOME".into(),
                self.path().join(".config").display().to_string(),
            ),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ];
        settings
    }

    pub fn direct(&self) -> Direct {
        self.direct_with(|_| {})
    }

    pub fn direct_with(&self, change: impl FnOnce(&mut DirectSettings)) -> Direct {
        self.direct_of(change, Table::default())
    }

    pub fn direct_of(
        &self,
        change: impl FnOnce(&mut DirectSettings),
        pages: impl Pages + 'static,
    ) -> Direct {
        let mut settings = self.settings();
        change(&mut settings);
        Direct::new(settings, Arc::new(pages)).unwrap()
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

pub fn bundles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vcs")
}

pub fn path(text: &str) -> ModulePath {
    ModulePath::parse(text).unwrap()
}

pub fn rev(text: &str) -> Revision {
    Revision::parse(text).unwrap()
}

pub fn mv(module: &str, version: &str) -> ModuleVersion {
    ModuleVersion::new(path(module), Version::parse(version).unwrap()).unwrap()
}

/// Whether a program is installed; says clearly when a test cannot run without it.
#[allow(clippy::print_stderr)]
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: {program} is not installed, so this test shows nothing");
    }
    found
}

/// Names and contents of a zip, sorted.
pub fn zip_files(file: &Path) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let mut files = Vec::new();
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).unwrap();
        let mut data = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut data).unwrap();
        let name = entry.name().unwrap().into_owned();
        files.push((name, data));
    }
    files.sort();
    files
}
