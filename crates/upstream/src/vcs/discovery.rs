//! Which repository holds a module: known hosts by their paths, others by their go-import page.

use url::Url;

use super::coderepo::has_path_prefix;
use super::error::DirectError;
use super::remote::Scope;
use super::run::Call;
use super::{Inner, Page, PageError, Shared};
use crate::goimport::{MetaImport, parse_meta_go_imports};

/// A repository and the import path of its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RepoRoot {
    /// `git`, `hg`, `svn`, `fossil` or `mod`.
    pub vcs: String,
    pub url: String,
    pub root: String,
    pub subdir: String,
}

/// What a path alone says.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    Repo(RepoRoot),
    /// A path with `.git`, `.hg`… in it: everything but the scheme.
    Schemeless(RepoRoot),
    /// A page must be asked.
    Unknown,
}

/// Programs of the go command, with the schemes they are tried with, in order.
const VCS: [(&str, &[&str]); 4] = [
    ("hg", &["https", "http", "ssh"]),
    ("git", &["git", "https", "http", "git+ssh", "ssh"]),
    ("svn", &["https", "http", "svn", "svn+ssh"]),
    ("fossil", &["https", "http"]),
];

impl Inner {
    /// Finds the repository of a module.
    ///
    /// # Errors
    /// `NotFound` when the path or the page it leads to names no repository; `Refused` when a
    /// GOVCS rule forbids its program; `Unreachable` when the page cannot be had.
    pub(crate) async fn discover(&self, scope: &Scope) -> Result<RepoRoot, DirectError> {
        let path = scope.module.as_str();
        let found = match known_repo(path)? {
            Known::Repo(root) => root,
            Known::Schemeless(root) => {
                self.check_vcs_rule(&root)?;
                self.with_scheme(root, scope).await?
            }
            Known::Unknown => {
                let head = format!("unrecognized import path {path:?}");
                self.ask_page(scope)
                    .await
                    .map_err(|error| error.under(&head))?
            }
        };
        self.check_vcs_rule(&found)?;
        Ok(found)
    }

    fn check_vcs_rule(&self, found: &RepoRoot) -> Result<(), DirectError> {
        if found.vcs == "mod" {
            return Ok(());
        }
        let private = self.shared.settings.private.matches(&found.root);
        if self
            .shared
            .settings
            .vcs_rules
            .allows(&found.root, private, &found.vcs)
        {
            return Ok(());
        }
        let what = if private { "private" } else { "public" };
        Err(DirectError::refused(format!(
            "GOVCS disallows using {vcs} for {what} {root}; see 'go help vcs'\nallow it with --vcs '{root}:{vcs}', or declare the module with --private",
            vcs = found.vcs,
            root = found.root
        )))
    }

    /// Tries the schemes of a program until the repository answers.
    async fn with_scheme(&self, root: RepoRoot, scope: &Scope) -> Result<RepoRoot, DirectError> {
        let insecure = self.shared.settings.insecure.matches(&scope.module);
        let schemes = VCS
            .iter()
            .find(|(name, _)| *name == root.vcs)
            .map_or(&[][..], |(_, s)| s);
        let mut last = None;
        for scheme in schemes {
            let secure = matches!(*scheme, "https" | "ssh" | "git+ssh" | "svn+ssh");
            if !secure && !insecure {
                continue;
            }
            let url = format!("{scheme}://{}", root.url);
            let found = RepoRoot {
                url: url.clone(),
                ..root.clone()
            };
            if root.vcs == "fossil" {
                return Ok(found);
            }
            match self.ping(&root.vcs, &url, scope).await {
                Ok(()) => return Ok(found),
                // The first word counts: later schemes mostly say "connection refused".
                Err(error) => last = last.or(Some(error)),
            }
        }
        let none = || DirectError::not_found("no secure protocol found for repository");
        Err(last.unwrap_or_else(none))
    }

