//! Running git, hg and svn as hostile-input parsers: bounded, promptless, mortal.
//!
//! Every child is the leader of a process group of its own. The group is killed when the call is
//! dropped, times out or prints too much. A small `sh` watches a pipe that only we hold: when we
//! die, however suddenly, the pipe closes and it kills the groups still registered. A parent-death
//! signal was not taken: it needs `unsafe`, ends with the *thread* that spawned, and does not
//! reach grandchildren such as `git-remote-https` that wait for a silent server.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::error::DirectError;
use super::mask::mask;

/// What a child process may use.
#[derive(Clone, Debug)]
pub(crate) struct ChildLimits {
    pub time: Duration,
    pub memory_bytes: u64,
    pub file_bytes: u64,
}

/// One program run.
pub(crate) struct Call {
    program: &'static str,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Environment,
    stdin: Vec<u8>,
    stdout_max: u64,
    secrets: Vec<String>,
}

/// The variables a child sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// Start from our own environment (the user's ssh agent, helpers, proxies) or from nothing.
    inherit: bool,
    set: BTreeMap<OsString, OsString>,
}

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    /// Masked, at most [`STDERR_MAX`] bytes.
    pub stderr: String,
}

/// Enough of the standard error to tell what happened; the rest is read and thrown away.
const STDERR_MAX: usize = 16 << 10;

/// Variables of git, hg and ours that would redirect or alter a child, or that hold our secrets.
/// Of git's own only those survive that say how to reach a server.
fn survives(name: &str) -> bool {
    const GIT_KEPT: [&str; 9] = [
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_EXEC_PATH",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_COUNT",
        "GIT_PROXY_COMMAND",
    ];
    const GIT_KEPT_PREFIXES: [&str; 5] = [
        "GIT_SSL_",
        "GIT_PROXY_SSL_",
        "GIT_HTTP_",
        "GIT_CONFIG_KEY_",
        "GIT_CONFIG_VALUE_",
    ];
    const DROPPED: [&str; 9] = [
        "SSH_ASKPASS",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "LANGUAGE",
        "LC_ALL",
        "HGRCPATH",
        "HGPLAIN",
        "PAGER",
        "EDITOR",
    ];
    if name.starts_with("GIT_") {
        return GIT_KEPT.contains(&name) || GIT_KEPT_PREFIXES.iter().any(|p| name.starts_with(p));
    }
    !name.starts_with("MODKEEP_") && !DROPPED.contains(&name)
}

impl Environment {
    /// Our environment, cleaned: for steps that must reach a server as the user would.
    pub(crate) fn network(extra: &[(String, String)]) -> Self {
        let mut env = Self {
            inherit: true,
            set: BTreeMap::new(),
        };
        for (name, value) in extra {
            env.put(name, value);
        }
        env.put("GIT_TERMINAL_PROMPT", "0");
        env.put("GCM_INTERACTIVE", "never");
        env.put("GIT_ASKPASS", "");
        env.put("SSH_ASKPASS_REQUIRE", "never");
        env.put("LC_ALL", "C.UTF-8");
        env.put("HGPLAIN", "+strictflags");
        env
    }

    /// Almost nothing: for steps whose bytes must not depend on anybody's configuration.
    pub(crate) fn local() -> Self {
        let mut env = Self::default();
        for name in ["PATH", "GIT_EXEC_PATH", "LD_LIBRARY_PATH", "SystemRoot"] {
            if let Some(value) = std::env::var_os(name) {
                env.put(name, value);
            }
        }
        for (name, value) in [
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("HGPLAIN", "+strictflags"),
            ("HGRCPATH", ""),
        ] {
            env.put(name, value);
        }
        env
    }

