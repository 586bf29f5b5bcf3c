//! What can be found out without the network.

mod access;
mod cache;
mod clones;
mod container;
mod dirs;
mod go;
mod process;
mod project;
mod settings;
mod sumdb;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doctor::facts::Group;

pub use settings::Settings;

use crate::{Found, Request, wants};

/// A part of gathering: all parts run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The go commands on PATH.
    Go,
    /// netrc and GOAUTH.
    Auth,
    /// git, ssh and the like.
    Tools,
    /// Certificates, name servers, home.
    Container,
    /// Cache directories and their locks.
    Dirs,
    /// The module cache's content.
    Cache,
    /// The memory of checksum databases.
    Sumdb,
    /// Clones in the module cache.
    Clones,
    /// The project's files.
    Project,
}

/// Every part and the groups it serves.
const PARTS: &[(Part, &[Group])] = &[
    (Part::Go, &[Group::Env, Group::Project]),
    (Part::Auth, &[Group::Env, Group::Net]),
    (Part::Tools, &[Group::Env]),
    (Part::Container, &[Group::Env]),
    (Part::Dirs, &[Group::Local]),
    (Part::Cache, &[Group::Local]),
    (Part::Sumdb, &[Group::Local]),
    (Part::Clones, &[Group::Local]),
    (Part::Project, &[Group::Env, Group::Project, Group::Net]),
];

/// Asks the go command for its tree where files do not tell (shims of version managers), for at
/// most `patience`.
pub(crate) async fn find_goroot(settings: &mut Settings, patience: Duration) {
    if settings.goroot().is_some() {
        return;
    }
    if let Some(root) = go::ask_goroot(settings, patience).await {
        settings.take_goroot(root);
    }
}

/// The parts that a request needs.
pub(crate) fn parts(request: &Request) -> Vec<Part> {
    let serves = |groups: &[Group]| groups.iter().any(|group| wants(request, *group));
    let needed = PARTS.iter().filter(|(_, groups)| serves(groups));
    needed.map(|(part, _)| *part).collect()
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Auth => "auth",
            Self::Tools => "tools",
            Self::Container => "container",
            Self::Dirs => "dirs",
            Self::Cache => "cache",
            Self::Sumdb => "sumdb",
            Self::Clones => "clones",
            Self::Project => "project",
        }
    }

    pub(crate) async fn look(self, request: &Request, settings: &Arc<Settings>) -> Found {
        match self {
            Self::Go => {
                let found = go::look(settings).await;
                Box::new(move |facts| facts.go = Some(found))
            }
            Self::Auth => {
                let (auth, netrc) = (access::auth(settings).await, access::netrc(settings));
                Box::new(move |facts| {
                    let env = facts.env.get_or_insert_default();
                    (env.auth, env.netrc) = (Some(auth), netrc);
                })
            }
            Self::Tools => {
                let tools = tools::tools(settings).await;
                let git = tools::git(settings, &request.dir).await;
                let ssh = tools::ssh(settings, git.as_ref());
                Box::new(move |facts| {
                    let env = facts.env.get_or_insert_default();
                    (env.tools, env.git, env.ssh) = (Some(tools), git, ssh);
                })
            }
            _ => self.look_at_files(request, settings).await,
        }
    }

    /// Parts that read files: on a thread of their own, since a disk may hang.
    async fn look_at_files(self, request: &Request, settings: &Arc<Settings>) -> Found {
        let (request, settings) = (request.clone(), Arc::clone(settings));
        let found = tokio::task::spawn_blocking(move || self.read(&request, &settings));
        // A part that panicked or was cancelled found nothing out.
        found.await.unwrap_or_else(|_| Box::new(|_| {}))
    }

    fn read(self, request: &Request, settings: &Settings) -> Found {
        let modcache = PathBuf::from(settings.get("GOMODCACHE"));
        match self {
            Self::Container => {
                let found = container::look(settings);
                Box::new(move |facts| facts.env.get_or_insert_default().container = Some(found))
            }
            Self::Dirs => {
                let (dirs, locks) = (dirs::dirs(settings), dirs::locks(settings));
                Box::new(move |facts| {
                    let local = facts.local.get_or_insert_default();
                    local.uid = Some(rustix::process::getuid().as_raw());
                    (local.dirs, local.locks) = (Some(dirs), Some(locks));
                })
            }
            Self::Cache => {
                let (wanted, sums) = project::wanted(&request.dir, request.asked.as_ref());
                let found = cache::look(&modcache, &wanted, sums.as_ref());
                Box::new(move |facts| facts.local.get_or_insert_default().cache = Some(found))
            }
            Self::Sumdb => {
                let found = sumdb::look(settings);
                Box::new(move |facts| facts.local.get_or_insert_default().sumdb = Some(found))
            }
            Self::Clones => {
                let found = clones::look(&modcache);
                Box::new(move |facts| facts.local.get_or_insert_default().vcs = Some(found))
            }
            Self::Project => {
                let found = project::look(&request.dir, settings, request.asked.as_ref());
                Box::new(move |facts| facts.project = Some(found))
            }
            Self::Go | Self::Auth | Self::Tools => Box::new(|_| {}),
        }
    }
}
