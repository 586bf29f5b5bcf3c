//! Subversion, driven as the go command drives it: no clone, every question goes to the server.
//!
//! Revisions are numbers, tags are directories and never become versions (the go command keeps
//! the slash that `svn list` prints after them), so svn modules have pseudo-versions only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Shared;
use super::egress::Egress;
use super::error::DirectError;
use super::explain::{Failure, classify};
use super::remote::{Scope, split_userinfo};
use super::repo::{FileData, Origin, RevInfo, Tags, TreeFile};
use super::run::Call;

/// A Subversion directory that is the root of modules.
pub(crate) struct SvnRepo {
    shared: Arc<Shared>,
    url: String,
    /// User and password of the URL as it was named.
    own: Option<(String, String)>,
    scope: Scope,
    dir: PathBuf,
}

impl SvnRepo {
    pub(crate) fn new(shared: Arc<Shared>, url: &str, scope: Scope, dir: PathBuf) -> Self {
        let (url, own) = split_userinfo(url);
        Self {
            shared,
            url,
            own,
            scope,
            dir,
        }
    }

    /// A call with the user's ssh and credentials; the secret goes in by the standard input.
    fn call(&self, args: &[&str]) -> Call {
        let mut env = self.shared.network();
        if self.shared.settings.variable("SVN_SSH").is_none() {
            env.put("SVN_SSH", "ssh -q -o BatchMode=yes");
        }
        let call = Call::new("svn", env)
            .args(args)
            .args(["--non-interactive", "--no-auth-cache"])
            .dir(&self.dir);
        let own = self.own.clone();
        match own.or_else(|| self.shared.filed_credentials(&self.url, &self.scope)) {
            Some((user, secret)) => call
                .args(["--username", &user, "--password-from-stdin"])
                .secrets(std::slice::from_ref(&secret))
                .stdin(secret.into_bytes()),
            None => call,
        }
    }

    async fn svn(
        &self,
        args: &[&str],
        target: &str,
    ) -> Result<Result<Vec<u8>, Failure>, DirectError> {
        if self.shared.settings.offline {
            return Err(DirectError::unreachable(format!("{}: offline", self.url)));
        }
        let egress = self.shared.guarded(&self.url, &self.scope).await?;
        tokio::fs::create_dir_all(&self.dir).await?;
        let call = self
            .call(args)
            .args(proxy_settings(egress.as_ref()))
            .args(["--", target])
            .stdout_max(self.shared.settings.limits.output_bytes);
        let name = call.name();
        let answer = self.shared.run(call).await?;
        if answer.code == Some(0) {
            return Ok(Ok(answer.stdout));
        }
        Ok(Err(Failure::exit(&name, answer.code, &answer.stderr)))
    }

    fn explain(&self, failure: Failure) -> DirectError {
        classify(failure, &self.url, &self.scope)
    }

    /// The server can be asked and has this directory; so a failure was about the revision.
    async fn reachable(&self) -> Result<(), DirectError> {
        let answer = self.svn(&["info"], &self.url).await?;
        answer.map(|_| ()).map_err(|failure| self.explain(failure))
    }

    pub(crate) async fn tags(&self, prefix: &str) -> Result<Tags, DirectError> {
        let root = self.url.strip_suffix("/trunk").unwrap_or(&self.url);
        let names = match self.svn(&["list"], &format!("{root}/tags")).await? {
            Ok(out) => {
                let text = String::from_utf8_lossy(&out).into_owned();
                let mut names: Vec<String> = text
                    .lines()
                    .filter(|l| l.starts_with(prefix))
                    .map(str::to_owned)
                    .collect();
                names.sort();
                names
            }
            Err(_) => {
                self.reachable().await?;
                Vec::new()
            }
        };
        Ok(Tags {
            names,
            ..Tags::default()
        })
    }

    pub(crate) async fn latest(&self) -> Result<RevInfo, DirectError> {
        self.stat("latest").await
    }

