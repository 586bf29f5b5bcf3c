//! What a failure is about: module, version, host, URL, and the names inside commands.
//!
//! Texts are hostile. A value is put into a command for copying only if it consists of
//! characters that mean nothing to a shell; otherwise the command keeps a plain placeholder.

use std::sync::LazyLock;

use regex::Regex;

/// The coordinates of one failure, as far as its text tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Module or package path.
    pub module: Option<String>,
    /// Version, with its `v`.
    pub version: Option<String>,
    /// Host of the request that failed.
    pub host: Option<String>,
    /// URL of the request that failed, credentials removed.
    pub url: Option<String>,
    /// The first proxy in use, if known.
    pub proxy: Option<String>,
    /// The path that the module itself declares, where it differs.
    pub declared: Option<String>,
}

/// Longer values are not put into commands.
const VALUE_BYTES_MAX: usize = 300;

const AT: &str = r"([A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+(?::\d+)?(?:/[A-Za-z0-9._~!-]+)*)@(v\d[0-9A-Za-z.+-]*)";
const PATH: &str = r"(?:^|[\s'(\x22`])([a-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.[a-z]{2,}(?:/[A-Za-z0-9._~-]+)+)";
const URL: &str = r#"(?:https?|ssh|file)://[^\s"'<>()]+"#;
const DIALED: &str = r"(?:lookup|resolve host:?|resolve hostname|resolve proxy:?|valid for .*?, not|connect to|host) ([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)";
const IN_PROXY: &str = r"/([A-Za-z0-9][A-Za-z0-9!-]*(?:\.[A-Za-z0-9!-]+)+(?:/[A-Za-z0-9._~!-]+)*)/@(?:v/(v[0-9][^/\s]*?)\.(?:info|mod|zip|ziphash)|v/|latest)";
const DECLARED: &str = r"declares its path as: +(\S+)\s+but was required as: +(\S+)";

struct Patterns {
    at: Regex,
    path: Regex,
    url: Regex,
    dialed: Regex,
    in_proxy: Regex,
    declared: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    Some(Patterns {
        at: Regex::new(AT).ok()?,
        path: Regex::new(&format!("(?m){PATH}")).ok()?,
        url: Regex::new(URL).ok()?,
        dialed: Regex::new(DIALED).ok()?,
        in_proxy: Regex::new(IN_PROXY).ok()?,
        declared: Regex::new(DECLARED).ok()?,
    })
});

impl Subject {
    /// Reads one failure's text; `proxies` are the entries of GOPROXY.
    pub(super) fn of(text: &str, proxies: &[&str]) -> Self {
        let Some(patterns) = &*PATTERNS else {
            return Self::default();
        };
        let mut subject = Self::default();
        subject.read_request(text, patterns);
        subject.read_module(text, patterns);
        if let Some(found) = patterns.declared.captures(text) {
            subject.declared = found.get(1).map(|m| m.as_str().to_owned());
            subject.module = found.get(2).map(|m| m.as_str().to_owned());
        }
        let web = |entry: &&&str| entry.starts_with("https://") || entry.starts_with("http://");
        subject.proxy = proxies.iter().find(web).map(|entry| without_login(entry));
        subject
    }

    fn read_request(&mut self, text: &str, patterns: &Patterns) {
        if let Some(url) = patterns.url.find(text) {
            let url = url.as_str().trim_end_matches([':', ',', '.', ';']);
            self.host = host_of(url).map(str::to_owned);
            self.url = Some(without_login(url));
        }
        if let Some(found) = patterns.dialed.captures(text) {
            self.host = found.get(1).map(|m| m.as_str().to_owned());
        }
    }

    fn read_module(&mut self, text: &str, patterns: &Patterns) {
        // A coordinate right after `//` begins with a server's name.
        let bare = patterns.at.captures_iter(text).filter(|found| {
            let start = found.get(0).map_or(0, |whole| whole.start());
            !text[..start].ends_with('/')
        });
        if let Some(found) = bare.last() {
            let module = &found[1];
            self.module = Some(module.to_owned());
            let version = found[2].trim_end_matches(['.', '-', '+']);
            self.version = Some(
                version
                    .strip_suffix("/go.mod")
                    .unwrap_or(version)
                    .to_owned(),
            );
        } else if let Some(found) = patterns.in_proxy.captures(text) {
            self.module = Some(unescaped(last_coordinate(&found[1])));
            self.version = found.get(2).map(|m| unescaped(m.as_str()));
        } else if let Some(found) = patterns.path.captures(text) {
            self.module = Some(found[1].trim_end_matches(['.', ':']).to_owned());
        }
    }

