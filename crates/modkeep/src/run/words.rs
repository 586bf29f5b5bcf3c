//! What the front saw, put into the words in which causes are known.
//!
//! The go command saw the front, not the proxies behind it: its text names a loopback address and
//! the front's statuses. Put back are the proxy's address, and what the proxy did in the words
//! that the go command alone would have printed. Pure.

use doctor::Env;

/// Lines that follow an error of the go command and may be the server's text: it shows 8.
const RESPONSE_LINES: usize = 10;

/// Lines about failed requests that are shown.
const SHOWN: usize = 5;

/// What a front saw of one go command.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The front's own address.
    pub url: String,
    /// The proxies behind it, without credentials.
    pub upstreams: Vec<String>,
    /// Each with the questions it was asked, and how many of them failed.
    pub calls: Vec<(String, u64, u64)>,
    /// Those that could not be reached in the end, and why.
    pub down: Vec<(String, String)>,
    /// Paths that were not served, with their status.
    pub failed: Vec<(String, u16)>,
}

impl Seen {
    /// A few lines for people; none when nothing went wrong at the proxies.
    pub fn lines(&self) -> Vec<String> {
        let bad = |status: u16| !matches!(status, 404 | 410);
        let down = |name: &str| self.down.iter().find(|(n, _)| n == name);
        let mut lines = Vec::new();
        for (name, asked, failed) in self.calls.iter().filter(|c| c.2 > 0) {
            let why = down(name).map_or_else(String::new, |(_, why)| format!("; {why}"));
            lines.push(format!("{name}: {failed} of {asked} requests failed{why}"));
        }
        let shown = self.failed.iter().filter(|(_, status)| bad(*status));
        lines.extend(
            shown
                .take(SHOWN)
                .map(|(path, status)| format!("{status} {path}")),
        );
        let absent = self
            .failed
            .iter()
            .filter(|(_, status)| !bad(*status))
            .count();
        if absent > 0 {
            lines.push(format!(
                "{absent} requests for what no proxy has (404, 410)"
            ));
        }
        lines
    }
}

/// The text to explain, from what the go command said and what the front saw.
pub fn told(said: &str, seen: &Seen) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let mut out = String::with_capacity(said.len() + 256);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        if own_mistake(line) {
            continue;
        }
        if seen.url.is_empty() || !line.contains(&seen.url) {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let response = response(&lines[at..]);
        at += response;
        out.push_str(&restore(line, &lines[at - response..at], seen));
        out.push('\n');
    }
    if said.trim().is_empty() {
        let first = seen.upstreams.first().map_or("", String::as_str);
        for (path, status) in &seen.failed {
            out.push_str(&format!("go: reading {first}{path}: {status}\n"));
        }
    }
    for (name, why) in &seen.down {
        out.push_str(&format!(
            "go: reading {name}: {}\n",
            in_go_words(why).unwrap_or(why.clone())
        ));
    }
    out
}

/// The settings that were in force, as evidence.
pub fn settings(env: &crate::goenv::GoEnv, command: &str) -> Env {
    let names = [
        "GOPROXY",
        "GOPRIVATE",
        "GONOPROXY",
        "GONOSUMDB",
        "GOSUMDB",
        "GOFLAGS",
        "GOINSECURE",
        "GOVCS",
    ];
    let named = names.iter().filter(|n| !env.get(n).is_empty());
    named
        .fold(Env::new(), |known, name| known.with(name, env.get(name)))
        .with_command(command)
}

/// Whether a line is the compiler's word about the user's own code: `./main.go:2:15: undefined: x`.
/// That is no matter of modules, unless it names a package, or a name inside of one.
fn own_mistake(line: &str) -> bool {
    let told = line.strip_prefix("vet: ").unwrap_or(line);
    let Some((file, rest)) = told.split_once(".go:") else {
        return false;
    };
    // Files of dependencies lie in the module cache, below `M@V`.
    let own = !file.is_empty() && !file.contains(['@', ' ', '\t', ':']) && !file.starts_with('/');
    if !own || !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let of_modules = ["package ", "module", "go.mod", "go.sum", "import "];
    let inside = rest
        .split_once("undefined: ")
        .is_some_and(|(_, name)| name.contains('.'));
    !inside && !of_modules.iter().any(|word| rest.contains(word))
}

/// How many of the lines are the server's text: one, or indented ones after `server response:`.
fn response(lines: &[&str]) -> usize {
    let first = lines.first().map_or("", |line| line.trim());
    if first != "server response:" {
        return usize::from(first.starts_with("server response:"));
    }
    let indented = |line: &&&str| line.starts_with(['\t', ' ']);
    1 + lines[1..]
        .iter()
        .take(RESPONSE_LINES)
        .take_while(indented)
        .count()
}

/// One error of the go command about the front, as it would be about the proxy behind it.
fn restore(line: &str, response: &[&str], seen: &Seen) -> String {
    let text = response.join("\n");
    let named = seen.upstreams.iter().find(|u| text.contains(u.as_str()));
    let upstream = named
        .or_else(|| seen.upstreams.first())
        .map_or("", String::as_str);
    let line = line.replace(&seen.url, upstream);
    // These statuses are the front's own: a proxy's failure stands behind them.
    let own = [
        ": 502 Bad Gateway",
        ": 503 Service Unavailable",
        ": 504 Gateway Timeout",
    ];
    let cut = own
        .iter()
        .find_map(|status| line.trim_end().strip_suffix(status));
    match cut.filter(|_| !text.is_empty()) {
        Some(cut) => {
            let words = in_go_words(&text).unwrap_or_else(|| first_of(&text).to_owned());
            format!("{cut}: {words}")
        }
        None if text.is_empty() => line,
        None => format!("{line}\n{text}"),
    }
}

