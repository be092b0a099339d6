//! Files that a crash leaves either whole or absent, and secrets that only their owner reads.

use crate::failure::{Exit, Failure};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewFile {
    /// Relative to a directory named elsewhere.
    pub path: PathBuf,
    pub contents: Vec<u8>,
    /// Only its owner may read it.
    pub secret: bool,
}

impl NewFile {
    pub(crate) fn public(path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), contents: contents.into(), secret: false }
    }

    pub(crate) fn secret(path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), contents: contents.into(), secret: true }
    }
}

/// Creates the directory, if it is missing, so that others can neither read nor list it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::file("create the directory", path, &error))
}

/// Writes the files below `directory`, none of which may exist, and syncs them and their directories.
pub(crate) fn write_new(directory: &Path, files: &[NewFile]) -> Result<(), Failure> {
    make_directory(directory)?;
    for file in files {
        let path = directory.join(&file.path);
        let parent = path.parent().expect("a file below a directory");
        make_directory(parent)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(if file.secret { 0o600 } else { 0o644 });
        let written = options.open(&path).and_then(|mut open| {
            open.write_all(&file.contents)?;
            open.sync_all()?;
            File::open(parent)?.sync_all()
        });
        written.map_err(|error| Failure::file("write", &path, &error))?;
    }
    sync_directory(directory)
}

/// Puts these contents in place of the file's, whole or not at all.
pub(crate) fn replace(path: &Path, contents: &[u8], secret: bool) -> Result<(), Failure> {
    let fresh = beside(path, "new");
    let write = || -> io::Result<()> {
        remove(&fresh)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(if secret { 0o600 } else { 0o644 });
        let mut file = options.open(&fresh)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(directory_of(path))?.sync_all()
    };
    write().map_err(|error| Failure::file("write", path, &error))
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name beside `path` for a file that is not finished.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

/// Makes the directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Failure> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Failure::file("sync the directory", path, &error))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory and all in it, if it is there.
pub(crate) fn remove_directory(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::file("remove the directory", path, &error))
        }
        _ => Ok(()),
    }
}

/// Holds a directory for this process: until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `directory`, which `owner` works on.
    pub(crate) fn take(directory: &Path, owner: &str) -> Result<Self, Failure> {
        let path = directory.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let mut file = file.map_err(|error| Failure::file("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.trim().is_empty() { "another process".into() } else { holder };
                let message = format!("{} is in use by {}", directory.display(), holder.trim());
                return Err(Failure::new(Exit::InUse, message)
                    .hint("stop that process first, or choose another directory with --dir"));
            }
            Err(fs::TryLockError::Error(error)) => return Err(Failure::file("lock", &path, &error)),
        }
        // Who holds it is for people only: the lock itself is the kernel's.
        let _ = file.set_len(0).and_then(|()| write!(file, "{owner}, process {}", std::process::id()));
        Ok(Self { _file: file })
    }

    /// Whether a process holds the lock of `directory`.
    pub(crate) fn is_held(directory: &Path) -> bool {
        File::open(directory.join("lock")).is_ok_and(|file| file.try_lock().is_err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_are_their_owners_and_nothing_is_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let files = [NewFile::secret("a/key", "k"), NewFile::public("a/open", "o")];
        write_new(base.path(), &files).unwrap();
        let mode = |name: &str| fs::metadata(base.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("a/key"), 0o600);
        assert_eq!(mode("a"), 0o700);
        let again = write_new(base.path(), &files[..1]);
        assert!(again.is_err(), "a key is never written over");
        replace(&base.path().join("a/key"), b"new", true).unwrap();
        assert_eq!(mode("a/key"), 0o600);
        assert_eq!(fs::read(base.path().join("a/key")).unwrap(), b"new");
    }

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        assert_eq!(directory_of(Path::new("receipt")), Path::new("."));
        assert_eq!(directory_of(Path::new("a/receipt")), Path::new("a"));
    }

    #[test]
    fn a_directory_has_one_holder() {
        let base = tempfile::tempdir().unwrap();
        let held = Lock::take(base.path(), "first").unwrap();
        assert!(Lock::is_held(base.path()));
        let refused = Lock::take(base.path(), "second").unwrap_err();
        assert_eq!(refused.exit, Exit::InUse);
        assert!(refused.message.contains("first"), "{refused}");
        drop(held);
        assert!(!Lock::is_held(base.path()));
        Lock::take(base.path(), "second").unwrap();
    }
}
