//! `modkeep mirrors`: measured side by side, and set only when told.

use serde_json::Value;
use testkit::{Behaviour, Module, Tree, Upstream};

use crate::golang::{Project, SUMDB, log_of, relay};

fn module() -> Module {
    Module::new("example.com/m", "v1.0.0").filler(64 << 10)
}

fn mirror(served: &Module, more: Option<&Module>, relays: bool) -> (Upstream, String) {
    let mut tree = Tree::new();
    tree.add(served).unwrap();
    if let Some(more) = more {
        tree.add(more).unwrap();
    }
    let log = log_of(&[&module()]);
    if relays {
        relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&module()]);
    }
    (Upstream::start_blocking(tree).unwrap(), log.vkey())
}

#[test]
fn mirrors_are_measured_and_only_sound_ones_recommended() {
    let newer = Module::new("example.com/m", "v1.1.0");
    let (good, key) = mirror(&module(), Some(&newer), true);
    let (stale, _) = mirror(&module(), None, false);
    let (wrong, _) = mirror(&module().file("evil", "x"), Some(&newer), false);
    let (broken, _) = mirror(&module(), Some(&newer), false);
    broken.on("/sumdb/", Behaviour::status(403, "no"));
    let Some(project) = Project::new(&good.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (a, b, c, d) = (good.url(), stale.url(), wrong.url(), broken.url());
    let args = [
        "mirrors",
        "--json",
        "--module",
        "example.com/m@v1.0.0",
        &b,
        &a,
        &c,
        &d,
        "http://127.0.0.1:1",
    ];
    let ran = project.run(&args);
    assert_eq!(ran.code, Some(1), "wrong bytes are bad: {ran:?}");
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(
        ran.stdout
            .starts_with("{\n  \"schema\": \"modkeep.mirrors/1\"")
    );
    let of = |place: usize, key: &str| json["mirrors"][place][key].clone();
    assert_eq!(
        [
            &of(0, "bytes")["state"],
            &of(1, "bytes")["state"],
            &of(2, "bytes")["state"]
        ],
        ["correct", "correct", "wrong"]
    );
    assert_eq!(
        (&of(0, "newest"), &of(1, "newest")),
        (&Value::from("v1.0.0"), &Value::from("v1.1.0"))
    );
    assert_eq!(
        (&of(1, "sumdb")["state"], &of(0, "sumdb")["state"]),
        (&Value::from("yes"), &Value::from("no"))
    );
    assert_eq!(of(3, "sumdb")["detail"], 403);
    assert!(
        of(4, "error").as_str().unwrap().contains("refused"),
        "{json:#}"
    );
    let goproxy = json["recommendation"]["goproxy"].as_str().unwrap();
    assert!(
        goproxy.starts_with(&a) && goproxy.ends_with(",direct"),
        "{goproxy}"
    );
    assert!(!goproxy.contains(&c) && !goproxy.contains(&d), "{goproxy}");
}

#[test]
fn the_recommendation_is_set_only_with_apply_and_a_way_back_is_told() {
    let (good, key) = mirror(&module(), None, true);
    let Some(project) = Project::new("") else {
        return;
    };
    let env = project.path("goenv");
    let project = project
        .env("GOSUMDB", &key)
        .env("GOENV", env.to_str().unwrap());
    let url = good.url();
    let args = ["mirrors", "--module", "example.com/m@v1.0.0", &url];
    let ran = project.run(&args);
    assert!(
        ran.stdout
            .contains(&format!("go env -w 'GOPROXY={url},direct'")),
        "{ran:?}"
    );
    assert!(!env.exists());
    // Nobody to ask.
    assert_eq!(
        project.run(&[&args[..], &["--apply"]].concat()).code,
        Some(2)
    );
    assert!(!env.exists());
    let ran = project.run(&[&args[..], &["--apply", "--yes"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("the way back: go env -w"), "{ran:?}");
    assert_eq!(
        std::fs::read_to_string(&env).unwrap().trim(),
        format!("GOPROXY={url},direct")
    );
}

#[test]
fn a_private_sample_is_sent_to_nobody_and_an_unreachable_list_is_unknown() {
    let (good, _) = mirror(&module(), None, false);
    let Some(project) = Project::new("off") else {
        return;
    };
    let project = project.env("GOPRIVATE", "example.com");
    let ran = project.run(&["mirrors", "--module", "example.com/m@v1.0.0", &good.url()]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(good.seen().is_empty());
    assert_eq!(
        project.run(&["mirrors", "http://127.0.0.1:1"]).code,
        Some(3)
    );
    assert_eq!(project.run(&["mirrors", "direct"]).code, Some(2));
}
