//! Repositories that mean harm, each test named for the trick.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use common::{Home, Table, mv, path, rev, zip_files};
use upstream::vcs::{Direct, DirectError};

const M: &str = "github.com/modkeep-test/evil";

async fn fetch(home: &Home, direct: &Direct, version: &str) -> Vec<(String, Vec<u8>)> {
    let out = home.out("evil.zip");
    direct.zip(&mv(M, version), &out).await.unwrap();
    let files = zip_files(&out);
    std::fs::remove_file(out).unwrap();
    files
}

/// Names in the zip without `module@version/`.
fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files
        .iter()
        .map(|(name, _)| name.splitn(4, '/').nth(3).unwrap())
        .collect()
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn hooks_of_the_users_git_directory_do_not_run() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let hooks = home.path().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-merge",
        "pre-auto-gc",
        "post-rewrite",
    ] {
        script(
            &hooks.join(hook),
            &format!("touch {}/ran", home.path().display()),
        );
    }
    let setting = format!(
        "[core]\n\thooksPath = {0}\n[init]\n\ttemplateDir = {0}\n",
        hooks.display()
    );
    home.append(".gitconfig", &setting);
    fetch(&home, &home.direct(), "v1.0.0").await;
    assert!(!home.path().join("ran").exists());
}

#[tokio::test]
async fn filters_named_by_attributes_do_not_run() {
    let home = Home::new();
    let files = [
        ("go.mod", "module x\n"),
        (".gitattributes", "*.bin filter=evil\n"),
        ("a.bin", "raw"),
    ];
    let work = home.make_repo("evil", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let ran = home.path().join("ran");
    home.append(
        ".gitconfig",
        &format!(
            "[filter \"evil\"]\n\tsmudge = touch {}; cat\n\tprocess = touch {}\n",
            ran.display(),
            ran.display()
        ),
    );
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert!(!ran.exists());
    assert!(
        files
            .iter()
            .any(|(name, data)| name.ends_with("/a.bin") && data == b"raw")
    );
}

#[tokio::test]
async fn git_lfs_pointers_stay_pointers() {
    let home = Home::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
    let files = [
        ("go.mod", "module x\n"),
        (".gitattributes", "*.bin filter=lfs\n"),
        ("a.bin", pointer),
        (".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n"),
    ];
    let work = home.make_repo("evil", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    home.append(
        ".gitconfig",
        "[filter \"lfs\"]\n\tsmudge = false\n\trequired = true\n",
    );
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert!(files.iter().any(|(_, data)| data == pointer.as_bytes()));
}

#[tokio::test]
async fn user_settings_of_line_ends_and_attributes_do_not_change_bytes() {
    let home = Home::new();
    let files = [
        ("go.mod", "module x\n"),
        ("a.txt", "one\ntwo\n"),
        ("id.txt", "$Id$\n"),
    ];
    let work = home.make_repo("evil", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let attributes = home.path().join("attributes");
    std::fs::write(&attributes, "*.txt text eol=crlf ident\n").unwrap();
    std::fs::create_dir_all(home.path().join(".config/git")).unwrap();
    std::fs::write(
        home.path().join(".config/git/attributes"),
        "*.txt text eol=crlf ident\n",
    )
    .unwrap();
    let setting = format!(
        "[core]\n\tautocrlf = true\n\teol = crlf\n\tattributesFile = {}\n[tar]\n\tumask = 0777\n",
        attributes.display()
    );
    home.append(".gitconfig", &setting);
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert!(files.iter().any(|(_, data)| data == b"one\ntwo\n"));
    assert!(files.iter().any(|(_, data)| data == b"$Id$\n"));
}

#[tokio::test]
async fn export_attributes_neither_substitute_nor_leave_out() {
    let home = Home::new();
    let files = [
        ("go.mod", "module x\n"),
        ("gone.txt", "here\n"),
        ("hash.txt", "$Format:%H$\n"),
        (
            ".gitattributes",
            "gone.txt export-ignore\nhash.txt export-subst\n",
        ),
    ];
    let work = home.make_repo("evil", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert!(files.iter().any(|(_, data)| data == b"here\n"));
    assert!(files.iter().any(|(_, data)| data == b"$Format:%H$\n"));
}

#[tokio::test]
async fn symlinks_out_of_the_tree_are_left_out() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    std::os::unix::fs::symlink("/etc/passwd", work.join("passwd")).unwrap();
    std::os::unix::fs::symlink("/etc", work.join("etc")).unwrap();
    std::os::unix::fs::symlink("../../../../../etc/passwd", work.join("LICENSE")).unwrap();
    home.commit(&work, &[], "links");
    home.git_in(&work, &["tag", "v1.0.0"]);
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert_eq!(files.len(), 1, "{files:?}");
}

#[tokio::test]
async fn submodules_are_not_fetched_and_leave_no_trace() {
    let home = Home::new();
    let modules = "[submodule \"s\"]\n\tpath = s\n\turl = ext::sh -c touch% ran\n";
    let work = home.make_repo(
        "evil",
        &[("go.mod", "module x\n"), (".gitmodules", modules)],
    );
    let hash = home.git_in(&work, &["rev-parse", "HEAD"]);
    home.git_in(
        &work,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{},s", hash.trim()),
        ],
    );
    home.git_in(&work, &["commit", "-q", "-m", "sub"]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    home.append(
        ".gitconfig",
        "[submodule]\n\trecurse = true\n[fetch]\n\trecurseSubmodules = true\n",
    );
    let files = fetch(&home, &home.direct(), "v1.0.0").await;
    assert_eq!(names(&files), [".gitmodules", "go.mod"]);
}

/// A page that claims any repository URL for a vanity module.
fn page(url: &str) -> Table {
    let mut table = Table::default();
    let html = format!("<meta name=\"go-import\" content=\"vanity.example/x git {url}\">");
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into_bytes()),
    );
    table
}

async fn vanity(home: &Home, url: &str) -> DirectError {
    let direct = home.direct_of(|_| {}, page(url));
    direct
        .info(&path("vanity.example/x"), &rev("main"))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn an_ext_transport_runs_no_command() {
    let home = Home::new();
    let ran = home.path().join("ran");
    for url in [
        format!("ext::touch {}", ran.display()),
        format!("ext://touch%20{}", ran.display()),
    ] {
        let error = vanity(&home, &url.replace(' ', "%20")).await;
        assert!(matches!(error, DirectError::Refused { .. }), "{error}");
        std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    }
    assert!(!ran.exists());
}

#[tokio::test]
async fn an_ext_transport_of_the_users_rewrite_runs_no_command_either() {
    let home = Home::new();
    let ran = home.path().join("ran");
    home.append(".gitconfig", &format!("[url \"ext::touch {} \"]\n\tinsteadOf = https://ext.example/\n[protocol]\n\tallow = always\n", ran.display()));
    let error = vanity(&home, "https://ext.example/x").await;
    assert!(matches!(error, DirectError::Refused { .. }), "{error}");
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_file_url_from_a_page_reads_no_local_repository() {
    let home = Home::new();
    home.make_repo("secret", &[("go.mod", "module x\n")]);
    let local = home.repo("secret").display().to_string();
    for url in [
        format!("file://{local}"),
        local.clone(),
        format!("FILE://{local}"),
        format!("file::{local}"),
    ] {
        let error = vanity(&home, &url).await;
        assert!(
            matches!(error, DirectError::Refused { .. }),
            "{url}: {error}"
        );
        std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    }
}

#[tokio::test]
async fn a_public_name_does_not_lead_to_loopback_or_private_addresses() {
    let home = Home::new();
    for url in [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "http://[::1]:8080/x",
        "git://10.0.0.1/x",
        "ssh://git@192.168.0.1/x",
        "https://169.254.169.254/latest",
        "https://2130706433/x",
        "https://0/x",
    ] {
        let error = vanity(&home, url).await;
        assert!(
            matches!(error, DirectError::Refused { .. }),
            "{url}: {error}"
        );
        assert!(error.to_string().contains("--private"), "{error}");
        std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    }
}

#[tokio::test]
async fn urls_and_hosts_that_look_like_options_are_refused() {
    let home = Home::new();
    let ran = home.path().join("ran");
    for url in [
        format!("ssh://-oProxyCommand=touch%20{}/x", ran.display()),
        "--upload-pack=touch".into(),
        format!("-u{}", ran.display()),
    ] {
        let error = vanity(&home, &url).await;
        assert!(
            matches!(error, DirectError::Refused { .. }),
            "{url}: {error}"
        );
        std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    }
    assert!(!ran.exists());
}

#[tokio::test]
async fn refs_with_option_like_names_are_only_names() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    let hash = home.git_in(&work, &["rev-parse", "HEAD"]);
    for name in [
        "refs/heads/--upload-pack=touch ran",
        "refs/tags/--exec=x",
        "refs/heads/-n1",
    ] {
        let file = work.join(".git").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &hash).unwrap();
    }
    let direct = home.direct();
    for name in ["--exec=x", "-n1", "--output=x"] {
        let Ok(revision) = gomod::version::Revision::parse(name) else {
            continue;
        };
        let result = direct.info(&path(M), &revision).await;
        assert!(
            result.is_err() || result.unwrap().version.starts_with("v0.0.0-"),
            "{name}"
        );
    }
    assert!(!home.path().join("ran").exists());
}

#[tokio::test]
async fn revisions_that_are_expressions_name_nothing() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    home.commit(&work, &[("a.go", "package a\n")], "two");
    let direct = home.direct();
    for name in [
        "HEAD~1",
        "main^",
        "@{-1}",
        "main@{1}",
        "HEAD^{tree}",
        "main..HEAD",
        "ORIG_HEAD",
        "FETCH_HEAD",
    ] {
        let Ok(revision) = gomod::version::Revision::parse(name) else {
            continue;
        };
        let error = direct.info(&path(M), &revision).await.unwrap_err();
        assert!(error.is_not_found(), "{name}: {error}");
    }
}

