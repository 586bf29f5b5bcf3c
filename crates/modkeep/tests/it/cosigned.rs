//! Our log with witnesses: real `modkeep serve`, real `modkeep witness`, several of them dead.

use std::net::TcpListener;

use serde_json::Value;
use testkit::Upstream;
use tlog::note::{Cosigner, Note, VerifierKey};

use crate::common::{Answer, Ended, Launch, Ran, Server, eventually, run, run_in};
use crate::golang::Project;
use crate::own_log::{
    NAME, audit, copy, gosumdb, head_of, latest, looked_up, module, path, tree_of,
};
use crate::witness::key;

/// A log that is made already, and its witnesses.
struct Site {
    /// The log's public key.
    vkey: String,
    witnesses: Vec<Witness>,
    upstream: Upstream,
}

struct Witness {
    key: VerifierKey,
    url: String,
    address: String,
    state: Option<Result<Server, Ended>>,
}

impl Witness {
    fn start(name: &str, log: &str) -> Self {
        let server = Launch::witness(name).args(["--log", log]).start();
        Self {
            key: key(&server),
            url: server.url.clone(),
            address: server.address().to_string(),
            state: Some(Ok(server)),
        }
    }

    fn kill(&mut self) {
        if let Some(Ok(server)) = self.state.take() {
            self.state = Some(Err(server.kill()));
        }
    }

    /// Comes back where it was.
    fn revive(&mut self, log: &str) {
        if let Some(Err(ended)) = self.state.take() {
            let launch = Launch::witness_again(&ended);
            let server = launch
                .args(["--log", log, "--listen", &self.address])
                .start();
            self.state = Some(Ok(server));
        }
    }

    fn setting(&self) -> String {
        format!("{} {}", self.key, self.url)
    }
}