    pub(crate) fn put(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.set
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Adds git configuration that neither the process list nor a file shows.
    pub(crate) fn git_config(&mut self, key: &str, value: &str) {
        let count = self.git_config_count();
        self.put(format!("GIT_CONFIG_KEY_{count}"), key);
        self.put(format!("GIT_CONFIG_VALUE_{count}"), value);
        self.put("GIT_CONFIG_COUNT", (count + 1).to_string());
    }

    fn git_config_count(&self) -> u32 {
        let own = self.set.get(OsStr::new("GIT_CONFIG_COUNT")).cloned();
        let inherited = if self.inherit {
            std::env::var_os("GIT_CONFIG_COUNT")
        } else {
            None
        };
        own.or(inherited)
            .and_then(|text| text.to_str()?.parse().ok())
            .unwrap_or(0)
    }

    fn apply(&self, command: &mut tokio::process::Command) {
        command.env_clear();
        if self.inherit {
            for (name, value) in std::env::vars_os() {
                if name.to_str().is_some_and(survives) {
                    command.env(name, value);
                }
            }
        }
        command.envs(&self.set);
    }
}

impl Call {
    pub(crate) fn new(program: &'static str, env: Environment) -> Self {
        Self {
            program,
            args: Vec::new(),
            dir: None,
            env,
            stdin: Vec::new(),
            stdout_max: 64 << 20,
            secrets: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = bytes;
        self
    }

    pub(crate) fn stdout_max(mut self, bytes: u64) -> Self {
        self.stdout_max = bytes;
        self
    }

    pub(crate) fn secrets(mut self, secrets: &[String]) -> Self {
        self.secrets = secrets.to_vec();
        self
    }

    /// The program and its first argument that is no option: enough to say who failed.
    pub(crate) fn name(&self) -> String {
        let mut skip = false;
        let verb = self.args.iter().filter_map(|arg| arg.to_str()).find(|arg| {
            let is_value = std::mem::replace(&mut skip, matches!(*arg, "-c" | "--config"));
            !is_value && !arg.starts_with('-')
        });
        format!("{} {}", self.program, verb.unwrap_or_default())
            .trim_end()
            .to_owned()
    }
}

/// Starts programs and makes sure that they end.
pub(crate) struct Runner {
    limits: ChildLimits,
    watch: Mutex<Option<Watch>>,
}

struct Watch {
    pipe: Option<std::process::ChildStdin>,
    process: std::process::Child,
}

/// Reads `+ GROUP` and `- GROUP`; at the end of input kills every group still registered.
const WATCH_SCRIPT: &str = r#"
live=
while read -r op group; do
  case $op in
    +) live="$live $group" ;;
    -) next=
       for g in $live; do [ "$g" = "$group" ] || next="$next $g"; done
       live=$next ;;
  esac
done
for g in $live; do kill -s KILL -- "-$g" 2>/dev/null; done
"#;

impl Runner {
    pub(crate) fn new(limits: ChildLimits) -> Self {
        Self {
            limits,
            watch: Mutex::new(start_watch()),
        }
    }

    fn watch(&self) -> MutexGuard<'_, Option<Watch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the watcher; a watcher that died is started anew, without one we go on.
    fn tell(&self, op: char, group: u32) {
        let mut guard = self.watch();
        let line = format!("{op} {group}\n");
        if write_line(&mut guard, &line) {
            return;
        }
        *guard = start_watch();
        write_line(&mut guard, &line);
    }

    /// Runs to the end. `Err` means it could not start, was too slow or printed too much; a
    /// non-zero exit is an answer.
    pub(crate) async fn run(&self, call: Call) -> Result<Answer, DirectError> {
        let name = call.name();
        let stdout_max = call.stdout_max;
        let time = self.limits.time;
        let mut running = self.start(call)?;
        match tokio::time::timeout(time, running.finish(stdout_max)).await {
            Ok(result) => result,
            Err(_) => Err(DirectError::Timeout {
                text: format!("{name}: stopped after {} s without an end", time.as_secs()),
            }),
        }
    }

