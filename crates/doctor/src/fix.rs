//! What `--fix` would change, planned from facts and report, applied elsewhere.
//!
//! Only what is safe and can be taken back (class A), and, when asked for, what changes the project
//! (class B). Nothing that lowers verification is ever planned: the remedies of class C stay
//! words on the screen.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cause::Class;
use crate::check::{Check, Report, State};
use crate::checks::meant_patterns;
use crate::facts::{EnvFacts, Facts, Origin};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Changes or, without a new value, takes out a line of the file that `go env -w` writes. The
    /// old value is masked: the applier reads the file itself.
    Setting {
        /// The file.
        file: String,
        /// The setting.
        name: String,
        /// What stands there, masked.
        old: String,
        /// What will stand there.
        new: Option<String>,
    },
    /// Moves a file or directory away, into the backup.
    Remove {
        /// What is moved.
        path: String,
    },
    /// Changes permission bits.
    Mode {
        /// The file.
        path: String,
        /// Bits now.
        from: u32,
        /// Bits then.
        to: u32,
    },
    /// Runs the go command in the project, after a copy of what it may change.
    Go {
        /// Its arguments.
        args: Vec<String>,
        /// The project's root.
        dir: String,
        /// Files and directories below the root that it may change.
        changes: Vec<String>,
    },
}

/// A change and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// How dangerous it is: A or B.
    pub class: Class,
    /// The check that asks for it.
    pub id: &'static str,
    /// Why, in one line.
    pub why: String,
    /// What changes.
    pub action: Action,
}

impl Fix {
    /// The difference it makes, line by line, `-` before and `+` after.
    pub fn difference(&self) -> Vec<String> {
        match &self.action {
            Action::Setting {
                file,
                name,
                old,
                new,
            } => {
                let mut lines = vec![format!("  {file}"), format!("- {name}={old}")];
                lines.extend(new.as_ref().map(|new| format!("+ {name}={new}")));
                lines
            }
            Action::Remove { path } => vec![format!("- {path}")],
            Action::Mode { path, from, to } => {
                vec![format!("- {from:03o} {path}"), format!("+ {to:03o} {path}")]
            }
            Action::Go { args, dir, changes } => {
                vec![
                    format!("  in {dir}: go {}", args.join(" ")),
                    format!("  may change {}", changes.join(", ")),
                ]
            }
        }
    }
}

/// Everything that can be fixed for what the report says; class B only if `project`.
pub fn plan(facts: &Facts, report: &Report, project: bool) -> Vec<Fix> {
    let bad = |check: &&Check| matches!(check.state, State::Warn | State::Fail);
    let mut fixes: Vec<Fix> = Vec::new();
    for check in report.checks.iter().filter(bad) {
        let found = match check.id {
            "D02" | "D03" | "D04" | "D05" | "D06" | "D07" | "D09" | "D10" | "D12" => {
                setting(facts, check)
            }
            "D14" => netrc_mode(facts, check),
            _ => Vec::new(),
        };
        fixes.extend(found);
    }
    fixes.extend(local(facts));
    if project {
        fixes.extend(in_project(facts, report));
    }
    let mut seen = BTreeSet::new();
    fixes.retain(|fix| seen.insert(fix.difference().join("\n")));
    fixes
}

/// A bad value that `go env -w` wrote is taken out, or corrected where what is meant is plain.
fn setting(facts: &Facts, check: &Check) -> Vec<Fix> {
    let Some(env) = &facts.env else {
        return Vec::new();
    };
    let Some(file) = env
        .user_file
        .as_ref()
        .filter(|file| file.exists == Some(true))
    else {
        return Vec::new();
    };
    let name = check.subject.as_str();
    let Some(old) = file.values.get(name) else {
        return Vec::new();
    };
    let Some(new) = replacement(env, check, name) else {
        return Vec::new();
    };
    vec![Fix {
        class: Class::A,
        id: check.id,
        why: check.detail.lines().next().unwrap_or_default().to_owned(),
        action: Action::Setting {
            file: file.path.clone(),
            name: name.to_owned(),
            old: old.clone(),
            new,
        },
    }]
}

