//! `modkeep doctor` on machines made for it: a home directory, a PATH of its own, a fake or real go
//! command, one fault each. Nothing here asks the network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ran, command};
use crate::golang::go_binary;

/// A healthy machine with a small project.
struct Machine {
    home: TempDir,
    env: Vec<(String, String)>,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            home: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        };
        machine.write("goroot/VERSION", "go1.27.3\ntime 2026-11-01T00:00:00Z\n");
        machine.write(
            "goroot/go.env",
            "GOPROXY=https://proxy.golang.org,direct\nGOSUMDB=sum.golang.org\nGOTOOLCHAIN=auto\n",
        );
        for package in ["fmt", "os", "net/http"] {
            machine.write(&format!("goroot/src/{package}/x.go"), "package x\n");
        }
        machine.write("certs.pem", "-----BEGIN CERTIFICATE-----\n");
        machine.program("go", &format!("case \"$1 $2\" in version*) echo go version go1.27.3 linux/amd64;; *GOROOT) echo {0}/goroot;; *) echo '{{}}';; esac", machine.root()));
        machine.program(
            "git",
            "case $1 in --version) echo git version 2.47.3;; *) exit 0;; esac",
        );
        machine.write("project/go.mod", "module example.com/app\n\ngo 1.27\n");
        machine.write(
            "project/main.go",
            "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n",
        );
        machine
    }

    fn root(&self) -> String {
        self.home.path().display().to_string()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    fn write(&self, below: &str, text: impl AsRef<[u8]>) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        self.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(
            self.path(&format!("bin/{name}")),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }

    fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    fn doctor(&self, args: &[&str]) -> Ran {
        let mut command = command(self.home.path());
        command
            .env("PATH", self.path("bin"))
            .env("SSL_CERT_FILE", self.path("certs.pem"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path("project"))
            .arg("doctor")
            .args(args);
        let output = command.output().unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The JSON report about everything but the network.
    fn report(&self) -> (Option<i32>, Value) {
        let ran = self.doctor(&["--only", "env,local,project", "--json", "--timeout", "60s"]);
        let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        (ran.code, report)
    }
}

fn bad_checks(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap().iter();
    let bad = checks.filter(|check| check["state"] == "warn" || check["state"] == "fail");
    bad.map(|check| format!("{} {}: {}", check["id"], check["subject"], check["detail"]))
        .collect()
}

/// `label` or `label:variant` of every finding.
fn labels(report: &Value) -> Vec<String> {
    let named = |finding: &Value| match finding["variant"].as_str() {
        Some(variant) => format!("{}:{variant}", finding["label"].as_str().unwrap()),
        None => finding["label"].as_str().unwrap().to_owned(),
    };
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(named)
        .collect()
}

/// One fault: its check, the first finding, whether something fails, and how it is made.
type Fault = (&'static str, &'static str, bool, fn(&mut Machine));

fn judge(faults: &[Fault]) {
    for (index, (id, label, fails, make)) in faults.iter().enumerate() {
        let mut machine = Machine::new();
        make(&mut machine);
        let (code, report) = machine.report();
        let about = format!(
            "fault {index}, {id} {label}: {:?} {:?}",
            bad_checks(&report),
            labels(&report)
        );
        assert_eq!(code, Some(i32::from(*fails)), "{about}");
        assert_eq!(
            labels(&report).first().map_or("", |label| label),
            *label,
            "{about}"
        );
        assert!(
            bad_checks(&report).iter().any(|bad| bad.contains(id)),
            "{about}"
        );
    }
}

#[test]
fn a_healthy_machine_has_no_warning_and_no_cause() {
    let (code, report) = Machine::new().report();
    assert_eq!(bad_checks(&report), [""; 0]);
    assert_eq!(labels(&report), [""; 0]);
    assert_eq!(code, Some(0));
    let first = report.as_object().unwrap().iter().next().unwrap();
    assert_eq!(
        (first.0.as_str(), first.1.as_str()),
        ("schema", Some("modkeep.doctor/1"))
    );
    let ids: Vec<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_str().unwrap())
        .collect();
    for id in [
        "D01", "D02", "D03", "D04", "D05", "D06", "D07", "D08", "D09", "D10", "D11", "D12", "D13",
        "D14", "D15", "D16", "D17", "D40", "D42", "D43", "D44", "D50", "D51", "D53", "D54", "D55",
        "D56", "D57", "D58", "D60",
    ] {
        assert!(ids.contains(&id), "{id} is missing");
    }
}

#[test]
fn settings_are_judged_with_their_source() {
    judge(&[
        ("D01", "go_missing", true, |m| {
            fs::remove_file(m.path("bin/go")).unwrap()
        }),
        ("D01", "goroot_wrong", true, |m| {
            m.write("goroot/VERSION", "go1.26.0\n")
        }),
        ("D02", "go_env_precedence", false, |m| {
            m.write(".config/go/env", "GOPROXY=https://other.example\n");
            m.set("GOPROXY", "https://proxy.golang.org,direct");
        }),
        ("D03", "go_env_unknown_variable", false, |m| {
            m.set("GONOSUMCHECK", "1")
        }),
        ("D03", "go_env_unknown_variable", false, |m| {
            m.write(".config/go/env", "GOPROXYS=direct\n")
        }),
        ("D04", "goproxy_syntax_invalid", true, |m| {
            m.set("GOPROXY", "https://a.example;direct")
        }),
        ("D05", "goproxy_order_direct_first", false, |m| {
            m.set("GOPROXY", "direct,https://a.example")
        }),
        ("D05", "goproxy_off", true, |m| {
            m.write(".config/go/env", "GOPROXY=off\n")
        }),
        ("D06", "sumdb_config_invalid", true, |m| {
            m.set("GOSUMDB", "sum.goproxy.cn")
        }),
        // Scenario 46.
        ("D07", "goprivate_pattern_invalid", true, |m| {
            m.set("GOPRIVATE", "https://git.corp.example")
        }),
        ("D08", "sumdb_private_410", false, |m| {
            m.write(
                "project/go.mod",
                "module example.com/app\n\ngo 1.27\n\nrequire git.acme.internal/x v1.0.0\n",
            );
            m.write("project/go.sum", "git.acme.internal/x v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n");
        }),
        ("D09", "goflags_invalid", true, |m| {
            m.set("GOFLAGS", "-modcacherw -nosuch")
        }),
        ("D09", "vendor_inconsistent", true, |m| {
            m.set("GOFLAGS", "-mod=vendor")
        }),
        ("D10", "gopath_mode", true, |m| m.set("GO111MODULE", "off")),
        ("D10", "gopath_mode", false, |m| {
            m.set("GOPATH", &format!("{}/project", m.root()))
        }),
        ("D11", "go_work_mismatch", true, |m| {
            m.write("go.work", "go 1.27\n\nuse ./other\n")
        }),
        ("D11", "go_work_mismatch", true, |m| {
            m.set("GOWORK", "/nowhere/go.work")
        }),
        ("D11", "go_work_mismatch", true, |m| {
            m.write("go.work", "go 1.21\n\nuse ./project\n")
        }),
        ("D12", "go_version_too_old", true, |m| {
            m.write("project/go.mod", "module example.com/app\n\ngo 1.28.1\n");
            m.set("GOTOOLCHAIN", "local");
        }),
        ("D12", "toolchain_download", true, |m| {
            m.write("project/go.mod", "module example.com/app\n\ngo 1.28.1\n");
            m.set("GOSUMDB", "off");
        }),
        ("D13", "govcs_disallowed", true, |m| m.set("GOVCS", "git")),
        ("D13", "proxy_auth_401", true, |m| {
            m.set("GOAUTH", "no-such-helper")
        }),
        ("D13", "proxy_auth_401", true, |m| {
            m.program("helper", "echo login:");
            m.set("GOAUTH", "helper");
        }),
        ("D14", "proxy_auth_401:netrc_not_matched", false, |m| {
            m.write(".netrc", "machine proxy.test login u password secret\n");
            fs::set_permissions(m.path(".netrc"), fs::Permissions::from_mode(0o600)).unwrap();
            m.set("GOPROXY", "https://proxy.test:9100/x");
        }),
        ("D15", "http_proxy_misconfig", true, |m| {
            m.set("HTTPS_PROXY", "http://")
        }),
        ("D16", "git_missing", true, |m| {
            fs::remove_file(m.path("bin/git")).unwrap();
            m.set("GOPROXY", "direct");
        }),
        ("D16", "auth_required_git_ssh", true, |m| {
            m.program("git", "case $1 in --version) echo git version 2.47.3;; *) printf 'url.git@git.corp.example:.insteadof\\nhttps://git.corp.example/\\0';; esac");
        }),
        ("D17", "ca_bundle_missing", true, |m| {
            m.write("certs.pem", "");
            m.set("SSL_CERT_DIR", "/nonexistent");
        }),
    ]);
}

#[test]
fn caches_are_judged() {
    judge(&[
        // Scenario 49.
        ("D40", "cache_permission", true, |m| {
            m.write("file", "");
            m.set("GOMODCACHE", &format!("{}/file/mod", m.root()));
        }),
        ("D42", "cache_corrupt", true, |m| {
            m.write(
                "go/pkg/mod/cache/download/example.com/m/@v/v1.0.0.zip",
                "<html>",
            )
        }),
        ("D42", "cache_corrupt", true, |m| {
            m.write(
                "go/pkg/mod/cache/download/example.com/m/@v/v1.0.0.zip",
                [0; 512],
            )
        }),
        // Scenario 47.
        ("D43", "sumdb_local_state_corrupt", true, |m| {
            m.write("go/pkg/sumdb/sum.golang.org/latest", [0; 180])
        }),
        ("D43", "sumdb_local_state_corrupt", true, |m| {
            m.write(
                "go/pkg/sumdb/sum.golang.org/latest",
                "go.sum database tree\n7\nnonsense\n",
            )
        }),
        ("D43", "sumdb_local_state_corrupt", true, |m| {
            m.write(
                "go/pkg/mod/cache/download/sumdb/sum.golang.org/tile/8/0/000",
                [0; 8192],
            );
        }),
        ("D44", "cache_corrupt", true, |m| {
            m.write(
                "go/pkg/mod/cache/vcs/ab12.info",
                "git3:https://git.example/x",
            );
            m.write("go/pkg/mod/cache/vcs/ab12/HEAD", "");
            m.write("go/pkg/mod/cache/vcs/ab12/objects/x", "");
        }),
    ]);
}

const EMPTY: &str = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn requires(m: &Machine, lines: &str) {
    m.write(
        "project/go.mod",
        format!("module example.com/app\n\ngo 1.27\n\n{lines}\n"),
    );
}

#[test]
fn projects_are_judged() {
    judge(&[
        ("D50", "go_mod_parse_error:conflict", true, |m| {
            m.write(
                "project/go.mod",
                "module example.com/app\n<<<<<<< HEAD\ngo 1.27\n",
            )
        }),
        ("D50", "go_mod_parse_error", true, |m| {
            m.write(
                "project/go.mod",
                "module example.com/app\n\ngo 1.27\n\nwat\n",
            )
        }),
        ("D50", "no_go_mod", true, |m| {
            fs::remove_file(m.path("project/go.mod")).unwrap()
        }),
        ("D51", "gosum_malformed", true, |m| {
            m.write("project/go.sum", "a b\n")
        }),
        ("D51", "gosum_malformed:conflict", true, |m| {
            m.write("project/go.sum", "<<<<<<< HEAD\n")
        }),
        ("D51", "missing_go_sum_entry", true, |m| {
            requires(m, "require example.com/m v1.0.0")
        }),
        ("D51", "checksum_mismatch_gosum_wrong", true, |m| {
            let other = "h1:Ac4zctda0e5ezaAHJyk9SxEdhAs3Ux18htTTAD8OuA4=";
            m.write(
                "project/go.sum",
                format!("x.example/m v1.0.0 {EMPTY}\nx.example/m v1.0.0 {other}\n"),
            );
        }),
        ("D53", "nested_module", true, |m| {
            m.write("project/sub/go.mod", "module example.com/app/sub\n");
            m.write(
                "project/a.go",
                "package main\n\nimport _ \"example.com/app/sub/x\"\n",
            );
        }),
        ("D54", "replace_target_missing", true, |m| {
            requires(
                m,
                "require example.com/m v1.0.0\nreplace example.com/m => ../gone",
            );
        }),
        ("D55", "vendor_inconsistent", true, |m| {
            requires(m, "require example.com/m v1.0.0");
            m.write(
                "project/vendor/modules.txt",
                "# example.com/m v0.9.0\n## explicit\nexample.com/m\n",
            );
            m.write("project/vendor/example.com/m/m.go", "package m\n");
        }),
        ("D56", "case_collision", true, |m| {
            requires(
                m,
                "require (\n\tgithub.com/Acme/m v1.0.0\n\tgithub.com/acme/m v1.0.0\n)",
            );
            m.write("project/go.sum", format!("github.com/Acme/m v1.0.0/go.mod {EMPTY}\ngithub.com/acme/m v1.0.0/go.mod {EMPTY}\n"));
        }),
        ("D58", "package_not_in_std", true, |m| {
            m.write("project/a.go", "package main\n\nimport _ \"nosuch/pkg\"\n")
        }),
        ("D58", "no_module_provides", true, |m| {
            m.write(
                "project/a.go",
                "package main\n\nimport _ \"x.example/m/pkg\"\n",
            )
        }),
        ("D58", "package_not_in_module", true, |m| {
            m.write(
                "project/a.go",
                "package main\n\nimport _ \"example.com/app/gone\"\n",
            )
        }),
        ("D58", "ambiguous_import", true, |m| {
            requires(
                m,
                "require (\n\tx.example/m v1.0.0\n\tx.example/m/sub v1.0.0\n)",
            );
            m.write("project/go.sum", format!("x.example/m v1.0.0/go.mod {EMPTY}\nx.example/m/sub v1.0.0/go.mod {EMPTY}\nx.example/m v1.0.0 {EMPTY}\nx.example/m/sub v1.0.0 {EMPTY}\n"));
            m.write("go/pkg/mod/x.example/m@v1.0.0/sub/a.go", "package sub\n");
            m.write("go/pkg/mod/x.example/m/sub@v1.0.0/a.go", "package sub\n");
            m.write(
                "project/a.go",
                "package main\n\nimport _ \"x.example/m/sub\"\n",
            );
        }),
        ("D60", "path_mismatch", true, |m| {
            requires(m, "require x.example/fork v1.0.0");
            m.write(
                "project/go.sum",
                format!("x.example/fork v1.0.0/go.mod {EMPTY}\n"),
            );
            m.write(
                "go/pkg/mod/cache/download/x.example/fork/@v/v1.0.0.mod",
                "module x.example/orig\n",
            );
        }),
        ("D57", "retracted", false, |m| {
            requires(m, "require x.example/m v1.0.0");
            m.write(
                "project/go.sum",
                format!("x.example/m v1.0.0/go.mod {EMPTY}\n"),
            );
            m.write(
                "go/pkg/mod/cache/download/x.example/m/@v/v1.1.0.mod",
                "module x.example/m\n\nretract v1.0.0 // broken\n",
            );
        }),
    ]);
}

#[test]
fn saved_facts_replay_to_the_same_report_and_hold_no_password() {
    let mut machine = Machine::new();
    machine.write(
        ".netrc",
        "machine proxy.test login carol password hunter2\n",
    );
    machine.set("GOPROXY", "https://carol:hunter2@proxy.test,direct;x");
    machine.set("HTTPS_PROXY", "http://carol:hunter2@forward.test:3128");
    machine.set("GOFLAGS", "-ldflags=-X=main.token=hunter2");
    let file = machine.path("facts.json");
    let file = file.to_str().unwrap();
    let live = machine.doctor(&[
        "--only",
        "env,local,project",
        "--json",
        "--save-facts",
        file,
    ]);
    let saved = fs::read_to_string(file).unwrap();
    assert!(
        !saved.contains("hunter2") && !live.stdout.contains("hunter2"),
        "{saved}"
    );
    let replayed = machine.doctor(&["--facts", file, "--json"]);
    assert_eq!(replayed.stdout, live.stdout);
    assert_eq!(replayed.code, live.code);
    machine.write("wrong.json", "{\"schema\":\"other/1\"}");
    let wrong = machine.doctor(&["--facts", machine.path("wrong.json").to_str().unwrap()]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn what_is_not_ready_in_time_is_unknown_and_not_bad() {
    let machine = Machine::new();
    machine.program("go", "echo $$ >> $HOME/pids; while :; do :; done");
    let ran = machine.doctor(&["--only", "env", "--json", "--timeout", "300ms"]);
    // And nothing goes on behind the user's back.
    let pids = fs::read_to_string(machine.path("pids")).unwrap_or_default();
    for pid in pids.lines() {
        crate::common::eventually("the child is ended", || {
            let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            status.is_empty() || status.contains(") Z ")
        });
    }
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(bad_checks(&report), [""; 0]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["id"] == "D01" && c["state"] == "unknown")
    );
}

#[test]
fn fix_changes_what_is_safe_and_can_be_taken_back() {
    let machine = Machine::new();
    let settings = "GOPROXY=https://a.example;direct\nGOPRIVATE=https://git.corp.example\nGOFLAGS=-modcacherw\nGOPROXYS=x\n";
    machine.write(".config/go/env", settings);
    let latest = "go/pkg/sumdb/sum.golang.org/latest";
    machine.write(latest, [0; 180]);
    machine.write(".netrc", "machine a.example login u password p\n");
    fs::set_permissions(machine.path(".netrc"), fs::Permissions::from_mode(0o644)).unwrap();
    let looked = machine.doctor(&["--only", "env,local"]);
    assert_eq!(looked.code, Some(1));
    assert!(machine.path(latest).exists(), "looking changes nothing");
    let ran = machine.doctor(&["--only", "env,local", "--fix"]);
    let fixed = fs::read_to_string(machine.path(".config/go/env")).unwrap();
    assert_eq!(
        fixed, "GOPRIVATE=git.corp.example\nGOFLAGS=-modcacherw\n",
        "{ran:?}"
    );
    assert!(!machine.path(latest).exists());
    let mode = fs::metadata(machine.path(".netrc"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("- GOPROXY=https://a.example;direct"),
        "{}",
        ran.stdout
    );
    let undo = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("To take it back: "))
        .unwrap();
    let done = std::process::Command::new("/bin/sh")
        .args(["-c", undo])
        .status()
        .unwrap();
    assert!(done.success());
    assert_eq!(
        fs::read_to_string(machine.path(".config/go/env")).unwrap(),
        settings
    );
    assert_eq!(fs::read(machine.path(latest)).unwrap(), [0; 180]);
}

#[test]
fn the_project_is_changed_only_when_asked() {
    let machine = Machine::new();
    machine.program("go", &format!("case \"$1 $2\" in 'mod tidy') echo x.example/m v1.0.0/go.mod {EMPTY} > go.sum;; version*) echo go version go1.27.3 linux/amd64;; *GOROOT) echo {}/goroot;; *) echo '{{}}';; esac", machine.root()));
    requires(&machine, "require x.example/m v1.0.0");
    let safe = machine.doctor(&["--only", "project", "--fix"]);
    assert_eq!(safe.code, Some(1), "{safe:?}");
    assert!(!machine.path("project/go.sum").exists());
    let asked = machine.doctor(&["--only", "project", "--fix=project", "--json"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let report: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(report["fixes"][0]["done"], true);
    assert!(machine.path("project/go.sum").exists());
    let undo = report["undo"].as_str().unwrap();
    assert!(
        std::process::Command::new("/bin/sh")
            .args(["-c", undo])
            .status()
            .unwrap()
            .success()
    );
    assert!(!machine.path("project/go.sum").exists());
}

#[test]
fn screens_are_in_both_languages() {
    let mut machine = Machine::new();
    machine.set("GOPROXY", "https://a.example;direct");
    let en = machine.doctor(&["--only", "env", "--lang", "en"]).stdout;
    let zh = machine.doctor(&["--only", "env", "--lang", "zh"]).stdout;
    assert!(en.contains("[fail] D04 GOPROXY is well written"), "{en}");
    assert!(zh.contains("[fail] D04 GOPROXY 写法"), "{zh}");
    assert!(en.contains("goproxy_syntax_invalid") && zh.contains("goproxy_syntax_invalid"));
}

#[test]
fn the_real_go_command_is_understood() {
    let Some(go) = go_binary() else {
        eprintln!("SKIPPED: no go command");
        return;
    };
    let machine = Machine::new();
    fs::remove_file(machine.path("bin/go")).unwrap();
    std::os::unix::fs::symlink(Path::new(&go), machine.path("bin/go")).unwrap();
    let (code, report) = machine.report();
    assert_eq!(bad_checks(&report), [""; 0]);
    assert_eq!(code, Some(0));
    let checks = report["checks"].as_array().unwrap();
    let first = checks.iter().find(|check| check["id"] == "D01").unwrap();
    assert!(
        first["detail"].as_str().unwrap().starts_with("go1."),
        "{first}"
    );
}
