//! What a program's failure means, and what to do about it.
//!
//! The programs say it in English (`LC_ALL=C.UTF-8`) and rarely with a status that tells more.
//! What is not recognised stays a [`DirectError::Program`]: an unknown failure must never become
//! a "not found".

use super::error::DirectError;
use super::remote::Scope;

/// A program that answered with failure, or could not be run to its end.
#[derive(Debug)]
pub(crate) struct Failure {
    pub program: String,
    pub code: Option<i32>,
    pub said: String,
    cause: Option<DirectError>,
}

impl Failure {
    pub(crate) fn exit(program: &str, code: Option<i32>, said: &str) -> Self {
        Self {
            program: program.to_owned(),
            code,
            said: said.to_owned(),
            cause: None,
        }
    }

    /// Whether an HTTP server pointed elsewhere, which git was not allowed to follow.
    pub(crate) fn is_redirect(&self) -> bool {
        let markers = [
            "error: 301",
            "error: 302",
            "error: 303",
            "error: 307",
            "error: 308",
        ];
        self.contains(&markers)
    }

    fn contains(&self, markers: &[&str]) -> bool {
        let said = self.said.to_ascii_lowercase();
        markers
            .iter()
            .any(|marker| said.contains(&marker.to_ascii_lowercase()))
    }

    fn text(&self, url: &str) -> String {
        let status = match self.code {
            Some(code) => format!("exit status {code}"),
            None => "killed".to_owned(),
        };
        let said = self.said.lines().take(6).collect::<Vec<_>>().join("\n\t");
        format!("{} {url}: {status}:\n\t{said}", self.program)
    }
}

impl From<DirectError> for Failure {
    fn from(error: DirectError) -> Self {
        Self {
            program: String::new(),
            code: None,
            said: String::new(),
            cause: Some(error),
        }
    }
}

const AUTH: [&str; 19] = [
    "could not read username",
    "could not read password",
    "terminal prompts disabled",
    "authentication failed",
    "invalid credentials",
    "permission denied",
    "returned error: 401",
    "returned error: 403",
    "http error 401",
    "http error 403",
    "authorization failed",
    "access denied",
    "host key verification failed",
    "too many authentication failures",
    "abort: http authorization required",
    "no more authentication methods",
    "could not authenticate",
    "e170001",
    "e170013: unable to connect to a repository at url: authentication",
];

const ABSENT: [&str; 9] = [
    "repository not found",
    "does not appear to be a git repository",
    "returned error: 404",
    "returned error: 410",
    "http error 404",
    "http error 410",
    "no repository found",
    "e170000",
    "project you were looking for could not be found",
];

const OFFLINE: [&str; 24] = [
    "could not resolve host",
    "name or service not known",
    "temporary failure in name resolution",
    "failed to connect",
    "couldn't connect",
    "connection refused",
    "connection reset",
    "connection timed out",
    "connection closed",
    "timed out",
    "operation too slow",
    "network is unreachable",
    "no route to host",
    "unexpected disconnect",
    "the remote end hung up",
    "early eof",
    "ssl certificate problem",
    "server certificate verification failed",
    "ssl_error",
    "gnutls",
    "returned error: 5",
    "returned error: 429",
    "http error 5",
    "e170013",
];

/// Classes a failure, with the go command's form of text and a line of advice.
pub(crate) fn classify(failure: Failure, url: &str, scope: &Scope) -> DirectError {
    if let Some(cause) = failure.cause {
        return cause;
    }
    let text = failure.text(url);
    if failure.contains(&["repository 'http"]) && failure.contains(&["' not found"]) {
        return DirectError::not_found(with(text, absent_advice(scope)));
    }
    if failure.contains(&AUTH) {
        return DirectError::Auth {
            text: with(text, auth_advice(url, scope)),
        };
    }
    if failure.contains(&OFFLINE) {
        return DirectError::unreachable(with(text, offline_advice(&failure)));
    }
    if failure.contains(&ABSENT) {
        return DirectError::not_found(with(text, absent_advice(scope)));
    }
    if failure.contains(&["no space left", "file size limit", "file too large"]) {
        return DirectError::limits(text);
    }
    DirectError::Program {
        program: format!("{} {url}", failure.program),
        said: failure
            .said
            .lines()
            .take(6)
            .collect::<Vec<_>>()
            .join("\n\t"),
        hint: String::new(),
    }
}

fn with(text: String, advice: String) -> String {
    format!("{text}\n{advice}")
}

fn auth_advice(url: &str, scope: &Scope) -> String {
    if url.contains("ssh://") {
        return "no access: give the user that runs modkeep an ssh key or agent, and the host's key in known_hosts".into();
    }
    if scope.private {
        return "no access: add credentials with --credentials, netrc or a git credential helper"
            .into();
    }
    format!(
        "no access, or no such repository: check the path; if {} is private, declare it with --private and add credentials",
        scope.module
    )
}

fn absent_advice(scope: &Scope) -> String {
    if scope.private {
        return "no such repository, or these credentials do not see it".into();
    }
    format!(
        "no such repository, or not for everybody: if {} is private, declare it with --private and add credentials",
        scope.module
    )
}

fn offline_advice(failure: &Failure) -> String {
    if failure.contains(&["certificate", "ssl"]) {
        return "its certificate is not trusted here: add the CA to the system or to git's http.sslCAInfo".into();
    }
    "the origin cannot be reached from here: check DNS, routes, HTTPS_PROXY and ssh settings".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(said: &str) -> DirectError {
        let scope = Scope {
            module: "h.example/x".into(),
            private: false,
        };
        classify(
            Failure::exit("git ls-remote", Some(128), said),
            "https://h.example/x",
            &scope,
        )
    }

    #[test]
    fn only_a_server_that_denies_the_repository_proves_absence() {
        assert!(class("fatal: repository 'https://h.example/x/' not found").is_not_found());
        assert!(class("ERROR: Repository not found.\nfatal: Could not read").is_not_found());
        for said in ["fatal: something new", "fatal: bad config", ""] {
            assert!(!class(said).is_not_found(), "{said}");
        }
    }

    #[test]
    fn missing_access_says_to_declare_the_module_private() {
        let said =
            "fatal: could not read Username for 'https://h.example': terminal prompts disabled";
        let error = class(said);
        assert!(matches!(error, DirectError::Auth { .. }));
        assert!(error.to_string().contains("--private"));
    }

    #[test]
    fn an_unreachable_host_is_no_absence() {
        let said =
            "fatal: unable to access 'https://h.example/x/': Could not resolve host: h.example";
        assert!(matches!(class(said), DirectError::Unreachable { .. }));
        let said =
            "fatal: unable to access 'https://h.example/x/': The requested URL returned error: 503";
        assert!(matches!(class(said), DirectError::Unreachable { .. }));
    }
}
