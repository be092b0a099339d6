//! Which files a drill stores.

use crate::failure::{Exit, Failure};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files taken where there are more than the bytes asked for allow.
const FILES_MAX: usize = 3000;
/// A tree at hand with fewer bytes is passed over.
const BYTES_MIN: u64 = 100_000_000;
/// Files looked at in a tree that nobody named.
const LOOKED_AT_MAX: usize = 200_000;
/// Bytes of an object's key.
const KEY_MAX: usize = proof::limits::OBJECT_KEY_MAX;

/// A file to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub path: PathBuf,
    /// Its path in the tree.
    pub key: String,
    pub length: u64,
}

/// The files below the directory, or else of a tree at hand; not all of them, where they have more bytes than asked for.
pub(super) fn choose(directory: Option<&Path>, bytes_max: u64) -> Result<Vec<Source>, Failure> {
    let nothing = |what: &str| {
        Failure::new(Exit::Usage, format!("{what} has no files to store"))
            .hint("name a directory with --files")
    };
    if let Some(directory) = directory {
        let listed = fs::read_dir(directory).map(drop);
        listed.map_err(|error| Failure::file("list", directory, &error))?;
        let files = walk(directory, usize::MAX);
        let too_many = files.iter().map(|file| file.length).sum::<u64>() > bytes_max;
        let files = if too_many { sample(files, bytes_max) } else { files };
        return if files.is_empty() { Err(nothing(&directory.display().to_string())) } else { Ok(files) };
    }
    let trees = at_hand().into_iter().map(|tree| walk(&tree, LOOKED_AT_MAX));
    let mut large = trees.filter(|files| files.iter().map(|file| file.length).sum::<u64>() >= BYTES_MIN);
    large.next().map(|files| sample(files, bytes_max)).ok_or_else(|| nothing("this machine"))
}

fn at_hand() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let below = |variable: &str, fallback: &str| {
        std::env::var_os(variable).map_or_else(|| home.join(fallback), PathBuf::from)
    };
    vec![
        below("RUSTUP_HOME", ".rustup").join("toolchains"),
        below("CARGO_HOME", ".cargo").join("registry/src"),
        "/usr/lib".into(),
        "/usr/share".into(),
    ]
}

/// Readable regular files below `root`, in order of their paths. Follows no links; passes over what cannot be read or
/// named.
fn walk(root: &Path, files_max: usize) -> Vec<Source> {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
            let key = path.strip_prefix(root).ok().and_then(Path::to_str).filter(|key| key.len() <= KEY_MAX);
            if metadata.is_dir() {
                directories.push(path);
            } else if let (true, Some(key), Ok(_)) = (metadata.is_file(), key, fs::File::open(&path)) {
                files.push(Source { key: key.to_owned(), length: metadata.len(), path });
            }
        }
        if files.len() >= files_max {
            break;
        }
    }
    files.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    files
}

/// As much as the bounds allow: most of it evenly spread over the files, the rest the largest that fit.
fn sample(files: Vec<Source>, bytes_max: u64) -> Vec<Source> {
    let stride = files.len().div_ceil(FILES_MAX / 10 * 9).max(1);
    let (mut room, mut chosen) = (bytes_max, Vec::new());
    let mut take = |file: Source| {
        if file.length <= room && chosen.len() < FILES_MAX {
            room -= file.length;
            chosen.push(file);
        }
    };
    // A file that takes most of the room leaves none for variety.
    let spreads = |(index, file): &(usize, Source)| index % stride == 0 && file.length <= bytes_max / 10;
    let (spread, mut others): (Vec<_>, Vec<_>) = files.into_iter().enumerate().partition(spreads);
    spread.into_iter().map(|(_, file)| file).for_each(&mut take);
    others.sort_by_key(|(_, file)| std::cmp::Reverse(file.length));
    others.into_iter().map(|(_, file)| file).for_each(&mut take);
    chosen.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: u64 = 300_000_000;

    #[test]
    fn trees_are_walked_without_links() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("a/b")).unwrap();
        fs::write(base.path().join("a/b/one"), "1").unwrap();
        fs::write(base.path().join("two"), "22").unwrap();
        std::os::unix::fs::symlink("/", base.path().join("a/loop")).unwrap();
        let files = choose(Some(base.path()), u64::MAX).unwrap();
        let found: Vec<_> = files.iter().map(|file| (file.key.as_str(), file.length)).collect();
        assert_eq!(found, [("a/b/one", 1), ("two", 2)]);
    }

    #[test]
    fn an_empty_or_missing_directory_is_refused() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(choose(Some(base.path()), u64::MAX).unwrap_err().exit, Exit::Usage);
        assert!(choose(Some(&base.path().join("missing")), u64::MAX).is_err());
    }

    #[test]
    fn samples_keep_the_bounds() {
        let file = |index: u64, length| Source { path: "x".into(), key: format!("{index:06}"), length };
        let many = sample((0..100_000).map(|index| file(index, 100)).collect(), BYTES_MAX);
        assert!(many.len() <= FILES_MAX && many.len() > FILES_MAX / 2);
        let large = sample((0..100).map(|index| file(index, 50_000_000)).collect(), BYTES_MAX);
        assert!(large.iter().map(|file| file.length).sum::<u64>() <= BYTES_MAX && !large.is_empty());
        let mixed = sample(vec![file(0, 2 * BYTES_MAX), file(1, 10), file(2, 10), file(3, 10)], BYTES_MAX);
        assert_eq!(mixed.len(), 3);
        let uneven = (0..30_000).map(|index| file(index, if index % 1000 == 1 { 20_000_000 } else { 1000 }));
        let filled = sample(uneven.collect(), BYTES_MAX);
        assert!(filled.iter().map(|file| file.length).sum::<u64>() > BYTES_MAX / 10 * 9);
    }
}
