//! Git over HTTP with passwords: where they come from, where they go and where they never show.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::sync::Arc;

use base64::Engine as _;
use common::{Home, Table, mv, path, rev};
use gomod::pattern::Patterns;
use http::{GitServer, Rules};
use upstream::vcs::{Direct, DirectError, DirectSettings};

const SECRET: &str = "hunter2-s3cret";
const M: &str = "vanity.example/x";

fn basic() -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("bot:{SECRET}"))
}

fn guarded(home: &Home) -> GitServer {
    let work = home.make_repo(
        "x",
        &[
            ("go.mod", "module vanity.example/x\n"),
            ("x.go", "package x\n"),
        ],
    );
    home.git_in(&work, &["tag", "v1.0.0"]);
    let rules = Rules {
        basic: Some(basic()),
        hidden: Some(SECRET.into()),
        moved: None,
    };
    GitServer::start(home.repos(), rules)
}

fn pages(url: &str) -> Table {
    let mut table = Table::default();
    let html = format!("<meta name=\"go-import\" content=\"{M} git {url}\">");
    table
        .0
        .insert(format!("https://{M}?go-get=1"), (200, html.into_bytes()));
    table
}

fn direct(home: &Home, url: &str, change: impl FnOnce(&mut DirectSettings)) -> Direct {
    let with_private = |settings: &mut DirectSettings| {
        settings.private = Patterns::parse("vanity.example").unwrap();
        change(settings);
    };
    home.direct_of(with_private, pages(url))
}

async fn fetches(home: &Home, direct: &Direct) {
    let info = direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    assert!(!info.to_json().contains(SECRET));
    let out = home.out("x.zip");
    direct.zip(&mv(M, "v1.0.0"), &out).await.unwrap();
}

