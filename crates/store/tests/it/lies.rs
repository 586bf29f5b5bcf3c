//! Every step of every kind lies, in every way, one after the other; then everything is verified.

use crate::model::{Model, Way, big, key, small};
use store::Kind;
use testkit::{LyingDisk, Step};

/// A life: small files, big ones by both ways, the same content under two names, answers, damage
/// and its repair, a purge, a restart in the middle.
async fn live(model: &mut Model) {
    let info = key("example.com/a", "v1.0.0", Kind::Info);
    let zip = key("example.com/a", "v1.0.0", Kind::Zip);
    let twin = key("example.com/b", "v1.0.0", Kind::Zip);
    let large = key("example.com/b", "v1.0.0", Kind::Mod);
    model.keep(&info, &small("{}"), Way::Memory).await;
    model.keep(&zip, &big(1), Way::Spool).await;
    model.keep(&twin, &big(1), Way::Spool).await;
    model.keep(&large, &big(2), Way::Memory).await;
    model
        .answer("example.com/a", "list", &small("v1.0.0\n"))
        .await;
    model
        .answer("example.com/a", "list", &small("v1.1.0\n"))
        .await;
    model.sums(&small("one")).await;
    model.sums(&small("two")).await;
    model.keep(&zip, &big(1), Way::Spool).await;
    model.keep(&zip, &big(3), Way::Spool).await;
    model.keep(&large, &big(3), Way::Memory).await;
    model.look();
    model.reopen();
    model.mark(&zip).await;
    model.keep(&zip, &big(1), Way::Memory).await;
    model.mark(&large).await;
    model.keep(&large, &small("other"), Way::Memory).await;
    model.keep(&large, &big(2), Way::Spool).await;
    model.forget("example.com/a", None, true).await;
    model.keep(&zip, &big(4), Way::Spool).await;
    model.forget("example.com/b", Some("v1.0.0"), true).await;
    model.keep(&info, &small("{\"a\":1}"), Way::Spool).await;
    model.look();
}

#[tokio::test]
async fn nothing_fails_on_an_honest_disk() {
    let mut model = Model::open(LyingDisk::new());
    live(&mut model).await;
    assert_eq!(model.failed(), 0);
    for step in Step::ALL {
        assert!(model.disk().calls(step) > 0, "{step:?} is never taken");
    }
    model.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_lies_what_was_acknowledged_is_there_and_nothing_is_half() {
    let mut clean = Model::open(LyingDisk::new());
    live(&mut clean).await;
    let mut scenarios = Vec::new();
    for step in Step::ALL {
        for n in 0..clean.disk().calls(step) {
            scenarios.extend(step.lies().iter().map(|lie| (step, n, *lie)));
        }
    }
    assert!(scenarios.len() > 100, "{}", scenarios.len());
    let mut told = 0;
    for (step, n, lie) in scenarios {
        println!("{step:?} {n} {lie:?}");
        let mut model = Model::open(LyingDisk::with(step, n, lie));
        live(&mut model).await;
        told += model.disk().lies();
        model.verify().await;
    }
    assert!(told > 100, "{told} lies");
}

#[tokio::test]
async fn a_disk_that_is_gone_from_any_step_on_loses_nothing_acknowledged() {
    let mut clean = Model::open(LyingDisk::new());
    live(&mut clean).await;
    for n in 0..clean.disk().calls_of_all() {
        println!("gone from call {n}");
        let mut model = Model::open(LyingDisk::gone_from(n));
        live(&mut model).await;
        model.verify().await;
    }
}