    /// Starts a program whose standard output the caller reads itself.
    pub(crate) fn start(&self, call: Call) -> Result<Running<'_>, DirectError> {
        let name = call.name();
        let mut command = tokio::process::Command::new(call.program);
        command.args(&call.args).process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if call.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        if let Some(dir) = &call.dir {
            command.current_dir(dir);
        }
        call.env.apply(&mut command);
        let child = command
            .spawn()
            .map_err(|error| not_started(call.program, &error))?;
        let group = child.id().unwrap_or(0);
        self.tell('+', group);
        limit_child(group, &self.limits);
        Ok(Running {
            runner: self,
            child,
            group,
            name,
            stdin: call.stdin,
            secrets: call.secrets,
        })
    }

    pub(crate) fn time(&self) -> Duration {
        self.limits.time
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.pipe.take());
        self.process.wait().ok();
    }
}

fn write_line(watch: &mut Option<Watch>, line: &str) -> bool {
    let pipe = watch.as_mut().and_then(|watch| watch.pipe.as_mut());
    pipe.is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok())
}

fn start_watch() -> Option<Watch> {
    use std::os::unix::process::CommandExt as _;
    let started = std::process::Command::new("sh")
        .args(["-c", WATCH_SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .process_group(0)
        .spawn();
    match started {
        Ok(mut process) => Some(Watch {
            pipe: process.stdin.take(),
            process,
        }),
        Err(error) => {
            tracing::warn!(%error, "no sh: version control programs may outlive a crash");
            None
        }
    }
}

fn not_started(program: &str, error: &std::io::Error) -> DirectError {
    DirectError::Program {
        program: program.to_owned(),
        said: error.to_string(),
        hint: format!("install {program} where modkeep runs, or fetch these modules from a proxy"),
    }
}

#[cfg(target_os = "linux")]
fn limit_child(pid: u32, limits: &ChildLimits) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let set = |resource, value: u64| {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        prlimit(Some(pid), resource, limit).ok();
    };
    set(Resource::Data, limits.memory_bytes);
    set(Resource::Fsize, limits.file_bytes);
    set(Resource::Core, 0);
    // One core may be busy all the time, a few more for a while.
    set(
        Resource::Cpu,
        limits.time.as_secs().saturating_mul(4).max(1),
    );
}

#[cfg(not(target_os = "linux"))]
fn limit_child(_pid: u32, _limits: &ChildLimits) {}

/// A started program; dropping it kills its whole process group.
pub(crate) struct Running<'a> {
    runner: &'a Runner,
    child: tokio::process::Child,
    group: u32,
    name: String,
    stdin: Vec<u8>,
    secrets: Vec<String>,
}

impl Running<'_> {
    /// The standard output as a file for blocking readers.
    pub(crate) fn take_stdout(&mut self) -> Result<std::fs::File, DirectError> {
        let pipe = self.child.stdout.take();
        let pipe = pipe.ok_or_else(|| DirectError::internal("no standard output"))?;
        Ok(std::fs::File::from(pipe.into_owned_fd()?))
    }

    /// Feeds the input, gathers the output and waits for the end. No time limit of its own.
    pub(crate) async fn finish(&mut self, stdout_max: u64) -> Result<Answer, DirectError> {
        let input = std::mem::take(&mut self.stdin);
        let (stdin, stdout, stderr) = (
            self.child.stdin.take(),
            self.child.stdout.take(),
            self.child.stderr.take(),
        );
        let feed = async {
            if let Some(mut pipe) = stdin {
                pipe.write_all(&input).await.ok();
            }
        };
        let (_, out, err) = tokio::join!(
            feed,
            read_up_to(stdout, stdout_max),
            read_and_drop(stderr, STDERR_MAX)
        );
        let Some(stdout) = out? else {
            self.kill();
            return Err(DirectError::limits(format!(
                "{}: printed more than {stdout_max} bytes",
                self.name
            )));
        };
        let status = self.child.wait().await?;
        self.runner.tell('-', self.group);
        let group = std::mem::take(&mut self.group);
        kill_group(group);
        let stderr = mask(String::from_utf8_lossy(&err?).trim_end(), &self.secrets);
        Ok(Answer {
            code: status.code(),
            stdout,
            stderr,
        })
    }

    pub(crate) fn kill(&mut self) {
        kill_group(self.group);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.group != 0 {
            kill_group(self.group);
            self.child.start_kill().ok();
            self.runner.tell('-', self.group);
        }
    }
}

