//! Requests, patterns, GOVCS, `.info` and version lists.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{rows, text};
use gomod::govcs::GoVcs;
use gomod::info::{INFO_BYTES_MAX, Info, InfoError};
use gomod::list::{LIST_BYTES_MAX, VersionList};
use gomod::path::ModulePath;
use gomod::pattern::{PATTERNS_BYTES_MAX, Patterns};
use gomod::request::{PATH_BYTES_MAX, Request, RequestError};
use gomod::version::{ModuleVersion, Revision, Version};
use proptest::prelude::*;

fn module(path: &str) -> ModulePath {
    ModulePath::parse(path).unwrap()
}

fn revision(text: &str) -> Revision {
    Revision::parse(text).unwrap()
}

fn at(text: &str) -> ModuleVersion {
    ModuleVersion::parse(text).unwrap()
}

fn sumdb(name: &str, rest: &str) -> Request {
    let (name, rest) = (name.to_owned(), rest.to_owned());
    Request::Sumdb { name, rest }
}

#[test]
fn every_endpoint_is_read_and_written() {
    let azure = || module("github.com/Azure/sdk");
    let cases = [
        ("/github.com/!azure/sdk/@v/list", Request::List(azure())),
        ("/github.com/!azure/sdk/@latest", Request::Latest(azure())),
        (
            "/github.com/!azure/sdk/@v/!main.info",
            Request::Info(azure(), revision("Main")),
        ),
        (
            "/github.com/!azure/sdk/@v/v1.info",
            Request::Info(azure(), revision("v1")),
        ),
        (
            "/github.com/!azure/sdk/@v/list.info",
            Request::Info(azure(), revision("list")),
        ),
        (
            "/github.com/!azure/sdk/@v/a.mod.info",
            Request::Info(azure(), revision("a.mod")),
        ),
        (
            "/github.com/!azure/sdk/@v/a%25b%23%20%5Bc%5D.info",
            Request::Info(azure(), revision("a%b# [c]")),
        ),
        (
            "/rsc.io/breaker/@v/v2.0.0.info",
            Request::Info(module("rsc.io/breaker"), revision("v2.0.0")),
        ),
        (
            "/rsc.io/breaker/@v/v2.0.0+incompatible.mod",
            Request::Mod(at("rsc.io/breaker@v2.0.0+incompatible")),
        ),
        (
            "/a.b/c/@v/v1.0.0-!r!c1.zip",
            Request::Zip(at("a.b/c@v1.0.0-RC1")),
        ),
        (
            "/sumdb/sum.golang.org/supported",
            sumdb("sum.golang.org", "supported"),
        ),
        (
            "/sumdb/sum.golang.org/tile/8/0/x001/234.p/5",
            sumdb("sum.golang.org", "tile/8/0/x001/234.p/5"),
        ),
        (
            "/sumdb/sum.golang.org/lookup/github.com/!azure/tile/latest@v1.0.0+incompatible",
            sumdb(
                "sum.golang.org",
                "lookup/github.com/!azure/tile/latest@v1.0.0+incompatible",
            ),
        ),
        (
            "/sumdb/a.example/go/lookup/a.b/c@v1.0.0",
            sumdb("a.example/go", "lookup/a.b/c@v1.0.0"),
        ),
        (
            "/sumdb/a.example/what/else",
            sumdb("a.example", "what/else"),
        ),
    ];
    for (path, request) in cases {
        assert_eq!(Request::parse(path).as_ref(), Ok(&request), "{path}");
        assert_eq!(request.to_path(), path);
    }
}

#[test]
fn clients_may_encode_what_they_like() {
    let list = Request::List(module("github.com/Azure/sdk"));
    for path in [
        "/github.com/%21azure/sdk/@v/list",
        "/github.com/%21%61zure/sdk/%40v/list",
        "/%67ithub.com%2f!azure%2Fsdk/@v/lis%74",
    ] {
        assert_eq!(Request::parse(path).as_ref(), Ok(&list), "{path}");
    }
    let incompatible = Request::Mod(at("a.b/c@v2.0.0+incompatible"));
    for plus in ["+", "%2B", "%2b"] {
        let path = format!("/a.b/c/@v/v2.0.0{plus}incompatible.mod");
        assert_eq!(Request::parse(&path).as_ref(), Ok(&incompatible), "{path}");
    }
}

