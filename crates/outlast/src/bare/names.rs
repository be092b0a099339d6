//! How objects are called as files. No key leads out of its bucket's directory, and no two to one file.
//!
//! A key's parts between slashes are directories and, the last, a file. In a part:
//!
//! * `%`, `\` and control characters are written `%XX`, their bytes in hexadecimal; other characters are as they are;
//! * a part that is empty is `%`; `.` is `%2E`, `..` is `%2E%2E`;
//! * a part of more than [`PART_BYTES_MAX`] bytes is broken into directories, each but its last piece ending with `%+`.
//!
//! An object whose key is also the beginning of another's (`a` beside `a/b`) cannot be a file of that name, as there is a
//! directory: it is called `a%_`. Where all versions are written, each file's name ends with `%@` and the version.
//! Undone by reading from left to right: what follows a `%` tells which of these it is. File systems that take different
//! characters for equal (upper and lower case) are not provided for: a file that is there is never written over.

use proof::VersionId;
use std::path::PathBuf;

/// Bytes of a file's name, so that the marks have room within the 255 that file systems allow.
const PART_BYTES_MAX: usize = 200;

/// What is put behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    Plain,
    /// There is a directory of this name.
    Beside,
    /// It is one of several versions.
    Version(VersionId),
}

/// The path of the file, relative to that of its bucket.
pub(super) fn path(key: &str, mark: Mark) -> PathBuf {
    let mut path = PathBuf::new();
    let parts: Vec<&str> = key.split('/').collect();
    for (at, part) in parts.iter().enumerate() {
        let mut units = units(part);
        if at + 1 == parts.len() {
            match mark {
                Mark::Plain => {}
                Mark::Beside => units.push("%_".into()),
                Mark::Version(version) => units.push(format!("%@{version}")),
            }
        }
        let mut piece = String::new();
        for unit in units {
            if piece.len() + unit.len() > PART_BYTES_MAX {
                path.push(std::mem::take(&mut piece) + "%+");
            }
            piece += &unit;
        }
        path.push(piece);
    }
    path
}

/// A part of a key, in units that stay together.
fn units(part: &str) -> Vec<String> {
    match part {
        "" => vec!["%".into()],
        "." => vec!["%2E".into()],
        ".." => vec!["%2E".into(), "%2E".into()],
        part => part.chars().map(unit).collect(),
    }
}

fn unit(character: char) -> String {
    if matches!(character, '%' | '\\') || character.is_control() {
        let mut bytes = [0; 4];
        character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
    } else {
        character.to_string()
    }
}

/// Whether some key goes on with a slash where this one ends. `keys` are sorted.
pub(super) fn is_directory<'a>(keys: &[&'a str], key: &'a str) -> bool {
    let beginning = format!("{key}/");
    let from = keys.partition_point(|other| *other < beginning.as_str());
    keys.get(from).is_some_and(|other| other.starts_with(&beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::Component};

    /// The key that a path was made from.
    fn key_of(path: &std::path::Path) -> String {
        let mut key = String::new();
        for name in path.iter().map(|name| name.to_str().unwrap()) {
            let (mut bytes, mut rest, mut goes_on) = (Vec::new(), name, false);
            while let Some(at) = rest.find('%') {
                bytes.extend_from_slice(&rest.as_bytes()[..at]);
                let after = &rest[at + 1..];
                match after.as_bytes().first() {
                    None | Some(b'%') => rest = after,
                    Some(b'+') => (goes_on, rest) = (true, &after[1..]),
                    Some(b'_') => rest = &after[1..],
                    Some(b'@') => rest = &after[29..],
                    Some(_) => {
                        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
                        rest = &after[2..];
                    }
                }
            }
            bytes.extend_from_slice(rest.as_bytes());
            key += std::str::from_utf8(&bytes).unwrap();
            key += if goes_on { "" } else { "/" };
        }
        key.pop();
        key
    }

    fn hostile() -> Vec<String> {
        let long = "x".repeat(1024);
        let wide = "ß".repeat(512);
        let percent = "%".repeat(1024);
        let edge = ["y".repeat(200), "y".repeat(201), format!("{}%+", "y".repeat(198))];
        let short = [
            "a",
            "a/b",
            "a/",
            "/",
            "//",
            "/a",
            "../../etc/passwd",
            "..",
            ".",
            "a/../b",
            "a/./b",
            "a//b",
            "%",
            "%2E",
            "%2E%2E",
            "a%_",
            "a%@",
            "%+",
            "a\0b",
            "a\nb",
            "C:\\x",
            "\\\\server\\share",
            "\u{85}",
            "-rf",
            ".part",
            "é",
        ];
        short.iter().map(ToString::to_string).chain([long, wide, percent]).chain(edge).collect()
    }

    #[test]
    fn no_key_leads_out_and_no_two_meet() {
        let version = VersionId { height: 7, index: 0, operation: 0 };
        let mut seen = BTreeSet::new();
        for key in hostile() {
            for mark in [Mark::Plain, Mark::Beside, Mark::Version(version)] {
                let path = path(&key, mark);
                assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
                assert!(path.iter().all(|name| name.len() <= 255 && !name.is_empty()), "{path:?}");
                assert_eq!(key_of(&path), key, "{path:?}");
                assert!(seen.insert(path), "{key}");
            }
        }
    }

    #[test]
    fn ordinary_keys_are_as_they_are() {
        for key in ["cat.jpg", "2026/11/cat jpg", "a-b_c.d/.hidden", "…/ü"] {
            assert_eq!(path(key, Mark::Plain).to_str(), Some(key));
        }
    }

    #[test]
    fn directories_are_known() {
        let keys = ["a", "a!", "a/b", "b", "c/", "ca"];
        let directories: Vec<_> = keys.iter().filter(|key| is_directory(&keys, key)).collect();
        assert_eq!(directories, [&"a"]);
        assert!(is_directory(&["c", "c/"], "c"));
    }

    /// Whatever can be written at all, can be written beside the others.
    #[test]
    fn all_fit_one_directory() {
        let base = tempfile::tempdir().unwrap();
        let keys = hostile();
        let mut sorted: Vec<&str> = keys.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        for key in &sorted {
            let mark = if is_directory(&sorted, key) { Mark::Beside } else { Mark::Plain };
            let path = base.path().join(path(key, mark));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::OpenOptions::new().write(true).create_new(true).open(&path).expect(key);
        }
    }
}