    async fn ping(&self, vcs: &str, url: &str, scope: &Scope) -> Result<(), DirectError> {
        if vcs == "git" {
            return self.git_repo(url, scope).refs().await.map(|_| ());
        }
        let egress = self.shared.guarded(url, scope).await?;
        let program = if vcs == "hg" { "hg" } else { "svn" };
        let call = Call::new(program, self.shared.network()).dir(&self.shared.root);
        let call = match vcs {
            "svn" => call
                .args(["info", "--non-interactive"])
                .args(super::svn::proxy_settings(egress.as_ref())),
            _ => call
                .args(super::hg::SETTINGS)
                .args(super::hg::proxy_settings(egress.as_ref()))
                .args(["identify", "--noninteractive"]),
        };
        let call = call.args(["--", url]);
        let name = call.name();
        let answer = self.shared.run(call).await?;
        if answer.code == Some(0) {
            return Ok(());
        }
        let failure = super::explain::Failure::exit(&name, answer.code, &answer.stderr);
        Err(super::explain::classify(failure, url, scope))
    }

    /// The go-import tag of the module's page, confirmed by the page of its prefix.
    async fn ask_page(&self, scope: &Scope) -> Result<RepoRoot, DirectError> {
        let path = scope.module.as_str();
        let (page, imports) = self.meta_imports(path, scope).await?;
        let shown = page.url.clone();
        let meta = match match_go_import(&imports, path) {
            Ok(meta) => meta,
            Err(Mismatch::Several) => {
                return Err(DirectError::not_found(format!(
                    "parse {shown}: multiple meta tags match import path {path:?}"
                )));
            }
            Err(Mismatch::None(why)) => {
                return Err(DirectError::not_found(format!(
                    "parse {shown}: no go-import meta tags ({why})"
                )));
            }
        };
        if meta.prefix != path {
            // A page may only speak for prefixes that say the same of themselves.
            let (prefix_page, imports) = self.meta_imports(&meta.prefix, scope).await?;
            if match_go_import(&imports, path).ok() != Some(meta) {
                return Err(DirectError::not_found(format!(
                    "{shown} and {} disagree about go-import for {}",
                    prefix_page.url, meta.prefix
                )));
            }
        }
        checked_root(meta, &shown)
    }

    async fn meta_imports(
        &self,
        path: &str,
        scope: &Scope,
    ) -> Result<(Shown, Vec<MetaImport>), DirectError> {
        let url = page_url(path)?;
        let shown = url.to_string();
        let page = self.page_or_plain(&url, scope).await?;
        let parsed = parse_meta_go_imports(&page.body, true);
        let found = parsed.as_ref().is_ok_and(|imports| !imports.is_empty());
        if !found && page.status != 200 {
            return Err(status_error(&shown, page.status));
        }
        let imports =
            parsed.map_err(|error| DirectError::not_found(format!("parsing {path}: {error}")))?;
        Ok((Shown { url: shown }, imports))
    }

    /// Over https; for insecure names over http when that fails.
    async fn page_or_plain(&self, url: &Url, scope: &Scope) -> Result<Page, DirectError> {
        let secure = self.shared.pages.get(url, !scope.private).await;
        let insecure = self.shared.settings.insecure.matches(&scope.module);
        match secure {
            Ok(page) => Ok(page),
            Err(_) if insecure => {
                let mut plain = url.clone();
                plain
                    .set_scheme("http")
                    .map_err(|()| DirectError::internal("scheme"))?;
                let page = self.shared.pages.get(&plain, !scope.private).await;
                page.map_err(|error| page_error("http/https fetch", error))
            }
            Err(error) => Err(page_error("https fetch", error)),
        }
    }
}

impl Shared {
    /// Where an HTTP repository redirects, by the same rule as git: the answer to the first
    /// request must come from a place that ends as the request did.
    pub(crate) async fn redirected(
        &self,
        url: &str,
        scope: &Scope,
    ) -> Result<Option<String>, DirectError> {
        const TAIL: &str = "/info/refs?service=git-upload-pack";
        let asked = format!("{}{TAIL}", url.trim_end_matches('/'));
        let Ok(parsed) = Url::parse(&asked) else {
            return Ok(None);
        };
        let page = self
            .pages
            .get(&parsed, !scope.private)
            .await
            .map_err(|error| page_error("following a redirect", error))?;
        let place = page.final_url.as_str();
        let kept_secure = !url.starts_with("https:") || place.starts_with("https:");
        let moved = place
            .strip_suffix(TAIL)
            .filter(|base| *base != url && kept_secure);
        Ok(moved.map(str::to_owned))
    }