#[tokio::test]
async fn commits_outside_heads_and_tags_do_not_exist() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    home.git_in(&work, &["checkout", "-q", "-b", "pull"]);
    let evil = home.commit(&work, &[("evil.go", "package evil\n")], "pull request");
    home.git_in(&work, &["checkout", "-q", "main"]);
    home.git_in(&work, &["update-ref", "refs/pull/1/head", &evil]);
    home.git_in(&work, &["branch", "-q", "-D", "pull"]);
    let direct = home.direct();
    for name in [
        evil.as_str(),
        &evil[..12],
        "refs/pull/1/head",
        "pull/1/head",
    ] {
        let Ok(revision) = gomod::version::Revision::parse(name) else {
            continue;
        };
        let error = direct.info(&path(M), &revision).await.unwrap_err();
        assert!(error.is_not_found(), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_tag_named_like_a_hash_does_not_stand_for_that_commit() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    let first = home.git_in(&work, &["rev-parse", "HEAD"]).trim().to_owned();
    let second = home.commit(&work, &[("a.go", "package a\n")], "two");
    home.git_in(
        &work,
        &[
            "update-ref",
            &format!("refs/tags/{}", &first[..12]),
            &second,
        ],
    );
    let direct = home.direct();
    let pseudo = format!("v0.0.0-20240506070809-{}", &first[..12]);
    let error = direct.info(&path(M), &rev(&pseudo)).await.unwrap_err();
    assert!(
        error.to_string().contains("does not match short name"),
        "{error}"
    );
}

/// Writes a tree object with any entry names and tags a commit of it.
fn raw_tree(home: &Home, entries: &[(&str, &[u8], &str)]) {
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    let mut tree = Vec::new();
    for (mode, name, text) in entries {
        std::fs::write(home.path().join("blob"), text).unwrap();
        let blob = home.path().join("blob");
        let hash = home.git_in(&work, &["hash-object", "-w", blob.to_str().unwrap()]);
        tree.extend_from_slice(mode.as_bytes());
        tree.push(b' ');
        tree.extend_from_slice(name);
        tree.push(0);
        let hash = hash.trim();
        tree.extend(
            (0..hash.len() / 2).map(|i| u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).unwrap()),
        );
    }
    let file = home.path().join("tree");
    std::fs::write(&file, tree).unwrap();
    let tree = home.git_in(
        &work,
        &[
            "hash-object",
            "-w",
            "-t",
            "tree",
            "--literally",
            file.to_str().unwrap(),
        ],
    );
    let commit = home.git_in(&work, &["commit-tree", tree.trim(), "-m", "raw"]);
    home.git_in(&work, &["tag", "v1.0.0", commit.trim()]);
}

