//! The go command's GOSUMDB grammar, and the databases it knows by name.

use tlog::client::Verifier;
use url::Url;

/// The key of the database of the Go project, and of its mirror in China.
const SUM_GOLANG_ORG: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const MIRROR: &str = "sum.golang.google.cn";

/// A checksum database of the settings.
#[derive(Debug, Clone)]
pub struct SumdbSetting {
    /// Its pinned key.
    pub verifier: Verifier,
    /// Its own address, when it is not `https://NAME` behind the relays of the upstreams.
    pub url: Option<Url>,
}

/// Reads all values; `off` among them means none.
pub fn parse(values: &[String]) -> Result<Vec<SumdbSetting>, String> {
    if values.iter().any(|v| v.trim() == "off") {
        return match values.len() {
            1 => Ok(Vec::new()),
            _ => Err("off stands alone".into()),
        };
    }
    let mut databases: Vec<SumdbSetting> = Vec::new();
    for value in values {
        let database = parse_one(value)?;
        if databases
            .iter()
            .any(|d| d.verifier.name() == database.verifier.name())
        {
            return Err(format!("{} is named twice", database.verifier.name()));
        }
        databases.push(database);
    }
    Ok(databases)
}

/// The key of a database that is known by its host's name.
pub fn known_key(host: &str) -> Option<&'static str> {
    matches!(host, "sum.golang.org" | MIRROR).then_some(SUM_GOLANG_ORG)
}

fn parse_one(value: &str) -> Result<SumdbSetting, String> {
    let mut words = value.split_whitespace();
    let (Some(key), url, None) = (words.next(), words.next(), words.next()) else {
        return Err(format!(
            "{value:?} is no checksum database; it looks like NAME, NAME+KEY or \"NAME+KEY URL\""
        ));
    };
    let mut url = url
        .map(|u| Url::parse(u).map_err(|e| format!("{u}: {e}")))
        .transpose()?;
    let key = match key {
        "sum.golang.org" => SUM_GOLANG_ORG,
        MIRROR => {
            url = url.or(Url::parse(&format!("https://{MIRROR}")).ok());
            SUM_GOLANG_ORG
        }
        key if key.contains('+') => key,
        name => return Err(format!("{name}: its key is not known here; write NAME+KEY")),
    };
    if url
        .as_ref()
        .is_some_and(|u| !matches!(u.scheme(), "http" | "https"))
    {
        return Err(format!("{value}: its address must be http or https"));
    }
    let verifier = Verifier::new(key).map_err(|e| e.to_string())?;
    Ok(SumdbSetting { verifier, url })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> Result<Vec<SumdbSetting>, String> {
        parse(&[text.to_owned()])
    }

    #[test]
    fn names_keys_and_addresses_are_read_as_gosumdb() {
        assert_eq!(
            one("sum.golang.org").unwrap()[0].verifier.name(),
            "sum.golang.org"
        );
        let mirror = one("sum.golang.google.cn").unwrap();
        assert_eq!(mirror[0].verifier.name(), "sum.golang.org");
        assert_eq!(
            mirror[0].url.as_ref().unwrap().as_str(),
            "https://sum.golang.google.cn/"
        );
        assert!(one("off").unwrap().is_empty());
        for bad in [
            "",
            "example.com",
            "sum.golang.org a b",
            "x+1+y",
            "sum.golang.org ftp://x",
        ] {
            assert!(one(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&["off".into(), "sum.golang.org".into()]).is_err());
        assert!(parse(&["sum.golang.org".into(), "sum.golang.org".into()]).is_err());
    }
}
