//! The inputs of a target that are kept.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// A target's inputs, by file name.
#[derive(Debug)]
pub struct Corpus(BTreeMap<String, Vec<u8>>);

impl Corpus {
    /// Reads the directory of target `name`. `seeds` are valid inputs, (file name, bytes), that it must hold: with
    /// `FUZZ_WRITE=1` they are written first.
    ///
    /// # Panics
    ///
    /// If the directory lacks a seed, or holds other bytes under its name: a format changed without a new version, or
    /// there is a new seed that was not written.
    pub fn open(name: &str, seeds: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpora").join(name);
        let seeds: Vec<_> = seeds.into_iter().map(|(name, bytes)| (file_name(&name), bytes)).collect();
        if std::env::var_os("FUZZ_WRITE").is_some() {
            fs::create_dir_all(&directory).expect("the directory can be made");
            for (name, bytes) in &seeds {
                fs::write(directory.join(name), bytes).expect("seeds can be written");
            }
        }
        let entries =
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let inputs: BTreeMap<_, _> = entries
            .map(|entry| {
                let path = entry.expect("the directory is readable").path();
                let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
                (name, fs::read(path).expect("inputs are readable"))
            })
            .collect();
        for (name, bytes) in seeds {
            assert!(inputs.get(&name) == Some(&bytes), "{}/{name} is not the seed", directory.display());
        }
        assert!(!inputs.is_empty(), "{} is empty", directory.display());
        Self(inputs)
    }

    /// Every input with its name.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// A file's name for what is called `name`.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars()
        .map(plain)
        .collect::<String>()
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
