//! The go command, its settings, and what it uses to log in and to fetch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The go commands of this machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GoFacts {
    /// Every `go` on PATH, in PATH's order; empty means there is none.
    pub on_path: Option<Vec<GoBinary>>,
    /// `go env -json` of the first one, masked.
    pub env: Option<BTreeMap<String, String>>,
    /// What `go env` said instead, if it failed.
    pub env_error: Option<String>,
    /// Toolchains in the module cache, such as `go1.26.1`.
    pub toolchains: Option<Vec<String>>,
}

/// One go command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GoBinary {
    /// As found on PATH.
    pub path: String,
    /// With symbolic links followed.
    pub real: Option<String>,
    /// What `go version` says, such as `go1.27.3`.
    pub version: Option<String>,
    /// Why it could not be run.
    pub error: Option<String>,
    /// The tree it belongs to, as it says itself.
    pub goroot: Option<String>,
    /// First line of that tree's VERSION file.
    pub goroot_version: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A variable of the operating system: shell, service, CI, editor.
    Os,
    /// The file that `go env -w` writes.
    UserFile,
    /// `go.env` in the Go tree: the distribution's choice.
    GorootFile,
    /// Built in.
    Default,
}

/// The value in force and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value, masked.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Values of weaker sources that it hides.
    pub hidden: Vec<(Origin, String)>,
}

/// A file of settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvFile {
    /// Where it is or would be.
    pub path: String,
    /// Whether it is there; `None` if that could not be seen.
    pub exists: Option<bool>,
    /// Why it could not be read.
    pub error: Option<String>,
    /// Who owns it.
    pub uid: Option<u32>,
    /// Its settings, masked; the last line of a name counts.
    pub values: BTreeMap<String, String>,
    /// Lines that are no settings and no comments: number and text.
    pub odd_lines: Vec<(usize, String)>,
}

/// Settings and helpers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvFacts {
    /// Variables of the operating system that bear on go: GO*, proxies, git, certificates, CI.
    pub os: Option<BTreeMap<String, String>>,
    /// The file of `go env -w`; `None` also with `GOENV=off`.
    pub user_file: Option<EnvFile>,
    /// `go.env` of the Go tree.
    pub goroot_file: Option<EnvFile>,
    /// Home directory.
    pub home: Option<String>,
    /// Who runs this.
    pub uid: Option<u32>,
    /// Who owns the home directory.
    pub home_uid: Option<u32>,
    /// Operating system, such as `linux`.
    pub os_name: Option<String>,
    /// The netrc file.
    pub netrc: Option<Netrc>,
    /// Commands of GOAUTH, each tried.
    pub auth: Option<Vec<AuthCommand>>,
    /// git, hg, svn, ssh.
    pub tools: Option<Vec<Tool>>,
    /// How git is set up.
    pub git: Option<GitFacts>,
    /// How ssh is set up.
    pub ssh: Option<SshFacts>,
    /// Whether this is a container and what it has.
    pub container: Option<ContainerFacts>,
}

/// A netrc file, without its passwords.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Netrc {
    /// Where it is or would be.
    pub path: String,
    /// Whether `$NETRC` named it.
    pub from_variable: bool,
    /// Whether it is there.
    pub exists: Option<bool>,
    /// Why it could not be read.
    pub error: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Who owns it.
    pub uid: Option<u32>,
    /// Entries the go command would use, in order.
    pub machines: Vec<NetrcMachine>,
    /// Whether a `default` entry stands there: the go command passes it over.
    pub has_default: bool,
    /// Machines named without login or without password.
    pub incomplete: Vec<String>,
}

/// One entry of a netrc file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetrcMachine {
    /// `host`, `host:port` or `host/path`.
    pub machine: String,
    /// The login's first letter and length, such as `c***(5)`.
    pub login: String,
}

/// One command of GOAUTH.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthCommand {
    /// Its first word.
    pub name: String,
    /// Whether it was found.
    pub found: Option<bool>,
    /// Whether it answered in time.
    pub answered: Option<bool>,
    /// Exit status.
    pub status: Option<i32>,
    /// What is wrong with what it printed; `None` with `answered` means nothing.
    pub malformed: Option<String>,
}

/// A program that go may start.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    /// `git`, `hg`, `svn`, `ssh`.
    pub name: String,
    /// Where PATH has it; `None` if it has not.
    pub path: Option<String>,
    /// First line of what it says about itself.
    pub version: Option<String>,
    /// Why it does not run.
    pub error: Option<String>,
}

/// A rule that rewrites addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InsteadOf {
    /// What is put in, masked.
    pub base: String,
    /// What is replaced.
    pub prefix: String,
}

/// git's settings that bear on fetching.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GitFacts {
    /// `url.BASE.insteadOf` rules.
    pub instead_of: Vec<InsteadOf>,
    /// `credential.helper` values.
    pub helpers: Vec<String>,
    /// `http.proxy`, masked.
    pub http_proxy: Option<String>,
    /// `http.sslVerify` is switched off.
    pub ssl_verify_off: bool,
    /// `safe.directory` values.
    pub safe_directories: Vec<String>,
    /// Why `git config` could not be read.
    pub error: Option<String>,
}

/// ssh's files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SshFacts {
    /// Keys in `~/.ssh`, by file name.
    pub keys: Vec<String>,
    /// Whether `SSH_AUTH_SOCK` leads to a socket that is there.
    pub agent: Option<bool>,
    /// Whether `~/.ssh/known_hosts` is there and not empty.
    pub known_hosts: Option<bool>,
    /// Hosts of insteadOf rules and private patterns that known_hosts lacks.
    pub unknown_hosts: Vec<String>,
}

