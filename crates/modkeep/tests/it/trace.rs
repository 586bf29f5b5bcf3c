//! `modkeep trace` against upstreams that do as told.

use crate::golang::{Project, SUMDB, log_of, relay};
use std::io::Read as _;
use testkit::{Behaviour, Fault, Module, Tree, Upstream};

const M: &str = "github.com/some/m@v1.0.0";

fn module() -> Module {
    Module::new("github.com/some/m", "v1.0.0").file("m.go", "package m\n")
}

/// A proxy that relays a database, and the database's key.
fn proxy() -> (Upstream, String) {
    let (module, mut tree) = (module(), Tree::new());
    tree.add(&module).unwrap();
    let log = log_of(&[&module]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&module]);
    (Upstream::start_blocking(tree).unwrap(), log.vkey())
}

fn json(project: &Project, args: &[&str]) -> (Option<i32>, serde_json::Value) {
    let ran = project.run(&[&["trace", "--json"], args].concat());
    let document: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e} {ran:?}"));
    assert_eq!(document["schema"], "modkeep.trace/1");
    (ran.code, document)
}

/// The tries of a step: place, fallback, whether good.
fn tries(document: &serde_json::Value, what: &str) -> Vec<(String, String, bool)> {
    let steps = document["steps"].as_array().unwrap();
    let of = steps.iter().filter(|s| s["what"] == what);
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    of.flat_map(|s| s["tries"].as_array().unwrap())
        .map(|t| (text(&t["place"]), text(&t["fallback"]), t["good"] == true))
        .collect()
}

#[test]
fn a_whole_download_is_shown_request_by_request() {
    let (upstream, key) = proxy();
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(document["outcome"], "complete");
    let steps: Vec<&str> = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["what"].as_str().unwrap())
        .collect();
    for what in ["info", "mod", "zip", "sumdb lookup"] {
        assert!(steps.contains(&what), "{what}: {steps:?}");
    }
    let hop = &document["steps"][0]["tries"][0]["exchange"]["hops"][0];
    assert_eq!(hop["http"]["status"], 200, "{hop:#}");
    assert!(
        hop["tcp"][0]["connected"] == true && hop["dns"].is_object(),
        "{hop:#}"
    );
    assert_eq!(document["sumdb"]["size"], 1);
    assert_eq!(document["route"]["address"], "127.0.0.1");
    let shown = project.run(&["trace", M]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        "info\n",
        "zip\n",
        "connect  127.0.0.1",
        "first byte",
        "proved in a tree of 1",
        "complete in",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let latest = json(&project, &["github.com/some/m@latest"]).1;
    assert_eq!(latest["version"], "v1.0.0", "{latest:#}");
}

#[test]
fn each_fallback_is_told_with_its_reason() {
    let (good, key) = proxy();
    let empty = Upstream::start_blocking(Tree::new()).unwrap();
    let (failing, _) = proxy();
    failing.set(Behaviour::status(500, "on fire"));
    let list = format!("{},{}|{}", empty.url(), failing.url(), good.url());
    let Some(project) = Project::new(&list) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(0), "{document:#}");
    let info = tries(&document, "info");
    assert_eq!(info.len(), 3, "{info:?}");
    assert!(
        info[0].1.contains("not found") && info[1].1.contains("bar"),
        "{info:?}"
    );
    assert!(info[2].2);
    // A comma stops at an error.
    let project = project.env("GOPROXY", &format!("{},{}", failing.url(), good.url()));
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(1), "{document:#}");
    let info = tries(&document, "info");
    assert!(info[0].1.contains("comma passes only"), "{info:?}");
    assert_eq!(
        document["findings"][0]["label"], "upstream_5xx",
        "{document:#}"
    );
}

