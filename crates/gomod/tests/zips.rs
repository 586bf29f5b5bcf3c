//! Module zips against golang/mod's tables, and against damage.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{rows, text};
use flate2::{Compress, Compression, FlushCompress};
use gomod::h1::H1;
use gomod::version::{CheckError, ModuleVersion};
use gomod::zip::{
    Checked, FileKind, FileMeta, StreamHasher, Writer, ZipError, check, create, hash_zip,
    is_vendored_package, language, list, report, select, verify, verify_parallel,
};
use proptest::prelude::*;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Cursor};

/// Name and content.
type Files = Vec<(String, Vec<u8>)>;

fn at(text: &str) -> ModuleVersion {
    ModuleVersion::parse(text).unwrap()
}

fn files_of(row: &Value) -> Files {
    let each = row["files"].as_array().unwrap().iter();
    each.map(|f| (f[0].as_str().unwrap().into(), f[1].as_str().unwrap().into()))
        .collect()
}

fn files(list: &[(&str, &str)]) -> Files {
    let each = list.iter();
    each.map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
        .collect()
}

fn metas(files: &Files) -> Vec<FileMeta> {
    let meta = |(name, content): &(String, Vec<u8>)| FileMeta {
        name: name.clone(),
        size: content.len() as u64,
        kind: FileKind::Regular,
    };
    files.iter().map(meta).collect()
}