fn kill_group(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

/// All of the stream, or `None` when it is longer than `max`.
async fn read_up_to(
    stream: Option<impl AsyncRead + Unpin>,
    max: u64,
) -> Result<Option<Vec<u8>>, DirectError> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else {
        return Ok(Some(bytes));
    };
    stream
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .await?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// The first `max` bytes; the rest is read so that the writer does not stall.
async fn read_and_drop(
    stream: Option<impl AsyncRead + Unpin>,
    max: usize,
) -> Result<Vec<u8>, DirectError> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let mut block = [0u8; 4096];
    loop {
        let n = stream.read(&mut block).await?;
        if n == 0 {
            return Ok(kept);
        }
        let room = max.saturating_sub(kept.len()).min(n);
        kept.extend_from_slice(&block[..room]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn runner(seconds: u64) -> Runner {
        Runner::new(ChildLimits {
            time: Duration::from_secs(seconds),
            memory_bytes: 1 << 30,
            file_bytes: 1 << 20,
        })
    }

    fn sh(script: &str) -> Call {
        Call::new("sh", Environment::local()).args(["-c", script])
    }

    #[tokio::test]
    async fn output_status_and_errors_come_back() {
        let answer = runner(5)
            .run(sh("cat; echo oops >&2; exit 3").stdin(b"hi".to_vec()))
            .await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.code, answer.stdout.as_slice()),
            (Some(3), &b"hi"[..])
        );
        assert_eq!(answer.stderr, "oops");
    }

    #[tokio::test]
    async fn endless_output_is_cut_off() {
        let result = runner(20).run(sh("yes").stdout_max(1000)).await;
        assert!(
            matches!(result, Err(DirectError::Limits { .. })),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn a_hanging_program_and_its_children_are_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let result = runner(1).run(sh(&script)).await;
        assert!(
            matches!(result, Err(DirectError::Timeout { .. })),
            "{result:?}"
        );
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        for _ in 0..100 {
            if !alive(pid.trim()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the grandchild {pid} still runs");
    }

    fn alive(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[tokio::test]
    async fn a_program_that_asks_gets_no_terminal_and_no_input() {
        let answer = runner(5).run(sh("read x; echo \"[$x]\"")).await.unwrap();
        assert_eq!(answer.stdout, b"[]\n");
    }

    #[tokio::test]
    async fn a_file_grows_no_larger_than_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let call = sh("sleep 0.2; head -c 3000000 /dev/zero > big").dir(dir.path());
        runner(10).run(call).await.unwrap();
        assert!(std::fs::metadata(dir.path().join("big")).unwrap().len() <= 1 << 20);
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let call = Call::new("no-such-vcs", Environment::local());
        let text = runner(5).run(call).await.unwrap_err().to_string();
        assert!(text.contains("install no-such-vcs"), "{text}");
    }

    #[test]
    fn our_own_secrets_and_git_overrides_do_not_survive() {
        for name in [
            "MODKEEP_TOKEN",
            "GIT_DIR",
            "GIT_EXTERNAL_DIFF",
            "SSH_ASKPASS",
            "GIT_TRACE",
        ] {
            assert!(!survives(name), "{name}");
        }
        for name in ["HOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "GIT_SSH_COMMAND"] {
            assert!(survives(name), "{name}");
        }
    }

    #[test]
    fn a_call_is_named_by_its_verb_without_settings() {
        let call = Call::new("git", Environment::local()).args(["-c", "a=b", "fetch", "x"]);
        assert_eq!(call.name(), "git fetch");
    }
}
