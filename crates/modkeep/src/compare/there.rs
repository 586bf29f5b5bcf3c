//! Sources that are asked over the network: proxies, the origin, the checksum database.

use super::{Answer, Asked, hex, relays};
use crate::boot::{self, Links};
use doctor::compare::{Kind, Source};
use gomod::h1::hash_mod;
use gomod::request::Request;
use gomod::version::ModuleVersion;
use gomod::zip::{MAX_GO_MOD, MAX_ZIP_FILE};
use keep::Sums;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;
use tlog::record::SumOf;
use tokio::io::AsyncWriteExt;
use upstream::{Chain, Failure, Found, Place};

/// Asks one upstream alone for both files of a version and hashes them.
pub async fn asked(
    links: &Links,
    place: Place,
    mut source: Source,
    version: &ModuleVersion,
    to: &Path,
    patience: Duration,
) -> Answer {
    let chain = links.only(place);
    let whole = async {
        let (go_mod, zip) = tokio::join!(go_mod(&chain, version), zip(&chain, version, to));
        let mut errors = Vec::new();
        match go_mod {
            Ok(hash) => source.gomod = Some(hash),
            Err(failure) => {
                errors.push((format!(".mod: {}", short(&failure)), !failure.is_absent()))
            }
        }
        let mut kept = None;
        match zip {
            Ok((h1, sha256)) => {
                (source.h1, source.zip_sha256) = (Some(h1), Some(sha256));
                kept = Some(to.to_owned());
            }
            Err(failure) => {
                errors.push((format!(".zip: {}", short(&failure)), !failure.is_absent()))
            }
        }
        note(&mut source, errors);
        kept
    };
    match tokio::time::timeout(patience, whole).await {
        Ok(zip) => Answer { source, zip },
        Err(_) => {
            let why = format!("no whole answer within {} s", patience.as_secs());
            Answer {
                source: source.without(why, true),
                zip: None,
            }
        }
    }
}

/// The same reason for both files is one reason.
fn note(source: &mut Source, mut errors: Vec<(String, bool)>) {
    let plain = |text: &str| {
        text.split_once(": ")
            .map_or(text.to_owned(), |(_, why)| why.to_owned())
    };
    if let [(a, _), (b, _)] = errors.as_slice()
        && plain(a) == plain(b)
    {
        errors.truncate(1);
        errors[0].0 = plain(&errors[0].0);
    }
    source.failed = errors.iter().any(|(_, failed)| *failed);
    let texts: Vec<String> = errors.into_iter().map(|(text, _)| text).collect();
    source.error = Some(texts.join("; ")).filter(|text| !text.is_empty());
}

/// The first line of a failure, without what the HTTP client says before the cause.
pub fn short(failure: &Failure) -> String {
    cause(failure.text())
}

fn cause(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cause = line.rsplit_once("error sending request: ");
    let cause = cause.map_or(line, |(_, cause)| cause);
    cause
        .trim_start_matches("client error (Connect): ")
        .trim()
        .to_owned()
}

async fn go_mod(chain: &Chain, version: &ModuleVersion) -> Result<String, Failure> {
    let limit = usize::try_from(MAX_GO_MOD).unwrap_or(usize::MAX);
    let (bytes, _) = chain.small(&Request::Mod(version.clone()), limit).await?;
    Ok(hash_mod(&bytes).to_string())
}

/// Downloads the zip to a file; its go.sum hash and the SHA-256 of its bytes.
async fn zip(
    chain: &Chain,
    version: &ModuleVersion,
    to: &Path,
) -> Result<(String, String), Failure> {
    let request = Request::Zip(version.clone());
    let mut found = chain.big(&request).next().await?;
    let sha256 = download(&mut found, to).await?;
    let file = to.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let opened = std::fs::File::open(&file).map_err(|e| e.to_string())?;
        gomod::zip::hash_zip(opened).map_err(|e| e.to_string())
    });
    match hashed.await {
        Ok(Ok(h1)) => Ok((h1.to_string(), sha256)),
        Ok(Err(why)) => Err(Failure::Failed(why)),
        Err(_) => Err(Failure::Failed("the hashing was lost".into())),
    }
}

async fn download(found: &mut Found, to: &Path) -> Result<String, Failure> {
    let disk = |e: std::io::Error| Failure::Failed(format!("{}: {e}", to.display()));
    let mut file = tokio::fs::File::create(to).await.map_err(disk)?;
    let (mut sum, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = found.body.next().await? {
        size += chunk.len() as u64;
        if size > MAX_ZIP_FILE {
            return Err(Failure::Failed(format!("larger than {MAX_ZIP_FILE} bytes")));
        }
        sum.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    match found.total {
        Some(total) if total != size => {
            Err(Failure::Failed(format!("{size} of {total} bytes came")))
        }
        _ => Ok(hex(&sum.finalize())),
    }
}

/// The checksum database's record with its proof: as the go command would reach it, or at an address
/// of its own.
pub async fn record(asked: &Asked, skip: bool, scratch: &Path, directly: Option<&str>) -> Source {
    let Some(setting) = asked.env.sumdb() else {
        let why = format!("not asked: GOSUMDB={}", asked.env.get("GOSUMDB"));
        return Source::new("checksum database", Kind::Sumdb).without(why, false);
    };
    let route = directly.map_or("", |_| " (directly)");
    let name = format!("{}{route}", setting.verifier.name());
    let source = Source::new(name, Kind::Sumdb);
    if skip {
        let why = "not asked: the module is private (GOPRIVATE, GONOSUMDB or --private)";
        return source.without(why, false);
    }
    match tokio::time::timeout(asked.patience, proved(asked, scratch, directly)).await {
        Ok(Ok(Sums::Known(sums))) => {
            let mut source = source;
            source.h1 = sums.h1(SumOf::Zip).map(str::to_owned);
            source.gomod = sums.h1(SumOf::GoMod).map(str::to_owned);
            source
        }
        Ok(Ok(Sums::Unknown)) => source.without("it has no record of this version", false),
        Ok(Ok(Sums::NotAsked)) => source.without("not asked: GONOSUMDB covers the module", false),
        Ok(Ok(Sums::Unavailable(why))) | Ok(Err(why)) => source.without(cause(&why), true),
        Err(_) => source.without(
            format!("no proved answer within {} s", asked.patience.as_secs()),
            true,
        ),
    }
}

async fn proved(asked: &Asked, scratch: &Path, directly: Option<&str>) -> Result<Sums, String> {
    let data = scratch.join(if directly.is_some() {
        "directly"
    } else {
        "relayed"
    });
    let text = |e: crate::exit::Failed| e.to_string();
    let mut settings = asked.env.settings(&data, &relays(asked)).map_err(text)?;
    settings.patience.answer = asked.patience;
    settings.keep.answer = asked.patience;
    if let (Some(url), Some(database)) = (directly, settings.sumdb.first_mut()) {
        database.url = Some(url::Url::parse(url).map_err(|e| e.to_string())?);
    }
    let keep = boot::keep(&settings).map_err(text)?;
    Ok(keep
        .sums(asked.version.path(), asked.version.version().as_str())
        .await)
}