#[test]
fn what_no_client_means_is_malformed() {
    let long = format!("/a.b/{}/@v/list", "x".repeat(PATH_BYTES_MAX));
    for path in [
        "",
        "/",
        "a.b/@v/list",
        "//a.b/@v/list",
        "/a.b//c/@v/list",
        "/a.b/@v/list/",
        "/a.b/@v/list/@latest/c",
        "/a.b/@v/",
        "/a.b/../c/@v/list",
        "/a.b/./@v/list",
        "/..%2f..%2fetc/@v/list",
        "/%2e%2e/@v/list",
        "/a.b/@v/%2e%2e",
        "/a.b/@v/..%2fx.zip",
        "/a.b/%00/@v/list",
        "/a.b/%0a/@v/list",
        "/a.b/\n/@v/list",
        "/a.b/%7f/@v/list",
        "/a.b/%/@v/list",
        "/a.b/%2/@v/list",
        "/a.b/%zz/@v/list",
        "/a.b/%ff/@v/list",
        "/a.b\\c/@v/list",
        "/a.b%5cc/@v/list",
        "/a.b/@v/list?x",
        "/a.b/@v/list#x",
        "/a.b/@v",
        "/a.b/@v/x",
        "/a.b/@v/v1.0.0.ziphash",
        "/a.b/@v/v1.0.0.ZIP",
        "/a.b/@v/feature/x.info",
        "/a.b/@v/@latest",
        "/@latest",
        "/@v/list",
        "/sumdb/sum.golang.org",
        "/sumdb/",
        "/sumdb//x",
        "/sumdb/../x",
        "/sumdb/x/%c3%a9",
        "/sumdb/x/lookup/%20",
        "/a.b/%C2%85/@v/list",
        long.as_str(),
    ] {
        let got = Request::parse(path);
        assert!(
            matches!(got, Err(RequestError::Malformed(_))),
            "{path}: {got:?}"
        );
    }
}

#[test]
fn clean_paths_that_name_no_module_are_not_there() {
    for path in [
        "/example.com/x/.dot/@v/list",
        "/golang.org/x/!!/@v/list",
        "/golang.org/x/!/@latest",
        "/golang/@v/list",
        "/github.com/Azure/sdk/@v/list",
        "/a.b/v1/@v/list",
        "/gopkg.in/yaml/@v/list",
        "/a.b/c~1/@v/list",
        "/a.b/con/@latest",
        "/a.b/é/@v/list",
        "/a.b/c@v1.0.0/@v/list",
        "/-a.b/@v/list",
        "/a.b/.../@v/list",
        "/a.b/c%20d/@v/v1.0.0.mod",
        "/a.b/@latest/@v/list",
        "/a.b/c",
        "/favicon.ico",
        "/sumdb",
    ] {
        let got = Request::parse(path);
        assert!(
            matches!(got, Err(RequestError::NoSuchModule(_))),
            "{path}: {got:?}"
        );
    }
    let error = Request::parse("/golang/@v/list").unwrap_err().to_string();
    assert_eq!(
        error,
        "not found: malformed module path \"golang\": missing dot in first path element"
    );
}

#[test]
fn versions_that_cannot_be_are_not_there_and_the_remedy_is_named() {
    for path in [
        "/a.b/c/@v/v1.mod",
        "/a.b/c/@v/v1.0.0+meta.zip",
        "/a.b/c/@v/master.zip",
        "/a.b/c/@v/v2.0.0.mod",
        "/a.b/c/v2/@v/v1.0.0.zip",
        "/a.b/c/@v/V1.info",
        "/a.b/c/@v/!.info",
        "/a.b/c/@v/con.info",
        "/a.b/c/@v/.info",
        "/a.b/c/@v/a*.info",
        "/a.b/c/@v/é.info",
        "/a.b/c/@v/x..info",
    ] {
        let got = Request::parse(path);
        assert!(
            matches!(got, Err(RequestError::NoSuchVersion(_))),
            "{path}: {got:?}"
        );
    }
    let error = |path| Request::parse(path).unwrap_err().to_string();
    assert_eq!(
        error("/a.b/C/@v/v2.0.0.mod".replace('C', "!c").as_str()),
        "not found: a.b/C@v2.0.0: invalid version: should be v0 or v1, not v2; \
         ask /a.b/!c/@v/v2.0.0.info first, which names the version to use"
    );
}