async fn raw_refused(entries: &[(&str, &[u8], &str)]) {
    let home = Home::new();
    raw_tree(&home, entries);
    let out = home.out("evil.zip");
    let result = home.direct().zip(&mv(M, "v1.0.0"), &out).await;
    match result {
        Err(
            DirectError::Refused { .. } | DirectError::Damaged { .. } | DirectError::Limits { .. },
        ) => {
            assert!(!out.exists());
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("accepted: {:?}", zip_files(&out)),
    }
}

#[tokio::test]
async fn names_that_climb_out_or_are_not_portable_fail_the_whole_zip() {
    raw_refused(&[
        ("100644", b"go.mod", "module x\n"),
        ("100644", b"a\\b", "x"),
    ])
    .await;
    raw_refused(&[
        ("100644", b"aux.go", "x"),
        ("100644", b"go.mod", "module x\n"),
    ])
    .await;
    raw_refused(&[
        ("100644", b"go.mod", "module x\n"),
        ("100644", b"x\xff\xfe", "x"),
    ])
    .await;
    raw_refused(&[
        ("100644", b"go.mod", "module x\n"),
        ("100644", b"x\ny", "x"),
    ])
    .await;
}

#[tokio::test]
async fn names_that_differ_by_case_only_fail_the_whole_zip() {
    raw_refused(&[
        ("100644", b"README", "a"),
        ("100644", b"go.mod", "module x\n"),
        ("100644", b"readme", "b"),
    ])
    .await;
}

#[tokio::test]
async fn a_name_with_dots_or_slashes_writes_nothing_outside() {
    for name in [&b".."[..], b"../evil", b"a/../../evil", b"/etc/evil", b"."] {
        let home = Home::new();
        raw_tree(
            &home,
            &[("100644", name, "x"), ("100644", b"go.mod", "module x\n")],
        );
        let out = home.out("evil.zip");
        if home.direct().zip(&mv(M, "v1.0.0"), &out).await.is_ok() {
            for (file, _) in zip_files(&out) {
                assert!(
                    file.starts_with(M) && !file.contains("/../") && !file.contains("//"),
                    "{file}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_tree_with_the_same_name_twice_is_refused() {
    let home = Home::new();
    raw_tree(
        &home,
        &[
            ("100644", b"a", "1"),
            ("100644", b"a", "2"),
            ("100644", b"go.mod", "module x\n"),
        ],
    );
    let out = home.out("evil.zip");
    assert!(home.direct().zip(&mv(M, "v1.0.0"), &out).await.is_err());
    assert!(!out.exists());
}

#[tokio::test]
async fn a_tag_on_a_blob_is_no_version() {
    let home = Home::new();
    let work = home.make_repo("evil", &[("go.mod", "module x\n")]);
    let blob = home.git_in(&work, &["rev-parse", "HEAD:go.mod"]);
    home.git_in(&work, &["tag", "v1.0.0", blob.trim()]);
    let error = home
        .direct()
        .info(&path(M), &rev("v1.0.0"))
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}

#[tokio::test]
async fn a_go_mod_of_many_megabytes_is_a_limit_not_memory() {
    let home = Home::new();
    let big = "// x\n".repeat(4 << 20);
    let work = home.make_repo("evil", &[("go.mod", &big)]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let error = home.direct().go_mod(&mv(M, "v1.0.0")).await.unwrap_err();
    assert!(matches!(error, DirectError::Limits { .. }), "{error}");
}

#[tokio::test]
async fn a_repository_larger_than_allowed_is_not_kept() {
    let home = Home::new();
    let noise: String = (0..200_000u32)
        .map(|i| format!("{:x}", i.wrapping_mul(2_654_435_761)))
        .collect();
    let work = home.make_repo("evil", &[("go.mod", "module x\n"), ("noise", &noise)]);
    home.git_in(&work, &["tag", "v1.0.0"]);
    let direct = home.direct_with(|s| s.limits.repo_bytes = 100_000);
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(!error.is_not_found(), "{error:?}");
    let left = home.run(home.path(), "du", &["-sk", "cache"]);
    let kilobytes: u64 = left.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes < 400, "{left}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_in_time_and_its_programs_die() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let direct = home.direct_of(
        |s| {
            s.private = gomod::pattern::Patterns::parse("vanity.example").unwrap();
            s.limits.process_time = Duration::from_secs(1);
        },
        page(&url),
    );
    let started = std::time::Instant::now();
    let error = direct
        .info(&path("vanity.example/x"), &rev("main"))
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_credential_prompt_never_waits() {
    let home = Home::new();
    script(
        &home.path().join("ask"),
        &format!("touch {}/asked; sleep 100", home.path().display()),
    );
    home.append(
        ".gitconfig",
        &format!("[core]\n\taskPass = {}/ask\n", home.path().display()),
    );
    let server = tiny_401();
    let direct = home.direct_of(
        |s| {
            s.private = gomod::pattern::Patterns::parse("vanity.example").unwrap();
            s.environment.push((
                "SSH_ASKPASS".into(),
                format!("{}/ask", home.path().display()),
            ));
        },
        page(&format!("http://{server}/x")),
    );
    let error = direct
        .info(&path("vanity.example/x"), &rev("main"))
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Auth { .. }), "{error}");
    assert!(!home.path().join("asked").exists());
}

/// Answers every request with 401.
fn tiny_401() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut block = [0; 4096];
            let _ = stream.read(&mut block);
            let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[tokio::test]
async fn a_subdirectory_of_a_page_that_climbs_or_is_an_option_is_refused() {
    let home = Home::new();
    home.make_repo(
        "x",
        &[("go.mod", "module x\n"), ("sub/go.mod", "module x/sub\n")],
    );
    for subdir in ["../..", "-x", "/etc", "sub/../../.."] {
        let mut table = Table::default();
        let html = format!(
            "<meta name=\"go-import\" content=\"vanity.example/x git https://github.com/modkeep-test/x {subdir}\">"
        );
        table.0.insert(
            "https://vanity.example/x?go-get=1".into(),
            (200, html.into_bytes()),
        );
        let direct = home.direct_of(|_| {}, table);
        let error = direct
            .info(&path("vanity.example/x"), &rev("main"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DirectError::Refused { .. }),
            "{subdir}: {error}"
        );
        drop(direct);
    }
}

#[tokio::test]
async fn pathspec_magic_in_a_subdirectory_is_only_a_name() {
    let home = Home::new();
    home.make_repo(
        "x",
        &[("go.mod", "module x\n"), ("a/go.mod", "module x/a\n")],
    );
    let mut table = Table::default();
    let html = "<meta name=\"go-import\" content=\"vanity.example/x git https://github.com/modkeep-test/x :(top)a\">";
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into()),
    );
    let direct = home.direct_of(|_| {}, table);
    let error = direct
        .info(&path("vanity.example/x"), &rev("main"))
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
}
