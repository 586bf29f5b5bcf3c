//! Look-ahead: what a go command will ask next is there before it asks; never zips, never private
//! names.

use std::time::Duration;

use testkit::{Module, Tree, Upstream};

use crate::common::{Launch, Server, eventually};

/// `app` needs `a` and `b`, `a` needs `c`; `c` needs one that is not to be had.
fn tree(go: &str) -> Tree {
    let module = |name: &str| Module::new(&format!("example.com/{name}"), "v1.0.0").go(go);
    let mut tree = Tree::new();
    for module in [
        module("app")
            .require("example.com/a", "v1.0.0")
            .require("example.com/b", "v1.0.0"),
        module("a").require("example.com/c", "v1.0.0"),
        module("b").filler(100 << 10),
        module("c").require("example.com/none", "v1.0.0"),
    ] {
        tree.add(&module).unwrap();
    }
    tree
}

fn looking(upstream: &Upstream) -> Server {
    Launch::new().upstream(&upstream.url()).look_ahead().start()
}

fn settled(server: &Server) {
    let asked = |server: &Server| server.metric("modkeep_look_ahead_asked_total");
    let ended = |server: &Server| {
        server.metric("modkeep_look_ahead_brought_total")
            + server.metric("modkeep_look_ahead_failed_total")
    };
    let mut last = u64::MAX;
    eventually("look-ahead has settled", || {
        let now = asked(server);
        let still = now == last && now == ended(server);
        last = now;
        std::thread::sleep(Duration::from_millis(60));
        still
    });
}

fn mods(upstream: &Upstream) -> Vec<String> {
    let mut mods: Vec<_> = upstream
        .seen()
        .into_iter()
        .filter_map(|s| s.path.strip_suffix("/@v/v1.0.0.mod").map(str::to_owned))
        .collect();
    mods.sort();
    mods
}

#[test]
fn after_an_info_comes_the_mod_and_after_a_mod_the_mods_it_requires() {
    let upstream = Upstream::start_blocking(tree("1.16")).unwrap();
    let server = looking(&upstream);
    assert_eq!(server.get("/example.com/app/@v/v1.0.0.info").status, 200);
    settled(&server);
    let names = ["a", "app", "b", "c", "none"].map(|n| format!("/example.com/{n}"));
    assert_eq!(
        mods(&upstream),
        names,
        "before go 1.17 the whole graph is needed"
    );
    upstream.forget();
    for name in ["app", "a", "b", "c"] {
        assert_eq!(
            server
                .get(&format!("/example.com/{name}/@v/v1.0.0.mod"))
                .status,
            200
        );
    }
    assert_eq!(server.get("/example.com/none/@v/v1.0.0.mod").status, 404);
    settled(&server);
    assert_eq!(mods(&upstream), Vec::<String>::new(), "all of it is there");
}

#[test]
fn a_pruned_graph_is_not_followed_beyond_what_is_named() {
    let upstream = Upstream::start_blocking(tree("1.21")).unwrap();
    let server = looking(&upstream);
    assert_eq!(server.get("/example.com/app/@v/v1.0.0.mod").status, 200);
    settled(&server);
    let names = ["a", "app", "b"].map(|n| format!("/example.com/{n}"));
    assert_eq!(mods(&upstream), names);
}

#[test]
fn after_a_list_or_latest_comes_the_newest_version() {
    for end in ["@v/list", "@latest"] {
        let upstream = Upstream::start_blocking(tree("1.21")).unwrap();
        let server = looking(&upstream);
        assert_eq!(server.get(&format!("/example.com/b/{end}")).status, 200);
        eventually("the .mod came", || mods(&upstream) == ["/example.com/b"]);
    }
}

#[test]
fn zips_are_never_fetched_ahead_and_metrics_tell_what_was() {
    let upstream = Upstream::start_blocking(tree("1.16")).unwrap();
    let server = looking(&upstream);
    for end in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod"] {
        assert_eq!(server.get(&format!("/example.com/app/{end}")).status, 200);
    }
    settled(&server);
    assert_eq!(upstream.hits_of(".zip"), 0);
    let count = |what: &str| server.metric(&format!("modkeep_look_ahead_{what}_total"));
    assert!(count("brought") >= 3, "{}", count("brought"));
    assert!(count("failed") >= 1, "{}", count("failed"));
    assert_eq!(count("asked"), count("brought") + count("failed"));
    assert_eq!(count("dropped"), 0);
}

#[test]
fn nothing_is_asked_twice_because_of_it() {
    let upstream = Upstream::start_blocking(tree("1.16")).unwrap();
    let server = looking(&upstream);
    for _ in 0..3 {
        for name in ["app", "a", "b", "c"] {
            for end in ["info", "mod"] {
                server.get(&format!("/example.com/{name}/@v/v1.0.0.{end}"));
            }
        }
    }
    settled(&server);
    for seen in upstream.seen() {
        assert_eq!(upstream.hits(&seen.path), 1, "{}", seen.path);
    }
}

#[test]
fn it_can_be_switched_off() {
    let upstream = Upstream::start_blocking(tree("1.16")).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--look-ahead", "off"])
        .start();
    for end in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod"] {
        assert_eq!(server.get(&format!("/example.com/app/{end}")).status, 200);
    }
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(upstream.hits_of(""), 4);
    assert_eq!(server.metric("modkeep_look_ahead_asked_total"), 0);
}

#[test]
fn private_names_are_neither_asked_for_nor_wagered_on() {
    let mut tree = tree("1.16");
    let app = Module::new("example.com/app", "v1.0.0")
        .go("1.16")
        .require("corp.example/secret/x", "v1.0.0")
        .require("git.corp.example/y", "v1.0.0")
        .require("example.com/b", "v1.0.0");
    tree.add(&app).unwrap();
    tree.add(&Module::new("corp.example/secret/x", "v1.0.0"))
        .unwrap();
    let upstream = Upstream::start_blocking(tree).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .look_ahead()
        .args(["--private", "corp.example/secret,*.corp.example"])
        .start();
    assert_eq!(server.get("/example.com/app/@v/v1.0.0.mod").status, 200);
    for path in [
        "/corp.example/secret/x",
        "/git.corp.example/y",
        "/corp.example/secret",
    ] {
        for end in [
            "@v/list",
            "@latest",
            "@v/v1.0.0.info",
            "@v/v1.0.0.mod",
            "@v/v1.0.0.zip",
            "@v/main.info",
        ] {
            let answer = server.get(&format!("{path}/{end}"));
            assert!(answer.status >= 400, "{path}/{end}: {}", answer.status);
            assert_ne!(answer.header("cache-control"), Some("public, max-age=60"));
        }
        server.get(&format!("/sumdb/sum.golang.org/lookup{path}@v1.0.0"));
        server.get(&format!("/cached-only{path}/@v/list"));
    }
    settled(&server);
    assert!(
        upstream.hits("/example.com/b/@v/v1.0.0.mod") == 1,
        "others are"
    );
    for seen in upstream.seen() {
        assert!(
            !seen.path.contains("secret") && !seen.path.contains("git.corp"),
            "{}",
            seen.path
        );
    }
}
