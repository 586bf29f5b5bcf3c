//! The real go command with the test database as GOSUMDB, through modkeep alone.

use super::*;
use crate::golang::Project;

/// A project with the modules of a generated site, in an order of its own.
fn project(server: &Server, log: &MemLog, gopath: &std::path::Path) -> Option<Project> {
    let project = Project::new(&format!("http://{}", server.address()))?;
    Some(
        project
            .env("GOSUMDB", &log.vkey())
            .env("GOPATH", &gopath.display().to_string()),
    )
}

fn download(project: &Project, order: &[usize]) {
    for n in order {
        let ran = project.go(&["mod", "download", &format!("example.com/m@v1.0.{n}")]);
        assert_eq!(ran.code, Some(0), "{n} {ran:?}");
    }
}

/// Numbers 1 to `count`, shuffled.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (1..=count).collect();
    let noise = testkit::tree::noise(seed, count * 8);
    order.sort_by_key(|n| noise[(n - 1) * 8..n * 8].to_vec());
    order
}

#[test]
fn a_go_command_is_content_in_any_order_with_old_and_new_state_and_with_the_origin_gone() {
    const COUNT: usize = 6;
    let all = modules(COUNT);
    let whole = log(&all);
    // The log grows while clients use it: they hold heads of every age.
    let upstream = Upstream::start_blocking(tree_of(&all, &log(&all[..2]))).unwrap();
    let server = launch(&upstream, &whole).start();
    let state = tempfile::tempdir().unwrap();
    let Some(old) = project(&server, &whole, state.path()) else {
        return;
    };
    download(&old, &[2, 1]);
    upstream.replace(tree_of(&all, &whole));
    for seed in 1..=3 {
        let order = shuffled(COUNT, seed);
        let fresh = tempfile::tempdir().unwrap();
        for gopath in [state.path(), fresh.path()] {
            download(&project(&server, &whole, gopath).unwrap(), &order);
        }
    }
    let ended = server.kill();
    drop(upstream);
    let server = Launch::again(&ended)
        .args(["--sumdb", &whole.vkey()])
        .start();
    let fresh = tempfile::tempdir().unwrap();
    for gopath in [state.path(), fresh.path()] {
        download(
            &project(&server, &whole, gopath).unwrap(),
            &shuffled(COUNT, 7),
        );
    }
}

#[test]
fn a_go_command_takes_nothing_of_a_database_that_lies() {
    let (upstream, log) = honest(2);
    let server = launch(&upstream, &log).start();
    let state = tempfile::tempdir().unwrap();
    let Some(project) = project(&server, &log, state.path()) else {
        return;
    };
    upstream.on(
        "tile/8/0",
        testkit::Behaviour::new().fault(testkit::Fault::Corrupt(3)),
    );
    let ran = project.go(&["mod", "download", "example.com/m@v1.0.1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(SUMDB), "{ran:?}");
    upstream.heal();
    crate::common::eventually("honest again", || server.get(&lookup(1)).status == 200);
    download(&project, &[1, 2]);
}