impl Site {
    /// Three witnesses, and a server that is about to start with them.
    fn new(settings: &[&str]) -> (Self, Launch) {
        let launch = Launch::new();
        let data = launch.data().to_str().unwrap().to_owned();
        let made = run_in(launch.home(), &["log", "init", NAME, "--data", &data], &[]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let vkey = run_in(launch.home(), &["log", "key", "--data", &data], &[]);
        let vkey = vkey.stdout.trim().to_owned();
        let names = ["one.example", "two.example", "three.example"];
        let modules: Vec<_> = (0..9).map(module).collect();
        let site = Self {
            witnesses: names.map(|name| Witness::start(name, &vkey)).into(),
            upstream: Upstream::start_blocking(tree_of(&modules)).unwrap(),
            vkey,
        };
        let launch = site.settings(launch, settings);
        (site, launch)
    }

    fn settings(&self, launch: Launch, more: &[&str]) -> Launch {
        let mut launch = launch
            .upstream(&self.upstream.url())
            .args(["--log-name", NAME]);
        for witness in &self.witnesses {
            launch = launch.args(["--log-witness", &witness.setting()]);
        }
        launch.args(more)
    }

    fn again(&self, ended: &Ended, more: &[&str]) -> Server {
        self.settings(Launch::again(ended), more).start()
    }

    /// How many of the witnesses have cosigned a checkpoint.
    fn cosigners(&self, note: &[u8]) -> usize {
        let mut keys: Vec<VerifierKey> = self.witnesses.iter().map(|w| w.key.clone()).collect();
        keys.push(self.vkey.parse().unwrap());
        let note = Note::open(note, &keys).unwrap();
        assert_eq!(note.unverified, [], "nobody else signed");
        note.verified.len() - 1
    }
}

fn checkpoint(server: &Server) -> Answer {
    server.get(&path("checkpoint"))
}

fn lookup(server: &Server, n: usize) -> Answer {
    server.get(&path(&format!("lookup/example.com/m@v1.0.{n}")))
}

/// What readiness says of the log.
fn report(server: &Server) -> Value {
    let answer = server.get("/-/readyz");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["log"].clone()
}

fn alarms(server: &Server, kind: &str) -> Vec<Value> {
    let all = server.get("/-/readyz").json()["alarms"].clone();
    let of_kind = |alarm: &&Value| alarm["kind"] == kind;
    let all = all.as_array().unwrap();
    all.iter().filter(of_kind).cloned().collect()
}

#[test]
fn two_of_three_are_enough_for_the_go_command_for_proofs_and_for_the_next_life() {
    let closed = &["--log-witness-policy", "closed"];
    let (mut site, launch) = Site::new(closed);
    site.witnesses[2].kill();
    let server = launch.start();
    for n in 0..3 {
        assert_eq!(
            looked_up(&server, &format!("example.com/m@v1.0.{n}")).0,
            n as u64
        );
    }
    let note = checkpoint(&server);
    assert_eq!(site.cosigners(&note.body), 2, "{}", note.text());
    let seen = latest(&server);
    assert_eq!((&seen, seen.size), (&head_of(&note.text()), 3));
    if let Some(project) = Project::new(&server.url) {
        let project = project.env("GOSUMDB", &gosumdb(&server));
        let ran = project.go(&["mod", "download", "example.com/m@v1.0.3"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    eventually("the third is known to be down", || {
        server.metric("modkeep_log_witness_up{witness=\"three.example\"}") == 0
            && !report(&server)["witnessing"]["witnesses"][2]["trouble"].is_null()
    });
    assert_eq!(
        server.metric("modkeep_log_witness_up{witness=\"one.example\"}"),
        1
    );
    assert!(server.metric("modkeep_log_records_cosigned") >= 3);
    assert!(report(&server)["witnessing"]["short"].is_null());
    proofs(&site, &server);
    let server = site.again(&server.kill(), closed);
    assert!(latest(&server).size >= 3, "shown at once after a restart");
    assert!(site.cosigners(&checkpoint(&server).body) >= 2);
    looked_up(&server, "example.com/m@v1.0.5");
    audit(&server, &[seen]);
    let data = server.data().to_str().unwrap().to_owned();
    let ended = server.stop();
    let setting = site.witnesses[0].setting();
    let args = ["log", "status", "--data", &data, "--log-witness", &setting];
    let said = run_in(ended.data.parent().unwrap(), &args, &[]);
    assert!(said.stdout.contains("one.example: cosigned it"), "{said:?}");
}

/// A proof with the cosignatures, checked offline; the whole log, checked over HTTP.
fn proofs(site: &Site, server: &Server) {
    let url = server.url.clone() + path("").trim_end_matches('/');
    let file = server.home().join("m.tlog-proof");
    let file = file.to_str().unwrap();
    let mut keys = vec!["--key".to_owned(), site.vkey.clone()];
    for witness in &site.witnesses {
        keys.extend(["--key".to_owned(), witness.key.to_string()]);
    }
    let log = |args: &[&str]| -> Ran {
        let mut all = vec!["log"];
        all.extend(args);
        all.extend(keys.iter().map(String::as_str));
        run_in(server.home(), &all, &[])
    };
    let proved = log(&["prove", "example.com/m@v1.0.1", "--log", &url, "-o", file]);
    assert_eq!(proved.code, Some(0), "{proved:?}");
    for (quorum, code) in [("2", Some(0)), ("3", Some(1))] {
        let ran = log(&["verify-proof", file, "--quorum", quorum]);
        assert_eq!(ran.code, code, "{ran:?}");
    }
    let said = log(&["verify-proof", file]).stdout;
    assert!(
        said.contains("one.example") && said.contains("two.example"),
        "{said}"
    );
    let checked = log(&["check", &url]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[test]
fn open_shows_a_head_without_its_cosignatures_and_says_so() {
    let (mut site, launch) = Site::new(&["--log-quorum", "3"]);
    site.witnesses[1].kill();
    let server = launch.start();
    looked_up(&server, "example.com/m@v1.0.0");
    assert_eq!(latest(&server).size, 1);
    eventually("checkpoint shows it too", || {
        let note = checkpoint(&server);
        head_of(&note.text()).size == 1 && site.cosigners(&note.body) == 2
    });
    eventually("it says who is missing", || {
        let said = report(&server);
        let short = said["witnessing"]["short"].as_str().unwrap_or_default();
        short.contains("2 of 3 cosignatures; two.example: ")
    });
    let said = report(&server);
    assert_eq!(said["witnessing"]["policy"], "open");
    assert_eq!(said["witnessing"]["shown"], 1);
    assert_eq!(alarms(&server, "unwitnessed").len(), 1, "{said}");
    assert!(server.metric("modkeep_log_heads_short_total") >= 1);
    assert_eq!(server.metric("modkeep_log_records_cosigned"), 0);
    site.witnesses[1].revive(&site.vkey);
    eventually("the third line comes later", || {
        site.cosigners(&checkpoint(&server).body) == 3 && report(&server)["cosigned"] == 1
    });
    assert!(report(&server)["witnessing"]["short"].is_null());
    // Without any witness in reach it starts and serves all the same.
    (0..3).for_each(|i| site.witnesses[i].kill());
    let server = site.again(&server.kill(), &[]);
    assert_eq!(site.cosigners(&checkpoint(&server).body), 3, "kept");
    looked_up(&server, "example.com/m@v1.0.1");
    eventually("nobody cosigned this one", || {
        let note = checkpoint(&server);
        head_of(&note.text()).size == 2 && site.cosigners(&note.body) == 0
    });
}

#[test]
fn closed_shows_nothing_that_lacks_its_cosignatures() {
    let closed = &["--log-witness-policy", "closed"];
    let (mut site, launch) = Site::new(closed);
    let server = launch.start();
    looked_up(&server, "example.com/m@v1.0.0");
    let before = latest(&server);
    (1..3).for_each(|i| site.witnesses[i].kill());
    let refused = lookup(&server, 1);
    refused.refuses(503, "logged as record 1, and not shown yet");
    assert!(
        refused.text().contains("of 2 cosignatures"),
        "{}",
        refused.text()
    );
    assert!(refused.header("retry-after").is_some());
    server
        .get("/example.com/m/@v/v1.0.1.zip")
        .is(&server.get("/example.com/m/@v/v1.0.1.zip").body);
    // What was shown before is answered as before, and nothing of the rest is.
    looked_up(&server, "example.com/m@v1.0.0");
    let still = |server: &Server| {
        assert_eq!(latest(server), before);
        assert_eq!(head_of(&checkpoint(server).text()), before);
        for hidden in [
            "tile/8/0/000.p/2",
            "tile/8/data/000.p/2",
            "tile/entries/000.p/2",
        ] {
            assert_eq!(server.get(&path(hidden)).status, 404, "{hidden}");
        }
        lookup(server, 1).refuses(503, "have to cosign");
    };
    still(&server);
    assert_eq!(alarms(&server, "unwitnessed").len(), 1);
    assert_eq!(report(&server)["records"], 2);
    assert_eq!(report(&server)["cosigned"], 1);
    let server = site.again(&server.kill(), closed);
    still(&server);
    site.witnesses[2].revive(&site.vkey);
    eventually("it is shown now", || lookup(&server, 1).status == 200);
    assert_eq!(latest(&server).size, 2);
    audit(&server, &[before]);
}

#[test]
fn a_closed_log_that_was_never_cosigned_says_why_it_shows_nothing() {
    let (mut site, launch) = Site::new(&["--log-witness-policy", "closed"]);
    (0..3).for_each(|i| site.witnesses[i].kill());
    let server = launch.start();
    for question in ["latest", "checkpoint", "tile/8/0/000.p/1"] {
        server
            .get(&path(question))
            .refuses(503, "witnesses have to cosign first");
    }
    server.get(&path("supported")).is("");
}

#[test]
fn a_witness_that_never_answers_holds_nobody_up() {
    // The system takes connections for it, and nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = Cosigner::from_seed("silent.example", &[3; 32]).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let other = format!("{} {url}", other.verifier());
    // The limit is longer than this test waits for any answer.
    let more = [
        "--log-witness-policy",
        "closed",
        "--log-quorum",
        "3",
        "--log-witness-timeout",
        "1m",
        "--log-witness",
        &other,
    ];
    let (_site, launch) = Site::new(&more);
    let server = launch.start();
    for n in 0..4 {
        looked_up(&server, &format!("example.com/m@v1.0.{n}"));
    }
    assert_eq!(latest(&server).size, 4);
    // It is still being asked the first question, and no other.
    let asked = report(&server)["witnessing"]["witnesses"][3].clone();
    assert_eq!(asked["name"], "silent.example");
    assert!(asked["answered"] == 0 && asked["failed"] == 0, "{asked}");
}

#[test]
fn many_appends_share_cosignatures() {
    let (site, launch) = Site::new(&["--log-witness-policy", "closed", "--log-quorum", "3"]);
    let server = launch.start();
    std::thread::scope(|scope| {
        for n in 0..9 {
            let server = &server;
            scope.spawn(move || looked_up(server, &format!("example.com/m@v1.0.{n}")));
        }
    });
    assert_eq!(latest(&server).size, 9);
    assert_eq!(site.cosigners(&checkpoint(&server).body), 3);
}

#[test]
fn a_witness_that_remembers_more_than_the_log_raises_the_alarm_of_a_fork() {
    let (site, launch) = Site::new(&[]);
    let server = launch.start();
    looked_up(&server, "example.com/m@v1.0.0");
    eventually("it is cosigned", || report(&server)["cosigned"] == 1);
    let ended = server.stop();
    let (log, backup) = (ended.data.join("log"), ended.data.join("backup"));
    copy(&log, &backup);
    let server = site.again(&ended, &[]);
    looked_up(&server, "example.com/m@v1.0.1");
    eventually("it is cosigned", || report(&server)["cosigned"] == 2);
    let ended = server.stop();
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&backup, &log).unwrap();
    let server = site.again(&ended, &[]);
    // Its own head is behind; then another record where the witnesses have seen one already.
    looked_up(&server, "example.com/m@v1.0.2");
    eventually("the witnesses contradict", || {
        !alarms(&server, "fork").is_empty()
    });
    let alarm = &alarms(&server, "fork")[0];
    assert_eq!(alarm["subject"], NAME);
    assert_eq!(report(&server)["cosigned"], 1);
}

#[test]
fn cosignatures_that_the_disk_refuses_are_written_again() {
    let (_site, launch) = Site::new(&["--log-witness-policy", "closed"]);
    let server = launch.start();
    eventually("nothing is being written any more", || {
        let each = report(&server)["witnessing"]["witnesses"].clone();
        each.as_array().unwrap().iter().all(|w| w["cosigned"] == 0)
    });
    let stands_in_the_way = server.data().join("log/cosigned.new");
    std::fs::create_dir(&stands_in_the_way).unwrap();
    lookup(&server, 0).refuses(503, "the cosignatures cannot be kept");
    std::fs::remove_dir(&stands_in_the_way).unwrap();
    eventually("it is shown now", || lookup(&server, 0).status == 200);
}

#[test]
fn settings_of_witnesses_that_cannot_work_are_refused() {
    let cosigner = Cosigner::from_seed("w.example", &[3; 32]).unwrap();
    let witness = format!("{} https://w.example", cosigner.verifier());
    let table: [(&[&str], &str); 6] = [
        (&["--log-witness", "w.example"], "is no witness"),
        (
            &["--log-witness", &witness, "--log-witness", &witness],
            "twice",
        ),
        (
            &["--log-witness", &witness, "--log-quorum", "2"],
            "from 1 to 1",
        ),
        (&["--log-quorum", "1"], "there is no --log-witness"),
        (
            &["--log-witness-policy", "closed"],
            "there is no --log-witness",
        ),
        (&["--log-witness-policy", "shut"], "open, closed"),
    ];
    for (args, part) in table {
        let ran = run(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
}