    /// Looks whether an HTTP origin itself denies the repository, as the go command does when
    /// git only said that it wants a user name.
    pub(crate) async fn proven(&self, error: DirectError, url: &str, scope: &Scope) -> DirectError {
        let asks_name = matches!(&error, DirectError::Auth { text } if text.contains("could not read Username"));
        let Ok(parsed) = Url::parse(url) else {
            return error;
        };
        if !asks_name || scope.private {
            return error;
        }
        match self.pages.get(&parsed, true).await {
            Ok(page) if matches!(page.status, 404 | 410) => {
                DirectError::not_found(error.to_string())
            }
            _ => error,
        }
    }
}

/// A page as it is named in texts.
struct Shown {
    url: String,
}

fn status_error(url: &str, status: u16) -> DirectError {
    let text = format!("reading {url}: status {status}");
    match status {
        404 | 410 => DirectError::not_found(text),
        401 | 403 => DirectError::Auth { text },
        400..500 if status != 408 && status != 429 => DirectError::not_found(text),
        _ => DirectError::unreachable(text),
    }
}

pub(crate) fn page_error(what: &str, error: PageError) -> DirectError {
    match error {
        PageError::Refused(text) => DirectError::refused(format!("{what}: {text}")),
        PageError::Timeout(text) => DirectError::Timeout {
            text: format!("{what}: {text}"),
        },
        PageError::Unreachable(text) => DirectError::unreachable(format!("{what}: {text}")),
    }
}

fn page_url(path: &str) -> Result<Url, DirectError> {
    let (host, rest) = path.split_once('/').unwrap_or((path, ""));
    if !host.contains('.') {
        return Err(DirectError::not_found(
            "import path does not begin with hostname",
        ));
    }
    Url::parse(&format!("https://{host}/{rest}?go-get=1"))
        .map_err(|_| DirectError::refused(format!("{path:?} makes no URL")))
}

fn checked_root(meta: &MetaImport, shown: &str) -> Result<RepoRoot, DirectError> {
    let refuse = |text: String| Err(DirectError::refused(format!("{shown}: {text}")));
    if meta.subdir.starts_with('/') {
        return refuse(format!(
            "invalid subdirectory {:?}: leading slash",
            meta.subdir
        ));
    }
    if meta.subdir.starts_with('-') {
        return refuse(format!(
            "invalid subdirectory {:?}: leading hyphen",
            meta.subdir
        ));
    }
    let root = super::mask::mask_url(&meta.repo_root);
    match meta.repo_root.split_once(':') {
        None => return refuse(format!("invalid repo root {root:?}: no scheme")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => {
            return refuse(format!(
                "invalid repo root {root:?}: file scheme disallowed"
            ));
        }
        Some((scheme, _)) if !is_scheme(scheme) => {
            return refuse(format!("invalid repo root {root:?}: no scheme"));
        }
        Some(_) => {}
    }
    if meta.vcs != "mod" && !VCS.iter().any(|(name, _)| *name == meta.vcs) {
        return refuse(format!("unknown vcs {:?}", meta.vcs));
    }
    Ok(RepoRoot {
        vcs: meta.vcs.clone(),
        url: meta.repo_root.clone(),
        root: meta.prefix.clone(),
        subdir: meta.subdir.clone(),
    })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[derive(Debug, PartialEq, Eq)]
enum Mismatch {
    Several,
    None(String),
}

/// The one tag that speaks for a path; a `mod` tag beats others.
fn match_go_import<'a>(imports: &'a [MetaImport], path: &str) -> Result<&'a MetaImport, Mismatch> {
    let mut found: Option<&MetaImport> = None;
    let mut others = Vec::new();
    for meta in imports {
        if !has_path_prefix(path, &meta.prefix) {
            others.push(format!(
                "meta tag {} did not match import path {path}",
                meta.prefix
            ));
            continue;
        }
        match found {
            Some(first) if first.vcs == "mod" && meta.vcs != "mod" => break,
            Some(_) => return Err(Mismatch::Several),
            None => found = Some(meta),
        }
    }
    found.ok_or_else(|| Mismatch::None(others.join(", ")))
}