/// What kind of box this is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFacts {
    /// `docker`, `podman`, `kubernetes`, ...; `None` for no container.
    pub kind: Option<String>,
    /// The file of certificate authorities that Go would read, if any.
    pub ca_file: Option<String>,
    /// Certificates in it.
    pub ca_count: Option<usize>,
    /// Why it cannot be used.
    pub ca_error: Option<String>,
    /// Name servers of resolv.conf; `None` if there is no such file.
    pub nameservers: Option<Vec<String>>,
    /// Whether the kernel has IPv6.
    pub ipv6: Option<bool>,
    /// Whether the home directory is there and may be written.
    pub home_writable: Option<bool>,
}

impl EnvFacts {
    /// The value in force of a setting of the go command, and what it hides.
    ///
    /// Operating system before `go env -w` before `go.env` of the tree before the default; an
    /// empty variable of the operating system counts as unset. Source: cmd/go/internal/cfg.
    pub fn setting(&self, name: &str) -> Setting {
        let mut layers = self.layers(name);
        if layers.is_empty() {
            return Setting {
                value: self.default_of(name),
                origin: Origin::Default,
                hidden: Vec::new(),
            };
        }
        let (origin, value) = layers.remove(0);
        Setting {
            value,
            origin,
            hidden: layers,
        }
    }

    /// A variable of the operating system.
    pub fn os(&self, name: &str) -> Option<&str> {
        let value = self.os.as_ref()?.get(name)?;
        Some(value.as_str())
    }

    fn layers(&self, name: &str) -> Vec<(Origin, String)> {
        let mut found = Vec::new();
        let os = self.os(name).filter(|value| !value.is_empty());
        if let Some(value) = os {
            found.push((Origin::Os, value.to_owned()));
        }
        if name == "GOENV" {
            return found;
        }
        let files = [
            (Origin::UserFile, &self.user_file),
            (Origin::GorootFile, &self.goroot_file),
        ];
        let mut settled = false;
        for (origin, file) in files {
            let Some(value) = file.as_ref().and_then(|file| file.values.get(name)) else {
                continue;
            };
            // An empty value in a file hides the next file and means the default.
            if !value.is_empty() && !settled {
                found.push((origin, value.clone()));
            }
            settled |= value.is_empty();
        }
        found
    }

    fn default_of(&self, name: &str) -> String {
        match name {
            "GOPROXY" => "https://proxy.golang.org,direct".into(),
            "GOSUMDB" => "sum.golang.org".into(),
            "GOTOOLCHAIN" => "auto".into(),
            "GOAUTH" => "netrc".into(),
            "GONOPROXY" | "GONOSUMDB" => self.setting("GOPRIVATE").value,
            "GOPATH" => match &self.home {
                Some(home) => format!("{home}/go"),
                None => String::new(),
            },
            "GOCACHE" => {
                let own = self.os("XDG_CACHE_HOME").filter(|dir| dir.starts_with('/'));
                match (own, &self.home) {
                    (Some(dir), _) => format!("{dir}/go-build"),
                    (None, Some(home)) if self.os_name.as_deref() == Some("macos") => {
                        format!("{home}/Library/Caches/go-build")
                    }
                    (None, Some(home)) => format!("{home}/.cache/go-build"),
                    (None, None) => String::new(),
                }
            }
            "GOMODCACHE" => {
                let path = self.setting("GOPATH").value;
                match path.split(':').next().filter(|first| !first.is_empty()) {
                    Some(first) => format!("{first}/pkg/mod"),
                    None => String::new(),
                }
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(pairs: &[(&str, &str)]) -> Option<EnvFile> {
        let pairs = pairs.iter();
        Some(EnvFile {
            values: pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            ..EnvFile::default()
        })
    }

    #[test]
    fn the_strongest_source_wins_and_tells_what_it_hides() {
        let env = EnvFacts {
            os: Some([("GOPROXY".to_owned(), "off".to_owned())].into()),
            user_file: file(&[("GOPROXY", "direct"), ("GOSUMDB", "off")]),
            goroot_file: file(&[("GOPROXY", "https://a.example"), ("GOTOOLCHAIN", "local")]),
            home: Some("/home/u".into()),
            ..EnvFacts::default()
        };
        let proxy = env.setting("GOPROXY");
        assert_eq!((proxy.origin, &*proxy.value), (Origin::Os, "off"));
        assert_eq!(proxy.hidden.len(), 2);
        assert_eq!(env.setting("GOSUMDB").origin, Origin::UserFile);
        assert_eq!(env.setting("GOTOOLCHAIN").value, "local");
        assert_eq!(env.setting("GOMODCACHE").value, "/home/u/go/pkg/mod");
        assert_eq!(env.setting("GOAUTH").origin, Origin::Default);
    }

    #[test]
    fn an_empty_variable_is_unset_and_an_empty_line_means_the_default() {
        let env = EnvFacts {
            os: Some([("GOPROXY".to_owned(), String::new())].into()),
            user_file: file(&[("GOPROXY", "")]),
            goroot_file: file(&[("GOPROXY", "direct")]),
            ..EnvFacts::default()
        };
        let proxy = env.setting("GOPROXY");
        assert_eq!(proxy.origin, Origin::Default);
        assert_eq!(proxy.value, "https://proxy.golang.org,direct");
    }
}
