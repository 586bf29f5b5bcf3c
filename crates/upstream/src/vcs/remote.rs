//! Where a repository URL really leads, and what the child may do to get there.
//!
//! git's own `insteadOf` is applied first and by git itself, so that the host whose address we
//! check, the credentials we add and the transports we allow belong to the URL that git will use.
//! That URL is then handed over with an identity rewrite (the longest `insteadOf` wins), so that
//! no rule applies twice and credentials written into a rule never reach a command line.

use std::net::IpAddr;

use base64::Engine as _;
use url::{Host, Url};

use super::Shared;
use super::egress::Egress;
use super::error::DirectError;
use super::mask::mask_url;
use super::run::{Call, Environment};
use crate::guard::is_public;

/// On whose behalf a repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The module asked for.
    pub module: String,
    /// It matches the private patterns: private addresses and credentials are allowed.
    pub private: bool,
}

/// A reachable repository.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// For the command line: rewritten, without credentials.
    pub url: String,
    /// Transports git may use (`GIT_ALLOW_PROTOCOL`).
    transports: String,
    /// Settings that must not be seen: identity rewrite, headers, pinned addresses.
    config: Vec<(String, String)>,
    /// The ssh to use, unless the user configured one.
    ssh: Option<&'static str>,
    /// Values to mask in whatever the program prints.
    pub secrets: Vec<String>,
    /// The user's `insteadOf` chose this place.
    pub rewritten: bool,
}

impl Target {
    /// The environment for a git that goes to this target.
    pub(crate) fn environment(&self, mut env: Environment) -> Environment {
        env.put("GIT_ALLOW_PROTOCOL", &self.transports);
        for (key, value) in &self.config {
            env.git_config(key, value);
        }
        if let Some(ssh) = self.ssh {
            env.put("GIT_SSH_COMMAND", ssh);
        }
        env
    }

    pub(crate) fn is_http(&self) -> bool {
        self.url.starts_with("https://") || self.url.starts_with("http://")
    }
}

/// Schemes of repository URLs that a page or a module path may name.
const SCHEMES: [&str; 7] = ["https", "http", "ssh", "git+ssh", "ssh+git", "git", "svn"];

/// Checks a repository URL before any program sees it.
///
/// # Errors
/// No scheme, a scheme that reads local files or runs programs, or characters that no URL has.
pub(crate) fn check_url(url: &str) -> Result<&str, DirectError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let known = scheme.is_some_and(|s| SCHEMES.contains(&s) || s == "svn+ssh");
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let known = known && !host.starts_with('-') && !host.contains("@-");
    let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
    if known && clean {
        return Ok(url);
    }
    Err(DirectError::refused(format!(
        "repository URL {:?} is not fetched: want https, ssh or another network scheme",
        mask_url(url)
    )))
}

