//! What the module cache knows of the versions that go.mod requires.

use std::path::{Path, PathBuf};

use doctor::facts::{Asked, Import, Provider, RequiredModule};
use gomod::modfile::{ModFile, module_path};

/// Versions that are looked up; a go.mod has at most some thousands.
const REQUIRED_MAX: usize = 3_000;

/// Bytes of a small file of the cache.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Path and version of everything that is downloaded: replacements in the place of what they
/// replace.
pub fn downloads(file: &ModFile) -> Vec<(String, String)> {
    let required = file.require.iter().take(REQUIRED_MAX);
    required
        .filter_map(|require| effective(file, &require.path, &require.version))
        .collect()
}

fn effective(file: &ModFile, path: &str, version: &str) -> Option<(String, String)> {
    let of = || file.replace.iter().filter(|replace| replace.old == path);
    let exact = of().find(|replace| replace.old_version.as_deref() == Some(version));
    match exact.or_else(|| of().find(|replace| replace.old_version.is_none())) {
        Some(replace) => Some((replace.new.clone(), replace.new_version.clone()?)),
        None => Some((path.to_owned(), version.to_owned())),
    }
}

/// What the cache says of each.
pub fn required(cache: &Path, file: &ModFile, asked: Option<&Asked>) -> Vec<RequiredModule> {
    let mut wanted = downloads(file);
    let asked = asked.and_then(|asked| Some((asked.module.clone(), asked.version.clone()?)));
    wanted.extend(asked.filter(|(_, version)| version.starts_with('v')));
    wanted
        .into_iter()
        .map(|(module, version)| one(cache, module, version))
        .collect()
}

fn one(cache: &Path, module: String, version: String) -> RequiredModule {
    let mut known = RequiredModule {
        module,
        version,
        ..RequiredModule::default()
    };
    let Some(stem) = stem(cache, &known.module, &known.version) else {
        return known;
    };
    known.cached = Some(with(&stem, ".zip").is_file());
    if let Some(bytes) = small(&with(&stem, ".mod")) {
        known.declares = Some(module_path(&bytes));
        if let Ok(parsed) = ModFile::parse_lax("go.mod", &bytes) {
            known.go = parsed.go;
            known.replaces = parsed
                .replace
                .into_iter()
                .map(|replace| replace.old)
                .collect();
        }
    }
    known.time = small(&with(&stem, ".info")).and_then(|bytes| time(&bytes));
    known.retracts = newest_retracts(&stem);
    known
}

fn stem(cache: &Path, module: &str, version: &str) -> Option<PathBuf> {
    let path = gomod::escape::escape_path(module).ok()?;
    let file = gomod::escape::escape_version(version).ok()?;
    Some(
        cache
            .join("cache/download")
            .join(path)
            .join("@v")
            .join(file),
    )
}

fn with(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn small(path: &Path) -> Option<Vec<u8>> {
    let meta = std::fs::metadata(path).ok()?;
    (meta.is_file() && meta.len() <= FILE_BYTES_MAX).then(|| std::fs::read(path).ok())?
}

fn time(info: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(rename = "Time")]
        time: String,
    }
    let info: Info = serde_json::from_slice(info).ok()?;
    gomod::time::parse_rfc3339(&info.time).map(|instant| instant.unix_seconds)
}

/// Retractions count in the newest version only: the newest that the cache has speaks.
fn newest_retracts(stem: &Path) -> Vec<(String, String, String)> {
    let Some(dir) = stem.parent() else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .take(2_000);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let versions = names.filter_map(|name| name.strip_suffix(".mod").map(str::to_owned));
    let release = |version: &String| {
        gomod::semver::is_valid(version) && gomod::semver::prerelease(version).is_empty()
    };
    let newest = versions
        .filter(release)
        .max_by(|a, b| gomod::semver::compare(a, b));
    let bytes = newest.and_then(|newest| small(&dir.join(format!("{newest}.mod"))));
    let parsed = bytes.and_then(|bytes| ModFile::parse_lax("go.mod", &bytes).ok());
    let retracts = parsed.map(|file| file.retract).unwrap_or_default();
    retracts
        .into_iter()
        .take(100)
        .map(|r| (r.low, r.high, r.rationale))
        .collect()
}

/// Which required modules may hold each imported package, and whether they do.
pub fn providers(
    mut imports: Vec<Import>,
    cache: &Path,
    root: &Path,
    file: &ModFile,
) -> Vec<Import> {
    for import in &mut imports {
        let under = |module: &str| {
            import.path == module
                || import
                    .path
                    .strip_prefix(module)
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        let candidates = file.require.iter().filter(|require| under(&require.path));
        import.providers = candidates
            .map(|require| {
                provider(
                    &import.path,
                    &require.path,
                    &require.version,
                    cache,
                    root,
                    file,
                )
            })
            .collect();
    }
    imports
}

fn provider(
    package: &str,
    module: &str,
    version: &str,
    cache: &Path,
    root: &Path,
    file: &ModFile,
) -> Provider {
    let below = package[module.len()..].trim_start_matches('/');
    let mut provider = Provider {
        module: module.to_owned(),
        version: version.to_owned(),
        ..Provider::default()
    };
    let tree = match effective(file, module, version) {
        Some((path, version)) => extracted(cache, &path, &version),
        None => {
            provider.version = String::new();
            let replace = file.replace.iter().find(|replace| replace.old == module);
            replace.map(|replace| super::join(root, &replace.new))
        }
    };
    let Some(tree) = tree.filter(|tree| tree.is_dir()) else {
        return provider;
    };
    let dir = tree.join(below);
    provider.holds = Some(super::sources::has_go_files(&dir));
    let mut place = tree;
    provider.nested = Some(
        below
            .split('/')
            .filter(|part| !part.is_empty())
            .any(|part| {
                place.push(part);
                place.join("go.mod").is_file()
            }),
    );
    provider
}

fn extracted(cache: &Path, module: &str, version: &str) -> Option<PathBuf> {
    let path = gomod::escape::escape_path(module).ok()?;
    let version = gomod::escape::escape_version(version).ok()?;
    Some(cache.join(format!("{path}@{version}")))
}