#[test]
fn patterns_cover_whole_elements() {
    let cases = [
        ("", "rsc.io/quote", false),
        ("/", "rsc.io/quote", false),
        ("*/quote", "rsc.io/quote", true),
        ("*/quo", "rsc.io/quote", false),
        ("*/quo*", "rsc.io/quote", true),
        ("*quo*", "rsc.io/quote", false),
        ("abc,,def,rsc.io", "rsc.io/quote", true),
        ("rsc.io/", "rsc.io/quote", true),
        ("rsc.io//", "rsc.io/quote", false),
        ("rsc.io/quote/x", "rsc.io/quote", false),
        ("rsc", "rsc.io/quote", false),
        ("*.io", "rsc.io/quote/v3", true),
        ("*.rsc.io", "rsc.io/quote", false),
        ("[", "rsc.io/quote", false),
        ("[,rsc.io", "rsc.io/quote", true),
        ("r[a-t]c.io/q?ote", "rsc.io/quote/v3", true),
        ("r\\sc.io", "rsc.io/quote", true),
        (" rsc.io", "rsc.io/quote", false),
        ("https://rsc.io", "rsc.io/quote", false),
        ("*", "rsc.io/quote", true),
        ("*/*/*", "rsc.io/quote", false),
    ];
    for (list, path, wanted) in cases {
        assert_eq!(
            Patterns::parse(list).unwrap().matches(path),
            wanted,
            "{list} {path}"
        );
    }
}

