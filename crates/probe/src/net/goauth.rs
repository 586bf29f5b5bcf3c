//! Commands of GOAUTH: what they are told, and what they answer.
//!
//! Source of the rules: cmd/go/internal/auth (userauth.go, gitauth.go) and `go help goauth`. Commands run
//! once without a URL, and again with the URL of a request that was refused, which they read on their
//! standard input. `git DIR` asks git's own helpers, for refused requests only. What they answer is
//! believed as it is and never shown.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use url::Url;

use super::auth::basic;

/// What a command may say.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Prefixes of addresses, each with the headers that are sent there.
pub type Answer = Vec<(String, Vec<(String, String)>)>;

/// A request that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its address.
    pub url: &'a Url,
    /// Status line and headers of the answer.
    pub head: &'a str,
}

/// Runs one command of GOAUTH.
///
/// # Errors
/// It could not be run, failed, or its answer is malformed. What it said is not repeated.
pub async fn run(
    command: &str,
    refused: Option<Refused<'_>>,
    patience: Duration,
) -> Result<Answer, String> {
    let words = words(command)?;
    let Some((program, args)) = words.split_first() else {
        return Err("an empty command".into());
    };
    if program == "git" {
        let (Some(refused), [dir]) = (refused, args) else {
            return Ok(Vec::new());
        };
        return of_git(dir, refused, patience).await;
    }
    let mut started = Command::new(program);
    started.args(args);
    if let Some(refused) = refused {
        started.arg(refused.url.as_str());
    }
    let said = talk(
        started,
        refused.map_or("", |refused| refused.head),
        patience,
    )
    .await?;
    parse(&said)
}

async fn of_git(dir: &str, refused: Refused<'_>, patience: Duration) -> Result<Answer, String> {
    let mut git = Command::new("git");
    git.args(["credential", "fill"])
        .current_dir(dir)
        // As the go command does: nobody is there to be asked.
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GCM_INTERACTIVE", "never");
    let said = talk(git, &format!("url={}\n", refused.url), patience).await?;
    let value = |key: &str| {
        let mut lines = said.lines().filter_map(|line| line.trim().split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let (Some(scheme), Some(host)) = (value("protocol"), value("host")) else {
        return Err("git names no address".into());
    };
    let path = value("path").map_or(String::new(), |path| format!("/{path}"));
    let prefix = format!("{scheme}://{host}{path}");
    if !refused.url.as_str().starts_with(&prefix) {
        return Err("git answers for another address".into());
    }
    let login = basic(
        value("username").unwrap_or(""),
        value("password").unwrap_or(""),
    );
    Ok(vec![(prefix, vec![("Authorization".into(), login)])])
}

async fn talk(mut command: Command, input: &str, patience: Duration) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| e.to_string())?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let ended = async {
        if let Some(mut stdin) = stdin {
            // A command need not read what it is told.
            let _closed = stdin.write_all(input.as_bytes()).await;
        }
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            let read = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut said).await;
            read.map_err(|e| e.to_string())?;
        }
        let status = child.wait().await.map_err(|e| e.to_string())?;
        match status.success() {
            true => String::from_utf8(said).map_err(|_| "its answer is not text".to_owned()),
            false => Err(format!("it ended with {status}")),
        }
    };
    let late = |_| format!("no answer within {} ms", patience.as_millis());
    tokio::time::timeout(patience, ended).await.map_err(late)?
}

/// Addresses, an empty line, headers, an empty line; as often as it takes.
fn parse(text: &str) -> Result<Answer, String> {
    let mut answer = Vec::new();
    let mut lines = text
        .split_inclusive('\n')
        .map(|line| line.strip_suffix('\n'));
    let mut block = |what: &str| -> Result<Option<Vec<&str>>, String> {
        let mut found = Vec::new();
        loop {
            match lines.next() {
                None if found.is_empty() && what == "URLs" => return Ok(None),
                None | Some(None) => return Err(format!("missing empty line after {what}")),
                Some(Some("")) => return Ok(Some(found)),
                Some(Some(line)) => found.push(line),
            }
        }
    };
    while let Some(urls) = block("URLs")? {
        let headers = block("headers")?.unwrap_or_default();
        let header = |line: &&str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let headers: Option<Vec<(String, String)>> = headers.iter().map(header).collect();
        let headers = headers.ok_or("invalid header line")?;
        answer.extend(
            urls.into_iter()
                .map(|url| (url.to_owned(), headers.clone())),
        );
    }
    Ok(answer)
}

/// Words of a command; quotes at the beginning of a word hold it together, and nothing is escaped.
fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = command.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' | '"' => {
                let closed = rest[1..].split_once(first);
                closed.ok_or("a quote without its end")?
            }
            _ => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn answers_are_blocks_of_addresses_and_headers() {
        let text = "https://a.example\nhttps://b.example/x\n\nAuthorization: Bearer t\nX-Y: z\n\nhttps://c\n\n\n";
        let answer = parse(text).unwrap();
        assert_eq!(answer.len(), 3);
        assert_eq!(answer[1].0, "https://b.example/x");
        assert_eq!(answer[1].1[1], ("X-Y".into(), "z".into()));
        assert!(answer[2].1.is_empty());
        assert!(parse("").unwrap().is_empty());
        for bad in [
            "login:",
            "https://a\n",
            "https://a\n\nX",
            "https://a\n\nX: y\n",
            "https://a\n\nnone\n\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words(" a  'b c' \"d\" e=f ").unwrap(),
            ["a", "b c", "d", "e=f"]
        );
        assert!(words("a 'b").is_err());
    }

    #[tokio::test]
    async fn a_command_is_told_the_address_and_the_refusal() {
        let script = r#"read -r first; echo "$1"; echo; echo "X-Told: $first"; echo"#;
        let command = format!("sh -c '{script}' sh");
        let url = Url::parse("https://a.example/m").unwrap();
        let refused = Refused {
            url: &url,
            head: "HTTP/1.1 401 Unauthorized\n\n",
        };
        let patience = Duration::from_secs(20);
        let answer = run(&command, Some(refused), patience).await.unwrap();
        assert_eq!(answer[0].0, "https://a.example/m");
        assert_eq!(answer[0].1[0].1, "HTTP/1.1 401 Unauthorized");
        assert!(
            run("sh -c 'exit 3'", None, patience)
                .await
                .unwrap_err()
                .contains('3')
        );
        assert!(run("/nowhere/helper", None, patience).await.is_err());
        assert!(
            run("git /nowhere", None, patience)
                .await
                .unwrap()
                .is_empty(),
            "not before a refusal"
        );
    }
}
