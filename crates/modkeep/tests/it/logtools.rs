//! Logs read from outside: replayed, followed, proved, with every byte that can be wrong.

use crate::common::{Ran, run_in};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use testkit::{Behaviour, Fault, MemLog, Upstream};
use tlog::Hash;
use tlog::Tile;
use tlog::entries::entry_bundle;
use tlog::note::Cosigner;
use tlog::record::{Record, data_tile};
use tlog::tile::{HEIGHT, Level};

const NAME: &str = "sum.example.com";

/// A log, its directory of static files, and a home for the commands.
struct Site {
    home: TempDir,
    log: MemLog,
}

impl Site {
    fn of(size: u64) -> Self {
        let mut site = Self {
            home: tempfile::tempdir().unwrap(),
            log: MemLog::new(NAME, [7; 32]).unwrap(),
        };
        site.grow(size, "");
        site.publish();
        site
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("site")
    }

    fn grow(&mut self, size: u64, salt: &str) {
        for i in self.log.size()..size {
            let sum = |of: &str| format!("h1:{}", Hash::leaf(format!("{of}{i}{salt}").as_bytes()));
            let module = format!("example.com/m{}", i % 50);
            self.log
                .add(&module, &format!("v1.0.{i}"), &sum("zip"), &sum("mod"));
        }
    }

    fn texts(&self) -> Vec<String> {
        let size = self.log.size();
        let text = |id| {
            let answer = self.log.record_at(id, size).unwrap();
            Record::parse(&answer).unwrap().0.text.to_owned()
        };
        (0..size).map(text).collect()
    }

