//! The go command's own tables, as far as its repositories are among the test data.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Home, Table, bundles, mv};
use gomod::path::ModulePath;
use gomod::version::Revision;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use upstream::goimport::{MetaImport, parse_meta_go_imports};
use upstream::vcs::Direct;

fn vectors<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let file = bundles().parent().unwrap().join("vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Page {
    r#in: String,
    r#mod: u8,
    out: Vec<Meta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    prefix: String,
    #[serde(rename = "VCS")]
    vcs: String,
    repo_root: String,
    sub_dir: String,
}

#[test]
fn go_import_tags_are_read_as_the_go_command_reads_them() {
    for page in vectors::<Page>("goimport_meta.json") {
        let wanted: Vec<MetaImport> = page
            .out
            .into_iter()
            .map(|meta| MetaImport {
                prefix: meta.prefix,
                vcs: meta.vcs,
                repo_root: meta.repo_root,
                subdir: meta.sub_dir,
            })
            .collect();
        let found = parse_meta_go_imports(page.r#in.as_bytes(), page.r#mod == 1).unwrap();
        assert_eq!(found, wanted, "{}", page.r#in);
    }
}

/// Repositories of the tables that are among the bundles.
fn here(path: &str) -> bool {
    let git = [
        "odd-tags",
        "v2sub",
        "semver-branch",
        "commit-after-tag",
        "no-tags",
    ];
    path.starts_with("github.com/rsc/vgotest1")
        || path.starts_with("vcs-test.golang.org/go/")
        || git
            .iter()
            .any(|name| path == format!("vcs-test.golang.org/git/{name}.git"))
}

/// A home that finds the tables' repositories under their own names.
fn go_projects(home: &Home) -> Direct {
    let repos = home.repos().display().to_string();
    home.append(".gitconfig", &format!("\tinsteadOf = https://vcs-test.golang.org/git/\n\tinsteadOf = https://github.com/rsc/\n[safe]\n\tdirectory = {repos}\n"));
    let mut table = Table::default();
    let pages = [
        ("mod/gitrepo1", "gitrepo1"),
        ("gitreposubdir", "gitreposubdir foo/subdir"),
        ("gitreposubdirv2/v2", "gitreposubdirv2 subdir"),
        ("v2module/v2", "v2repo"),
    ];
    for (module, repo) in pages {
        let html = format!(
            "<meta name=\"go-import\" content=\"vcs-test.golang.org/go/{module} git https://vcs-test.golang.org/git/{repo}\">"
        );
        let url = format!("https://vcs-test.golang.org/go/{module}?go-get=1");
        table.0.insert(url, (200, html.into_bytes()));
    }
    home.direct_of(|_| {}, table)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    path: String,
    rev: String,
    err: String,
    version: String,
    name: String,
    short: String,
    time: String,
    gomod: String,
    zip: Option<Vec<String>>,
    zip_sum: String,
}

async fn differs(direct: &Direct, home: &Home, case: &Case) -> Option<String> {
    let module = ModulePath::parse(&case.path).unwrap();
    let info = match case.rev.as_str() {
        "latest" => direct.latest(&module).await,
        rev => direct.info(&module, &Revision::parse(rev).unwrap()).await,
    };
    let info = match info {
        Ok(info) if case.err.is_empty() => info,
        Ok(info) => return Some(format!("accepted as {}", info.version)),
        Err(error) if !case.err.is_empty() && error.to_string().contains(&case.err) => return None,
        Err(error) => return Some(error.to_string()),
    };
    let short = info.origin.hash.starts_with(&case.short);
    if (&info.version, &info.origin.hash, &info.time, short)
        != (&case.version, &case.name, &case.time, true)
    {
        return Some(format!("{info:?}"));
    }
    let version = mv(&case.path, &info.version);
    let go_mod = direct
        .go_mod(&version)
        .await
        .map(|data| String::from_utf8(data).unwrap());
    if !case.gomod.is_empty() && go_mod.as_ref().ok() != Some(&case.gomod) {
        return Some(format!("go.mod {go_mod:?}"));
    }
    let out = home.out("case.zip");
    let sum = direct.zip(&version, &out).await.map(|sum| sum.to_string());
    if !case.zip_sum.is_empty() && sum.as_ref().ok() != Some(&case.zip_sum) {
        return Some(format!("zip {sum:?}"));
    }
    let prefix = format!("{version}/");
    let names = common::zip_files(&out).into_iter();
    let names: Vec<String> = names
        .map(|(n, _)| n.strip_prefix(&prefix).unwrap().into())
        .collect();
    std::fs::remove_file(&out).unwrap();
    let mut wanted = case.zip.clone().unwrap_or_default();
    wanted.sort();
    (!wanted.is_empty() && names != wanted).then(|| format!("{names:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_the_go_projects_repositories_resolve_as_its_tests_say() {
    let home = Home::with_bundles();
    let direct = go_projects(&home);
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in vectors::<Case>("coderepo.json")
        .iter()
        .filter(|case| here(&case.path))
    {
        count += 1;
        if let Some(what) = differs(&direct, &home, case).await {
            wrong.push(format!(
                "{}@{}: {what}\n    want {}{}",
                case.path, case.rev, case.version, case.err
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 30, "only {count} cases");
}

#[derive(Deserialize)]
struct Latest {
    path: String,
    version: String,
    err: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_commits_are_named_as_the_go_projects_tests_say() {
    let home = Home::with_bundles();
    let direct = go_projects(&home);
    home.git(&["init", "-q", "--bare", home.repo("empty").to_str().unwrap()]);
    for case in vectors::<Latest>("coderepo_latest.json") {
        if !here(&case.path) && case.path != "github.com/rsc/empty" {
            continue;
        }
        match direct.latest(&ModulePath::parse(&case.path).unwrap()).await {
            Ok(info) => assert_eq!(info.version, case.version, "{}", case.path),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    !case.err.is_empty() && text.contains(&case.err),
                    "{}: {text}",
                    case.path
                );
                assert!(error.is_not_found(), "{error:?}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Versions {
    path: String,
    prefix: String,
    versions: Option<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_as_the_go_projects_tests_say() {
    let home = Home::with_bundles();
    let direct = go_projects(&home);
    for case in vectors::<Versions>("coderepo_versions.json") {
        if !here(&case.path) {
            continue;
        }
        let mut list = direct
            .list(&ModulePath::parse(&case.path).unwrap())
            .await
            .unwrap();
        // A proxy gives the whole list; the go command applies its prefix.
        list.retain(|version| version.starts_with(&case.prefix));
        assert_eq!(list, case.versions.unwrap_or_default(), "{}", case.path);
    }
}