fn first_of<'a>(response: &'a str) -> &'a str {
    let plain = |line: &'a str| line.trim().trim_start_matches("server response:").trim();
    response
        .lines()
        .map(plain)
        .find(|l| !l.is_empty())
        .unwrap_or("")
}

/// The words of the go command for a failure in the front's words.
fn in_go_words(text: &str) -> Option<String> {
    if let Some((_, answered)) = text.split_once(" answered ") {
        let status: String = answered
            .chars()
            .take_while(|c| !matches!(c, ':' | '\n'))
            .collect();
        return Some(status);
    }
    let known = [
        ("onnection refused", "dial tcp: connect: connection refused"),
        (
            "ailure in name resolution",
            "dial tcp: lookup: Temporary failure in name resolution",
        ),
        ("failed to lookup address", "dial tcp: lookup: no such host"),
        ("onnection reset", "read tcp: connection reset by peer"),
        ("o route to host", "dial tcp: connect: no route to host"),
        (
            "etwork is unreachable",
            "dial tcp: connect: network is unreachable",
        ),
        (
            "UnknownIssuer",
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        ),
        (
            "NotValidForName",
            "tls: failed to verify certificate: x509: certificate is valid for other names, not this host",
        ),
        (
            "not valid for name",
            "tls: failed to verify certificate: x509: certificate is valid for other names, not this host",
        ),
        (
            "NotValidYet",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time is before",
        ),
        (
            "certificate not valid yet",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time is before",
        ),
        (
            "certificate expired",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time is after",
        ),
        ("no connection in time", "dial tcp: i/o timeout"),
        (
            "no answer in time",
            "net/http: timeout awaiting response headers",
        ),
        ("crawling, ", "context deadline exceeded while reading body"),
        ("too slow", "context deadline exceeded while reading body"),
        ("the answer was cut", "unexpected EOF"),
        (" bytes came", "unexpected EOF"),
    ];
    let found = known.iter().find(|(sign, _)| text.contains(sign))?;
    Some(found.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            url: "http://127.0.0.1:4567".into(),
            upstreams: vec![
                "https://proxy.example".into(),
                "https://second.example".into(),
            ],
            ..Seen::default()
        }
    }

    #[test]
    fn the_proxys_own_failure_stands_where_the_front_stood() {
        let said = concat!(
            "go: example.com/m@v1.0.0: reading http://127.0.0.1:4567/example.com/m/@v/v1.0.0.info: 502 Bad Gateway\n",
            "\tserver response:\n",
            "\texample.com/m@v1.0.0.info: https://second.example answered 500 Internal Server Error: x\n",
            "\tnot cached here; try again\nnext line\n"
        );
        assert_eq!(
            told(said, &seen()),
            "go: example.com/m@v1.0.0: reading https://second.example/example.com/m/@v/v1.0.0.info: 500 Internal Server Error\nnext line\n"
        );
    }

    #[test]
    fn a_dead_proxy_is_told_in_the_go_commands_words() {
        let said = "go: m: reading http://127.0.0.1:4567/m/@v/list: 502 Bad Gateway\n\tserver response:\n\tm: https://proxy.example: tcp connect error: Connection refused (os error 111)\n";
        assert!(told(said, &seen()).contains(
            "reading https://proxy.example/m/@v/list: dial tcp: connect: connection refused"
        ));
    }

    #[test]
    fn absence_keeps_its_status_and_its_text() {
        let said = "go: m: reading http://127.0.0.1:4567/m/@v/v1.info: 404 Not Found\n\tserver response: not found: m@v1: invalid version: unknown revision v1\n";
        assert_eq!(
            told(said, &seen()),
            said.replace("http://127.0.0.1:4567", "https://proxy.example")
        );
    }

    #[test]
    fn the_compilers_word_about_own_code_is_left_out() {
        for own in [
            "./main.go:2:15: undefined: thing",
            "vet: ./main.go:2:15: undefined: thing",
            "pkg/a.go:3:1: syntax error: x",
            "../b.go:1:2: declared and not used: y",
        ] {
            assert_eq!(told(own, &seen()), "", "{own}");
        }
        for kept in [
            "main.go:3:8: no required module provides package example.com/m; to add it:",
            "./main.go:4:2: undefined: dep.Thing",
            "/cache/example.com/m@v1.0.0/a.go:2:3: undefined: x",
            "go: example.com/m@v1.0.0: not found",
        ] {
            assert_eq!(told(kept, &seen()), format!("{kept}\n"));
        }
    }

    #[test]
    fn nothing_said_leaves_what_was_seen() {
        let seen = Seen {
            failed: vec![("/m/@v/v1.info".into(), 404)],
            ..seen()
        };
        assert_eq!(
            told("", &seen),
            "go: reading https://proxy.example/m/@v/v1.info: 404\n"
        );
        assert_eq!(
            seen.lines(),
            ["1 requests for what no proxy has (404, 410)"]
        );
    }
}