    /// Writes every file of the log as it is now, in both forms, over those that are there.
    fn publish(&self) {
        let size = self.log.size();
        let texts = self.texts();
        let put = |path: String, bytes: Vec<u8>| {
            let path = self.dir().join(path);
            // A partial tile of an older size may stand where the name of a full one is a file.
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put("latest".into(), self.log.signed(size).unwrap());
        put("checkpoint".into(), self.log.checkpoint(size).unwrap());
        for level in 0..4 {
            for n in 0.. {
                let Some(tile) = Tile::in_tree(HEIGHT, Level::Hashes(level), n, size) else {
                    break;
                };
                let bytes = self.log.tile(tile).unwrap();
                put(tile.path(), bytes.clone());
                put(tile.c2sp_path().unwrap(), bytes);
            }
        }
        for (n, records) in (0..).zip(texts.chunks(256)) {
            let tile = Tile::in_tree(HEIGHT, Level::Data, n, size).unwrap();
            put(
                tile.path(),
                data_tile(records.iter().map(String::as_str)).into_bytes(),
            );
            let entries = entry_bundle(records.iter().map(String::as_bytes)).unwrap();
            put(tile.c2sp_path().unwrap(), entries);
        }
        for (id, text) in texts.iter().enumerate() {
            let words: Vec<&str> = text.split(' ').collect();
            let path = format!("lookup/{}@{}", words[0], words[1]);
            put(path, self.log.record_at(id as u64, size).unwrap());
        }
    }

    fn run(&self, args: &[&str]) -> Ran {
        let key = self.log.vkey();
        let mut all = vec!["log"];
        all.extend(args);
        all.extend(["--key", &key]);
        run_in(self.home.path(), &all, &[])
    }

    fn check(&self, more: &[&str]) -> Ran {
        let dir = self.dir();
        self.run(&[&["check", dir.to_str().unwrap()], more].concat())
    }

    fn flip(&self, file: &str, at: usize) {
        let path = self.dir().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

/// All files below a directory, relative to it.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_good_log_of_any_size_is_good_from_a_directory_and_over_http() {
    for size in [0, 1, 255, 256, 257, 700] {
        let site = Site::of(size);
        let ran = site.check(&["--json"]);
        assert_eq!(ran.code, Some(0), "{size}: {ran:?}");
        let report = json(&ran);
        assert_eq!(report["schema"], "modkeep.log.check/1");
        assert_eq!(report["records"], size, "{report}");
        assert_eq!(report["heads"].as_array().unwrap().len(), 2);
        assert_eq!(
            report["root"],
            site.log.head(size).unwrap().hash.to_string()
        );
    }
    let site = Site::of(600);
    let web = Upstream::start_blocking(site.dir()).unwrap();
    let ran = site.run(&["check", &web.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("600 records") && ran.stdout.contains("good"),
        "{ran:?}"
    );
}

#[test]
fn a_log_in_one_form_is_checked_in_that_form() {
    let site = Site::of(300);
    for (head, form) in [("latest", "c2sp"), ("checkpoint", "go")] {
        let kept = fs::read(site.dir().join(head)).unwrap();
        fs::remove_file(site.dir().join(head)).unwrap();
        let ran = site.check(&["--json"]);
        assert_eq!(
            (ran.code, &json(&ran)["records"]),
            (Some(0), &300.into()),
            "{ran:?}"
        );
        fs::write(site.dir().join(head), kept).unwrap();
        assert_eq!(site.check(&["--form", form]).code, Some(0));
    }
    // Go's own server ends every record of a data tile with a blank line, the last one too.
    let data = site.dir().join("tile/8/data/000");
    let longer = [fs::read(&data).unwrap(), b"\n".to_vec()].concat();
    fs::write(&data, longer).unwrap();
    assert_eq!(site.check(&[]).code, Some(0));
}

#[test]
fn a_flipped_byte_in_any_file_is_found_in_that_file() {
    let site = Site::of(600);
    for file in files(&site.dir())
        .into_iter()
        .filter(|f| !f.starts_with("lookup/"))
    {
        let path = site.dir().join(&file);
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            site.flip(&file, at);
            let ran = site.check(&["--json"]);
            assert_eq!(ran.code, Some(1), "{file} byte {at}: {ran:?}");
            let report = json(&ran);
            let blamed: Vec<&str> = report["findings"]
                .as_array()
                .unwrap()
                .iter()
                .map(|finding| finding["file"].as_str().unwrap())
                .collect();
            assert_eq!(blamed, [file.as_str()], "{file} byte {at}: {report}");
            fs::write(&path, &good).unwrap();
        }
    }
    assert_eq!(site.check(&[]).code, Some(0));
}

#[test]
fn a_missing_short_or_foreign_file_is_found() {
    let site = Site::of(600);
    for file in [
        "tile/8/0/001",
        "tile/1/000.p/2",
        "tile/8/data/002.p/88",
        "tile/entries/000",
    ] {
        let path = site.dir().join(file);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let ran = site.check(&[]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stdout
                .contains(&format!("BAD      {file}: it is missing")),
            "{ran:?}"
        );
        fs::write(&path, &good[..good.len() - 40]).unwrap();
        let ran = site.check(&[]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stdout.contains(&format!("BAD      {file}: ")),
            "{ran:?}"
        );
        fs::write(&path, good).unwrap();
    }
    fs::remove_file(site.dir().join("latest")).unwrap();
    fs::remove_file(site.dir().join("checkpoint")).unwrap();
    let ran = site.check(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("no signed head"), "{ran:?}");
}

#[test]
fn two_records_of_one_version_and_records_that_are_none_are_found() {
    let mut site = Site::of(300);
    let twice = site.texts()[7].replacen("h1:", "h1:AAAA", 0);
    site.log.append(&twice);
    site.log.append("not a record of a checksum database\n");
    site.publish();
    let ran = site.check(&["--json"]);
    assert_eq!(ran.code, Some(1));
    let report = json(&ran);
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2, "{report}");
    assert_eq!(
        (&findings[0]["kind"], &findings[0]["record"]),
        (&"record".into(), &301.into())
    );
    assert_eq!(
        (&findings[1]["kind"], &findings[1]["record"]),
        (&"duplicate".into(), &300.into())
    );
    assert!(
        findings[1]["what"]
            .as_str()
            .unwrap()
            .contains("example.com/m7@v1.0.7"),
        "{report}"
    );
    assert_eq!(site.check(&["--any-records"]).code, Some(0));
}

#[test]
fn another_key_and_two_roots_for_one_size_are_found() {
    let site = Site::of(300);
    let other = MemLog::new(NAME, [8; 32]).unwrap().vkey();
    let dir = site.dir();
    let args = ["log", "check", dir.to_str().unwrap(), "--key", &other];
    let ran = run_in(site.home.path(), &args, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout
            .contains("latest: note has no verifiable signatures"),
        "{ran:?}"
    );
    let mut fork = Site::of(299);
    fork.grow(300, "another");
    fs::write(
        site.dir().join("checkpoint"),
        fork.log.checkpoint(300).unwrap(),
    )
    .unwrap();
    let ran = site.check(&["--json"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("\"fork\""), "{ran:?}");
    let ran = run_in(
        site.home.path(),
        &["log", "check", dir.to_str().unwrap()],
        &[],
    );
    assert_eq!(ran.code, Some(2), "whose signature? {ran:?}");
    assert!(ran.stderr.contains("--key"), "{ran:?}");
}

#[test]
fn an_older_checkpoint_beside_a_newer_head_is_good_if_it_is_the_same_log() {
    let mut site = Site::of(280);
    site.grow(300, "");
    let older = site.log.checkpoint(270).unwrap();
    site.publish();
    fs::write(site.dir().join("checkpoint"), older).unwrap();
    // Its partial tiles are gone, but what it needs is in those of the newer head.
    assert_eq!(site.check(&["--form", "go"]).code, Some(0));
    let ran = site.check(&["--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let fork = {
        let mut fork = Site::of(100);
        fork.grow(270, "another");
        fork.log.checkpoint(270).unwrap()
    };
    fs::write(site.dir().join("checkpoint"), fork).unwrap();
    let ran = site.check(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout
            .contains("another root than the one that was signed for 270"),
        "{ran:?}"
    );
}

#[test]
fn a_log_that_cannot_be_read_is_neither_good_nor_bad() {
    let site = Site::of(300);
    let web = Upstream::start_blocking(site.dir()).unwrap();
    web.on(
        "/tile/8/0/000",
        Behaviour::new().fault(Fault::Status(403, "no".into())),
    );
    let ran = site.run(&["check", &web.url(), "--form", "go"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("UNKNOWN  tile/8/0/000"), "{ran:?}");
}

#[test]
fn a_check_goes_on_where_an_earlier_one_stopped() {
    let mut site = Site::of(600);
    let work = site.home.path().join("work");
    let work = work.to_str().unwrap();
    let ran = site.check(&["--work", work, "--json"]);
    assert_eq!((ran.code, &json(&ran)["resumed"]), (Some(0), &0.into()));
    site.grow(900, "");
    // Record 20 once more, beyond what was done.
    let twice = site.texts()[20].clone();
    site.log.append(&twice);
    site.publish();
    let ran = site.check(&["--work", work, "--json"]);
    let report = json(&ran);
    assert_eq!(
        (ran.code, &report["resumed"]),
        (Some(1), &512.into()),
        "{report}"
    );
    assert_eq!(report["records"], 901);
    assert_eq!(report["findings"][0]["kind"], "duplicate", "{report}");
    assert_eq!(report["findings"][0]["record"], 900);
}

#[test]
fn a_proof_is_carried_away_and_checked_offline() {
    let site = Site::of(600);
    let dir = site.dir();
    let file = site.home.path().join("m.tlog-proof");
    let file = file.to_str().unwrap();
    let ran = site.run(&[
        "prove",
        "example.com/m7@v1.0.7",
        "--log",
        dir.to_str().unwrap(),
        "-o",
        file,
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, site.texts()[7]);
    let words: Vec<String> = ran.stdout.split_whitespace().map(str::to_owned).collect();
    let (zip, go_mod) = (words[2].as_str(), words[5].as_str());
    fs::remove_dir_all(&dir).unwrap();
    for more in [
        vec![],
        vec!["example.com/m7@v1.0.7"],
        vec!["example.com/m7@v1.0.7", zip, go_mod],
    ] {
        let ran = site.run(&[&["verify-proof", file], &more[..]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stdout.contains("record 7 of 600 in sum.example.com"),
            "{ran:?}"
        );
    }
    for more in [
        vec!["example.com/m8@v1.0.7"],
        vec!["example.com/m7@v1.0.7", go_mod],
        vec!["--quorum", "1"],
        vec!["--origin", "other.example"],
    ] {
        let ran = site.run(&[&["verify-proof", file], &more[..]].concat());
        assert_eq!(ran.code, Some(1), "{more:?} {ran:?}");
    }
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("index 7", "index 8", 1)).unwrap();
    assert_eq!(site.run(&["verify-proof", file]).code, Some(1));
    // Without the record in it, the record is brought along.
    let bare: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("extra "))
        .collect();
    fs::write(file, bare).unwrap();
    assert_eq!(site.run(&["verify-proof", file]).code, Some(2));
    let ran = site.run(&["verify-proof", file, "example.com/m7@v1.0.7", zip, go_mod]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let record = site.home.path().join("record");
    fs::write(&record, &site.texts()[8]).unwrap();
    let ran = site.run(&["verify-proof", file, "--record", record.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn a_proof_carries_the_cosignatures_of_the_checkpoint() {
    let site = Site::of(300);
    let witness = Cosigner::from_seed("witness.example", &[5; 32]).unwrap();
    let path = site.dir().join("checkpoint");
    let note = fs::read_to_string(&path).unwrap();
    let body = note.split("\n\n").next().unwrap().to_owned() + "\n";
    fs::write(&path, note + &witness.sign(&body, 1_700_000_000).to_line()).unwrap();
    let file = site.home.path().join("m.tlog-proof");
    let file = file.to_str().unwrap();
    let dir = site.dir();
    let proved = site.run(&[
        "prove",
        "example.com/m7@v1.0.7",
        "--log",
        dir.to_str().unwrap(),
        "-o",
        file,
    ]);
    assert_eq!(proved.code, Some(0), "{proved:?}");
    let key = witness.verifier().to_string();
    let ran = site.run(&["verify-proof", file, "--quorum", "1", "--key", &key]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains("cosigned by witness.example"),
        "{ran:?}"
    );
    let ran = site.check(&["--key", &key]);
    assert!(
        ran.stdout.contains("cosigned by witness.example"),
        "{ran:?}"
    );
}

#[test]
fn a_version_that_is_not_logged_and_a_lie_about_one_are_not_proved() {
    let site = Site::of(300);
    let dir = site.dir();
    let prove = |version: &str| site.run(&["prove", version, "--log", dir.to_str().unwrap()]);
    let ran = prove("example.com/m7@v1.9.9");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no record"), "{ran:?}");
    let path = dir.join("lookup/example.com/m7@v1.0.7");
    let good = fs::read_to_string(&path).unwrap();
    for lie in [
        good.replacen("h1:", "h1:AAAA", 1),
        good.replacen("7\n", "8\n", 1),
        good.replace("m7", "m8"),
    ] {
        fs::write(&path, lie).unwrap();
        assert_eq!(prove("example.com/m7@v1.0.7").code, Some(1));
    }
}

fn monitor(site: &Site, more: &[&str]) -> Ran {
    let dir = site.dir();
    site.run(
        &[
            &[
                "monitor",
                dir.to_str().unwrap(),
                "--once",
                "--state",
                "state.json",
                "--json",
            ],
            more,
        ]
        .concat(),
    )
}

#[test]
fn a_monitor_reports_new_versions_of_what_is_watched() {
    let mut site = Site::of(300);
    let ran = monitor(&site, &["--watch", "example.com/m7,example.com/m8"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        json(&ran)["new"],
        serde_json::json!([]),
        "the first head is believed"
    );
    site.grow(620, "");
    site.publish();
    let ran = monitor(
        &site,
        &["--watch", "example.com/m7", "--watch", "example.com/m8"],
    );
    let report = json(&ran);
    assert_eq!(
        (ran.code, &report["before"], &report["records"]),
        (Some(0), &300.into(), &620.into())
    );
    let new: Vec<String> = report["new"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| {
            assert!(n["h1"].as_str().unwrap().starts_with("h1:"));
            format!(
                "{}@{}",
                n["module"].as_str().unwrap(),
                n["version"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(new.len(), 14, "{new:?}");
    assert_eq!(new[0], "example.com/m7@v1.0.307");
    let ran = monitor(&site, &["--watch", "*"]);
    assert_eq!(
        (ran.code, &json(&ran)["new"]),
        (Some(0), &serde_json::json!([])),
        "nothing twice"
    );
    fs::remove_file(site.home.path().join("state.json")).unwrap();
    let ran = monitor(&site, &["--watch", "*", "--from-start"]);
    assert_eq!(json(&ran)["new"].as_array().unwrap().len(), 620);
}

#[test]
fn a_monitor_raises_the_alarm_for_forks_and_rollbacks_and_keeps_the_evidence() {
    let mut site = Site::of(300);
    assert_eq!(monitor(&site, &[]).code, Some(0));
    let honest = site.log.clone();
    for (from, to, kind) in [
        (200, 400, "fork"),
        (200, 300, "fork"),
        (200, 250, "fork"),
        (280, 280, "rollback"),
    ] {
        let mut fork = Site::of(from);
        fork.grow(to, "another");
        site.log = fork.log;
        site.publish();
        let ran = monitor(&site, &[]);
        let report = json(&ran);
        assert_eq!(ran.code, Some(1), "{report}");
        let found = report["findings"][0]["kind"].as_str().unwrap();
        // A smaller tree's head cannot be told from a rollback when the larger tree's tiles are gone.
        let expected = if to < 300 { "rollback" } else { kind };
        assert_eq!(found, expected, "{report}");
        let evidence = fs::read_to_string(
            report["evidence"]
                .as_str()
                .map(|p| site.home.path().join(p))
                .unwrap(),
        )
        .unwrap();
        for size in [to, 300] {
            let note = if size == to {
                site.log.signed(to)
            } else {
                honest.signed(300)
            };
            assert!(
                evidence.contains(&String::from_utf8(note.unwrap()).unwrap()),
                "{evidence}"
            );
        }
    }
    site.log = honest;
    site.grow(310, "");
    site.publish();
    assert_eq!(
        monitor(&site, &[]).code,
        Some(0),
        "the log itself was never wrong"
    );
}

#[test]
fn a_monitor_believes_no_record_that_is_not_under_the_signed_root() {
    let mut site = Site::of(300);
    assert_eq!(monitor(&site, &[]).code, Some(0));
    site.grow(600, "");
    site.publish();
    for file in [
        "tile/8/data/001",
        "tile/8/0/001",
        "latest",
        "tile/8/data/002.p/88",
    ] {
        site.flip(file, 5000);
        let ran = monitor(&site, &["--watch", "*"]);
        assert_eq!(ran.code, Some(1), "{file} {ran:?}");
        site.flip(file, 5000);
    }
    let ran = monitor(&site, &["--watch", "*"]);
    assert_eq!(json(&ran)["new"].as_array().unwrap().len(), 300, "{ran:?}");
}

#[test]
fn a_monitor_posts_alarms_warns_of_a_stale_log_and_refuses_anothers_state() {
    let mut site = Site::of(300);
    assert_eq!(monitor(&site, &[]).code, Some(0));
    let state = fs::read_to_string(site.home.path().join("state.json")).unwrap();
    let long_ago = serde_json::from_str::<serde_json::Value>(&state).unwrap()["grown"]
        .as_u64()
        .unwrap()
        - 7200;
    let old = state.replace(&(long_ago + 7200).to_string(), &long_ago.to_string());
    fs::write(site.home.path().join("state.json"), old).unwrap();
    let ran = monitor(&site, &["--stale", "1h"]);
    assert_eq!(ran.code, Some(0));
    assert!(json(&ran)["stale_seconds"].as_u64().unwrap() >= 7200);
    assert!(json(&monitor(&site, &["--stale", "0s"]))["stale_seconds"].is_null());
    site.log = MemLog::new("other.example", [9; 32]).unwrap();
    site.publish();
    let ran = monitor(&site, &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("another log"), "{ran:?}");
}

/// A log of our own, with the modules of a tree in it.
fn own(home: &Path, data: &str) -> String {
    let ran = run_in(home, &["log", "init", NAME, "--data", data, "--json"], &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    json(&ran)["key"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_of_our_own_is_exported_imported_checked_and_proved() {
    let site = Site::of(300);
    let home = site.home.path();
    own(home, "a");
    fs::create_dir_all(home.join("b")).unwrap();
    // The test log's key becomes our own, so that its records can be brought in.
    let secret = tlog::note::Signer::from_seed(NAME, &[7; 32])
        .unwrap()
        .to_secret();
    fs::write(home.join("old.key"), secret).unwrap();
    fs::set_permissions(home.join("old.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (go, c2sp) = (
        site.log.signed(300).unwrap(),
        site.log.checkpoint(300).unwrap(),
    );
    let mut file = tlog::export::header(300, &[&go, &c2sp]).unwrap();
    for (id, text) in site.texts().iter().enumerate() {
        file.extend(tlog::export::record(id as u64, text.as_bytes()).unwrap());
    }
    fs::write(home.join("whole.log"), &file).unwrap();
    let run = |args: &[&str]| run_in(home, args, &[("MODKEEP_LOG_KEY", "old.key")]);
    // A changed file brings nothing in; an own log of another key takes none of it.
    let mut changed = file.clone();
    let last = changed.len() - 9;
    changed[last] ^= 1;
    fs::write(home.join("changed.log"), changed).unwrap();
    assert_eq!(
        run(&["log", "import", "changed.log", "--data", "b"]).code,
        Some(1)
    );
    assert_eq!(
        run_in(home, &["log", "import", "whole.log", "--data", "a"], &[]).code,
        Some(1)
    );
    for _ in 0..2 {
        let ran = run(&["log", "import", "whole.log", "--data", "b", "--json"]);
        assert_eq!(
            (ran.code, &json(&ran)["records"]),
            (Some(0), &300.into()),
            "{ran:?}"
        );
    }
    let ran = run(&["log", "check", "--data", "b", "--json"]);
    assert_eq!(
        (ran.code, &json(&ran)["records"]),
        (Some(0), &300.into()),
        "{ran:?}"
    );
    // Any flipped byte of what is kept is found, and named, and nothing is repaired by looking.
    for file in ["frames/000", "hashes/0", "hashes/1", "offsets", "applied"] {
        let path = home.join("b/log").join(file);
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            for args in [&["--data", "b"][..], &["b"], &["b/log"]] {
                let ran = run(&[&["log", "check"], args].concat());
                assert_eq!(ran.code, Some(1), "{file} {at}: {ran:?}");
                assert!(ran.stdout.contains(&format!("log/{file}")), "{ran:?}");
            }
            assert!(fs::read(&path).unwrap() == bad, "it only looks");
        }
        fs::write(&path, good).unwrap();
    }
    let ran = run(&["log", "export", "again.log", "--data", "b"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        fs::read(home.join("again.log")).unwrap() == file,
        "the same log is the same file"
    );
    assert_eq!(
        run(&["log", "export", "again.log", "--data", "b"]).code,
        Some(3),
        "never over a file"
    );
    let ran = run(&["log", "prove", "example.com/m7@v1.0.7", "--data", "b"]);
    assert!(
        ran.stdout.starts_with("c2sp.org/tlog-proof@v1\n"),
        "{ran:?}"
    );
}
