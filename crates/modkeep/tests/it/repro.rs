//! `modkeep repro`: the same pull elsewhere, or the first difference.

use serde_json::Value;
use testkit::{Module, Tree, Upstream};

use crate::golang::{Project, SUMDB, log_of, relay, sums};

fn modules() -> [Module; 2] {
    [
        Module::new("example.com/m", "v1.0.0").require("example.com/Dep", "v0.2.0"),
        Module::new("example.com/Dep", "v0.2.0"),
    ]
}

/// A proxy with two modules and their checksum database, and a project that needs them.
fn project() -> Option<(Upstream, Project)> {
    let [m, dep] = modules();
    let mut tree = Tree::new();
    tree.add(&m).unwrap();
    tree.add(&dep).unwrap();
    let log = log_of(&[&m, &dep]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&m, &dep]);
    let upstream = Upstream::start_blocking(tree).unwrap();
    let project = Project::new(&upstream.url())?
        .env("GOSUMDB", &log.vkey())
        .env("GOFLAGS", "-modcacherw");
    project.write(
        "go.mod",
        "module test.example/project\n\ngo 1.21\n\nrequire example.com/m v1.0.0\n\nrequire example.com/Dep v0.2.0 // indirect\n",
    );
    let mut text = String::new();
    for module in [&dep, &m] {
        let (h1, gomod) = sums(module);
        let (path, version) = (module.path(), module.version());
        text.push_str(&format!(
            "{path} {version} {h1}\n{path} {version}/go.mod {gomod}\n"
        ));
    }
    project.write("go.sum", text);
    Some((upstream, project))
}