/// The value to write: `Some(None)` takes the line out, `None` leaves it alone.
#[expect(
    clippy::option_option,
    reason = "leave, take out and write are three answers"
)]
fn replacement(env: &EnvFacts, check: &Check, name: &str) -> Option<Option<String>> {
    let in_force = env.setting(name).origin == Origin::UserFile;
    match check.id {
        // The line is hidden by the operating system's: the user's words are not thrown away.
        "D02" => None,
        // Without effect, whatever it says.
        "D03" => Some(None),
        // Taking a private pattern out would send private names to public services.
        "D07" if in_force => meant_patterns(&env.setting(name).value).map(Some),
        "D04" | "D05" | "D06" | "D09" | "D10" | "D12" if in_force => Some(None),
        _ => None,
    }
}

fn netrc_mode(facts: &Facts, check: &Check) -> Vec<Fix> {
    let netrc = facts.env.as_ref().and_then(|env| env.netrc.as_ref());
    let loose = netrc.and_then(|netrc| {
        Some((
            &netrc.path,
            netrc.mode.filter(|mode| mode & 0o077 != 0)? & 0o777,
        ))
    });
    let wanted = loose.filter(|_| check.detail.starts_with("mode "));
    let fix = wanted.map(|(path, mode)| Fix {
        class: Class::A,
        id: "D14",
        why: "others can read the passwords".to_owned(),
        action: Action::Mode {
            path: path.clone(),
            from: mode,
            to: mode & 0o700,
        },
    });
    fix.into_iter().collect()
}

/// Damaged state of this machine: go makes all of it anew.
fn local(facts: &Facts) -> Vec<Fix> {
    let Some(local) = &facts.local else {
        return Vec::new();
    };
    let remove = |id, path: &str, why: &str| Fix {
        class: Class::A,
        id,
        why: why.to_owned(),
        action: Action::Remove {
            path: path.to_owned(),
        },
    };
    let mut fixes = Vec::new();
    for file in local
        .sumdb
        .iter()
        .flat_map(|sumdb| sumdb.latest.iter().chain(&sumdb.bad_tiles))
    {
        fixes.extend(
            file.wrong
                .as_ref()
                .map(|wrong| remove("D43", &file.path, wrong)),
        );
    }
    if let Some(cache) = &local.cache {
        use crate::facts::DamageKind::{Small, Unreadable, Ziphash};
        let files = cache
            .damaged
            .iter()
            .filter(|damage| matches!(damage.kind, Small | Unreadable | Ziphash));
        fixes.extend(files.map(|damage| remove("D42", &damage.path, &damage.detail)));
        let old = cache.leftovers.iter().filter(|left| {
            left.age_s
                .is_some_and(|age| age > crate::checks::LEFTOVER_OLD_S)
        });
        fixes.extend(
            old.map(|left| remove("D42", &left.path, "left behind by an interrupted download")),
        );
    }
    for clone in local.vcs.iter().flatten() {
        let old = clone
            .locks
            .iter()
            .filter(|(_, age)| *age > crate::checks::LOCK_HANGS_S);
        fixes.extend(old.map(|(name, _)| {
            remove(
                "D44",
                &format!("{}/{name}", clone.path),
                "a lock that nobody holds",
            )
        }));
    }
    fixes
}

fn in_project(facts: &Facts, report: &Report) -> Vec<Fix> {
    let go_mod = facts
        .project
        .as_ref()
        .and_then(|project| project.go_mod.present());
    let Some(root) = go_mod.and_then(|file| Path::new(&file.path).parent()) else {
        return Vec::new();
    };
    let fails = |label: &str| {
        let of = |check: &&Check| {
            check
                .finding
                .as_ref()
                .is_some_and(|finding| finding.label == label)
        };
        report
            .checks
            .iter()
            .filter(|check| check.state == State::Fail)
            .find(of)
    };
    let go = |check: &Check, args: &[&str], changes: &[&str]| Fix {
        class: Class::B,
        id: check.id,
        why: check.detail.lines().next().unwrap_or_default().to_owned(),
        action: Action::Go {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            dir: root.display().to_string(),
            changes: changes.iter().map(|file| (*file).to_owned()).collect(),
        },
    };
    let mut fixes = Vec::new();
    let tidy = fails("missing_go_sum_entry").or_else(|| fails("no_module_provides"));
    fixes.extend(tidy.map(|check| go(check, &["mod", "tidy"], &["go.mod", "go.sum"])));
    let vendored = fails("vendor_inconsistent").filter(|check| check.id == "D55");
    fixes.extend(vendored.map(|check| go(check, &["mod", "vendor"], &["vendor"])));
    fixes
}