/// A zip of anything, by a writer that knows no rules: entries as they come, descriptors or not.
fn raw_zip(files: &Files, descriptors: bool, stored: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = out.len() as u32;
        let mut packed = Vec::with_capacity(content.len() + 100);
        match stored {
            true => packed.extend(content),
            false => {
                let mut deflater = Compress::new(Compression::default(), false);
                deflater
                    .compress_vec(content, &mut packed, FlushCompress::Finish)
                    .unwrap();
            }
        }
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let (flags, method) = (
            if descriptors { 8u16 } else { 0 },
            if stored { 0u16 } else { 8 },
        );
        let sizes = [crc.sum(), packed.len() as u32, content.len() as u32];
        let bytes = |numbers: [u32; 3]| numbers.map(u32::to_le_bytes).concat();
        let length = (name.len() as u16).to_le_bytes();
        let common = [20, flags, method, 0, 0].map(u16::to_le_bytes).concat();
        out.extend(0x0403_4b50u32.to_le_bytes());
        out.extend(&common);
        out.extend(bytes(if descriptors { [0; 3] } else { sizes }));
        out.extend([length, [0; 2]].concat());
        out.extend(name.as_bytes());
        out.extend(&packed);
        if descriptors {
            out.extend(0x0807_4b50u32.to_le_bytes());
            out.extend(bytes(sizes));
        }
        directory.extend(0x0201_4b50u32.to_le_bytes());
        directory.extend(20u16.to_le_bytes());
        directory.extend(&common);
        directory.extend(bytes(sizes));
        directory.extend([&length[..], &[0; 12]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, count) = (out.len() as u32, (files.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(0x0605_4b50u32.to_le_bytes());
    out.extend([&[0; 4][..], &count, &count].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn created(version: &ModuleVersion, files: &Files) -> Result<(Vec<u8>, H1), ZipError> {
    let mut out = Vec::new();
    let open = |index: usize| Ok(files[index].1.as_slice());
    let h1 = create(version, &metas(files), open, &mut out)?;
    Ok((out, h1))
}

/// Every way to check a zip; all must agree.
fn checked(version: &ModuleVersion, zip: &[u8]) -> Result<Checked, ZipError> {
    let size = zip.len() as u64;
    let whole = verify(Cursor::new(zip), size, version);
    let parallel = verify_parallel(|| Ok(Cursor::new(zip)), size, version, 3);
    let streamed = streamed(version, zip, 1 + zip.len() / 7);
    let partly = [3, 6, 8].map(|n| partly_streamed(version, zip, zip.len() * n / 9));
    match &whole {
        Ok(whole) => {
            assert_eq!(whole, &parallel.unwrap());
            assert_eq!(whole, &streamed.unwrap());
            for partly in partly {
                assert_eq!(whole, &partly.unwrap());
            }
            assert_eq!(whole.h1, hash_zip(Cursor::new(zip)).unwrap());
            check(Cursor::new(zip), size, version).unwrap();
        }
        Err(_) => {
            assert!(parallel.is_err() && streamed.is_err());
            assert!(partly.iter().all(Result::is_err));
        }
    }
    whole
}

/// As a hasher that the last byte overtook.
fn partly_streamed(version: &ModuleVersion, zip: &[u8], seen: usize) -> Result<Checked, ZipError> {
    let mut hasher = StreamHasher::default();
    hasher.push(&zip[..seen]);
    hasher.finish(|| Ok(Cursor::new(zip)), zip.len() as u64, version, 2)
}

fn streamed(version: &ModuleVersion, zip: &[u8], portion: usize) -> Result<Checked, ZipError> {
    let mut hasher = StreamHasher::default();
    zip.chunks(portion).for_each(|chunk| hasher.push(chunk));
    hasher.finish(|| Ok(Cursor::new(zip)), zip.len() as u64, version, 2)
}

/// The form of golang/mod's own test reports.
fn shown<A: std::fmt::Display, B: std::fmt::Display>(
    valid: &[String],
    omitted: &[(String, A)],
    invalid: &[(String, B)],
) -> String {
    let mut out = String::from("valid:\n");
    valid
        .iter()
        .for_each(|name| writeln!(out, "{name}").unwrap());
    out += "\nomitted:\n";
    for (name, why) in omitted {
        writeln!(out, "{name}: {why}").unwrap();
    }
    out += "\ninvalid:\n";
    for (name, why) in invalid {
        writeln!(out, "{name}: {why}").unwrap();
    }
    out
}

/// The language of the go.mod in a tree.
fn language_of(files: &Files) -> String {
    let go_mod = files.iter().find(|(name, _)| name == "go.mod");
    go_mod.map_or_else(String::new, |(_, content)| language(content))
}

/// Names, and for those left out or refused the reasons.
type Judged = (Vec<String>, Vec<(String, String)>, Vec<(String, String)>);

/// What [`select`] says of files.
fn judged(files: &Files, language: &str) -> Judged {
    let selection = select(&metas(files), language);
    let name = |i: usize| files[i].0.clone();
    (
        selection.valid.iter().map(|i| name(*i)).collect(),
        selection
            .omitted
            .iter()
            .map(|(i, why)| (name(*i), why.to_string()))
            .collect(),
        selection
            .invalid
            .iter()
            .map(|(i, why)| (name(*i), why.clone()))
            .collect(),
    )
}

#[test]
fn trees_are_judged_as_golang_mod_judges_them() {
    for row in rows("zip_testdata.json") {
        let (want, files) = (&row["want"], files_of(&row));
        let got = match text(&row, "kind") {
            "check_files" => {
                let (valid, omitted, invalid) = judged(&files, &language_of(&files));
                shown(&valid, &omitted, &invalid)
            }
            "check_dir" => {
                let language = language_of(&files);
                let listing = list(&metas(&files), &language);
                let left: Files = listing.files.iter().map(|i| files[*i].clone()).collect();
                let (mut valid, mut omitted, mut invalid) = judged(&left, &language);
                let closed = listing.omitted.iter();
                omitted.extend(closed.map(|(name, why)| (name.clone(), why.to_string())));
                let place = |name: &mut String| name.insert_str(0, "$work/");
                valid.iter_mut().for_each(place);
                omitted
                    .iter_mut()
                    .chain(&mut invalid)
                    .for_each(|(name, _)| place(name));
                shown(&valid, &omitted, &invalid)
            }
            "check_zip" => {
                let version = at(&format!("{}@{}", text(&row, "path"), text(&row, "version")));
                let zip = raw_zip(&files, true, false);
                let report = report(Cursor::new(&zip), zip.len() as u64, &version).unwrap();
                shown(&report.valid, &[] as &[(String, String)], &report.invalid)
            }
            _ => continue,
        };
        assert_eq!(
            &got,
            want.as_str().unwrap(),
            "{} {}",
            row["kind"],
            row["case"]
        );
    }
}

/// What the checked types refuse is refused before there is a zip; the go command's words for it
/// differ in one case.
fn refused_by_type(error: &CheckError, want: &str) -> bool {
    let got = error.to_string();
    match want.strip_prefix("version \"v1.0.0+bad\" is not canonical") {
        Some(_) => got.contains("not canonical, should be v1.0.0"),
        None => got.contains(want),
    }
}

#[test]
fn zips_are_made_and_unpacked_as_golang_mod_does() {
    for row in rows("zip_testdata.json") {
        let kind = text(&row, "kind");
        if !matches!(kind, "create" | "create_from_dir" | "unzip") {
            continue;
        }
        let (case, mut files) = (format!("{kind} {}", row["case"]), files_of(&row));
        let want = row["wantErr"].as_str();
        // The table writes a byte that is no text as four characters.
        let path = match text(&row, "path") {
            "\\xff" => continue,
            path => path,
        };
        let version = match ModuleVersion::parse(&format!("{path}@{}", text(&row, "version"))) {
            Ok(version) => version,
            Err(error) => {
                assert!(
                    refused_by_type(&error, want.expect(&case)),
                    "{case}: {error}"
                );
                continue;
            }
        };
        if kind == "create_from_dir" {
            let listing = list(&metas(&files), &language_of(&files));
            files = listing.files.iter().map(|i| files[*i].clone()).collect();
        }
        let outcome = match kind {
            "unzip" => checked(&version, &raw_zip(&files, true, false)).map(|c| c.h1),
            _ => created(&version, &files).map(|(zip, h1)| {
                assert_eq!(checked(&version, &zip).unwrap().h1, h1, "{case}");
                h1
            }),
        };
        match (outcome, want) {
            (Ok(h1), None) => assert_eq!(h1.to_string(), text(&row, "hash"), "{case}"),
            // One file outside is told in the words of an earlier check.
            (Err(error), Some(want)) if want.contains("does not have prefix") => {
                let words = "zip for example.com/m@v1.0.0 has unexpected file example.com/m@v1.0.0";
                assert_eq!(error.to_string(), words);
            }
            (Err(error), Some(want)) => {
                assert!(error.to_string().contains(want), "{case}: {error}");
            }
            (outcome, want) => panic!("{case}: {outcome:?}, {want:?}"),
        }
    }
}

#[test]
fn vendored_packages_are_those_of_golang_mod() {
    for row in rows("zip_vendored.json") {
        let (go, name) = (text(&row, "go"), text(&row, "name"));
        let want = row["vendored"].as_bool().unwrap();
        assert_eq!(is_vendored_package(name, go), want, "{name} for {go:?}");
    }
}

#[test]
fn the_language_of_a_go_mod_decides_by_its_major_and_minor_number() {
    for (go_mod, want) in [
        ("module m\ngo 1.24.3\n", "go1.24"),
        ("module m\ngo 1.24rc1\n", "go1.24"),
        ("module m\ngo 1.24.1rc1\n", ""),
        ("module m\ngo 1.24.x\n", "go1.24"),
        ("module m\n", ""),
        ("module m\nrequire\n", ""),
    ] {
        assert_eq!(language(go_mod.as_bytes()), want, "{go_mod}");
    }
}

const M: &str = "example.com/m@v1.0.0";

/// A module with something of everything: empty, small, and larger than the buffers.
fn sample() -> Files {
    let mut large = String::new();
    for i in 0..60_000u32 {
        write!(large, "{:x}", i.wrapping_mul(2_654_435_761)).unwrap();
    }
    files(&[
        ("go.mod", "module example.com/m\n\ngo 1.24\n"),
        ("empty", ""),
        ("a.go", "package a\n"),
        ("large.txt", &large),
        ("sub/é.go", "package sub\n"),
    ])
}

fn prefixed(files: &Files) -> Files {
    let each = files.iter();
    each.map(|(name, content)| (format!("{M}/{name}"), content.clone()))
        .collect()
}

#[test]
fn all_ways_to_read_all_kinds_of_zips_give_one_hash() {
    let (version, files) = (at(M), sample());
    let (made, h1) = created(&version, &files).unwrap();
    let mut zips = vec![made];
    for (descriptors, stored) in [(true, false), (false, false), (false, true)] {
        zips.push(raw_zip(&prefixed(&files), descriptors, stored));
    }
    for zip in &zips {
        let whole = checked(&version, zip).unwrap();
        assert_eq!((whole.h1, whole.files), (h1, files.len()));
        assert_eq!(whole.go_mod.as_deref(), Some(files[0].1.as_slice()));
        let total: usize = files.iter().map(|(_, content)| content.len()).sum();
        assert_eq!(whole.unpacked_bytes, total as u64);
        // The smaller the portions, the longer it takes; the large file makes no difference.
        for portion in [1, 2, 13, 29, 4096] {
            assert_eq!(streamed(&version, zip, portion).unwrap(), whole);
        }
    }
}

#[test]
fn the_same_files_give_the_same_bytes_however_they_arrive() {
    /// Gives one, then two, then three bytes.
    struct Drip<'a>(&'a [u8], usize);
    impl io::Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 % 3 + 1;
            let n = self.1.min(out.len()).min(self.0.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let (version, files) = (at(M), sample());
    let (first, h1) = created(&version, &files).unwrap();
    let mut second = Writer::new(Vec::new(), &version);
    for (name, content) in &files {
        second
            .add(name, content.len() as u64, Drip(content, 0))
            .unwrap();
    }
    let (second_h1, second) = second.finish().unwrap();
    assert!(first == second && h1 == second_h1);
    // A compressor that changes its output changes what servers hand out: that must be noticed.
    let sum = gomod::h1::hash_mod(&first).to_string();
    assert_eq!(sum, "h1:iEfRq/7q0N9n5Td2qPUdMrpnm+NpRF5nlcN/fhrq9JI=");
}

#[test]
fn a_file_longer_than_declared_is_no_file_of_the_tree() {
    let mut writer = Writer::new(Vec::new(), &at(M));
    let error = writer.add("a", 1, &b"ab"[..]).unwrap_err();
    assert_eq!(error.to_string(), "file \"a\" is larger than declared size");
    let mut writer = Writer::new(Vec::new(), &at(M));
    let error = writer
        .add("go.mod", u64::MAX, io::repeat(b' '))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "go.mod file too large (max size is 16777216 bytes)"
    );
}

#[test]
fn more_files_than_the_format_first_could_count_are_written_and_read() {
    let version = at(M);
    let mut writer = Writer::new(Vec::new(), &version);
    for i in 0..70_000u32 {
        writer.add(&format!("{i}"), 0, io::empty()).unwrap();
    }
    let (h1, zip) = writer.finish().unwrap();
    let whole = checked(&version, &zip).unwrap();
    assert_eq!((whole.h1, whole.files), (h1, 70_000));
}

#[test]
fn directory_entries_and_repeated_names_count_in_the_hash_of_any_zip() {
    let version = at(M);
    let plain = raw_zip(&prefixed(&sample()), false, false);
    let mut with = prefixed(&sample());
    with.push((format!("{M}/sub/"), Vec::new()));
    let with = raw_zip(&with, false, true);
    let (plain, with) = (
        checked(&version, &plain).unwrap(),
        checked(&version, &with).unwrap(),
    );
    assert!(plain.h1 != with.h1 && plain.files == with.files);
    // As in Go: every entry of a name has the content of the last.
    let hash =
        |list: &[(&str, &str)]| hash_zip(Cursor::new(raw_zip(&files(list), false, false))).unwrap();
    assert_eq!(
        hash(&[("a", "1"), ("a", "2")]),
        hash(&[("a", "2"), ("a", "2")])
    );
    assert_ne!(hash(&[("a", "2")]), hash(&[("a", "2"), ("a", "2")]));
}

#[test]
fn a_directory_with_content_is_refused_by_the_stream_too() {
    let mut files = prefixed(&sample());
    files.push((format!("{M}/sub/"), b"content".to_vec()));
    for stored in [true, false] {
        let error = checked(&at(M), &raw_zip(&files, false, stored)).unwrap_err();
        assert!(error.to_string().ends_with("sub/: a directory has content"));
    }
}

/// Writes a number over the bytes at a place.
fn put(zip: &mut [u8], at: usize, bytes: &[u8]) {
    zip[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Where the first directory header is.
fn directory(zip: &[u8]) -> usize {
    zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap()
}

#[test]
fn lies_are_refused() {
    let version = at(M);
    let two = prefixed(&files(&[("a", "some text"), ("b", "other text")]));
    let good = raw_zip(&two, false, true);
    let entry = directory(&good);
    let second = entry + 46 + two[0].0.len();
    let lie = |place: usize, bytes: &[u8]| {
        let mut zip = good.clone();
        put(&mut zip, place, bytes);
        checked(&version, &zip).unwrap_err().to_string()
    };
    let a = format!("{M}/a");
    let cases = [
        (entry + 10, &9u16.to_le_bytes()[..], format!("zip: unsupported compression algorithm: {a}")),
        (entry + 16, &[1, 2, 3, 4], format!("zip: checksum error: {a}")),
        (entry + 24, &[8], format!("zip: not a valid zip file: {a}: it is larger than declared")),
        (entry + 24, &[10], format!("zip: not a valid zip file: {a}: it is smaller than declared")),
        (entry + 20, &[200], format!("zip: not a valid zip file: {a}: it reaches into what follows it")),
        (second + 42, &[0], format!("zip: not a valid zip file: {a}: it reaches into what follows it")),
        (30, b"X", format!("zip: not a valid zip file: {a}: it has another name in its own header")),
        (0, b"X", format!("zip: not a valid zip file: {a}: it is not where the directory says")),
        (good.len() - 12, &[3], "zip: not a valid zip file: its directory is cut short".into()),
        (good.len() - 8, &[255, 255, 255], "zip: not a valid zip file: its directory is not where its end says".into()),
        (
            entry + 24,
            &u32::MAX.to_le_bytes(),
            "unzip example.com/m/@v/v1.0.0.zip: total uncompressed size of module contents too large (max size is 524288000 bytes)".into(),
        ),
    ];
    for (place, bytes, want) in cases {
        assert_eq!(lie(place, bytes), want);
    }
    let error = verify(Cursor::new(&good), (500 << 20) + 1, &version).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("module zip file is too large (524288001 bytes; limit is 524288000 bytes)")
    );
}

#[test]
fn the_crc_behind_the_data_counts_too() {
    let version = at(M);
    let mut zip = raw_zip(&prefixed(&files(&[("a", "some text")])), true, false);
    let descriptor = zip.windows(4).position(|w| w == b"PK\x07\x08").unwrap();
    zip[descriptor + 4] ^= 1;
    let error = checked(&version, &zip).unwrap_err();
    assert_eq!(error.to_string(), format!("zip: checksum error: {M}/a"));
}

#[test]
fn bytes_before_and_behind_a_zip_do_not_hide_it() {
    let (version, good) = (at(M), raw_zip(&prefixed(&sample()), false, false));
    let h1 = checked(&version, &good).unwrap().h1;
    let around = [b"#!/bin/sh\n", good.as_slice(), b"PK and more"].concat();
    assert_eq!(checked(&version, &around).unwrap().h1, h1);
}

#[test]
fn a_zip_bomb_costs_no_more_than_it_declares() {
    let version = at(M);
    let zip = raw_zip(&prefixed(&files(&[("zeros", "")])), false, false);
    assert!(checked(&version, &zip).is_ok());
    let zeros = vec![("zeros".to_owned(), vec![0; 4 << 20])];
    let mut zip = raw_zip(&prefixed(&zeros), false, false);
    let entry = directory(&zip);
    put(&mut zip, entry + 24, &1000u32.to_le_bytes());
    let error = checked(&version, &zip).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("zeros: it is larger than declared")
    );
}

#[test]
fn names_that_cannot_stand_beside_each_other_are_told_as_go_tells_them() {
    let version = at(M);
    let wrong = |list: &[(&str, &str)]| {
        let zip = raw_zip(&prefixed(&files(list)), false, false);
        checked(&version, &zip).unwrap_err().to_string()
    };
    let unzip = "unzip example.com/m/@v/v1.0.0.zip: example.com/m@v1.0.0";
    assert_eq!(
        wrong(&[("x/Y/zz.go", ""), ("x/y/ww.go", ""), ("x/y/vv.go", "")]),
        format!(
            "{unzip}/x/y/ww.go: case-insensitive file name collision: \"x/Y\" and \"x/y\"\n\
             example.com/m@v1.0.0/x/y/vv.go: case-insensitive file name collision: \"x/Y\" and \"x/y\""
        )
    );
    assert_eq!(
        wrong(&[("straße", ""), ("STRAẞE", "")]),
        format!("{unzip}/STRAẞE: case-insensitive file name collision: \"straße\" and \"STRAẞE\"")
    );
    assert_eq!(
        wrong(&[("x?y.go", "")]),
        format!("{unzip}/x?y.go: malformed file path \"x?y.go\": invalid char '?'")
    );
    let many: Vec<String> = (0..8).map(|i| format!("{i}?")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
    let text = wrong(&many);
    assert!(
        text.ends_with("\nand 3 more") && text.lines().count() == 6,
        "{text}"
    );
}

#[test]
fn a_name_of_many_directories_costs_little() {
    let version = at(M);
    let deep = "a/".repeat(30_000);
    let zip = raw_zip(
        &prefixed(&files(&[(&format!("{deep}b"), "")])),
        false,
        false,
    );
    let error = checked(&version, &zip).unwrap_err();
    assert!(error.to_string().ends_with("too many directories"));
}

#[test]
fn trees_with_links_and_devices_lose_them() {
    let meta = |name: &str, kind| FileMeta {
        name: name.into(),
        size: 1,
        kind,
    };
    let tree = [
        meta("a.go", FileKind::Regular),
        meta("link", FileKind::Symlink),
        meta("fifo", FileKind::Other),
        meta("sub/go.mod", FileKind::Symlink),
        meta("sub/b.go", FileKind::Regular),
        meta("A.go", FileKind::Symlink),
    ];
    let selection = select(&tree, "");
    // A go.mod that is a link makes no module.
    assert_eq!(selection.valid, [0, 4]);
    let why: Vec<String> = selection
        .omitted
        .iter()
        .map(|(_, why)| why.to_string())
        .collect();
    assert_eq!(
        why,
        [
            "file is a symbolic link",
            "not a regular file",
            "file is a symbolic link"
        ]
    );
    assert_eq!(selection.invalid[0].0, 5);
    let large = [FileMeta {
        size: 600 << 20,
        ..tree[0].clone()
    }];
    let error = select(&large, "").result(&large).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module source tree too large (max size is 524288000 bytes)"
    );
}

/// A small good zip, written in one of the ways.
fn small(kind: u8) -> Vec<u8> {
    let content = prefixed(&files(&[
        ("go.mod", "module example.com/m\n"),
        ("b.go", "package b // b b b b b b b b\n"),
        ("c", ""),
    ]));
    match kind {
        0 => {
            created(&at(M), &files(&[("go.mod", "module example.com/m\n")]))
                .unwrap()
                .0
        }
        1 => raw_zip(&content, false, false),
        2 => raw_zip(&content, false, true),
        _ => raw_zip(&content, true, false),
    }
}

#[test]
fn a_zip_cut_anywhere_is_refused() {
    for kind in 0..4 {
        let zip = small(kind);
        for end in 0..zip.len() {
            assert!(checked(&at(M), &zip[..end]).is_err(), "{kind} {end}");
        }
    }
}

#[test]
fn a_zip_with_any_byte_changed_is_refused_or_has_the_same_hash() {
    let version = at(M);
    for kind in 0..4 {
        let zip = small(kind);
        let h1 = checked(&version, &zip).unwrap().h1;
        for place in 0..zip.len() {
            for change in [1, 8, 0xff] {
                let mut damaged = zip.clone();
                damaged[place] ^= change;
                if let Ok(whole) = checked(&version, &damaged) {
                    assert_eq!(whole.h1, h1, "{kind} {place} {change}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = checked(&at(M), &bytes);
        let _ = hash_zip(Cursor::new(&bytes));
    }

    #[test]
    fn no_damage_makes_it_panic_or_disagree(
        kind in 0u8..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut zip = small(kind);
        for (place, byte) in changes {
            let place = place.index(zip.len());
            zip[place] = byte;
        }
        let _ = checked(&at(M), &zip);
        let _ = hash_zip(Cursor::new(&zip));
        let _ = report(Cursor::new(&zip), zip.len() as u64, &at(M));
    }

    #[test]
    fn what_is_created_passes_every_check(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..8),
    ) {
        let named = contents.into_iter().enumerate();
        let files: Files = named.map(|(i, content)| (format!("d{}/f{i}", i % 3), content)).collect();
        let (zip, h1) = created(&at(M), &files).unwrap();
        prop_assert_eq!(checked(&at(M), &zip).unwrap().h1, h1);
    }
}