/// `[\w.\-]+`: what the known hosts allow in a path element.
fn is_word(element: &str) -> bool {
    !element.is_empty()
        && element
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// What the path alone says, without a request.
fn known_repo(path: &str) -> Result<Known, DirectError> {
    if has_path_prefix(path, "example.net") {
        return Err(DirectError::not_found("no modules on example.net"));
    }
    if path == "rsc.io" {
        return Err(DirectError::not_found("rsc.io is not a module"));
    }
    let elements: Vec<&str> = path.split('/').collect();
    let words = elements[1..].iter().all(|element| is_word(element));
    let lower = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    // Host, number of elements of the root, and what more the elements must be.
    let fixed: Option<(&str, usize, bool)> = match elements[0] {
        "github.com" | "bitbucket.org" => Some((elements[0], 3, true)),
        "hub.jazz.net" if elements.get(1) == Some(&"git") => Some((
            "hub.jazz.net/git",
            4,
            elements.get(2).is_some_and(|e| lower(e)),
        )),
        "git.apache.org" => {
            let fits = |e: &&str| {
                e.len() > 4
                    && e.ends_with(".git")
                    && e.bytes().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b)
                    })
            };
            Some((elements[0], 2, elements.get(1).is_some_and(fits)))
        }
        "git.openstack.org" => Some((elements[0], 3, true)),
        "chiselapp.com" => {
            let fits = elements.len() == 5
                && elements[1] == "user"
                && elements[2].bytes().all(|b| b.is_ascii_alphanumeric())
                && elements[3] == "repository";
            Some((elements[0], 5, fits))
        }
        _ => None,
    };
    let Some((prefix, count, fits)) = fixed else {
        return Ok(general_syntax(path));
    };
    if elements.len() < count || !words || !fits {
        return Err(DirectError::not_found(format!(
            "invalid {prefix} import path {path:?}"
        )));
    }
    // For OpenStack too the expression is greedy: a `.git` stays part of the root.
    let root = elements[..count].join("/");
    let checked = matches!(prefix, "github.com" | "bitbucket.org" | "hub.jazz.net/git");
    if checked
        && VCS
            .iter()
            .any(|(name, _)| root.ends_with(&format!(".{name}")))
    {
        return Err(DirectError::not_found(format!(
            "invalid version control suffix in {prefix}/ path"
        )));
    }
    let vcs = if prefix == "chiselapp.com" {
        "fossil"
    } else {
        "git"
    };
    Ok(Known::Repo(RepoRoot {
        vcs: vcs.to_owned(),
        url: format!("https://{root}"),
        root,
        subdir: String::new(),
    }))
}