#[test]
fn redirects_are_followed_hop_by_hop_and_dead_ends_named() {
    let (storage, key) = proxy();
    let front = Upstream::start_blocking(Tree::new()).unwrap();
    let to = format!(
        "{}/github.com/some/m/@v/v1.0.0.zip?token=sesame",
        storage.url()
    );
    let (own, _) = proxy();
    own.on(".zip", Behaviour::new().fault(Fault::Redirect(to)));
    drop(front);
    let Some(project) = Project::new(&own.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(0), "{document:#}");
    let zip = document["steps"]
        .as_array()
        .unwrap()
        .iter()
        .rfind(|s| s["what"] == "zip")
        .unwrap();
    let hops = zip["tries"][0]["exchange"]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2, "{zip:#}");
    assert!(
        !document.to_string().contains("sesame"),
        "the key of a signed address"
    );
    let nowhere = Behaviour::new().fault(Fault::Redirect("http://127.0.0.1:9/x".into()));
    own.on(".zip", nowhere);
    let shown = project.run(&["trace", M]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for part in [
        "redirects to http://127.0.0.1:9/x",
        "FAILED at connect",
        "route to 127.0.0.1",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[test]
fn a_crawling_proxy_ends_with_the_time_and_is_shown() {
    let (upstream, _) = proxy();
    upstream.on(".mod", Behaviour::new().fault(Fault::Hang));
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project.run(&["trace", M, "--timeout", "3s"]);
    assert!(matches!(ran.code, Some(1 | 3)), "{ran:?}");
    assert!(
        ran.stdout.contains("mod\n") && ran.stdout.contains("no answer"),
        "{}",
        ran.stdout
    );
}

/// A project whose git finds `https://github.com/` on this disk, and whose other requests end at once.
fn with_repository() -> Option<Project> {
    let project = Project::new("direct")?;
    let repository = project.path("repos/secret-org/hush");
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(
        repository.join("go.mod"),
        "module github.com/secret-org/hush\n",
    )
    .unwrap();
    let git = |args: &[&str]| {
        let name = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let mut command = std::process::Command::new("git");
        command
            .args(name)
            .args(args)
            .current_dir(&repository)
            .env("GIT_CONFIG_NOSYSTEM", "1");
        assert!(command.output().unwrap().status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    git(&["tag", "v1.0.0"]);
    let below = project.path("repos");
    project.write(
        ".gitconfig",
        format!(
            "[url \"file://{}/\"]\n\tinsteadOf = https://github.com/\n",
            below.display()
        ),
    );
    Some(project.env("HTTPS_PROXY", "http://127.0.0.1:9"))
}

#[test]
fn version_control_is_run_to_the_end_and_no_proxy_hears_of_a_private_module() {
    let Some(project) = with_repository() else {
        return;
    };
    let (upstream, key) = proxy();
    let project = project
        .env("GOPROXY", &upstream.url())
        .env("GOSUMDB", &key)
        .env("GOPRIVATE", "github.com/secret-org");
    let file = project.path("report.tar.gz").display().to_string();
    let args = ["github.com/secret-org/hush@v1.0.0", "--bundle", &file];
    let (code, document) = json(&project, &args);
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(document["private"], true);
    for what in ["info", "mod", "zip"] {
        assert_eq!(
            tries(&document, what),
            [("direct".into(), String::new(), true)],
            "{document:#}"
        );
    }
    let steps = document["steps"].as_array().unwrap();
    let zip = steps.iter().find(|s| s["what"] == "zip").unwrap();
    let h1 = zip["tries"][0]["version_control"]["h1"].as_str().unwrap();
    assert!(h1.starts_with("h1:"), "{zip:#}");
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    for (name, text) in unpack(&file) {
        for secret in ["hush", "secret-org"] {
            assert!(!text.contains(secret), "{name} has {secret}: {text}");
        }
    }
    let latest = json(&project, &["github.com/secret-org/hush"]).1;
    assert_eq!(
        (&latest["version"], &latest["outcome"]),
        (&"v1.0.0".into(), &"complete".into()),
        "{latest:#}"
    );
    // What is not there is told in version control's words, with its cause.
    let shown = project.run(&["trace", "github.com/secret-org/hush@v1.7.0"]);
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for part in [
        "version control",
        "unknown revision",
        "likely cause: unknown_revision",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[test]
fn the_database_is_asked_about_what_comes_from_the_origin() {
    let Some(project) = with_repository() else {
        return;
    };
    let (upstream, key) = proxy();
    let project = project.env(
        "GOSUMDB",
        &format!("{key} {}/sumdb/{SUMDB}", upstream.url()),
    );
    let (code, document) = json(&project, &["github.com/secret-org/hush@v1.0.0"]);
    // It has no record: the go command ends there too.
    assert_eq!(code, Some(1), "{document:#}");
    let steps = document["steps"].as_array().unwrap();
    let asked: Vec<&str> = steps.iter().map(|s| s["what"].as_str().unwrap()).collect();
    assert_eq!(asked, ["info", "mod", "sumdb lookup"], "{document:#}");
}

#[test]
fn nobody_is_asked_whom_the_go_command_would_not_ask() {
    let (good, key) = proxy();
    let (failing, _) = proxy();
    failing.on(".info", Behaviour::status(500, "on fire"));
    let Some(project) = Project::new(&format!("{},{}", failing.url(), good.url())) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(1), "{document:#}");
    let named = |upstream: &Upstream| {
        upstream
            .seen()
            .iter()
            .any(|seen| seen.path.contains("some/m"))
    };
    assert!(named(&failing) && !named(&good), "{:?}", good.seen());
    // A dead proxy behind a bar is passed by.
    let dead = "http://127.0.0.1:9";
    let project = project.env("GOPROXY", &format!("{dead}|{}", good.url()));
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(0), "{document:#}");
    let info = tries(&document, "info");
    assert!(info[0].1.contains("bar") && info[1].2, "{info:?}");
    let hop = &document["steps"][0]["tries"][0]["exchange"]["hops"][0];
    assert_eq!(
        (&hop["failure"]["phase"], &hop["failure"]["fault"]),
        (&"connect".into(), &"refused".into())
    );
}

#[test]
fn queries_are_resolved_as_the_go_command_resolves_them() {
    let mut tree = Tree::new();
    for version in ["v1.0.0", "v1.2.0", "v1.3.0-rc.1", "v2.0.0+incompatible"] {
        tree.add(&Module::new("github.com/some/m", version))
            .unwrap();
    }
    let upstream = Upstream::start_blocking(tree).unwrap();
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    for (query, wanted) in [
        ("@latest", "v1.2.0"),
        ("", "v1.2.0"),
        ("@v1", "v1.2.0"),
        ("@<v1.2.0", "v1.0.0"),
        ("@>v1.2.0", "v1.3.0-rc.1"),
    ] {
        let (code, document) = json(&project, &[&format!("github.com/some/m{query}")]);
        assert_eq!(
            (code, &document["version"]),
            (Some(0), &wanted.into()),
            "{query} {document:#}"
        );
    }
    let ran = project.run(&["trace", "github.com/some/m@v7"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stdout.contains("no matching versions for query"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_slow_proxy_is_measured_and_what_caches_say_is_shown() {
    let served = module().file("big.txt", vec![b'x'; 400_000]);
    let mut tree = Tree::new();
    tree.add(&served).unwrap();
    let upstream = Upstream::start_blocking(tree).unwrap();
    let told = Behaviour::new()
        .latency(std::time::Duration::from_millis(120))
        .header("Age", "17")
        .header("X-Cache", "HIT from edge")
        .header("Via", "1.1 varnish")
        .header("Cache-Control", "public, max-age=60");
    upstream.set(told);
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let (code, document) = json(&project, &[M]);
    assert_eq!(code, Some(0), "{document:#}");
    for step in document["steps"].as_array().unwrap() {
        let http = &step["tries"][0]["exchange"]["hops"][0]["http"];
        assert!(http["first_byte_ms"].as_u64().unwrap() >= 100, "{http:#}");
        let headers = http["headers"].to_string();
        for told in [
            "\"age\",\"17\"",
            "HIT from edge",
            "1.1 varnish",
            "max-age=60",
        ] {
            assert!(headers.contains(told), "{told}: {headers}");
        }
    }
    assert!(
        document["took_ms"].as_u64().unwrap() >= 300,
        "three requests of 120 ms"
    );
}

#[test]
fn names_are_asked_of_the_given_server_and_of_no_other() {
    let Some(project) = Project::new("http://athens.corp.invalid") else {
        return;
    };
    let (code, document) = json(
        &project,
        &[M, "--resolver", "127.0.0.1:9", "--timeout", "5s"],
    );
    assert_eq!(code, Some(1), "{document:#}");
    let dns = &document["steps"][0]["tries"][0]["exchange"]["hops"][0]["dns"];
    assert_eq!(
        (&dns["system"], &dns["servers"][0]["server"]),
        (&serde_json::Value::Null, &"127.0.0.1:9".into())
    );
    assert_eq!(dns["servers"].as_array().unwrap().len(), 1, "{dns:#}");
    assert_eq!(
        document["findings"][0]["label"], "dns_failure",
        "{document:#}"
    );
}

#[test]
fn the_trace_speaks_chinese() {
    let (upstream, key) = proxy();
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project
        .env("GOSUMDB", &key)
        .run(&["trace", M, "--lang", "zh"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in ["已连上", "首字节", "已证明", "路由到", "完成，用时"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}

#[test]
fn an_interrupt_shows_what_is_there() {
    let (upstream, _) = proxy();
    upstream.on(".mod", Behaviour::new().fault(Fault::Hang));
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let mut command = project.command(&["trace", M, "--json"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let hangs = || {
        upstream
            .seen()
            .iter()
            .any(|seen| seen.path.ends_with(".mod"))
    };
    crate::common::eventually("the request that hangs", hangs);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(document["outcome"], "unknown");
    assert_eq!(tries(&document, "info").len(), 1, "{document:#}");
}

#[test]
fn a_bundle_holds_no_secret_and_no_private_name() {
    let (upstream, _) = proxy();
    let with_login = upstream.url().replace("http://", "http://user:sesame@");
    let Some(project) = Project::new(&format!("{with_login},{}", upstream.url())) else {
        return;
    };
    let project = project
        .env("GOPRIVATE", "git.corp.invalid,*.hidden.example")
        .env("GOSUMDB", "off");
    let file = project.path("report.tar.gz").display().to_string();
    let ran = project.run(&[
        "trace",
        "git.corp.invalid/team/payments@v1.0.0",
        "--timeout",
        "5s",
        "--bundle",
        &file,
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        upstream.seen().is_empty(),
        "a private name was told: {:?}",
        upstream.seen()
    );
    let texts = unpack(&file);
    let mut names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "README.txt",
            "facts.json",
            "settings.json",
            "trace.json",
            "trace.txt"
        ]
    );
    for (name, text) in &texts {
        for secret in ["sesame", "corp.invalid", "payments", "hidden.example"] {
            assert!(!text.contains(secret), "{name} has {secret}: {text}");
        }
    }
    // It can be judged elsewhere.
    let facts = texts.iter().find(|(name, _)| name == "facts.json").unwrap();
    project.write("facts.json", &facts.1);
    let judged = project.run(&["doctor", "--facts", "facts.json"]);
    assert!(matches!(judged.code, Some(0 | 1)), "{judged:?}");
    let again = project.run(&["trace", M, "--bundle", &file]);
    assert_eq!(
        again.code,
        Some(2),
        "a file is never overwritten: {again:?}"
    );
}

/// Everything that may be told by settings, by requests, and by a server that repeats what it was sent.
#[test]
fn a_bundle_of_a_public_module_hides_what_settings_and_servers_tell() {
    let (upstream, key) = proxy();
    upstream.on(
        ".mod",
        Behaviour::status(403, "user carol with s3same-pw from gw7.corp.invalid may not, nor ghp_0123456789abcdefghij0123"),
    );
    let with_login = upstream.url().replace("http://", "http://carol:s3same-pw@");
    let list = format!(
        "{}/?access_token=t0ken-abc|{with_login}|http://athens.corp.invalid/go",
        upstream.url()
    );
    let Some(project) = Project::new(&list) else {
        return;
    };
    project.write(
        ".netrc",
        "machine git.corp.invalid login carol password netrc-pw-1\n",
    );
    project.write("go.mod", "module secret.corp.invalid/hush\n\ngo 1.21\n");
    let project = project
        .env("GOSUMDB", &key)
        .env("GOAUTH", "netrc;helper --token=goauth-tok-1 goauth-word-1")
        .env("NO_PROXY", ".corp.invalid,10.11.12.13")
        .env("ARTIFACTS_TOKEN", "env-tok-1234")
        .env("GOPRIVATE", "github.com/secret-org");
    let file = project.path("report.tar.gz").display().to_string();
    let ran = project.run(&["trace", M, "--timeout", "20s", "--bundle", &file]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for (name, text) in unpack(&file) {
        for secret in [
            "s3same",
            "t0ken",
            "carol",
            "corp.invalid",
            "ghp_0",
            "netrc-pw",
            "goauth-tok",
            "goauth-word",
            "env-tok",
            "10.11.12.13",
            "secret-org",
            "hush",
            project.home.path().to_str().unwrap(),
        ] {
            assert!(!text.contains(secret), "{name} has {secret}: {text}");
        }
        if name.starts_with("trace") {
            assert!(text.contains(M), "a public module keeps its name: {text}");
        }
    }
}

fn unpack(file: &str) -> Vec<(String, String)> {
    let opened = std::fs::File::open(file).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(opened));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        found.push((name, text));
    }
    found
}

#[test]
fn wrong_usage_is_told() {
    for args in [
        vec!["trace"],
        vec!["trace", "no module"],
        vec!["trace", M, "--timeout", "soon"],
        vec!["trace", M, "--resolver", "x"],
    ] {
        let ran = crate::common::run(&args);
        assert_eq!(ran.code, Some(2), "{args:?} {ran:?}");
    }
}