/// The URL without user and password, and those two.
pub(crate) fn split_userinfo(url: &str) -> (String, Option<(String, String)>) {
    let Some(at) = url.find("://") else {
        return (url.to_owned(), None);
    };
    let rest = &url[at + 3..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(i) = rest[..end].rfind('@') else {
        return (url.to_owned(), None);
    };
    let (user, password) = rest[..i].split_once(':').unwrap_or((&rest[..i], ""));
    let bare = format!("{}{}", &url[..at + 3], &rest[i + 1..]);
    (bare, Some((unescape(user), unescape(password))))
}

/// Percent-decoding; what is no escape stays.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%')
            .then(|| text.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escaped.unwrap_or(bytes[i]));
        i += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Shared {
    /// Applies the user's rewrites, the address rule and the credentials to a repository URL.
    pub(crate) async fn git_target(
        &self,
        asked: &str,
        scope: &Scope,
    ) -> Result<Target, DirectError> {
        check_url(asked)?;
        let is_http = asked.starts_with("http");
        let (bare, own) = if is_http {
            split_userinfo(asked)
        } else {
            (asked.to_owned(), None)
        };
        let rewritten_url = self.rewrite(&bare).await?;
        let rewritten = rewritten_url != bare;
        let (url, found) = match rewritten_url.starts_with("http") {
            true => split_userinfo(&rewritten_url),
            false => (rewritten_url, None),
        };
        let mut target = Target {
            transports: transports(&url, rewritten)?,
            config: vec![(format!("url.{url}.insteadOf"), url.clone())],
            ssh: None,
            secrets: Vec::new(),
            rewritten,
            url,
        };
        if target.transports.contains("ssh") {
            target.ssh = self.git_ssh().await?;
        }
        if !scope.private && !rewritten {
            self.require_public(&mut target).await?;
        }
        self.add_credentials(&mut target, found.or(own), scope);
        Ok(target)
    }

    /// An ssh that never asks, unless the user configured another.
    async fn git_ssh(&self) -> Result<Option<&'static str>, DirectError> {
        let set = |name: &&str| self.settings.variable(name).is_some_and(|v| !v.is_empty());
        if ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(set) {
            return Ok(None);
        }
        let call = Call::new("git", self.network()).args(["config", "--get", "core.sshCommand"]);
        let own = self.run(call.dir(&self.root)).await?;
        Ok((own.code != Some(0)).then_some("ssh -o BatchMode=yes"))
    }

    /// git's `insteadOf`, by git.
    async fn rewrite(&self, url: &str) -> Result<String, DirectError> {
        let env = self.network();
        let call = Call::new("git", env)
            .args(["ls-remote", "--get-url", "--end-of-options", url])
            .dir(&self.root);
        let answer = self.run(call).await?;
        let text = String::from_utf8_lossy(&answer.stdout)
            .trim_end_matches('\n')
            .to_owned();
        if answer.code != Some(0) || text.is_empty() || text.starts_with('-') {
            return Err(DirectError::Program {
                program: "git ls-remote --get-url".into(),
                said: answer.stderr,
                hint: "check the git configuration of the user that runs modkeep".into(),
            });
        }
        Ok(text)
    }

    /// Refuses hosts with an address that is not public, and pins those that were checked: git
    /// resolves again, and a name that changes in between must not lead elsewhere.
    async fn require_public(&self, target: &mut Target) -> Result<(), DirectError> {
        let Ok(url) = Url::parse(&target.url) else {
            return Err(DirectError::refused(format!(
                "bad repository URL {:?}",
                target.url
            )));
        };
        let port = url
            .port_or_known_default()
            .unwrap_or(default_port(url.scheme()));
        let name = host_of(&url);
        let proxied = target.is_http() && self.proxied(&target.url).await?;
        let addresses = public_addresses(&name, port, proxied).await?;
        if target.is_http() && !addresses.is_empty() && name.parse::<IpAddr>().is_err() {
            let list: Vec<String> = addresses.iter().map(bracketed).collect();
            let pin = format!("{name}:{port}:{}", list.join(","));
            target.config.push(("http.curloptResolve".into(), pin));
        }
        Ok(())
    }

    /// Whether a proxy, not this host, will look the name up and connect.
    async fn proxied(&self, url: &str) -> Result<bool, DirectError> {
        let vars: &[&str] = if url.starts_with("https") {
            &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        };
        let set = |name: &&str| self.settings.variable(name).is_some_and(|v| !v.is_empty());
        if ["no_proxy", "NO_PROXY"].iter().any(set) {
            // Which hosts it exempts is for curl to say: check and pin as without a proxy.
            return Ok(false);
        }
        if vars.iter().any(set) {
            return Ok(true);
        }
        let call = Call::new("git", self.network())
            .args(["config", "--get-urlmatch", "http.proxy", url])
            .dir(&self.root);
        Ok(self
            .run(call)
            .await?
            .stdout
            .iter()
            .any(|b| !b.is_ascii_whitespace()))
    }

    fn add_credentials(&self, target: &mut Target, url: Option<(String, String)>, scope: &Scope) {
        if !target.is_http() {
            return;
        }
        let Some((user, secret)) = url.or_else(|| self.filed_credentials(&target.url, scope))
        else {
            return;
        };
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
        target.config.push((
            format!("http.{}.extraHeader", target.url),
            format!("Authorization: Basic {basic}"),
        ));
        target.secrets.extend([basic, secret]);
        if target.secrets.iter().any(|secret| secret.len() < 3) {
            // `https://TOKEN@host`: the user name is the secret.
            target.secrets.push(user);
        }
    }

    /// The credentials file's entry for a URL without user and password.
    ///
    /// Over plain HTTP a secret is everybody's: only for private modules. Elsewhere it serves
    /// private modules and those named under its own prefix, so that a stranger's module that
    /// points at our repository gets nothing.
    pub(crate) fn filed_credentials(&self, url: &str, scope: &Scope) -> Option<(String, String)> {
        let (scheme, place) = url.split_once("://")?;
        let secure = scheme != "http" && scheme != "svn";
        let entry = self.settings.credentials.find(place)?;
        let allowed = scope.private || (secure && entry.covers_module(&scope.module));
        allowed.then(|| (entry.user().to_owned(), entry.secret().to_owned()))
    }
}