#[test]
fn a_lock_names_every_module_with_its_hash_and_route_and_changes_nothing() {
    let Some((upstream, project)) = project() else {
        return;
    };
    let before = (project.read("go.mod"), project.read("go.sum"));
    let ran = project.run(&["repro", "lock", "--cold"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!((project.read("go.mod"), project.read("go.sum")), before);
    let lock: Value = serde_json::from_str(&project.read("modkeep.repro.json")).unwrap();
    assert_eq!(lock["schema"], "modkeep.repro/1");
    assert!(
        lock["go"]["version"].as_str().unwrap().starts_with("go1."),
        "{lock:#}"
    );
    assert_eq!(
        lock["files"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["go.mod", "go.sum"]
    );
    assert_eq!(lock["env"]["GOPROXY"]["origin"], "environment");
    let (h1, gomod) = sums(&modules()[1]);
    let dep = &lock["modules"][0];
    assert_eq!(
        [&dep["path"], &dep["h1"], &dep["gomod"], &dep["route"]],
        ["example.com/Dep", &h1, &gomod, &*upstream.url()]
    );
    // The same again here, from the user's own cache as well.
    let ran = project.run(&["repro", "check", "--cold"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("The same pull: 2 modules"), "{ran:?}");
    let ran = project.run(&["repro", "check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn check_names_the_first_difference() {
    let Some((_upstream, project)) = project() else {
        return;
    };
    assert_eq!(project.run(&["repro", "lock"]).code, Some(0));
    let lock = project.read("modkeep.repro.json");
    project.write("other.json", lock.replace("linux", "plan9"));
    let ran = project.run(&["repro", "check", "other.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout
            .starts_with("First difference: go GOOS: locked plan9, here"),
        "{ran:?}"
    );
    let (h1, _) = sums(&modules()[0]);
    project.write("other.json", lock.replace(&h1, "h1:other"));
    let json: Value = serde_json::from_str(
        &project
            .run(&["repro", "check", "other.json", "--json"])
            .stdout,
    )
    .unwrap();
    assert_eq!(
        [
            &json["differences"][0]["kind"],
            &json["differences"][0]["name"]
        ],
        ["module", "example.com/m@v1.0.0"]
    );
    assert_eq!(json["same"], false);
    project.write(
        "go.mod",
        project.read("go.mod").replace("go 1.21", "go 1.20"),
    );
    let ran = project.run(&["repro", "check"]);
    assert!(
        ran.stdout.starts_with("First difference: file go.mod"),
        "{ran:?}"
    );
    project.write("other.json", "{}");
    assert_eq!(project.run(&["repro", "check", "other.json"]).code, Some(2));
}

#[test]
fn a_bundle_replays_without_the_network_and_carries_its_proofs() {
    let Some((upstream, project)) = project() else {
        return;
    };
    let ran = project.run(&["repro", "bundle", "pull", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&json["modules"], &json["records"]),
        (&Value::from(2), &Value::from(2)),
        "{json:#}"
    );
    assert!(
        project
            .read("pull/Containerfile")
            .contains("go mod download && go mod verify")
    );
    assert!(
        project
            .path(&format!(
                "pull/proxy/sumdb/{SUMDB}/lookup/example.com/!dep@v0.2.0"
            ))
            .exists()
    );
    // What is there is not overwritten.
    assert_eq!(project.run(&["repro", "bundle", "pull"]).code, Some(2));
    let ran = project.run(&["repro", "bundle", "pull.tar.gz"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    upstream.stop();
    for bundle in ["pull", "pull.tar.gz"] {
        let ran = project.run(&["repro", "replay", bundle, "--json"]);
        let json: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        assert_eq!(
            (ran.code, &json["graph"]),
            (Some(0), &Value::from(3)),
            "{json:#}"
        );
        assert_eq!(json["hermetic"], json["network"] == "cut off");
    }
    // Without go.sum the go command asks the bundle's checksum database, and believes its proofs.
    project.write("go.sum", "");
    let proxy = format!("file://{}", project.path("pull/proxy").display());
    let fresh = project.env("GOPROXY", &proxy);
    std::fs::remove_dir_all(fresh.path("cache")).ok();
    let ran = fresh.go(&["mod", "download", "example.com/m", "example.com/Dep"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (h1, _) = sums(&modules()[0]);
    assert!(fresh.read("go.sum").contains(&h1));
}

#[test]
fn a_bundle_with_other_bytes_does_not_replay() {
    let Some((_upstream, project)) = project() else {
        return;
    };
    assert_eq!(project.run(&["repro", "bundle", "pull"]).code, Some(0));
    let evil = modules()[0].clone().file("evil.go", "package module");
    std::fs::write(
        project.path("pull/proxy/example.com/m/@v/v1.0.0.zip"),
        evil.zip().unwrap(),
    )
    .unwrap();
    let ran = project.run(&["repro", "replay", "pull"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("checksum mismatch"), "{ran:?}");
    std::fs::remove_file(project.path("pull/proxy/example.com/m/@v/v1.0.0.zip")).unwrap();
    assert_eq!(project.run(&["repro", "replay", "pull"]).code, Some(1));
}

#[test]
fn local_replacements_and_workspaces_are_copied_with_their_layout() {
    let Some((_upstream, project)) = project() else {
        return;
    };
    for dir in ["app", "lib"] {
        std::fs::create_dir(project.path(dir)).unwrap();
    }
    project.write("app/go.mod", "module test.example/app\n\ngo 1.21\n\nrequire example.com/m v1.0.0\n\nrequire example.com/Dep v0.2.0 // indirect\n");
    project.write("app/go.sum", project.read("go.sum"));
    project.write("lib/go.mod", "module test.example/lib\n\ngo 1.21\n");
    project.write("go.work", "go 1.21\n\nuse (\n\t./app\n\t./lib\n)\n");
    std::fs::remove_file(project.path("go.mod")).unwrap();
    std::fs::remove_file(project.path("go.sum")).unwrap();
    let ran = project.run(&["repro", "bundle", "pull"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = project.run(&["repro", "replay", "pull"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    std::fs::remove_file(project.path("go.work")).unwrap();
    project.write("go.mod", "module test.example/project\n\ngo 1.21\n\nrequire test.example/lib v0.0.0\n\nreplace test.example/lib => ./lib\n");
    let ran = project.run(&["repro", "lock"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("warning: replace => ./lib"), "{ran:?}");
}

#[test]
fn without_a_project_or_with_a_foreign_archive_it_is_wrong_usage() {
    let Some((_upstream, project)) = project() else {
        return;
    };
    project.write("not.tar.gz", "hello");
    assert_eq!(
        project.run(&["repro", "replay", "not.tar.gz"]).code,
        Some(2)
    );
    assert_eq!(project.run(&["repro", "replay", "nowhere"]).code, Some(2));
    std::fs::remove_file(project.path("go.mod")).unwrap();
    assert_eq!(project.run(&["repro", "lock"]).code, Some(2));
}