/// `host/path.VCS[/more]` on any server: the last element that ends in a known suffix.
fn general_syntax(path: &str) -> Known {
    let elements: Vec<&str> = path.split('/').collect();
    let host = elements[0];
    let host_fits = host.contains('.')
        && host
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b));
    let fits = |element: &&str| is_word(element.strip_prefix('~').unwrap_or(element));
    if !host_fits || !elements[1..].iter().all(&fits) {
        return Known::Unknown;
    }
    // The repository part is matched lazily: the first element with a suffix ends it.
    for (index, element) in elements.iter().enumerate().skip(1) {
        for (vcs, _) in VCS {
            let Some(stem) = element.strip_suffix(vcs).and_then(|s| s.strip_suffix('.')) else {
                continue;
            };
            if !fits(&stem) {
                continue;
            }
            let root = elements[..=index].join("/");
            let repo = root[..root.len() - vcs.len() - 1].to_owned();
            return Known::Schemeless(RepoRoot {
                vcs: vcs.to_owned(),
                url: repo,
                root,
                subdir: String::new(),
            });
        }
    }
    Known::Unknown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn known(path: &str) -> Option<(String, String, String)> {
        match known_repo(path) {
            Ok(Known::Repo(r)) => Some((r.vcs, r.url, r.root)),
            Ok(Known::Schemeless(r)) => Some((r.vcs, format!("*://{}", r.url), r.root)),
            Ok(Known::Unknown) => None,
            Err(error) => Some(("error".into(), error.to_string(), String::new())),
        }
    }

    #[test]
    fn known_hosts_need_no_request() {
        let (vcs, url, root) = known("github.com/golang/groupcache/lru").unwrap();
        assert_eq!(
            (vcs.as_str(), url.as_str()),
            ("git", "https://github.com/golang/groupcache")
        );
        assert_eq!(root, "github.com/golang/groupcache");
        assert_eq!(
            known("hub.jazz.net/git/user1/pkgname/submodule").unwrap().2,
            "hub.jazz.net/git/user1/pkgname"
        );
        assert_eq!(
            known("git.openstack.org/openstack/swift.git/go").unwrap().2,
            "git.openstack.org/openstack/swift.git"
        );
        assert_eq!(
            known("git.apache.org/package-name_2.x.git/path/to/lib")
                .unwrap()
                .2,
            "git.apache.org/package-name_2.x.git"
        );
        assert_eq!(
            known("chiselapp.com/user/kyle/repository/fossilgg")
                .unwrap()
                .0,
            "fossil"
        );
    }

    #[test]
    fn paths_that_a_known_host_cannot_have_are_refused_without_a_request() {
        for path in [
            "github.com/only",
            "github.com/a/b.git",
            "bitbucket.org/a/b.hg",
            "git.apache.org/nogit",
            "chiselapp.com/kyle/repository/fossilgg",
            "hub.jazz.net/git/User 1/x",
            "github.com/a/b/%20",
            "example.net/x",
            "rsc.io",
        ] {
            assert_eq!(known(path).unwrap().0, "error", "{path}");
        }
    }

    #[test]
    fn a_suffix_in_the_path_names_the_program() {
        let (vcs, url, root) = known("vcs-test.golang.org/git/hello.git/sub").unwrap();
        assert_eq!(
            (vcs.as_str(), url.as_str(), root.as_str()),
            (
                "git",
                "*://vcs-test.golang.org/git/hello",
                "vcs-test.golang.org/git/hello.git"
            )
        );
        assert_eq!(known("h.example/~user/x.svn").unwrap().0, "svn");
        assert_eq!(known("h.example/x"), None);
        assert_eq!(known("hub.jazz.net/other"), None);
    }

    #[test]
    fn two_tags_for_one_path_are_ambiguous_unless_one_is_mod() {
        let meta = |prefix: &str, vcs: &str| MetaImport {
            prefix: prefix.into(),
            vcs: vcs.into(),
            repo_root: "https://x".into(),
            subdir: String::new(),
        };
        let both = [meta("a.x/b", "git"), meta("a.x/b", "hg")];
        assert_eq!(match_go_import(&both, "a.x/b/c"), Err(Mismatch::Several));
        let with_mod = [meta("a.x", "mod"), meta("a.x/b", "git")];
        assert_eq!(match_go_import(&with_mod, "a.x/b/c").unwrap().vcs, "mod");
        assert!(match_go_import(&both, "a.x/bc").is_err());
    }

    #[test]
    fn roots_without_scheme_on_files_or_of_unknown_programs_are_refused() {
        let root = |vcs: &str, url: &str, subdir: &str| {
            checked_root(
                &MetaImport {
                    prefix: "a.x".into(),
                    vcs: vcs.into(),
                    repo_root: url.into(),
                    subdir: subdir.into(),
                },
                "https://a.x?go-get=1",
            )
        };
        assert!(root("git", "https://h/x", "a/b").is_ok());
        for (vcs, url, subdir) in [
            ("git", "h/x", ""),
            ("git", "file:///x", ""),
            ("bzr", "https://h/x", ""),
            ("git", "https://h/x", "/a"),
            ("git", "https://h/x", "-a"),
            ("git", "FILE:///x", ""),
        ] {
            assert!(root(vcs, url, subdir).is_err(), "{vcs} {url} {subdir}");
        }
    }
}
