//! The project's files: go.mod and what it leads to, sources and what they import.

mod modules;
mod scan;
mod sources;

use std::path::{Path, PathBuf};

use doctor::facts::{Asked, FileText, LocalModule, ProjectFacts, Seen, Vendor, WorkFacts};
use doctor::gowork;
use gomod::modfile::{ModFile, module_path};

use super::Settings;

/// go.mod files have at most 16 MiB by rule and a few hundred lines in practice.
const MOD_BYTES_MAX: usize = 1 << 20;

/// The largest known go.sum files have some 3 MiB.
const SUM_BYTES_MAX: usize = 8 << 20;

/// Directories above that are looked at: no path is deeper (PATH_MAX).
const ABOVE_MAX: usize = 2048;

/// Looks at the project around `dir`.
pub fn look(dir: &Path, settings: &Settings, asked: Option<&Asked>) -> ProjectFacts {
    let mut facts = ProjectFacts {
        dir: dir.display().to_string(),
        ..ProjectFacts::default()
    };
    let gomod = above(dir, "go.mod");
    facts.work = work(dir, settings);
    let Some(gomod) = gomod else {
        facts.go_mod = Seen::Absent;
        // Outside a module only this directory counts: it may be somebody's whole home.
        facts.packages = Some(if sources::has_go_files(dir) {
            vec![String::new()]
        } else {
            Vec::new()
        });
        return facts;
    };
    let root = gomod.parent().unwrap_or(dir).to_owned();
    let text = read(&gomod, MOD_BYTES_MAX);
    let parsed = parse(&text);
    facts.go_mod = Seen::Present(text);
    facts.go_sum = optional(&root.join("go.sum"), SUM_BYTES_MAX);
    facts.vendor = vendor(&root);
    facts.repository = above(dir, ".git").and_then(|git| Some(git.parent()?.display().to_string()));
    facts.docker = docker(&root);
    let mut found = sources::walk(&root);
    facts.partial = found.partial;
    facts.packages = Some(std::mem::take(&mut found.packages));
    facts.nested = Some(
        found
            .nested
            .iter()
            .map(|below| module(below, root.join(below)))
            .collect(),
    );
    facts.std = settings.goroot().and_then(sources::standard);
    if let Some(file) = parsed {
        facts.replaced = Some(replaced(&root, &file));
        let cache = PathBuf::from(settings.get("GOMODCACHE"));
        facts.required = Some(modules::required(&cache, &file, asked));
        let imports = std::mem::take(&mut found.imports);
        facts.imports = Some(modules::providers(imports, &cache, &root, &file));
    }
    facts
}

/// The versions that the project downloads, and its go.sum: what the cache is sampled for.
pub fn wanted(
    dir: &Path,
    asked: Option<&Asked>,
) -> (Vec<(String, String)>, Option<gomod::gosum::GoSum>) {
    let mut versions: Vec<(String, String)> = asked
        .and_then(|asked| Some((asked.module.clone(), asked.version.clone()?)))
        .into_iter()
        .collect();
    let Some(gomod) = above(dir, "go.mod") else {
        return (versions, None);
    };
    if let Some(file) = parse(&read(&gomod, MOD_BYTES_MAX)) {
        versions.extend(modules::downloads(&file));
    }
    let sums = read(&gomod.with_file_name("go.sum"), SUM_BYTES_MAX);
    (
        versions,
        gomod::gosum::GoSum::parse("go.sum", sums.text.as_bytes()).ok(),
    )
}

fn parse(text: &FileText) -> Option<ModFile> {
    let bytes = text.text.as_bytes();
    ModFile::parse_strict("go.mod", bytes)
        .or_else(|_| ModFile::parse_lax("go.mod", bytes))
        .ok()
}

/// The nearest file or directory of this name, here or above.
fn above(dir: &Path, name: &str) -> Option<PathBuf> {
    let places = dir.ancestors().take(ABOVE_MAX).map(|dir| dir.join(name));
    places
        .into_iter()
        .find(|path| path.exists() && (name == ".git" || !path.is_dir()))
}