    /// Host of the module path.
    pub fn module_host(&self) -> Option<&str> {
        self.module.as_deref()?.split('/').next()
    }

    /// Fills a command's `{placeholders}`.
    pub fn fill(&self, command: &str) -> String {
        let module = self.module.as_deref();
        let version = self.version.as_deref();
        let coordinate = match (module, version) {
            (Some(module), Some(version)) => Some(format!("{module}@{version}")),
            _ => None,
        };
        let url = self.url.as_deref();
        let values = [
            ("{mod}", coordinate.as_deref(), "MODULE@VERSION"),
            ("{module}", module, "MODULE"),
            ("{modhost}", self.module_host(), "HOST"),
            ("{version}", version, "VERSION"),
            ("{host}", self.host.as_deref(), "HOST"),
            ("{url}", url, "URL"),
            ("{proxy}", self.proxy.as_deref(), "https://proxy.golang.org"),
            ("{declared}", self.declared.as_deref(), "DECLARED/PATH"),
        ];
        let mut filled = command.to_owned();
        for (name, value, otherwise) in values {
            let value = value.filter(|value| harmless(value)).unwrap_or(otherwise);
            filled = filled.replace(name, value);
        }
        filled
    }
}

/// Whether a value means only itself to a shell and does not look like a flag.
fn harmless(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~/@:+-".contains(&b);
    !value.is_empty()
        && value.len() <= VALUE_BYTES_MAX
        && !value.starts_with('-')
        && value.bytes().all(plain)
}

/// Host and port of a URL, without a login.
pub(super) fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

/// A URL with its login taken out.
pub(super) fn without_login(url: &str) -> String {
    static LOGIN: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"://[^/\s@]+(?::[^/\s@]*)?@").ok());
    match &*LOGIN {
        Some(login) => login.replace_all(url, "://").into_owned(),
        None => url.to_owned(),
    }
}

/// A proxy's own address may hold dotted path elements; the module begins at the last one that
/// is followed by a path, or is the whole.
fn last_coordinate(path: &str) -> &str {
    let mut start = 0;
    let mut at = 0;
    for element in path.split('/') {
        let host = element.contains('.') && !element.starts_with('v') && at == 0;
        let later = at > 0 && HOST_ENDS.iter().any(|end| element.ends_with(end));
        if host || later {
            start = at;
        }
        at += element.len() + 1;
    }
    &path[start..]
}

/// Ends of host names that begin a module path inside a proxy's URL.
const HOST_ENDS: &[&str] = &[
    ".com", ".org", ".net", ".io", ".in", ".dev", ".example", ".cn", ".test",
];

/// The proxy protocol writes an upper-case letter as `!` and its lower case.
fn unescaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        match c {
            '!' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_behind_a_proxy_with_a_path_of_its_own() {
        let text = "reading https://r.corp.example/api/go/virtual/github.com/!some/thing/@v/v1.2.3.info: 404 Not Found";
        let subject = Subject::of(
            text,
            &["https://u:p@r.corp.example/api/go/virtual", "direct"],
        );
        assert_eq!(subject.module.as_deref(), Some("github.com/Some/thing"));
        assert_eq!(subject.version.as_deref(), Some("v1.2.3"));
        assert_eq!(
            subject.proxy.as_deref(),
            Some("https://r.corp.example/api/go/virtual")
        );
        assert_eq!(subject.host.as_deref(), Some("r.corp.example"));
    }

    #[test]
    fn commands_take_only_harmless_values() {
        let subject = Subject::of("Get \"https://h.example/$(reboot)\": EOF", &[]);
        assert_eq!(subject.fill("curl {url} {mod}"), "curl URL MODULE@VERSION");
        let subject = Subject::of("x.example/m@v1.0.0: EOF", &[]);
        assert_eq!(
            subject.fill("go get {mod} # {modhost}"),
            "go get x.example/m@v1.0.0 # x.example"
        );
    }
}