    pub(crate) async fn stat(&self, rev: &str) -> Result<RevInfo, DirectError> {
        let unknown = || DirectError::not_found(format!("unknown revision {rev}"));
        let number = rev.len() <= 18 && !rev.is_empty() && rev.bytes().all(|b| b.is_ascii_digit());
        if !number && rev != "latest" {
            self.reachable().await?;
            return Err(unknown());
        }
        let suffix = if number {
            format!("@{rev}")
        } else {
            String::new()
        };
        let target = format!("{}{suffix}", self.url);
        let out = match self.svn(&["log", "-l1", "--xml"], &target).await? {
            Ok(out) => String::from_utf8_lossy(&out).into_owned(),
            Err(_) => {
                self.reachable().await?;
                return Err(unknown());
            }
        };
        let odd = || DirectError::refused(format!("unexpected response from svn log --xml: {out}"));
        if !out.contains("<logentry") {
            return Err(DirectError::not_found("no commits"));
        }
        let revision: u64 = attribute(&out, "revision")
            .and_then(|r| r.parse().ok())
            .ok_or_else(odd)?;
        let date = element(&out, "date").ok_or_else(odd)?;
        let (time, nanos) = parse_time(&date).ok_or_else(odd)?;
        Ok(RevInfo {
            origin: Origin {
                vcs: "svn".into(),
                url: self.url.clone(),
                reference: rev.to_owned(),
                ..Origin::default()
            },
            name: revision.to_string(),
            short: format!("{revision:012}"),
            version: rev.to_owned(),
            time,
            nanos,
            tags: Vec::new(),
        })
    }

    pub(crate) async fn read_files(
        &self,
        name: &str,
        paths: &[String],
    ) -> Result<Vec<FileData>, DirectError> {
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let target = format!("{}/{path}@{name}", self.url);
            match self.svn(&["cat"], &target).await? {
                Ok(data) => files.push(Some(Arc::new(data))),
                Err(failure) if is_absent(&failure.said) => files.push(None),
                Err(failure) => return Err(self.explain(failure)),
            }
        }
        Ok(files)
    }

    /// Exports a directory and returns where it is, with the server's own list of names: a file
    /// system may alter names, and only what the server lists is taken from it.
    pub(crate) async fn export(
        &self,
        name: &str,
        subdir: &str,
        bytes_max: u64,
    ) -> Result<(tempfile::TempDir, Vec<TreeFile>), DirectError> {
        let target = match subdir {
            "" => self.url.clone(),
            subdir => format!("{}/{subdir}", self.url),
        };
        // A peg is needed so that an @ in the path is not taken for one.
        let pegged = format!("{target}@{name}");
        let args = [
            "list",
            "--xml",
            "--incremental",
            "--recursive",
            "--revision",
            name,
        ];
        let list = self
            .svn(&args, &pegged)
            .await?
            .map_err(|failure| self.explain(failure))?;
        let files = parse_list(&String::from_utf8_lossy(&list))?;
        let total = files
            .iter()
            .try_fold(0u64, |sum, file| sum.checked_add(file.size));
        if total.is_none_or(|total| total > bytes_max) {
            return Err(DirectError::limits(format!(
                "module source tree too large (max {bytes_max} bytes)"
            )));
        }
        let holder = tempfile::Builder::new()
            .prefix("export-")
            .tempdir_in(&self.dir)?;
        let place = holder.path().join("tree");
        let place_text = place.to_string_lossy().into_owned();
        self.export_to(name, &pegged, &place_text).await?;
        for file in &files {
            check_exported(&place, file)?;
        }
        Ok((holder, files))
    }

    async fn export_to(&self, rev: &str, target: &str, place: &str) -> Result<(), DirectError> {
        let egress = self.shared.guarded(&self.url, &self.scope).await?;
        let call = self
            .call(&["export", "--quiet", "--native-eol", "LF"])
            .args(["--ignore-externals", "--ignore-keywords"])
            .args(proxy_settings(egress.as_ref()))
            .args(["--revision", rev, "--", target, place]);
        let name = call.name();
        let answer = self.shared.run(call).await?;
        if answer.code == Some(0) {
            return Ok(());
        }
        Err(self.explain(Failure::exit(&name, answer.code, &answer.stderr)))
    }
}

/// Sends svn through our own way out.
pub(crate) fn proxy_settings(egress: Option<&Egress>) -> Vec<String> {
    let Some(egress) = egress else {
        return Vec::new();
    };
    let (host, port) = (egress.address.ip(), egress.address.port());
    let settings = [
        format!("http-proxy-host={host}"),
        format!("http-proxy-port={port}"),
    ];
    settings
        .iter()
        .map(|s| format!("--config-option=servers:global:{s}"))
        .collect()
}

/// svn's numbers for "no such path in this revision".
fn is_absent(said: &str) -> bool {
    ["E160013", "E200009", "E195012", "E160005"]
        .iter()
        .any(|code| said.contains(code))
}

