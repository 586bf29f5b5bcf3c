//! From a module path to its repository, over pages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Home, Table, mv, path, rev};
use gomod::pattern::Patterns;
use upstream::vcs::{Direct, DirectError};

const REPO: &str = "https://github.com/modkeep-test/x";

fn html(content: &str) -> String {
    format!("<html><head><meta name=\"go-import\" content=\"{content}\"></head></html>")
}

fn table(pages: &[(&str, u16, String)]) -> Table {
    let mut table = Table::default();
    for (at, status, page) in pages {
        table
            .0
            .insert((*at).to_owned(), (*status, page.clone().into_bytes()));
    }
    table
}

fn home() -> Home {
    let home = Home::new();
    let files = [
        ("go.mod", "module a.example/x\n"),
        ("s/go.mod", "module a.example/x\n"),
        ("s/s.go", "package s\n"),
    ];
    let work = home.make_repo("x", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    home.git_in(&work, &["tag", "s/v1.1.0"]);
    home
}

async fn latest(direct: &Direct, module: &str) -> Result<String, DirectError> {
    Ok(direct
        .list(&path(module))
        .await?
        .last()
        .cloned()
        .unwrap_or_default())
}

#[tokio::test]
async fn a_page_leads_to_its_repository_whatever_its_status() {
    let home = home();
    for status in [200, 404, 500] {
        let at = "https://a.example/x?go-get=1";
        let direct = home.direct_of(
            |_| {},
            table(&[(at, status, html(&format!("a.example/x git {REPO}")))]),
        );
        assert_eq!(latest(&direct, "a.example/x").await.unwrap(), "v1.0.0");
    }
}

#[tokio::test]
async fn the_subdirectory_field_moves_the_modules_root_and_its_tags() {
    let home = home();
    let at = "https://a.example/x?go-get=1";
    let direct = home.direct_of(
        |_| {},
        table(&[(at, 200, html(&format!("a.example/x git {REPO} s")))]),
    );
    let info = direct
        .info(&path("a.example/x"), &rev("v1.1.0"))
        .await
        .unwrap();
    assert_eq!(info.origin.subdir, "s");
    let out = home.out("s.zip");
    direct
        .zip(&mv("a.example/x", "v1.1.0"), &out)
        .await
        .unwrap();
    let names: Vec<String> = common::zip_files(&out)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        ["a.example/x@v1.1.0/go.mod", "a.example/x@v1.1.0/s.go"]
    );
}