/// The transports for one URL: its own, and never one that runs a command of the URL's choice.
fn transports(url: &str, rewritten: bool) -> Result<String, DirectError> {
    let scheme = match url.split_once("://") {
        Some((scheme, _)) => scheme,
        None if is_scp_like(url) => "ssh",
        None => "file",
    };
    let helper = url
        .split_once("::")
        .is_some_and(|(name, _)| name.bytes().all(is_name_byte));
    let allowed = match scheme {
        "file" => rewritten,
        "ext" => false,
        other => rewritten || SCHEMES.contains(&other),
    };
    if helper || !allowed {
        return Err(DirectError::refused(format!(
            "repository URL {:?} is not fetched: the transport is not allowed",
            mask_url(url)
        )));
    }
    Ok(scheme.to_owned())
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

/// `host:path`, as git tells it from a local path: a colon before any slash.
fn is_scp_like(url: &str) -> bool {
    let colon = url.find(':');
    colon.is_some_and(|i| !url[..i].contains('/'))
}

fn default_port(scheme: &str) -> u16 {
    match scheme {
        "ssh" | "git+ssh" | "ssh+git" | "svn+ssh" => 22,
        "git" => 9418,
        "svn" => 3690,
        _ => 443,
    }
}

pub(crate) fn host_of(url: &Url) -> String {
    match url.host() {
        Some(Host::Ipv6(ip)) => ip.to_string(),
        Some(host) => host.to_string(),
        None => String::new(),
    }
}

fn bracketed(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

impl Shared {
    /// For hg and svn: refuses hosts that a public name must not lead to, and gives the way out
    /// for what they do on their own. A user's proxy stays: it looks names up elsewhere.
    pub(crate) async fn guarded(
        &self,
        url: &str,
        scope: &Scope,
    ) -> Result<Option<Egress>, DirectError> {
        check_url(url)?;
        if scope.private {
            return Ok(None);
        }
        require_public_url(url).await?;
        let set = |name: &&str| self.settings.variable(name).is_some_and(|v| !v.is_empty());
        if ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
            .iter()
            .any(set)
        {
            return Ok(None);
        }
        if url.starts_with("http://") {
            return Err(DirectError::refused(format!(
                "{}: hg and svn fetch public modules over https only; if it is yours, declare it with --private",
                mask_url(url)
            )));
        }
        if url.starts_with("https://") {
            return Ok(Some(Egress::start().await?));
        }
        Ok(None)
    }
}

async fn require_public_url(url: &str) -> Result<(), DirectError> {
    let parsed = Url::parse(url)
        .map_err(|_| DirectError::refused(format!("bad repository URL {:?}", mask_url(url))))?;
    let port = parsed
        .port_or_known_default()
        .unwrap_or(default_port(parsed.scheme()));
    public_addresses(&host_of(&parsed), port, false)
        .await
        .map(|_| ())
}

/// The addresses of a host, all of them public; none when a proxy resolves the name.
async fn public_addresses(
    name: &str,
    port: u16,
    proxied: bool,
) -> Result<Vec<IpAddr>, DirectError> {
    let refuse = |what: String| {
        DirectError::refused(format!(
            "{what}: a public module must not lead there; if it is yours, declare it with --private"
        ))
    };
    if name.is_empty() {
        return Err(refuse("repository URL without a host".into()));
    }
    // git hands the host to libc or curl, which also read 0x7f.1 and 2130706433 as addresses:
    // the URL parser has turned those of http into dotted ones, the resolver below does the rest.
    if proxied && name.parse::<IpAddr>().is_err() {
        let local = name == "localhost" || name.ends_with(".localhost");
        return if local {
            Err(refuse(format!("host {name} is this machine")))
        } else {
            Ok(vec![])
        };
    }
    let found = tokio::net::lookup_host((name, port))
        .await
        .map_err(|error| DirectError::unreachable(format!("lookup {name}: {error}")))?;
    let addresses: Vec<IpAddr> = found.map(|socket| socket.ip()).collect();
    match addresses.iter().find(|ip| !is_public(**ip)) {
        Some(ip) => Err(refuse(format!("host {name} has the private address {ip}"))),
        None => Ok(addresses),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn user_and_password_are_taken_out_of_a_url() {
        let (url, pair) = split_userinfo("https://u%40x:p%2Fw@h.example:8443/a@b?x=@");
        assert_eq!(url, "https://h.example:8443/a@b?x=@");
        assert_eq!(pair.unwrap(), ("u@x".into(), "p/w".into()));
        assert_eq!(split_userinfo("https://h/a@b").1, None);
    }

    #[test]
    fn only_the_users_own_rewrite_leads_to_files_and_nothing_to_commands() {
        assert!(transports("file:///srv/x", false).is_err());
        assert!(transports("/srv/x", false).is_err());
        assert_eq!(transports("file:///srv/x", true).unwrap(), "file");
        assert_eq!(transports("/srv/x", true).unwrap(), "file");
        assert_eq!(transports("git@h:x/y", true).unwrap(), "ssh");
        assert!(transports("ext::sh -c evil", true).is_err());
        assert!(transports("ext://x", true).is_err());
    }

    #[test]
    fn urls_that_are_options_files_or_helpers_are_refused() {
        for url in [
            "--upload-pack=evil",
            "file:///etc",
            "/etc",
            "ext::sh",
            "fd::3",
            "https://h/a b",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_url("https://h.example/x").is_ok());
    }

    #[tokio::test]
    async fn a_public_name_is_not_led_to_loopback() {
        for url in [
            "https://localhost/x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://0x7f.1/x",
        ] {
            let error = require_public_url(url).await.unwrap_err();
            assert!(
                matches!(error, DirectError::Refused { .. }),
                "{url}: {error}"
            );
        }
    }
}
