//! Every answer of the real go command for eighteen repositories: the same sums, the same
//! provenance, the same refusals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use base64::Engine as _;
use common::{Home, mv, path, rev};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use upstream::vcs::{Direct, DirectError, DirectInfo};

#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Case {
    path: String,
    query: String,
    version: Option<String>,
    sum: Option<String>,
    go_mod_sum: Option<String>,
    error: Option<String>,
    origin: Option<serde_json::Value>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(common::bundles().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// `v1` and `v1.2`: resolved by the go command from the list, never asked of a proxy.
fn is_prefix_query(query: &str) -> bool {
    let digits = query.strip_prefix('v').unwrap_or("x");
    digits.split('.').count() < 3 && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// What the go command does with a query: `latest` is the highest release, else the highest
/// prerelease, else the newest commit.
async fn resolve(direct: &Direct, case: &Case) -> Result<DirectInfo, DirectError> {
    let module = path(&case.path);
    if case.query != "latest" {
        return direct.info(&module, &rev(&case.query)).await;
    }
    let list = direct.list(&module).await?;
    let release = list.iter().rev().find(|v| gomod::semver::prerelease(v).is_empty());
    match release.or(list.last()) {
        Some(version) => direct.info(&module, &rev(version)).await,
        None => direct.latest(&module).await,
    }
}

fn go_mod_sum(data: &[u8]) -> String {
    let hex: String = Sha256::digest(data).iter().map(|b| format!("{b:02x}")).collect();
    let sum = Sha256::digest(format!("{hex}  go.mod\n"));
    format!("h1:{}", base64::engine::general_purpose::STANDARD.encode(sum))
}

async fn check_good(direct: &Direct, home: &Home, case: &Case, number: usize) -> Option<String> {
    let info = match resolve(direct, case).await {
        Ok(info) => info,
        Err(error) => return Some(format!("refused: {error}")),
    };
    if Some(&info.version) != case.version.as_ref() {
        return Some(format!("version {}", info.version));
    }
    let version = mv(&case.path, &info.version);
    let go_mod = direct.go_mod(&version).await.map(|data| go_mod_sum(&data));
    if go_mod.as_ref().ok() != case.go_mod_sum.as_ref() {
        return Some(format!("go.mod {go_mod:?}"));
    }
    let out = home.out(&format!("{number}.zip"));
    let sum = direct.zip(&version, &out).await.map(|sum| sum.to_string());
    if sum.as_ref().ok() != case.sum.as_ref() {
        return Some(format!("zip {sum:?}"));
    }
    std::fs::remove_file(out).unwrap();
    let origin: serde_json::Value = serde_json::from_str(&info.origin.to_json()).unwrap();
    // What `latest` depends on besides is the go command's own business.
    let fields = if case.query == "latest" { &["VCS", "URL", "Hash", "Subdir"][..] } else { &[
        "VCS", "URL", "Hash", "Subdir", "Ref", "TagSum", "TagPrefix", "RepoSum",
    ] };
    let wanted = case.origin.as_ref()?;
    // Where the tag is asked for after a branch or another tag on the same commit, the go command
    // repeats the `Ref` of the file that it cached then; ours always names what was asked.
    let tag = format!("/{}", case.query);
    let asked = |field: &&&str| {
        **field == "Ref" && origin["Ref"].as_str().is_some_and(|name| name.ends_with(&tag))
    };
    let differs =
        fields.iter().find(|f| origin.get(f) != wanted.get(f) && !asked(f));
    differs.map(|field| format!("origin {field}: {origin} instead of {wanted}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_that_go_fetches_has_the_same_sums_and_origin() {
    let home = Home::with_bundles();
    let direct = home.direct();
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases().iter().filter(|c| c.error.is_none() && !is_prefix_query(&c.query)) {
        count += 1;
        if let Some(what) = check_good(&direct, &home, case, count).await {
            wrong.push(format!("{}@{}: {what}", case.path, case.query));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 90, "only {count} cases");
}

/// The go command's refusals that are about a rule, not about something that is not there.
fn is_rule(error: &str) -> bool {
    error.contains("resolves to version") || error.contains("must match major version")
}

async fn check_refused(direct: &Direct, case: &Case) -> Option<String> {
    let error = match resolve(direct, case).await {
        Ok(info) => return Some(format!("accepted as {}", info.version)),
        Err(error) => error,
    };
    let wanted = case.error.as_deref().unwrap();
    let right_class = match &error {
        DirectError::NotFound { .. } => !is_rule(wanted),
        DirectError::Refused { .. } => is_rule(wanted),
        _ => false,
    };
    // `no matching versions` is the go command's own word for a refused newest commit.
    let said = wanted.contains("no matching versions") || error.to_string().contains(wanted);
    if right_class && said { None } else { Some(format!("{error:?}\n    instead of {wanted}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_that_go_refuses_is_refused_with_its_words() {
    let home = Home::with_bundles();
    let direct = home.direct();
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases().iter().filter(|c| c.error.is_some() && !is_prefix_query(&c.query)) {
        count += 1;
        if let Some(what) = check_refused(&direct, case).await {
            wrong.push(format!("{}@{}: {what}", case.path, case.query));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 280, "only {count} cases");
}
