//! The command line: settings and where they come from, fetch, purge, exit statuses, completions,
//! the manual page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Behaviour, Module, Tree, Upstream};

use crate::common::{Launch, Ran, Server, run, run_in};

/// A home directory with settings files in it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, text: &str) -> Self {
        let home = Self::new();
        home.write(name, text);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        run_in(self.path(), args, env)
    }

    /// A setting's value and where it came from.
    #[track_caller]
    fn shows(&self, args: &[&str], env: &[(&str, &str)], name: &str) -> (String, String) {
        let mut all = vec!["config", "show", "--json"];
        all.extend(args);
        let ran = self.run(&all, env);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let shown = document(&ran.stdout, "modkeep.config/1");
        let settings = shown["settings"].as_array().unwrap();
        let found = settings.iter().find(|s| s["name"] == name).unwrap();
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        (text("value"), text("from"))
    }

    /// What `config check` complains about.
    #[track_caller]
    fn complaint(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let mut all = vec!["config", "check"];
        all.extend(args);
        let ran = self.run(&all, env);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran.stderr
    }
}

/// The one JSON document on standard output; its schema is its first key.
#[track_caller]
fn document(stdout: &str, schema: &str) -> serde_json::Value {
    let first = format!("{{\"schema\":\"{schema}\"");
    let packed: String = stdout.chars().filter(|c| !c.is_whitespace()).collect();
    assert!(packed.starts_with(&first), "{stdout}");
    serde_json::from_str(stdout).unwrap()
}

mod config {
    use super::*;