#[tokio::test]
async fn a_page_speaks_for_a_prefix_only_if_the_prefix_agrees() {
    let home = home();
    let claim = html(&format!("a.example/x git {REPO}"));
    let agree = [
        ("https://a.example/x/s?go-get=1", 200, claim.clone()),
        ("https://a.example/x?go-get=1", 200, claim.clone()),
    ];
    let direct = home.direct_of(|_| {}, table(&agree));
    assert_eq!(latest(&direct, "a.example/x/s").await.unwrap(), "v1.1.0");
    drop(direct);
    for other in [
        html("a.example/x git https://evil.example/x"),
        html(&format!("a.example/x hg {REPO}")),
        html(&format!("a.example/x git {REPO} s")),
        String::new(),
    ] {
        let pages = [
            ("https://a.example/x/s?go-get=1", 200, claim.clone()),
            ("https://a.example/x?go-get=1", 200, other),
        ];
        let direct = home.direct_of(|_| {}, table(&pages));
        let error = latest(&direct, "a.example/x/s").await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        assert!(
            error.to_string().contains("disagree about go-import"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn pages_without_a_fitting_tag_prove_absence_and_say_why() {
    let home = home();
    let cases = [
        (
            200,
            "<html>hello</html>".to_owned(),
            "no go-import meta tags",
        ),
        (
            200,
            html(&format!("b.example/x git {REPO}")),
            "did not match import path",
        ),
        (404, "gone".to_owned(), "404"),
        (200, "<a <".to_owned(), "parsing a.example/x"),
        (
            200,
            format!(
                "{0}{0}",
                format_args!("<meta name=\"go-import\" content=\"a.example/x git {REPO}\">")
            ),
            "multiple meta tags",
        ),
    ];
    for (status, page, wanted) in cases {
        let direct = home.direct_of(
            |_| {},
            table(&[("https://a.example/x?go-get=1", status, page)]),
        );
        let error = latest(&direct, "a.example/x").await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(wanted), "{text}");
        assert!(
            text.starts_with("unrecognized import path \"a.example/x\""),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_had_proves_nothing() {
    let home = home();
    let cases = [
        (503, DirectError::is_not_found as fn(&DirectError) -> bool),
        (401, DirectError::is_not_found),
        (429, DirectError::is_not_found),
    ];
    for (status, absent) in cases {
        let direct = home.direct_of(
            |_| {},
            table(&[("https://a.example/x?go-get=1", status, String::new())]),
        );
        let error = latest(&direct, "a.example/x").await.unwrap_err();
        assert!(!absent(&error), "{status}: {error:?}");
    }
    let error = latest(&home.direct(), "a.example/x").await.unwrap_err();
    assert!(
        matches!(error, DirectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn plain_http_serves_insecure_names_only() {
    let home = home();
    let pages = || {
        table(&[(
            "http://a.example/x?go-get=1",
            200,
            html(&format!("a.example/x git {REPO}")),
        )])
    };
    assert!(
        latest(&home.direct_of(|_| {}, pages()), "a.example/x")
            .await
            .is_err()
    );
    let insecure = Patterns::parse("a.example").unwrap();
    let direct = home.direct_of(|s| s.insecure = insecure, pages());
    assert_eq!(latest(&direct, "a.example/x").await.unwrap(), "v1.0.0");
}

#[tokio::test]
async fn a_git_suffix_in_the_path_asks_no_page() {
    let home = home();
    home.append(".gitconfig", "\tinsteadOf = https://git.example/\n");
    let direct = home.direct();
    assert_eq!(
        latest(&direct, "git.example/x.git").await.unwrap(),
        "v1.0.0"
    );
    assert_eq!(
        latest(&direct, "git.example/x.git/s").await.unwrap(),
        "v1.1.0"
    );
}

#[tokio::test]
async fn a_mod_entry_is_asked_as_a_proxy() {
    let home = home();
    let direct = home.direct();
    let made = home.out("made.zip");
    // A zip as the proxy would have it, made from a repository of that name.
    drop(direct);
    let at = "https://a.example/x?go-get=1";
    let direct = home.direct_of(
        |_| {},
        table(&[(at, 200, html(&format!("a.example/x git {REPO}")))]),
    );
    let sum = direct
        .zip(&mv("a.example/x", "v1.0.0"), &made)
        .await
        .unwrap();
    drop(direct);
    let base = "https://proxy.example/base/a.example/x/@v";
    let mut pages = table(&[
        (
            at,
            200,
            format!(
                "{}{}",
                html("a.example/x mod https://proxy.example/base"),
                html(&format!("a.example/x git {REPO}"))
            ),
        ),
        (
            &format!("{base}/list"),
            200,
            "v1.0.0\nv0.9.0 2020-01-01T00:00:00Z\nnonsense\n".into(),
        ),
        (
            &format!("{base}/v1.0.0.info"),
            200,
            "{\"Version\":\"v1.0.0\",\"Time\":\"2020-01-01T00:00:00Z\"}".into(),
        ),
        (
            &format!("{base}/v1.0.0.mod"),
            200,
            "module a.example/x\n".into(),
        ),
        (&format!("{base}/v1.2.0.info"), 404, "not here".into()),
    ]);
    pages.0.insert(
        format!("{base}/v1.0.0.zip"),
        (200, std::fs::read(&made).unwrap()),
    );
    pages.0.insert(
        format!("{base}/v0.9.0.zip"),
        (200, std::fs::read(&made).unwrap()),
    );
    let direct = home.direct_of(|_| {}, pages);
    let module = path("a.example/x");
    assert_eq!(direct.list(&module).await.unwrap(), ["v0.9.0", "v1.0.0"]);
    assert_eq!(
        direct.info(&module, &rev("v1.0.0")).await.unwrap().version,
        "v1.0.0"
    );
    assert_eq!(
        direct.go_mod(&mv("a.example/x", "v1.0.0")).await.unwrap(),
        b"module a.example/x\n"
    );
    assert_eq!(
        direct
            .zip(&mv("a.example/x", "v1.0.0"), &home.out("got.zip"))
            .await
            .unwrap(),
        sum
    );
    assert!(
        direct
            .info(&module, &rev("v1.2.0"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    // The proxy's zip for another version is no zip of this one.
    let out = home.out("bad.zip");
    let error = direct
        .zip(&mv("a.example/x", "v0.9.0"), &out)
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Refused { .. }), "{error:?}");
    assert!(!out.exists());
}

#[tokio::test]
async fn a_tag_with_the_wrong_prefix_or_spelling_is_named_with_the_remedy() {
    let home = home();
    let direct = home.direct();
    let cases = [
        (
            format!("{}/s", "github.com/modkeep-test/x"),
            "v1.0.0",
            "needs the tag s/v1.0.0",
        ),
        (
            "github.com/modkeep-test/x".to_owned(),
            "v1.1.0",
            "s/v1.1.0 is for the module in that directory",
        ),
        (
            "github.com/modkeep-test/x".to_owned(),
            "v1.0.5",
            "the newest is v1.0.0",
        ),
        (
            "github.com/modkeep-test/x".to_owned(),
            "nowhere",
            "no such branch, tag or commit",
        ),
    ];
    for (module, version, wanted) in cases {
        let error = direct
            .info(&path(&module), &rev(version))
            .await
            .unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