fn read(path: &Path, bytes_max: usize) -> FileText {
    use std::io::Read;
    let mut file = FileText {
        path: path.display().to_string(),
        ..FileText::default()
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    match opened.and_then(|opened| opened.take(bytes_max as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) => {
            file.cut = bytes.len() > bytes_max;
            bytes.truncate(bytes_max);
            file.text = String::from_utf8_lossy(&bytes).into_owned();
        }
        Err(error) => file.error = Some(error.to_string()),
    }
    file
}

fn optional(path: &Path, bytes_max: usize) -> Seen<FileText> {
    match path.is_file() {
        true => Seen::Present(read(path, bytes_max)),
        false => Seen::Absent,
    }
}

/// A directory that should be a module.
fn module(written: &str, path: PathBuf) -> LocalModule {
    let gomod = path.join("go.mod");
    let text = gomod.is_file().then(|| read(&gomod, MOD_BYTES_MAX));
    let go = text.as_ref().and_then(parse).and_then(|file| file.go);
    LocalModule {
        written: written.to_owned(),
        exists: Some(path.is_dir()),
        has_go_mod: Some(text.is_some()),
        module: text.map(|text| module_path(text.text.as_bytes())),
        go,
        path: path.display().to_string(),
    }
}

/// `./x` below `root`, as the go command joins it.
fn join(root: &Path, written: &str) -> PathBuf {
    let mut path = root.to_owned();
    for part in Path::new(written).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    path
}

fn replaced(root: &Path, file: &ModFile) -> Vec<LocalModule> {
    let local = file
        .replace
        .iter()
        .filter(|replace| replace.new_version.is_none());
    local
        .map(|replace| module(&replace.new, join(root, &replace.new)))
        .collect()
}

fn work(dir: &Path, settings: &Settings) -> Seen<WorkFacts> {
    let setting = settings.get("GOWORK");
    let (path, named) = match &*setting {
        "off" => return Seen::Absent,
        "" | "auto" => match above(dir, "go.work") {
            Some(path) => (path, false),
            None => return Seen::Absent,
        },
        named => (PathBuf::from(named), true),
    };
    let exists = path.is_file();
    let file = read(&path, MOD_BYTES_MAX);
    let root = path.parent().unwrap_or(dir).to_owned();
    let uses = gowork::parse(&file.text).uses;
    Seen::Present(WorkFacts {
        uses: uses
            .iter()
            .map(|written| module(written, join(&root, written)))
            .collect(),
        file,
        named,
        exists,
    })
}

/// Packages of modules.txt that are looked for.
const VENDORED_MAX: usize = 5000;

fn vendor(root: &Path) -> Seen<Vendor> {
    let dir = root.join("vendor");
    if !dir.is_dir() {
        return Seen::Absent;
    }
    let modules = dir.join("modules.txt");
    let modules = modules.is_file().then(|| read(&modules, SUM_BYTES_MAX));
    let text = modules.as_ref().map_or("", |file| &*file.text);
    let packages = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let missing = packages
        .take(VENDORED_MAX)
        .filter(|package| !join(&dir, package).is_dir());
    let missing = missing.take(5).map(str::to_owned).collect();
    Seen::Present(Vendor { modules, missing })
}

/// Lines of the Dockerfile that bear on downloads.
fn docker(root: &Path) -> Vec<(String, usize, String)> {
    let path = root.join("Dockerfile");
    if !path.is_file() {
        return Vec::new();
    }
    let text = read(&path, MOD_BYTES_MAX).text;
    let bears = |line: &str| {
        let upper = line.to_ascii_uppercase();
        upper.starts_with("COPY")
            || line.contains("GOPROXY")
            || upper.starts_with("RUN")
                && ["go mod download", "go build", "go install"]
                    .iter()
                    .any(|what| line.contains(what))
    };
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    let found = lines.filter(|(_, line)| bears(line)).take(50);
    found
        .map(|(number, line)| {
            (
                "Dockerfile".to_owned(),
                number,
                line.chars().take(200).collect(),
            )
        })
        .collect()
}
