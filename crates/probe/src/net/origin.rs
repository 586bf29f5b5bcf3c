//! The module's own repository, as far as it can be read without a login.
//!
//! Source of the rules: cmd/go/internal/vcs (which hosts need no discovery) and git's protocol
//! over HTTP: `info/refs?service=git-upload-pack` names every tag. Nothing is cloned.

use std::net::IpAddr;

use doctor::net::{Content, Exchange, OriginSeen, VcsRun, What};
use gomod::version::ModuleVersion;
use upstream::goimport::MetaImport;
use url::Url;

use super::fetch::{Fetched, fetch};
use super::prober::Prober;
use super::targets::Replay;
use super::vcs;
use super::walk::{Walk, discovery};

/// Hosts whose repositories are the first three elements of a path.
const KNOWN: &[&str] = &["github.com", "bitbucket.org"];

/// The question of a `direct` entry: the answer, the requests before it, and what version control
/// brought if it was run.
pub async fn fetched(
    walk: &Walk<'_>,
    what: What,
    file: &str,
    module: Option<&ModuleVersion>,
) -> (Fetched, Vec<Exchange>, Option<VcsRun>) {
    let path = match module {
        Some(module) => module.path().as_str(),
        None => file.split("/@").next().unwrap_or(file),
    };
    let Some((replay, origin)) = runs(walk) else {
        let (fetched, before) = looked(walk, path, module).await;
        return (fetched, before, None);
    };
    let run = vcs::run(walk, replay, origin, what, file, module);
    if matches!(what, What::Mod | What::Zip) {
        // They come out of the clone that the first question made.
        let (run, mut fetched) = run.await;
        fetched.exchange.url = format!("direct: {file}");
        return (fetched, Vec::new(), Some(run));
    }
    let ((seen, before), (run, fetched)) = tokio::join!(looked(walk, path, module), run);
    let fetched = Fetched {
        exchange: seen.exchange,
        ..fetched
    };
    (fetched, before, Some(run))
}

fn runs<'a>(walk: &Walk<'a>) -> Option<(&'a Replay, &'a upstream::Chain)> {
    let replay = walk.targets.replay.as_ref()?;
    Some((replay, replay.origin.as_ref()?))
}

/// Looks without running anything.
async fn looked(
    walk: &Walk<'_>,
    path: &str,
    module: Option<&ModuleVersion>,
) -> (Fetched, Vec<Exchange>) {
    let seen = look(walk, path, module).await;
    let mut before = seen.exchanges.clone();
    let mut exchange = before.pop().unwrap_or_default();
    if seen.has_version == Some(false) {
        let version = module.map(|m| m.version().to_string()).unwrap_or_default();
        exchange.content = Some(Content::Bad(format!("no tag {version}")));
    }
    walk.note(|facts| facts.deep.get_or_insert_default().origin = Some(seen));
    let fetched = Fetched {
        exchange,
        ..Fetched::default()
    };
    (fetched, before)
}

/// Looks at a module's repository.
pub async fn look(walk: &Walk<'_>, path: &str, module: Option<&ModuleVersion>) -> OriginSeen {
    let prober = walk.prober;
    let mut seen = OriginSeen {
        private_address: private_address(prober, path).await,
        ..OriginSeen::default()
    };
    let found = match known(path) {
        Some(root) => Some(Found {
            root,
            git: true,
            below: path_below(path, 3),
        }),
        None => discover(walk, path, &mut seen).await,
    };
    let Some(found) = found else {
        return seen;
    };
    seen.repository = Some(super::hop::shown(&found.root));
    // Others than git have no list of tags that can be asked for so simply.
    let refs = format!(
        "{}/info/refs?service=git-upload-pack",
        found.root.as_str().trim_end_matches('/')
    );
    let url = Url::parse(&refs)
        .ok()
        .filter(|_| found.git && is_web(&found.root));
    let Some(url) = url else {
        return seen;
    };
    let fetched = fetch(prober, &url, What::Refs, None).await;
    let whole = matches!(fetched.exchange.content, Some(Content::Good));
    if fetched.exchange.status().is_some() {
        seen.readable = Some(fetched.exchange.is_good());
    }
    if let Some(module) = module.filter(|_| whole) {
        seen.has_version = has_version(&fetched.body, &found.below, module);
    }
    seen.exchanges.push(fetched.exchange);
    seen
}

/// A repository, or a proxy that stands for one.
struct Found {
    root: Url,
    git: bool,
    /// The module's directory in it.
    below: String,
}

fn is_web(root: &Url) -> bool {
    matches!(root.scheme(), "https" | "http")
}

/// Whether a module's host has only addresses that the public network cannot reach.
async fn private_address(prober: &Prober, path: &str) -> Option<bool> {
    let host = path.split('/').next().unwrap_or(path);
    let limit = prober.left(prober.limits.deep).ok()?;
    let found: Vec<IpAddr> = prober.resolver.addresses(host, limit).await;
    match found.is_empty() {
        true => None,
        false => Some(!found.iter().any(|ip| upstream::is_public(*ip))),
    }
}

