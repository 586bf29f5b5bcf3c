//! Holding answers of the real go command against ours.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use base64::Engine as _;
use gomod::version::Revision;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use upstream::vcs::{Direct, DirectError, DirectInfo};

use super::common::{self, Home, mv, path, rev};

#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Case {
    pub path: String,
    pub query: String,
    version: Option<String>,
    sum: Option<String>,
    go_mod_sum: Option<String>,
    pub error: Option<String>,
    origin: Option<serde_json::Value>,
}

/// The cases of a file, without those that no proxy is asked: prefix queries, and names such as
/// `aux` that can be no file name.
pub fn cases(name: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(common::bundles().join(name)).unwrap();
    let mut cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    cases.retain(|case| Revision::parse(&case.query).is_ok() && !is_prefix_query(&case.query));
    cases
}

/// `v1` and `v1.2`: resolved by the go command from the list, never asked of a proxy.
fn is_prefix_query(query: &str) -> bool {
    let digits = query.strip_prefix('v').unwrap_or("x");
    digits.split('.').count() < 3 && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The go command leaves retracted versions out of `latest`.
async fn not_retracted(
    direct: &Direct,
    case: &Case,
    list: Vec<String>,
) -> Result<Vec<String>, DirectError> {
    let compatible = list.iter().rev().filter(|v| !v.ends_with("+incompatible"));
    let newest = compatible
        .clone()
        .find(|v| gomod::semver::prerelease(v).is_empty());
    let Some(newest) = newest.or(compatible.clone().next()) else {
        return Ok(list);
    };
    let data = direct.go_mod(&mv(&case.path, newest)).await?;
    let file = gomod::modfile::ModFile::parse_lax("go.mod", &data).unwrap_or_default();
    let inside = |v: &str| {
        let at_most = |a: &str, b: &str| gomod::semver::compare(a, b).is_le();
        file.retract
            .iter()
            .any(|r| at_most(&r.low, v) && at_most(v, &r.high))
    };
    Ok(list.into_iter().filter(|v| !inside(v)).collect())
}

/// What the go command does with a query: `latest` is the highest release, else the highest
/// prerelease, else the newest commit.
async fn resolve(direct: &Direct, case: &Case) -> Result<DirectInfo, DirectError> {
    let module = path(&case.path);
    if case.query != "latest" {
        return direct.info(&module, &rev(&case.query)).await;
    }
    let list = not_retracted(direct, case, direct.list(&module).await?).await?;
    let release = list
        .iter()
        .rev()
        .find(|v| gomod::semver::prerelease(v).is_empty());
    match release.or(list.last()) {
        Some(version) => direct.info(&module, &rev(version)).await,
        None => direct.latest(&module).await,
    }
}

fn go_mod_sum(data: &[u8]) -> String {
    let hex: String = Sha256::digest(data)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let sum = Sha256::digest(format!("{hex}  go.mod\n"));
    format!(
        "h1:{}",
        base64::engine::general_purpose::STANDARD.encode(sum)
    )
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
    let file = std::fs::File::open(&out).unwrap();
    let length = file.metadata().unwrap().len();
    let verified = gomod::zip::verify(std::io::BufReader::new(file), length, &version);
    if verified.as_ref().map(|checked| checked.h1.to_string()).ok() != case.sum {
        return Some(format!("zip does not verify: {verified:?}"));
    }
    std::fs::remove_file(out).unwrap();
    let origin: serde_json::Value = serde_json::from_str(&info.origin.to_json()).unwrap();
    // What `latest` depends on besides is the go command's own business.
    let mut fields = vec!["VCS", "Hash", "Subdir"];
    if case.query != "latest" {
        fields.extend(["Ref", "TagSum", "TagPrefix", "RepoSum"]);
    }
    if case.path.starts_with("github.com/") {
        // Elsewhere the port of the test's server is in it.
        fields.push("URL");
    }
    let wanted = case.origin.as_ref()?;
    // The go command's `Ref` depends on what its cache held: a tag on a commit that it met under
    // another name keeps that name, and a hash has none once the commit is there. Ours is always
    // that of a fresh cache.
    let tag = format!("/{}", case.query);
    let hash = gomod::pseudo::rev(&case.query).unwrap_or(&case.query);
    let is_hash = hash.chars().all(|c| c.is_ascii_hexdigit());
    let asked = |field: &&&str| {
        let named = origin["Ref"]
            .as_str()
            .is_some_and(|name| name.ends_with(&tag));
        **field == "Ref" && (named || is_hash)
    };
    let differs = fields
        .iter()
        .find(|f| origin.get(f) != wanted.get(f) && !asked(f));
    differs.map(|field| format!("origin {field}: {origin} instead of {wanted}"))
}

/// The go command's refusals that are about a rule, not about something that is not there.
fn is_rule(error: &str) -> bool {
    error.contains("invalid pseudo-version")
        || error.contains("resolves to version")
        || error.contains("must match major version")
        || error.contains("major version must match")
}

/// What remains of the text of a refused zip behind `module@version: `.
fn zip_reason(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(_, reason)| reason)
}

async fn check_refused(direct: &Direct, home: &Home, case: &Case) -> Option<String> {
    let wanted = case.error.as_deref().unwrap();
    let error = match resolve(direct, case).await {
        Ok(info) => {
            let out = home.out("refused.zip");
            let zip = direct.zip(&mv(&case.path, &info.version), &out).await;
            let told = |e: &DirectError| {
                matches!(e, DirectError::Refused { .. })
                    && wanted.ends_with(zip_reason(&e.to_string()))
            };
            let left = out.exists();
            return match zip {
                Err(error) if told(&error) && !left => None,
                other => Some(format!("{other:?}\n    instead of {wanted}")),
            };
        }
        Err(error) => error,
    };
    let right_class = match &error {
        DirectError::NotFound { .. } => !is_rule(wanted),
        DirectError::Refused { .. } => is_rule(wanted),
        _ => false,
    };
    // `no matching versions` is the go command's own word for a refused newest commit.
    let said = wanted.contains("no matching versions") || error.to_string().contains(wanted);
    if right_class && said {
        None
    } else {
        Some(format!("{error:?}\n    instead of {wanted}"))
    }
}

/// Asserts all cases; returns how many went well and were refused.
pub async fn assert_same(direct: &Direct, home: &Home, cases: &[Case]) -> (usize, usize) {
    let (mut good, mut refused, mut wrong) = (0, 0, Vec::new());
    for (number, case) in cases.iter().enumerate() {
        let what = if case.error.is_some() {
            refused += 1;
            check_refused(direct, home, case).await
        } else {
            good += 1;
            check_good(direct, home, case, number).await
        };
        wrong.extend(what.map(|what| format!("{}@{}: {what}", case.path, case.query)));
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    (good, refused)
}
