//! The grammar of a checksum database's records.
//!
//! Go's own reader only looks for lines that begin as it wants; an auditor asks for the whole: two
//! lines about one version, the zip's first, each with an `h1:` sum. Whether path and version are
//! such as the go command accepts today is another question ([`oddity`]): a log that is older than a
//! rule is not wrong.

use gomod::h1::H1;
use gomod::path::ModulePath;
use gomod::version::Version;

/// The two lines of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoRecord<'a> {
    /// The module.
    pub module: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The zip's sum, `h1:` included.
    pub zip: &'a str,
    /// go.mod's sum.
    pub go_mod: &'a str,
}

impl<'a> GoRecord<'a> {
    /// Reads a record's text.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let lines = text
            .strip_suffix('\n')
            .ok_or("it does not end in a line feed")?;
        let (zip, go_mod) = lines.split_once('\n').ok_or("it has not two lines")?;
        let (module, version, zip) = line(zip)?;
        let (other, go_mod_version, go_mod) = line(go_mod)?;
        if other != module {
            return Err("its lines are about two modules");
        }
        if go_mod_version.strip_suffix("/go.mod") != Some(version) {
            return Err("its second line is not about the go.mod of the first line's version");
        }
        if module.is_empty() || !version.starts_with('v') || version.contains('/') {
            return Err("its first line does not name a module version");
        }
        Ok(Self {
            module,
            version,
            zip,
            go_mod,
        })
    }
}

/// Why the go command of today would not take the record's path or version.
pub fn oddity(record: &GoRecord) -> Option<String> {
    let path = ModulePath::parse(record.module)
        .err()
        .map(|e| e.to_string());
    path.or_else(|| Version::parse(record.version).err().map(|e| e.to_string()))
}

fn line(line: &str) -> Result<(&str, &str, &str), &'static str> {
    let mut words = line.split(' ');
    let (Some(module), Some(version), Some(sum), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a line of it has not three words");
    };
    match sum.parse::<H1>() {
        Ok(parsed) if parsed.to_string() == sum => Ok((module, version, sum)),
        _ => Err("a line of it has no h1: sum"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SUM: &str = "h1:7ORTsEmMbUVBKyVLLg0jMo8CdRxMDkbcYZKC6BOEvFg=";

    #[test]
    fn a_record_is_two_lines_about_one_version() {
        let text = format!("example.com/m v1.0.0 {SUM}\nexample.com/m v1.0.0/go.mod {SUM}\n");
        let record = GoRecord::parse(&text).unwrap();
        assert_eq!((record.module, record.version), ("example.com/m", "v1.0.0"));
        assert_eq!(oddity(&record), None);
        for bad in [
            String::new(),
            "\n".into(),
            text.trim_end().into(),
            format!("{text}\n"),
            format!("{text}x y {SUM}\n"),
            text.replacen("example.com/m", "example.com/n", 1),
            text.replacen("/go.mod", "", 1),
            text.replacen("v1.0.0 ", "v1.0.1 ", 1),
            text.replacen("v1.0.0", "1.0.0", 2),
            text.replacen("h1:", "h2:", 1),
            text.replacen("Fg=", "Fh=", 1),
            text.replacen("v1.0.0 ", "v1.0.0  ", 1),
            text.replacen("example.com/m", "", 2),
        ] {
            assert!(GoRecord::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_go_would_not_take_today_is_odd_but_no_error() {
        let text = format!("example.com/.m v1.0 {SUM}\nexample.com/.m v1.0/go.mod {SUM}\n");
        assert!(oddity(&GoRecord::parse(&text).unwrap()).is_some());
    }
}