#[tokio::test]
async fn credentials_of_the_file_open_a_repository_and_show_nowhere() {
    let home = Home::new();
    let server = guarded(&home);
    let place = server.address.to_string();
    let direct = direct(&home, &server.url("x"), |s| {
        s.credentials.add(&place, "bot", SECRET)
    });
    fetches(&home, &direct).await;
    assert_eq!(server.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn netrc_of_the_user_opens_a_repository() {
    let home = Home::new();
    let server = guarded(&home);
    home.write(
        ".netrc",
        &format!("machine 127.0.0.1 login bot password {SECRET}\n"),
    );
    let direct = direct(&home, &server.url("x"), |_| {});
    fetches(&home, &direct).await;
    assert_eq!(server.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn a_credential_helper_of_the_user_opens_a_repository() {
    let home = Home::new();
    let server = guarded(&home);
    home.append(
        ".gitconfig",
        &format!(
            "[credential]\n\thelper = store --file={}/store\n",
            home.path().display()
        ),
    );
    home.write(
        "store",
        &format!("http://bot:{SECRET}@{}\n", server.address),
    );
    let direct = direct(&home, &server.url("x"), |_| {});
    fetches(&home, &direct).await;
    assert_eq!(server.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn a_password_in_the_url_of_a_page_is_used_but_never_shown() {
    let home = Home::new();
    let server = guarded(&home);
    let url = format!("http://bot:{SECRET}@{}/x", server.address);
    let direct = direct(&home, &url, |_| {});
    let info = direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    assert_eq!(info.origin.url, server.url("x"));
    assert_eq!(server.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_in_the_users_rewrite_is_used_but_never_on_a_command_line() {
    let home = Home::new();
    let server = guarded(&home);
    home.append(
        ".gitconfig",
        &format!(
            "[url \"http://bot:{SECRET}@{}/\"]\n\tinsteadOf = https://git.example/\n",
            server.address
        ),
    );
    let direct = direct(&home, "https://git.example/x", |_| {});
    fetches(&home, &direct).await;
    assert_eq!(server.leaks(), Vec::<String>::new());
}

#[tokio::test]
async fn wrong_credentials_are_an_auth_error_without_the_secret() {
    let home = Home::new();
    let server = guarded(&home);
    let place = server.address.to_string();
    let direct = direct(&home, &server.url("x"), |s| {
        s.credentials.add(&place, "bot", "wr0ng-one")
    });
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(matches!(error, DirectError::Auth { .. }), "{error:?}");
    assert!(!error.to_string().contains("wr0ng-one"));
    assert!(error.to_string().contains("--credentials"), "{error}");
}

#[tokio::test]
async fn no_credentials_at_all_say_what_to_do() {
    let home = Home::new();
    let server = guarded(&home);
    let direct = direct(&home, &server.url("x"), |_| {});
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(matches!(error, DirectError::Auth { .. }), "{error:?}");
    assert!(error.to_string().contains("netrc"), "{error}");
}

#[tokio::test]
async fn a_public_alias_of_a_private_repository_gets_no_credentials() {
    let home = Home::new();
    let server = guarded(&home);
    home.append(
        ".gitconfig",
        &format!(
            "[url \"http://{}/\"]\n\tinsteadOf = https://git.example/\n",
            server.address
        ),
    );
    let place = server.address.to_string();
    let direct = home.direct_of(
        |s| s.credentials.add(&place, "bot", SECRET),
        pages("https://git.example/x"),
    );
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(matches!(error, DirectError::Auth { .. }), "{error:?}");
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.authorization.is_none()),
        "{:?}",
        server.seen()
    );
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_to_another_host() {
    let home = Home::new();
    home.make_repo("x", &[("go.mod", "module x\n")]);
    let open = GitServer::start(home.repos(), Rules::default());
    let moved = format!("http://{}", open.address);
    let first = GitServer::start(
        home.repos(),
        Rules {
            moved: Some(moved),
            ..Rules::default()
        },
    );
    let place = first.address.to_string();
    let mut table = pages(&first.url("x"));
    // The page fetcher follows the redirect; git never does.
    let tail = "info/refs?service=git-upload-pack";
    table
        .0
        .insert(format!("{}/{tail}", first.url("x")), (200, Vec::new()));
    let pages = Redirecting {
        table,
        from: first.url("x"),
        to: open.url("x"),
    };
    let direct = home.direct_of(
        |s| {
            s.private = Patterns::parse("vanity.example").unwrap();
            s.credentials.add(&place, "bot", SECRET);
        },
        pages,
    );
    let info = direct.info(&path(M), &rev("main")).await.unwrap();
    assert_eq!(info.origin.url, first.url("x"));
    assert!(
        open.seen().iter().all(|seen| seen.authorization.is_none()),
        "{:?}",
        open.seen()
    );
    assert!(first.seen().iter().any(|seen| seen.authorization.is_some()));
}

/// A table whose pages under one URL end at another.
struct Redirecting {
    table: Table,
    from: String,
    to: String,
}

impl upstream::vcs::Pages for Redirecting {
    fn get<'a>(
        &'a self,
        url: &'a url::Url,
        public_only: bool,
    ) -> futures_util::future::BoxFuture<'a, Result<upstream::vcs::Page, upstream::vcs::PageError>>
    {
        Box::pin(async move {
            let mut page = self.table.get(url, public_only).await?;
            let place = page.final_url.as_str().replace(&self.from, &self.to);
            page.final_url = url::Url::parse(&place).unwrap();
            Ok(page)
        })
    }

    fn download<'a>(
        &'a self,
        url: &'a url::Url,
        public_only: bool,
        to: &'a std::path::Path,
        bytes_max: u64,
    ) -> futures_util::future::BoxFuture<'a, Result<u16, upstream::vcs::PageError>> {
        self.table.download(url, public_only, to, bytes_max)
    }
}

#[tokio::test]
async fn a_repository_that_the_server_denies_is_not_found() {
    let home = Home::new();
    let server = GitServer::start(home.repos(), Rules::default());
    let direct = direct(&home, &server.url("nowhere"), |_| {});
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable_not_absent() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let direct = direct(&home, &url, |_| {});
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(
        matches!(error, DirectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_one_question_and_one_fetch() {
    let home = Home::new();
    let work = home.make_repo("x", &[("go.mod", "module x\n")]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let server = GitServer::start(home.repos(), Rules::default());
    let direct = Arc::new(direct(&home, &server.url("x"), |_| {}));
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let direct = Arc::clone(&direct);
            tokio::spawn(
                async move { direct.info(&path(M), &rev("v1.0.0")).await.unwrap().version },
            )
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "v1.0.0");
    }
    let posts = server
        .seen()
        .iter()
        .filter(|seen| seen.method == "POST")
        .count();
    // One to list the refs; to fetch, one to list the ref wanted and one for the pack.
    assert!(posts <= 3, "{:?}", server.seen());
}

#[tokio::test]
async fn a_new_tag_costs_an_increment() {
    let home = Home::new();
    let noise: String = (0..60_000u32)
        .map(|i| format!("{:x}\n", i.wrapping_mul(2_654_435_761)))
        .collect();
    let work = home.make_repo("x", &[("go.mod", "module x\n"), ("noise.txt", &noise)]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let server = GitServer::start(home.repos(), Rules::default());
    let direct = direct(&home, &server.url("x"), |s| {
        s.limits.refs_fresh = std::time::Duration::ZERO
    });
    direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    let whole: usize = server.seen().iter().map(|seen| seen.reply_bytes).sum();
    server.forget();
    home.commit(&work, &[("a.go", "package a\n")], "two");
    home.git_in(&work, &["tag", "v1.0.1"]);
    direct.info(&path(M), &rev("v1.0.1")).await.unwrap();
    let more: usize = server.seen().iter().map(|seen| seen.reply_bytes).sum();
    assert!(whole > 100_000 && more < whole / 10, "{whole} then {more}");
}
