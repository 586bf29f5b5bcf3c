//! Every answer of the real go command for thirty repositories: the same sums, the same provenance,
//! the same refusals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/answers.rs"]
mod answers;
mod common;

use answers::{assert_same, cases};
use common::Home;

#[tokio::test(flavor = "multi_thread")]
async fn the_go_projects_test_repositories_give_the_same_answers() {
    let home = Home::with_bundles();
    let (good, refused) = assert_same(&home.direct(), &home, &cases("expected.json")).await;
    assert!(good >= 106 && refused >= 290, "{good} and {refused} cases");
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_full_of_traps_give_the_same_answers() {
    let home = Home::with_bundles();
    let (good, refused) = assert_same(&home.direct(), &home, &cases("expected_more.json")).await;
    assert!(good >= 115 && refused >= 450, "{good} and {refused} cases");
}