/// A listed file must have been written as a plain file of the listed size: `svn:special` makes
/// svn write symlinks, and following one would read our own files into a module.
fn check_exported(place: &Path, file: &TreeFile) -> Result<(), DirectError> {
    let name = String::from_utf8_lossy(&file.name).into_owned();
    let refuse = |what: &str| Err(DirectError::refused(format!("svn export: {name}: {what}")));
    let unsafe_part = |part: &str| matches!(part, "" | "." | "..");
    if name.split('/').any(unsafe_part) {
        return refuse("unsafe name");
    }
    let mut path = place.to_owned();
    for part in name.split('/') {
        path.push(part);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => return refuse("is a symbolic link"),
            Ok(_) => {}
            Err(_) => return refuse("listed by the server, but not written"),
        }
    }
    let size = std::fs::metadata(&path)?.len();
    if size != file.size {
        return refuse(&format!(
            "listed with {} bytes, but written with {size}",
            file.size
        ));
    }
    Ok(())
}

/// The files of `svn list --xml`.
fn parse_list(xml: &str) -> Result<Vec<TreeFile>, DirectError> {
    let mut files = Vec::new();
    for entry in xml.split("<entry").skip(1) {
        let entry = entry.split("</entry>").next().unwrap_or_default();
        if attribute(entry, "kind").as_deref() != Some("file") {
            continue;
        }
        let size = element(entry, "size").and_then(|s| s.parse().ok());
        let (Some(name), Some(size)) = (element(entry, "name"), size) else {
            return Err(DirectError::refused(
                "unexpected response from svn list --xml",
            ));
        };
        files.push(TreeFile {
            name: name.into_bytes(),
            regular: true,
            size,
        });
    }
    Ok(files)
}

fn attribute(xml: &str, name: &str) -> Option<String> {
    let key = format!("{name}=\"");
    let start = xml.find(&key)? + key.len();
    let end = xml[start..].find('"')?;
    Some(unescape(&xml[start..start + end]))
}

fn element(xml: &str, name: &str) -> Option<String> {
    let open = format!("<{name}>");
    let start = xml.find(&open)? + open.len();
    let end = xml[start..].find(&format!("</{name}>"))?;
    Some(unescape(&xml[start..start + end]))
}

fn unescape(text: &str) -> String {
    // The ampersand last, so that nothing is unescaped twice.
    let pairs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#13;", "\r"),
        ("&amp;", "&"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z` as seconds and nanoseconds.
fn parse_time(text: &str) -> Option<(i64, u32)> {
    let text = text.strip_suffix('Z')?;
    let (date, clock) = text.split_once('T')?;
    let number = |part: &str| part.parse::<i64>().ok().filter(|n| *n >= 0);
    let mut parts = date.split('-');
    let (y, m, d) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':');
    let (h, min, s) = (
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    );
    if !(1..=12).contains(&m) || !(1..=31).contains(&d) || h > 23 || min > 59 || s > 59 || y > 9999
    {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    // Days since 1970 of a civil date (Howard Hinnant's algorithm).
    let (yy, mm) = if m <= 2 { (y - 1, m + 9) } else { (y, m - 3) };
    let (era, yoe) = (yy.div_euclid(400), yy.rem_euclid(400));
    let days =
        era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * mm + 2) / 5 + d - 1 - 719_468;
    Some((days * 86_400 + h * 3600 + min * 60 + s, nanos))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_with_their_fraction() {
        assert_eq!(
            parse_time("2017-09-22T01:12:45.861368Z"),
            Some((1_506_042_765, 861_368_000))
        );
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(parse_time("2017-13-22T01:12:45Z"), None);
        assert_eq!(parse_time("soon"), None);
    }

    #[test]
    fn listed_names_are_unescaped_once_and_directories_skipped() {
        let xml = "<list path=\"x\"><entry\n kind=\"dir\"><name>d</name></entry><entry kind=\"file\"><name>a&amp;lt;b</name><size>3</size></entry></list>";
        let files = parse_list(xml).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].name, b"a&lt;b");
        assert_eq!(files[0].size, 3);
    }

    #[test]
    fn an_exported_symlink_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("l")).unwrap();
        let size = std::fs::metadata("/etc/passwd").map_or(0, |meta| meta.len());
        let file = TreeFile {
            name: b"l".to_vec(),
            regular: true,
            size,
        };
        assert!(check_exported(dir.path(), &file).is_err());
        let file = TreeFile {
            name: b"../x".to_vec(),
            regular: true,
            size: 0,
        };
        assert!(check_exported(dir.path(), &file).is_err());
    }
}
