//! GOPROXY, all of it: every endpoint, every header that a client or a CDN acts on.

use crate::common::Server;
use testkit::{Module, Tree, Upstream};

/// A module with capital letters, a second major version without `/v2`, and odd files.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let plain = Module::new("example.com/Team/Lib", "v1.2.3-Rc1").filler(300 << 10);
    tree.add(&plain).unwrap();
    tree.add(&Module::new("example.com/Team/Lib", "v1.2.3"))
        .unwrap();
    tree
}

const BASE: &str = "/example.com/!team/!lib";

fn upstream() -> Upstream {
    Upstream::start_blocking(tree()).unwrap()
}

#[test]
fn every_endpoint_hands_on_the_upstreams_bytes() {
    let upstream = upstream();
    let server = Server::over(&upstream.url());
    let tree = tree();
    for file in [
        "@v/list",
        "@latest",
        "@v/v1.2.3.info",
        "@v/v1.2.3.mod",
        "@v/v1.2.3.zip",
        "@v/v1.2.3-!rc1.info",
        "@v/v1.2.3-!rc1.mod",
        "@v/v1.2.3-!rc1.zip",
    ] {
        let path = format!("{BASE}/{file}");
        let want = tree.get(&path).unwrap();
        server.get(&path).is(want);
        server.get(&path).is(want);
        assert_eq!(upstream.hits(&path), 1, "{path} is asked once");
    }
}