    #[test]
    fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
        let home = Home::new();
        let fresh = |args: &[&str], env: &[(&str, &str)]| home.shows(args, env, "fresh");
        assert_eq!(fresh(&[], &[]), ("1m".into(), "default".into()));
        let file = home.write("modkeep.toml", "# settings\n\n  fresh = \"2m\"\n");
        let (value, from) = fresh(&[], &[]);
        assert_eq!(value, "2m");
        assert!(from.ends_with("modkeep.toml:3:11"), "{from}");
        let env = [("MODKEEP_FRESH", "3m")];
        assert_eq!(
            fresh(&[], &env),
            ("3m".into(), "environment (MODKEEP_FRESH)".into())
        );
        let flag = ("4m".to_owned(), "flag".to_owned());
        assert_eq!(fresh(&["--fresh", "4m"], &env), flag);
        let named = file.to_str().unwrap();
        let (value, from) = fresh(&["--config", named], &[]);
        assert_eq!((value.as_str(), from.contains(named)), ("2m", true));
    }

    #[test]
    fn the_file_is_the_named_one_else_the_one_here_else_the_users() {
        let home = Home::new();
        let fresh = |args: &[&str], env: &[(&str, &str)]| home.shows(args, env, "fresh").0;
        home.write(".config/modkeep/modkeep.toml", "fresh = \"1s\"");
        assert_eq!(fresh(&[], &[]), "1s");
        home.write("xdg/modkeep/modkeep.toml", "fresh = \"2s\"");
        let xdg = home.path().join("xdg");
        let xdg = [("XDG_CONFIG_HOME", xdg.to_str().unwrap())];
        assert_eq!(fresh(&[], &xdg), "2s");
        home.write("modkeep.toml", "fresh = \"3s\"");
        assert_eq!(fresh(&[], &xdg), "3s");
        let by_variable = home.write("variable.toml", "fresh = \"4s\"");
        let variable = [("MODKEEP_CONFIG", by_variable.to_str().unwrap())];
        assert_eq!(fresh(&[], &variable), "4s");
        let by_flag = home.write("flag.toml", "fresh = \"5s\"");
        assert_eq!(
            fresh(&["--config", by_flag.to_str().unwrap()], &variable),
            "5s"
        );
        let missing = home.complaint(&["--config", "missing.toml"], &[]);
        assert!(missing.contains("missing.toml"), "{missing}");
        let missing = home.complaint(&[], &[("MODKEEP_CONFIG", "gone.toml")]);
        assert!(missing.contains("gone.toml"), "{missing}");
    }

    #[test]
    fn lists_and_switches_come_from_everywhere_too() {
        let home = Home::with(
            "modkeep.toml",
            "listen = [\"127.0.0.1:1\", \"unix:/x\"]\noffline = true\nconnections = 7\n",
        );
        assert_eq!(home.shows(&[], &[], "listen").0, "127.0.0.1:1; unix:/x");
        assert_eq!(home.shows(&[], &[], "offline").0, "true");
        assert_eq!(home.shows(&[], &[], "connections").0, "7");
        let env = [
            ("MODKEEP_LISTEN", "127.0.0.1:2; 127.0.0.1:3"),
            ("MODKEEP_OFFLINE", "false"),
        ];
        assert_eq!(
            home.shows(&[], &env, "listen").0,
            "127.0.0.1:2; 127.0.0.1:3"
        );
        assert_eq!(home.shows(&[], &env, "offline").0, "false");
        let flags = [
            "--listen",
            "127.0.0.1:4",
            "--listen",
            "127.0.0.1:5",
            "--offline",
        ];
        assert_eq!(
            home.shows(&flags, &env, "listen").0,
            "127.0.0.1:4; 127.0.0.1:5"
        );
        assert_eq!(home.shows(&flags, &env, "offline").0, "true");
    }

    #[test]
    fn secrets_are_masked_wherever_they_come_from() {
        let url = "https://me:hunter2@proxy.example/x,https://tok3n@b.example|direct";
        let home = Home::with("modkeep.toml", &format!("upstream = \"{url}\"\n"));
        for (args, env) in [
            (vec![], vec![]),
            (vec!["--upstream", url], vec![]),
            (vec![], vec![("MODKEEP_UPSTREAM", url)]),
        ] {
            let ran = home.run(&[&["config", "show"], args.as_slice()].concat(), &env);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(
                !ran.stdout.contains("hunter2") && !ran.stdout.contains("tok3n"),
                "{ran:?}"
            );
            assert!(ran.stdout.contains("***@proxy.example/x"), "{ran:?}");
        }
        let sumdb = ["--sumdb", "sum.golang.org https://me:hunter2@sums.example"];
        assert!(!home.shows(&sumdb, &[], "sumdb").0.contains("hunter2"));
        let hook = ["--alarm-webhook", "https://hooks.example/T0/hunter2"];
        assert!(
            !home
                .shows(&hook, &[], "alarm-webhook")
                .0
                .contains("hunter2")
        );
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_what_was_meant() {
        for (key, meant) in [
            ("upstreem", "upstream"),
            ("look_ahead", "look-ahead"),
            ("Listen", "listen"),
            ("tls-certificate", ""),
            ("zzz", ""),
        ] {
            let home = Home::with("modkeep.toml", &format!("fresh = \"1m\"\n {key} = \"x\"\n"));
            let text = home.complaint(&[], &[]);
            assert!(text.contains("modkeep.toml:2:2"), "{text}");
            assert!(text.contains(key), "{text}");
            match meant {
                "" => assert!(!text.contains("did you mean"), "{text}"),
                _ => assert!(text.contains(&format!("did you mean {meant}?")), "{text}"),
            }
        }
        let home = Home::with("modkeep.toml", "[server]\nlisten = \"x\"\n");
        assert!(home.complaint(&[], &[]).contains("modkeep.toml:1:2"));
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_place() {
        for (text, place) in [
            ("fresh = \"1m\"\nlisten = [\n", "modkeep.toml:"),
            ("fresh = 1m\n", "modkeep.toml:1:"),
            ("fresh = \"1m\"\nfresh = \"2m\"\n", "modkeep.toml:2:1"),
            ("\u{0}", "modkeep.toml:1:"),
        ] {
            let text = Home::with("modkeep.toml", text).complaint(&[], &[]);
            assert!(text.contains(place), "{text}");
        }
        let home = Home::new();
        std::fs::write(home.path().join("modkeep.toml"), b"\xff\xfe").unwrap();
        assert!(home.complaint(&[], &[]).contains("modkeep.toml"));
        std::fs::write(home.path().join("modkeep.toml"), vec![b'#'; 2 << 20]).unwrap();
        assert!(home.complaint(&[], &[]).contains("modkeep.toml"));
    }

    const BAD: &[(&str, &str)] = &[
        ("listen", "8080"),
        ("upstream", ""),
        ("upstream", "ftp://x"),
        ("upstream", "https://"),
        ("private", "example.com/[a"),
        ("private", "a[,b"),
        ("insecure", "example.com/[a"),
        ("no-sumdb", "example.com/[a"),
        ("vcs", "nonsense"),
        ("sumdb", "example.com"),
        ("sumdb", "sum.golang.org+x+y"),
        ("verify", "never"),
        ("look-ahead", "maybe"),
        ("fresh", "1"),
        ("fresh", "-1m"),
        ("fresh", "1 m"),
        ("not-found", "1d"),
        ("verify-again", "often"),
        ("answer-timeout", "99999999999999999999s"),
        ("upstream-timeout", "soon"),
        ("crawl-time", ""),
        ("client-timeout", "x"),
        ("grace", "1.5s"),
        ("memory", "10MB"),
        ("memory", "-1"),
        ("memory", "99999999999GiB"),
        ("connections", "0"),
        ("connections", "many"),
        ("prefix", "go"),
        ("prefix", "/a b"),
        ("log-format", "xml"),
        ("log-level", "loud=="),
    ];

    #[test]
    fn a_bad_value_is_told_with_its_place_wherever_it_comes_from() {
        for (name, bad) in BAD {
            let home = Home::new();
            let flag = format!("--{name}={bad}");
            let text = home.complaint(&[&flag], &[]);
            assert!(
                text.contains(&format!("--{name}")),
                "{name} {bad:?}: {text}"
            );
            let variable = format!("MODKEEP_{}", name.to_uppercase().replace('-', "_"));
            let text = home.complaint(&[], &[(&variable, bad)]);
            assert!(text.contains(&variable), "{name} {bad:?}: {text}");
            home.write("modkeep.toml", &format!("\n{name} = {bad:?}\n"));
            let text = home.complaint(&[], &[]);
            let place = format!("modkeep.toml:2:{}", name.len() + 4);
            assert!(text.contains(&place), "{name} {bad:?}: {text}");
        }
    }

    #[test]
    fn a_switch_is_on_or_off_and_nothing_else() {
        let home = Home::new();
        let text = home.complaint(&[], &[("MODKEEP_OFFLINE", "banana")]);
        assert!(
            text.contains("MODKEEP_OFFLINE") && text.contains("banana"),
            "{text}"
        );
        for (text, value) in [
            ("1", true),
            ("true", true),
            ("on", true),
            ("0", false),
            ("", false),
        ] {
            let ran = home.run(&["config", "check"], &[("MODKEEP_OFFLINE", text)]);
            assert_eq!(ran.code, Some(0), "{text:?} {value}: {ran:?}");
        }
        for bad in [
            "offline = \"yes\"",
            "offline = 1",
            "fresh = true",
            "listen = [1.5]",
            "fresh = [\"1m\"]",
        ] {
            let home = Home::with("modkeep.toml", bad);
            assert!(
                home.complaint(&[], &[]).contains("modkeep.toml:1:"),
                "{bad}"
            );
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let home = Home::with(
            "modkeep.toml",
            "upstreem = \"x\"\nfresh = \"1m\"\nlisten = 1.5\n",
        );
        let text = home.complaint(&["--grace", "x"], &[]);
        assert!(
            text.contains("upstreem") && text.contains("modkeep.toml:3:10"),
            "{text}"
        );
        let home = Home::with("modkeep.toml", "fresh = \"x\"\nlisten = \"y\"\n");
        let text = home.complaint(&["--grace", "z"], &[("MODKEEP_MEMORY", "w")]);
        for part in [
            "modkeep.toml:1:9",
            "modkeep.toml:2:10",
            "--grace",
            "MODKEEP_MEMORY",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.lines().all(|l| l.starts_with("modkeep: ")), "{text}");
    }

    #[test]
    fn a_check_says_good_or_what_is_bad_in_json_too() {
        let home = Home::new();
        let good = home.run(&["config", "check", "--json"], &[]);
        assert_eq!(good.code, Some(0), "{good:?}");
        assert_eq!(
            document(&good.stdout, "modkeep.config-check/1")["good"],
            true
        );
        let bad = home.run(&["config", "check", "--json", "--fresh", "x"], &[]);
        assert_eq!(bad.code, Some(2), "{bad:?}");
        let document = document(&bad.stdout, "modkeep.config-check/1");
        assert_eq!(document["good"], false);
        let problem = document["problem"].as_str().unwrap();
        assert!(problem.starts_with("--fresh: "), "{problem}");
    }

    #[test]
    fn a_server_does_not_start_with_bad_settings() {
        for (name, bad) in [
            ("private", "example.com/[a"),
            ("fresh", "x"),
            ("log-level", "loud=="),
        ] {
            let Err(ran) = Launch::new().args([&format!("--{name}"), bad]).try_start() else {
                panic!("it started with {name} {bad}");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(name), "{ran:?}");
        }
        let launch = Launch::new();
        std::fs::write(launch.home().join("modkeep.toml"), "fresch = \"1m\"\n").unwrap();
        let Err(ran) = launch.try_start() else {
            panic!("it started with an unknown key");
        };
        assert!(
            ran.stderr.contains("modkeep.toml:1:1") && ran.stderr.contains("did you mean fresh?"),
            "{ran:?}"
        );
    }

    #[test]
    fn the_example_settings_are_good_also_when_every_line_is_used() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/modkeep.toml");
        let home = Home::new();
        let args = ["config", "check", "--config", example.to_str().unwrap()];
        assert_eq!(home.run(&args, &[]).code, Some(0));
        let text = std::fs::read_to_string(&example).unwrap();
        let mut used = 0;
        let all: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains(". ") => {
                    used += 1;
                    setting
                }
                _ => line,
            })
            .collect();
        assert!(used > 0);
        let home = Home::with("modkeep.toml", &all.join("\n"));
        let ran = home.run(&["config", "check"], &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    for version in ["v1.0.0", "v1.1.0", "v1.2.0-pre", "v2.0.0+incompatible"] {
        tree.add(&Module::new("example.com/m", version).go_mod("module example.com/m\n"))
            .unwrap();
    }
    for i in 0..12 {
        tree.add(&Module::new(&format!("example.com/dep{i}"), "v1.0.0"))
            .unwrap();
    }
    tree.put("example.com/m/@v/list", "v1.0.0\nv1.1.0\nv1.2.0-pre\n");
    let branch = Module::new("example.com/m", "v1.1.0").info();
    tree.put("example.com/m/@v/main.info", branch);
    tree
}

/// A home whose commands ask this upstream.
struct Fetching {
    home: Home,
    upstream: Upstream,
}

impl Fetching {
    fn new() -> Self {
        Self {
            home: Home::new(),
            upstream: Upstream::start_blocking(tree()).unwrap(),
        }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let url = self.upstream.url();
        let data = self.home.path().join("data");
        let env = [
            ("MODKEEP_UPSTREAM", url.as_str()),
            ("MODKEEP_DATA", data.to_str().unwrap()),
            ("MODKEEP_SUMDB", "off"),
        ];
        self.home.run(args, &env)
    }

    /// What became of each module.
    #[track_caller]
    fn fetch(&self, code: i32, args: &[&str]) -> Vec<serde_json::Value> {
        let ran = self.run(&[&["fetch", "--json"], args].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let document = document(&ran.stdout, "modkeep.fetch/1");
        document["modules"].as_array().unwrap().clone()
    }
}

mod fetching {
    use super::*;

    #[test]
    fn a_query_finds_the_version_that_the_go_command_would_take() {
        for (query, version) in [
            ("example.com/m", "v1.1.0"),
            ("example.com/m@latest", "v1.1.0"),
            ("example.com/m@v1", "v1.1.0"),
            ("example.com/m@v1.0", "v1.0.0"),
            ("example.com/m@v1.0.0", "v1.0.0"),
            ("example.com/m@v1.2.0-pre", "v1.2.0-pre"),
            ("example.com/m@v2.0.0+incompatible", "v2.0.0+incompatible"),
            ("example.com/m@main", "v1.1.0"),
        ] {
            let fetching = Fetching::new();
            let modules = fetching.fetch(0, &[query]);
            assert_eq!(modules.len(), 1);
            assert_eq!(modules[0]["module"], "example.com/m");
            assert_eq!(modules[0]["version"], version, "{query}");
            assert!(modules[0]["h1"].as_str().unwrap().starts_with("h1:"));
            assert!(modules[0]["gomod"].as_str().unwrap().starts_with("h1:"));
            let zip = format!("/example.com/m/@v/{version}.zip");
            assert_eq!(fetching.upstream.hits(&zip), 1, "{query}");
        }
    }

    #[test]
    fn what_was_fetched_is_served_by_a_server_without_upstreams() {
        let fetching = Fetching::new();
        fetching.fetch(0, &["example.com/m@v1.0.0", "example.com/dep3@latest"]);
        let data = fetching.home.path().join("data");
        let server = Launch::new()
            .arg("--data")
            .arg(&data)
            .arg("--offline")
            .try_start();
        // The data directory may only be named once; the harness names its own.
        assert!(server.is_err_and(|ran| ran.code == Some(2)));
        let server = crate::common::command(fetching.home.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--offline", "--data"])
            .arg(&data)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Killed(server);
        let mut line = String::new();
        let out = server.0.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("modkeep ready http://")
            .unwrap();
        for path in [
            "/example.com/m/@v/v1.0.0.info",
            "/example.com/m/@v/v1.0.0.mod",
            "/example.com/m/@v/v1.0.0.zip",
            "/example.com/dep3/@v/v1.0.0.zip",
        ] {
            let mut connection = crate::common::Connection::open(address.parse().unwrap());
            connection.send("GET", path, &[], b"");
            connection
                .head(false)
                .finish()
                .is(tree().get(path).unwrap());
        }
    }

    struct Killed(std::process::Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_go_sum_brings_zips_and_bare_mods_in_parallel() {
        let fetching = Fetching::new();
        let slow = Behaviour::new().latency(Duration::from_millis(50));
        fetching.upstream.set(slow);
        let mut text = String::new();
        for i in 0..12 {
            let hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            if i % 3 > 0 {
                text.push_str(&format!("example.com/dep{i} v1.0.0 h1:{hash}\n"));
            }
            text.push_str(&format!("example.com/dep{i} v1.0.0/go.mod h1:{hash}\n"));
        }
        let file = fetching.home.write("go.sum", &text);
        let modules = fetching.fetch(0, &["--from", file.to_str().unwrap()]);
        assert_eq!(modules.len(), 12);
        assert!(fetching.upstream.in_flight_peak() >= 4);
        for i in 0..12 {
            let base = format!("/example.com/dep{i}/@v/v1.0.0");
            assert_eq!(fetching.upstream.hits(&format!("{base}.mod")), 1);
            let zips = fetching.upstream.hits(&format!("{base}.zip"));
            assert_eq!(zips, usize::from(i % 3 > 0), "dep{i}");
        }
        // The second time everything is there.
        fetching.upstream.forget();
        fetching.fetch(0, &["--from", file.to_str().unwrap(), "--jobs", "1"]);
        assert_eq!(fetching.upstream.hits_of(""), 0);
    }

    #[test]
    fn a_go_mod_brings_what_it_requires() {
        let fetching = Fetching::new();
        let file = fetching.home.write(
            "go.mod",
            "module example.com/app\n\ngo 1.21\n\nrequire example.com/m v1.1.0 // indirect\n\nrequire (\n\texample.com/dep1 v1.0.0\n)\n",
        );
        let modules = fetching.fetch(0, &["--from", file.to_str().unwrap()]);
        let names: BTreeSet<_> = modules
            .iter()
            .map(|m| m["module"].as_str().unwrap())
            .collect();
        assert_eq!(names, BTreeSet::from(["example.com/m", "example.com/dep1"]));
        assert_eq!(fetching.upstream.hits("/example.com/m/@v/v1.1.0.zip"), 1);
    }

    #[test]
    fn a_failure_is_told_and_the_rest_is_done() {
        let fetching = Fetching::new();
        fetching
            .upstream
            .on("/dep2/", Behaviour::status(500, "boom"));
        let args = [
            "example.com/dep1@v1.0.0",
            "example.com/dep2@v1.0.0",
            "example.com/none@v1.0.0",
        ];
        let modules = fetching.fetch(1, &args);
        assert_eq!(modules.len(), 3);
        let of = |name: &str| modules.iter().find(|m| m["module"] == name).unwrap();
        assert!(of("example.com/dep1").get("error").is_none());
        assert!(
            of("example.com/dep2")["error"]
                .as_str()
                .unwrap()
                .contains("500")
        );
        assert!(of("example.com/none")["error"].is_string());
        let ran = fetching.run(&[&["fetch"], args.as_slice()].concat());
        assert_eq!(ran.code, Some(1));
        assert!(ran.stdout.contains("1 in the store, 2 failed"), "{ran:?}");
        assert!(ran.stderr.contains("example.com/none@v1.0.0: "), "{ran:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_wrong_usage() {
        let fetching = Fetching::new();
        let bad_sum = fetching.home.write("bad/go.sum", "example.com/m v1.0.0\n");
        let bad_mod = fetching.home.write("bad/go.mod", "require (\n");
        for args in [
            vec![],
            vec!["../m@v1.0.0"],
            vec!["example.com/m@"],
            vec!["example.com/m@../x"],
            vec!["@v1.0.0"],
            vec!["--from", "missing/go.sum"],
            vec!["--from", bad_sum.to_str().unwrap()],
            vec!["--from", bad_mod.to_str().unwrap()],
            vec!["--jobs", "0", "example.com/m"],
            vec!["--jobs", "many", "example.com/m"],
            vec!["--unknown"],
        ] {
            let ran = fetching.run(&[&["fetch"], args.as_slice()].concat());
            assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
            assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran:?}");
        }
        assert_eq!(fetching.upstream.hits_of(""), 0);
    }

    #[test]
    fn a_running_server_fetches_for_others() {
        let fetching = Fetching::new();
        let server = Server::over(&fetching.upstream.url());
        let ran = run(&[
            "fetch",
            "--json",
            "--server",
            &server.url,
            "example.com/m@v1",
            "example.com/dep0",
        ]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let document = document(&ran.stdout, "modkeep.fetch/1");
        assert_eq!(document["failed"], 0);
        assert_eq!(document["modules"][1]["version"], "v1.1.0");
        let path = "/example.com/m/@v/v1.1.0.zip";
        server
            .get(&format!("/cached-only{path}"))
            .is(tree().get(path).unwrap());
        let ran = run(&[
            "fetch",
            "--server",
            &format!("{}/", server.url),
            "example.com/none@v1.0.0",
        ]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        drop(server);
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_told() {
        let ran = run(&["purge", "--server", "http://127.0.0.1:1", "example.com/m"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains("127.0.0.1:1"), "{ran:?}");
        let launch = Launch::new();
        let token = launch.home().join("token");
        std::fs::write(&token, "s3cret").unwrap();
        let server = launch.arg("--admin-token-file").arg(&token).start();
        let ran = run(&["purge", "--server", &server.url, "example.com/m"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(
            ran.stderr.contains("403") && ran.stderr.contains("admin token"),
            "{ran:?}"
        );
        let home = Home::new();
        let args = ["purge", "--server", &server.url, "example.com/m"];
        let ran = home.run(&args, &[("MODKEEP_ADMIN_TOKEN", "s3cret")]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    #[test]
    fn purge_forgets_in_a_store_that_nobody_serves() {
        let fetching = Fetching::new();
        fetching.fetch(0, &["example.com/m@v1.0.0", "example.com/m@v1.1.0"]);
        let forgotten = |args: &[&str]| {
            let ran = fetching.run(&[&["purge", "--json"], args].concat());
            assert_eq!(ran.code, Some(0), "{ran:?}");
            document(&ran.stdout, "modkeep.purge/1")["forgotten"]
                .as_u64()
                .unwrap()
        };
        assert_eq!(forgotten(&["--files", "example.com/m@v1.0.0"]), 3);
        assert_eq!(forgotten(&["--files", "example.com/m@v1.0.0"]), 0);
        assert_eq!(forgotten(&["example.com/m"]), 0);
        assert_eq!(forgotten(&["--files", "example.com/m"]), 3);
        for bad in ["../m", "example.com/m@latest", "example.com/m@", ""] {
            let ran = fetching.run(&["purge", bad]);
            assert_eq!(ran.code, Some(2), "{bad}: {ran:?}");
        }
    }
}

mod face {
    use super::*;

    const COMMANDS: [&str; 16] = [
        "serve",
        "fetch",
        "purge",
        "verify",
        "config",
        "explain",
        "run",
        "doctor",
        "trace",
        "compare",
        "mirrors",
        "repro",
        "log",
        "witness",
        "completions",
        "man",
    ];

    #[test]
    fn wrong_usage_is_2_and_help_is_0() {
        for args in [
            vec![],
            vec!["unknown"],
            vec!["serve", "--unknown"],
            vec!["serve", "extra"],
            vec!["config"],
            vec!["config", "unknown"],
            vec!["completions"],
            vec!["completions", "unknown"],
        ] {
            let ran = run(&args);
            assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
            assert!(ran.stdout.is_empty(), "{args:?}: {ran:?}");
            assert!(!ran.stderr.is_empty(), "{args:?}: {ran:?}");
        }
        let version = run(&["--version"]);
        assert_eq!(version.code, Some(0));
        assert!(version.stdout.starts_with("modkeep "), "{version:?}");
        let help = run(&["--help"]);
        for command in COMMANDS {
            assert!(help.stdout.contains(command), "{command}: {help:?}");
            let own = run(&[command, "--help"]);
            assert_eq!(own.code, Some(0), "{own:?}");
            assert!(own.stdout.contains("Usage:"), "{own:?}");
        }
        assert!(help.stdout.contains("go env -w GOPROXY="), "{help:?}");
        let meant = run(&["serve", "--upstreem", "x"]);
        assert!(meant.stderr.contains("--upstream"), "{meant:?}");
    }

    #[test]
    fn there_are_completions_for_every_shell() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let ran = run(&["completions", shell]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            for part in ["modkeep", "serve", "fetch", "upstream", "look-ahead"] {
                assert!(ran.stdout.contains(part), "{shell} {part}");
            }
        }
        // The shell itself understands them: from a file, since an argument has at most 128 KiB.
        let home = tempfile::tempdir().unwrap();
        let script = home.path().join("modkeep.bash");
        std::fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
        let bash = std::process::Command::new("bash")
            .arg("-n")
            .arg(&script)
            .output()
            .unwrap();
        assert!(bash.status.success(), "{bash:?}");
    }

    #[test]
    fn the_manual_page_has_every_command_and_every_setting() {
        let ran = run(&["man"]);
        assert_eq!(ran.code, Some(0));
        let page = ran.stdout.replace("\\-", "-");
        assert!(page.contains(".TH"), "{page}");
        for command in COMMANDS {
            assert!(page.contains(command), "{command}");
        }
        for name in settings() {
            assert!(page.contains(&format!("--{name}")), "--{name}");
            let variable = name.to_uppercase().replace('-', "_");
            assert!(page.contains(&format!("MODKEEP_{variable}")), "{variable}");
        }
    }

    #[test]
    fn the_help_of_serve_has_every_setting_with_its_default() {
        let help = run(&["serve", "--help"]).stdout;
        for name in settings() {
            assert!(help.contains(&format!("--{name}")), "--{name}");
        }
        for default in [
            "127.0.0.1:8080",
            "https://proxy.golang.org,direct",
            "sum.golang.org",
        ] {
            assert!(help.contains(default), "{default}");
        }
    }

    fn settings() -> Vec<String> {
        let shown = run(&["config", "show", "--json"]);
        let document = document(&shown.stdout, "modkeep.config/1");
        let settings = document["settings"].as_array().unwrap();
        assert!(settings.len() > 20);
        let name = |s: &serde_json::Value| s["name"].as_str().unwrap().to_owned();
        settings.iter().map(name).collect()
    }

    #[test]
    fn a_reader_that_hangs_up_is_no_failure() {
        use std::process::Stdio;
        let home = tempfile::tempdir().unwrap();
        for args in [vec!["man"], vec!["completions", "bash"]] {
            let mut child = crate::common::command(home.path())
                .args(&args)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{args:?} {output:?}");
        }
    }
}