#[test]
fn a_malformed_pattern_is_ignored_and_told() {
    let patterns = Patterns::parse("a.b/[,c.d/,,").unwrap();
    assert_eq!(patterns.globs().collect::<Vec<_>>(), ["c.d"]);
    assert_eq!(
        patterns.warnings(),
        [r#"pattern "a.b/[" is malformed: the go command ignores it"#]
    );
    assert!(Patterns::parse("[").unwrap().is_empty());
    assert!(Patterns::parse(&"a,".repeat(PATTERNS_BYTES_MAX)).is_err());
}

#[test]
fn govcs_decides_as_go_does() {
    for row in rows("govcs.json") {
        let (setting, path, vcs) = (text(&row, "govcs"), text(&row, "path"), text(&row, "vcs"));
        let rules = GoVcs::parse(setting).unwrap();
        let private = path.starts_with("is-private");
        assert_eq!(
            rules.allows(path, private, vcs),
            row["ok"],
            "{setting} {path} {vcs}"
        );
    }
    for row in rows("govcs_errors.json") {
        let error = GoVcs::parse(text(&row, "s")).unwrap_err();
        assert_eq!(error.to_string(), text(&row, "err"));
    }
    let more = [
        (":git", "empty pattern in GOVCS: \":git\""),
        ("./x:git", "relative pattern not allowed in GOVCS: \"./x\""),
        ("..:git", "relative pattern not allowed in GOVCS: \"..\""),
    ];
    for (setting, error) in more {
        assert_eq!(GoVcs::parse(setting).unwrap_err().to_string(), error);
    }
}

#[test]
fn without_govcs_private_modules_may_use_anything_and_public_ones_git_and_hg() {
    let rules = GoVcs::parse(" ").unwrap().with_defaults();
    assert!(rules.allows("a.b/c", true, "svn"));
    assert!(rules.allows("a.b/c", false, "git"));
    assert!(rules.allows("a.b/c", false, "hg"));
    assert_eq!(
        rules.check("a.b/c", false, "svn").unwrap_err(),
        "GOVCS disallows using svn for public a.b/c; see 'go help vcs'"
    );
    let rules = GoVcs::parse("a.b : svn | git , [:all")
        .unwrap()
        .with_defaults();
    assert!(rules.allows("a.b/c", false, "svn"));
    assert!(!rules.allows("a.b/c", false, "hg"));
    assert!(rules.allows("[", false, "hg"));
    assert!(!rules.allows("[", false, "svn"));
}

#[test]
fn info_is_read_as_the_go_command_reads_it() {
    let body = br#" {"version":"v1.0.0","TIME":"2018-02-14T00:45:20Z","Extra":[{}],"Origin":{"VCS":"git", "X":1},"Version":null} "#;
    let info = Info::parse(body).unwrap();
    assert_eq!(info.version().as_str(), "v1.0.0");
    assert_eq!(info.time(), Some("2018-02-14T00:45:20Z"));
    assert_eq!(info.origin(), Some(r#"{"VCS":"git", "X":1}"#));
    assert_eq!(
        info.to_json(),
        r#"{"Version":"v1.0.0","Time":"2018-02-14T00:45:20Z","Origin":{"VCS":"git", "X":1}}"#
    );
    let bare = Info::parse(br#"{"Version":"v1.0.0","Time":null,"Origin":null}"#).unwrap();
    assert_eq!(bare.to_json(), r#"{"Version":"v1.0.0"}"#);
}

#[test]
fn info_that_the_go_command_would_drop_is_refused() {
    for body in [
        "",
        "null",
        "[]",
        "\"v1.0.0\"",
        "<html>",
        "{}",
        "{\"Version\":\"\"}",
        "{\"Version\":1}",
        "{\"Version\":\"v1\"}",
        "{\"Version\":\"v1.0.0+meta\"}",
        "{\"Version\":\"master\"}",
        "{\"Version\":\"v1.0.0\"} x",
        "{\"Version\":\"v1.0.0\"",
        "{\"Version\":\"v1.0.0\",\"Time\":\"\"}",
        "{\"Version\":\"v1.0.0\",\"Time\":\"yesterday\"}",
        "{\"Version\":\"v1.0.0\",\"Time\":5}",
        "{\"Version\":\"v1.0.0\",\"Origin\":\"git\"}",
        "{\"Version\":\"v1.0.0\",\"Origin\":[]}",
        "{\"Version\":\"v1.0.0\",\"Origin\":{\"hash\":1}}",
    ] {
        assert!(Info::parse(body.as_bytes()).is_err(), "{body}");
    }
    let long = vec![b' '; INFO_BYTES_MAX + 1];
    assert_eq!(Info::parse(&long).unwrap_err(), InfoError::TooLong);
}

#[test]
fn info_must_answer_the_question() {
    let check = |path: &str, asked: &str, answered: &str| {
        let info = Info::new(Version::parse(answered).unwrap(), None, None).unwrap();
        info.check(&module(path), &revision(asked))
    };
    for (path, asked, answered) in [
        ("a.b/c", "v1.0.0", "v1.0.0"),
        ("a.b/c", "v1", "v1.9.0"),
        ("a.b/c", "master", "v0.0.0-20060102150405-abcdefabcdef"),
        ("a.b/c", "v2.0.0", "v2.0.0+incompatible"),
        ("a.b/c", "v2.0.0+incompatible", "v2.0.0+incompatible"),
        ("a.b/c", "v1.0.0+meta", "v1.0.0"),
        ("a.b/c/v2", "v2.0.0", "v2.0.0"),
    ] {
        let got = check(path, asked, answered).unwrap();
        assert_eq!(got.to_string(), format!("{path}@{answered}"));
    }
    for (path, asked, answered) in [
        ("a.b/c", "v1.0.0", "v1.0.1"),
        ("a.b/c", "v2.0.0", "v2.0.0"),
        ("a.b/c", "v2.0.0", "v2.0.1+incompatible"),
        ("a.b/c", "v2.0.0", "v1.0.0"),
        ("a.b/c", "v2.0.0+incompatible", "v2.0.0"),
        ("a.b/c", "master", "v2.0.0"),
        ("a.b/c/v2", "v1.0.0", "v1.0.0"),
        ("a.b/c/v2", "v1.0.0", "v1.0.0+incompatible"),
        ("a.b/c/v2", "master", "v1.0.0"),
    ] {
        assert!(
            check(path, asked, answered).is_err(),
            "{path}@{asked} {answered}"
        );
    }
    assert_eq!(
        check("a.b/c", "v1.0.0", "v1.0.1").unwrap_err().to_string(),
        "a.b/c@v1.0.0: upstream returned info for version v1.0.1 instead of requested version"
    );
}

#[test]
fn lists_are_read_leniently_and_what_is_skipped_is_counted() {
    let body = b"v1.0.0\r\n\n  v1.2.0   2019-01-01T00:00:00Z rest\nmaster\nv1\nv1.10.0-rc.1\n\xff\nv0.0.0-20060102150405-abcdefabcdef";
    let list = VersionList::parse(body).unwrap();
    assert_eq!(list.skipped(), 2);
    assert_eq!(
        list.render(),
        "v1.0.0\nv1.2.0 2019-01-01T00:00:00Z\nv1\nv1.10.0-rc.1\nv0.0.0-20060102150405-abcdefabcdef\n"
    );
    let tagged: Vec<_> = list.tagged().iter().map(|entry| entry.as_str()).collect();
    assert_eq!(tagged, ["v1", "v1.0.0", "v1.2.0", "v1.10.0-rc.1"]);
    let page = VersionList::parse(b"<!DOCTYPE html>\n<html>\n</html>\n").unwrap();
    assert!(page.is_empty() && page.skipped() == 3);
    assert!(VersionList::parse(&vec![b'\n'; LIST_BYTES_MAX + 1]).is_err());
}

#[test]
fn latest_is_the_newest_release_else_prerelease_else_by_time() {
    let latest = |body: &str| {
        let list = VersionList::parse(body.as_bytes()).unwrap();
        list.latest().map(|entry| entry.as_str().to_owned())
    };
    let pick = |body: &str| latest(body).unwrap_or_default();
    assert_eq!(
        pick("v1.9.0\nv1.10.0\nv1.11.0-rc.1\nv0.0.0-20260102150405-abcdef"),
        "v1.10.0"
    );
    assert_eq!(pick("v1.0.0-rc.2\nv1.0.0-rc.10\n"), "v1.0.0-rc.10");
    assert_eq!(pick("v1.0.0\nv2.0.0+incompatible"), "v2.0.0+incompatible");
    assert_eq!(
        pick(
            "v0.0.0-20190102150405-aaaaaa\nv0.0.0-20200102150405-bbbbbb\nv1.0.1-0.20180102150405-cccccc"
        ),
        "v0.0.0-20200102150405-bbbbbb"
    );
    assert_eq!(
        pick("v0.0.0-20190102150405-aaaaaa 2021-01-01T00:00:00Z\nv0.0.0-20200102150405-bbbbbb"),
        "v0.0.0-20190102150405-aaaaaa"
    );
    assert_eq!(pick("v0.0.0-20190102150405-aaaaaa junk\n"), "");
    assert_eq!(pick(""), "");

    let list = VersionList::parse(b"v1.0.0\nv1.1.0-rc.1\nv2.0.0+incompatible").unwrap();
    assert_eq!(list.last_compatible().unwrap().as_str(), "v1.1.0-rc.1");
    let compatible = list.latest_among(|entry| !entry.as_str().ends_with("+incompatible"));
    assert_eq!(compatible.unwrap().as_str(), "v1.0.0");
    let own =
        VersionList::from_versions(["v1.10.0", "v1.9.0", "v1.9.0"].map(|v| v.parse().unwrap()));
    assert_eq!(own.render(), "v1.9.0\nv1.10.0\n");
}

fn near_a_request() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/",
        "a.b",
        "/c",
        "/@v/",
        "@v",
        "list",
        "/@latest",
        "v1.0.0",
        "v2",
        "+incompatible",
        ".info",
        ".mod",
        ".zip",
        "sumdb/",
        "lookup/",
        "tile",
        "!a",
        "%21a",
        "%",
        "%2f",
        "..",
        "é",
        "A",
        "?",
        "\\",
        "%00",
        "gopkg.in/",
        "x.v1",
        " ",
    ]);
    prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_request_survives_writing_and_reading(path in near_a_request(), slash in any::<bool>()) {
        let path = if slash { format!("/{path}") } else { path };
        if let Ok(request) = Request::parse(&path) {
            let written = request.to_path();
            prop_assert!(written.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(Request::parse(&written), Ok(request));
        }
    }

    #[test]
    fn a_revision_survives_a_request(text in "[!-~ ]{1,16}") {
        if let Ok(revision) = Revision::parse(&text) {
            let request = Request::Info(module("a.b/c"), revision);
            prop_assert_eq!(Request::parse(&request.to_path()), Ok(request));
        }
    }

    #[test]
    fn a_list_survives_writing_and_reading(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let list = VersionList::parse(&body).unwrap();
        let again = VersionList::parse(list.render().as_bytes()).unwrap();
        prop_assert_eq!(again.entries(), list.entries());
    }

    #[test]
    fn no_bytes_make_a_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..256), near in near_a_request(),
        glob in r"[\[\]\^*?a/é\\,:|\-]{0,12}", name in "[a/é-]{0,8}",
    ) {
        let _ = (Info::parse(&bytes), VersionList::parse(&bytes));
        let list = VersionList::parse(&bytes).unwrap();
        let _ = (list.latest(), list.tagged(), list.last_compatible());
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [lossy.as_ref(), near.as_str(), glob.as_str()] {
            let _ = Request::parse(text);
            let _ = Patterns::parse(text).unwrap().matches(&name);
            if let Ok(rules) = GoVcs::parse(text) {
                let _ = rules.with_defaults().allows(&name, false, "git");
            }
        }
    }
}
