//! go-import entries of the kind `mod`: the origin of the module is itself a module proxy.

use std::path::Path;

use gomod::h1::H1;
use gomod::version::ModuleVersion;
use url::Url;

use super::clones::in_background;
use super::coderepo::DirectInfo;
use super::discovery::{RepoRoot, page_error};
use super::error::DirectError;
use super::law;
use super::remote::Scope;
use super::repo::Origin;
use super::zipper::ZIP_BYTES_MAX;
use super::{Ask, Page, Reply, Shared};

impl Shared {
    /// Answers from the proxy that a go-import page named.
    pub(super) async fn ask_proxy(
        &self,
        root: &RepoRoot,
        scope: &Scope,
        ask: &Ask<'_>,
    ) -> Result<Reply, DirectError> {
        match ask {
            Ask::List => {
                let body = self.proxy_file(root, scope, "@v/list").await?;
                Ok(Reply::List(parse_list(&body)))
            }
            Ask::Latest => {
                let page = self.proxy_page(root, scope, "@latest").await?;
                Ok(Reply::Info(Box::new(parse_info(&page)?)))
            }
            Ask::Info(rev) => {
                let file = format!("@v/{}.info", rev.escaped());
                let page = self.proxy_page(root, scope, &file).await?;
                Ok(Reply::Info(Box::new(parse_info(&page)?)))
            }
            Ask::GoMod(mv) => {
                let data = self
                    .proxy_file(root, scope, &version_file(mv, "mod"))
                    .await?;
                Ok(Reply::GoMod(data))
            }
            Ask::Zip(mv, out) => self.proxy_zip(root, scope, mv, out).await.map(Reply::Zip),
        }
    }

    fn proxy_url(&self, root: &RepoRoot, scope: &Scope, file: &str) -> Result<Url, DirectError> {
        let base = root.url.trim_end_matches('/');
        let insecure = self.settings.insecure.matches(&scope.module);
        let secure = base.starts_with("https://");
        let allowed = secure || (insecure && base.starts_with("http://"));
        if !allowed {
            return Err(DirectError::refused(format!(
                "insecure URL: {}",
                super::mask::mask_url(base)
            )));
        }
        let path = gomod::escape::escape_path(&scope.module)
            .map_err(|error| DirectError::refused(error.to_string()))?;
        Url::parse(&format!("{base}/{path}/{file}"))
            .map_err(|_| DirectError::refused(format!("{base}: no URL")))
    }

    async fn proxy_page(
        &self,
        root: &RepoRoot,
        scope: &Scope,
        file: &str,
    ) -> Result<Page, DirectError> {
        let url = self.proxy_url(root, scope, file)?;
        let page = self.pages.get(&url, !scope.private).await;
        let page = page.map_err(|error| page_error(&format!("reading {url}"), error))?;
        match page.status {
            200 => Ok(page),
            status => Err(bad_status(&url, status)),
        }
    }

    /// A file that may be larger than a page: a list, a go.mod.
    async fn proxy_file(
        &self,
        root: &RepoRoot,
        scope: &Scope,
        file: &str,
    ) -> Result<Vec<u8>, DirectError> {
        let url = self.proxy_url(root, scope, file)?;
        let holder = tempfile::Builder::new()
            .prefix("proxy-")
            .tempdir_in(&self.root)?;
        let place = holder.path().join("file");
        let max = gomod::zip::MAX_GO_MOD;
        let got = self.pages.download(&url, !scope.private, &place, max).await;
        match got.map_err(|error| page_error(&format!("reading {url}"), error))? {
            200 => Ok(tokio::fs::read(&place).await?),
            status => Err(bad_status(&url, status)),
        }
    }

    async fn proxy_zip(
        &self,
        root: &RepoRoot,
        scope: &Scope,
        mv: &ModuleVersion,
        out: &Path,
    ) -> Result<H1, DirectError> {
        let url = self.proxy_url(root, scope, &version_file(mv, "zip"))?;
        let got = self
            .pages
            .download(&url, !scope.private, out, ZIP_BYTES_MAX)
            .await;
        let status = got.map_err(|error| page_error(&format!("reading {url}"), error))?;
        if status != 200 {
            return Err(bad_status(&url, status));
        }
        let (file, version) = (out.to_owned(), mv.clone());
        let checked = in_background(move || Ok(super::zipper::check(&file, &version))).await?;
        if checked.is_err() {
            tokio::fs::remove_file(out).await.ok();
        }
        checked
    }
}

fn version_file(mv: &ModuleVersion, kind: &str) -> String {
    format!("@v/{}.{kind}", mv.version().escaped())
}

fn bad_status(url: &Url, status: u16) -> DirectError {
    let text = format!("reading {url}: status {status}");
    match status {
        404 | 410 => DirectError::not_found(text),
        401 | 403 => DirectError::Auth { text },
        _ => DirectError::unreachable(text),
    }
}

/// The first field of each line, if it is a version and no pseudo-version.
fn parse_list(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let mut list: Vec<String> = text
        .lines()
        .filter_map(first)
        .filter(|v| law::is_valid(v) && !law::is_pseudo_version(v))
        .collect();
    law::sort(&mut list);
    list
}

fn parse_info(page: &Page) -> Result<DirectInfo, DirectError> {
    let bad = || DirectError::unreachable(format!("{}: no version in its answer", page.final_url));
    let info: serde_json::Value = serde_json::from_slice(&page.body).map_err(|_| bad())?;
    let text = |key: &str| {
        info.get(key)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let version = text("Version")
        .filter(|version| law::is_valid(version))
        .ok_or_else(bad)?;
    let time = text("Time").unwrap_or_default();
    Ok(DirectInfo {
        version,
        time,
        origin: Origin::default(),
    })
}