fn known(path: &str) -> Option<Url> {
    let mut elements = path.split('/');
    let (host, owner, name) = (elements.next()?, elements.next()?, elements.next()?);
    let ours = KNOWN.contains(&host);
    let url = format!("https://{host}/{owner}/{name}");
    ours.then(|| Url::parse(&url).ok()).flatten()
}

/// The page of a path, and that of the root it names: both must say the same.
async fn discover(walk: &Walk<'_>, path: &str, seen: &mut OriginSeen) -> Option<Found> {
    let found = page(walk, path, path, seen).await?;
    if found.prefix != path {
        let root = page(walk, &found.prefix, path, seen).await?;
        if (&root.prefix, &root.repo_root) != (&found.prefix, &found.repo_root) {
            let said = format!("{} and {path} name different repositories", found.prefix);
            if let Some(last) = seen.exchanges.last_mut() {
                last.content = Some(Content::Bad(said));
            }
            return None;
        }
    }
    let root = Url::parse(&found.repo_root).ok()?;
    let plain = matches!(root.scheme(), "http" | "git" | "svn");
    if plain && !walk.targets.is_insecure(path) {
        return None;
    }
    Some(Found {
        git: found.vcs == "git",
        below: path[found.prefix.len()..]
            .trim_start_matches('/')
            .to_owned(),
        root,
    })
}

/// One page; without TLS only where GOINSECURE allows it, and only after TLS failed.
async fn page(walk: &Walk<'_>, at: &str, path: &str, seen: &mut OriginSeen) -> Option<MetaImport> {
    let mut fetched = fetch(walk.prober, &discovery("https", at)?, What::Discovery, None).await;
    if !fetched.exchange.is_answered() && walk.targets.is_insecure(path) {
        seen.exchanges.push(fetched.exchange);
        fetched = fetch(walk.prober, &discovery("http", at)?, What::Discovery, None).await;
    }
    let mut exchange: Exchange = fetched.exchange;
    let page = exchange.is_answered().then_some(fetched.body);
    let imports = page
        .and_then(|page| upstream::goimport::parse_meta_go_imports(&page, true).ok())
        .unwrap_or_default();
    let found = of_path(&imports, path).cloned();
    if found.is_none() && exchange.is_answered() {
        exchange.content = Some(Content::Bad("no go-import tag for this path".into()));
    }
    seen.exchanges.push(exchange);
    found
}

/// The tag that is about a path; those that name a module proxy come first in the list.
fn of_path<'a>(imports: &'a [MetaImport], path: &str) -> Option<&'a MetaImport> {
    imports.iter().find(|import| {
        let rest = path.strip_prefix(&import.prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn path_below(path: &str, elements: usize) -> String {
    path.split('/').skip(elements).collect::<Vec<_>>().join("/")
}

/// Whether the advertised refs hold the version's tag. A pseudo-version has none.
fn has_version(refs: &[u8], below: &str, module: &ModuleVersion) -> Option<bool> {
    let version = module.version();
    if version.is_pseudo() {
        return None;
    }
    let tag = version.as_str().trim_end_matches("+incompatible");
    let major = module.path().major().trim_start_matches('/');
    let dir = below
        .strip_suffix(major)
        .unwrap_or(below)
        .trim_end_matches('/');
    let prefix = if dir.is_empty() {
        String::new()
    } else {
        format!("{dir}/")
    };
    let wanted = format!(" refs/tags/{prefix}{tag}");
    let text = String::from_utf8_lossy(refs);
    let named = |line: &str| {
        let line = line.split('\0').next().unwrap_or(line);
        line.trim_end_matches("^{}").ends_with(&wanted)
    };
    Some(text.lines().any(named))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_version_is_a_tag_below_its_directory() {
        let refs = b"001e# service=git-upload-pack\n0000003faaaa refs/heads/main\0caps\n003dbbbb refs/tags/v1.0.0\n003dcccc refs/tags/sub/v1.2.0\n0040dddd refs/tags/v2.0.0^{}\n0000";
        let has = |path: &str, below: &str| {
            has_version(refs, below, &ModuleVersion::parse(path).unwrap())
        };
        assert_eq!(has("a.example/r@v1.0.0", ""), Some(true));
        assert_eq!(has("a.example/r@v1.2.0", ""), Some(false));
        assert_eq!(has("a.example/r/sub@v1.2.0", "sub"), Some(true));
        assert_eq!(has("a.example/r/v2@v2.0.0", "v2"), Some(true));
        let pseudo = "a.example/r@v0.0.0-20200101000000-abcdefabcdef";
        assert_eq!(has(pseudo, ""), None);
    }
}
