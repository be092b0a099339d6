//! Does the simulation catch what it should? Known mistakes, made on purpose.
//!
//! A *mutant* is a mistake that somebody could make in production code: a few replacements of text in named files, kept
//! in `crates/sim/mutants/NAME.toml`. All of them are made at once in a copy of the sources, each behind a switch that
//! is read from the environment, so that one compilation serves all and the real sources know nothing of them. Then,
//! mutant by mutant, seeds are played until one fails. A mutant that survives its number of seeds is *missed*: either
//! the simulation is too tame, or the code is not needed.
//!
//! In a replacement `{on}` stands for the switch, an expression of type `bool`. A text to be replaced must occur exactly
//! once in its file, so a mutant that no longer fits the code is noticed: by a test, and not when it is needed.

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

/// The environment variable that switches a mutant on.
const SWITCH: &str = "OUTLAST_MUTANT";

/// A mistake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// What is wrong with it, in a sentence.
    pub what: String,
    /// How many seeds may be played until one must have failed.
    pub seeds: u64,
    /// Arguments for `sim`, to look where it is likely to fail.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What is changed.
    pub edits: Vec<Edit>,
}

/// One replacement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, from the workspace's root.
    pub file: PathBuf,
    /// Text that occurs in it exactly once.
    pub find: String,
    /// What is put in its place.
    pub replace: String,
}

/// What is wrong with a mutant, or with making it.
#[derive(Debug, thiserror::Error)]
pub enum MutantError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A mutant's file is not one.
    #[error("{path}: {error}")]
    Description {
        /// The file.
        path: PathBuf,
        /// Why.
        error: toml::de::Error,
    },
    /// The text to replace is not there, or more than once.
    #[error("mutant {name}: its text occurs {count} times in {file}, not once; adapt the mutant to the code")]
    Stale {
        /// The mutant.
        name: String,
        /// The file.
        file: PathBuf,
        /// How often.
        count: usize,
    },
    /// The mutated sources do not compile.
    #[error("the mutated sources do not compile; see above")]
    Compilation,
}

/// The workspace's root.
fn root() -> &'static Path {
    let sim = Path::new(env!("CARGO_MANIFEST_DIR"));
    sim.ancestors().nth(2).expect("this crate lies two directories below the root")
}

/// All mutants, by name.
pub fn all() -> Result<Vec<Mutant>, MutantError> {
    let directory = root().join("crates/sim/mutants");
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |error| MutantError::File { path, error }
    };
    let mut mutants = Vec::new();
    for entry in fs::read_dir(&directory).map_err(wrong(&directory))? {
        let path = entry.map_err(wrong(&directory))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).map_err(wrong(&path))?;
            let mutant: Result<Mutant, _> = toml::from_str(&text);
            let mutant = mutant.map_err(|error| MutantError::Description { path: path.clone(), error })?;
            let name = path.file_stem().expect("it has an extension").to_string_lossy().into_owned();
            mutants.push(Mutant { name, ..mutant });
        }
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// The files that the mutants change, changed: path from the root, and text.
pub fn mutated(mutants: &[Mutant]) -> Result<BTreeMap<PathBuf, String>, MutantError> {
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for mutant in mutants {
        for edit in &mutant.edits {
            let path = root().join(&edit.file);
            let original = fs::read_to_string(&path).map_err(|error| MutantError::File { path, error })?;
            let text = files.entry(edit.file.clone()).or_insert(original);
            let count = text.matches(&edit.find).count();
            if count != 1 {
                return Err(MutantError::Stale { name: mutant.name.clone(), file: edit.file.clone(), count });
            }
            let on = format!("std::env::var_os({SWITCH:?}).is_some_and(|on| on == {:?})", mutant.name);
            *text = text.replacen(&edit.find, &edit.replace.replace("{on}", &on), 1);
        }
    }
    Ok(files)
}

/// Makes the mutants, plays seeds against each, so many at a time, and says which were caught.
pub fn run(only: Option<&str>, jobs: Option<usize>) -> ExitCode {
    let played = all().and_then(|mutants| {
        let binary = compile(&mutants)?;
        let wanted = |mutant: &&Mutant| only.is_none_or(|part| mutant.name.contains(part));
        Ok(mutants.iter().filter(wanted).map(|mutant| is_caught(&binary, mutant, jobs)).collect::<Vec<_>>())
    });
    match played {
        Ok(caught) => {
            let missed = caught.iter().filter(|caught| !**caught).count();
            println!("{} mutants, {missed} missed", caught.len());
            if missed == 0 && !caught.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Compiles a copy of the workspace with all mutants in it.
fn compile(mutants: &[Mutant]) -> Result<PathBuf, MutantError> {
    let mutated = mutated(mutants)?;
    let target = root().join("target/mutants");
    let tree = target.join("tree");
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|error| MutantError::File { path: "git".into(), error })?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    let files: BTreeSet<&Path> =
        listed.lines().map(Path::new).filter(|file| root().join(file).exists()).collect();
    remove_others(&tree, &tree, &files).map_err(|error| MutantError::File { path: tree.clone(), error })?;
    for file in files {
        let (from, to) = (root().join(file), tree.join(file));
        let text = mutated.get(file).map_or_else(|| fs::read(&from), |text| Ok(text.clone().into()));
        let text = text.map_err(|error| MutantError::File { path: from, error })?;
        // What is unchanged keeps its time, so that cargo does not compile it again.
        if fs::read(&to).is_ok_and(|there| there == text) {
            continue;
        }
        let wrong = |error| MutantError::File { path: to.clone(), error };
        fs::create_dir_all(to.parent().expect("it is below the tree")).map_err(wrong)?;
        fs::write(&to, text).map_err(wrong)?;
    }
    eprintln!("compiling {} mutants (minutes, the first time)", mutants.len());
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--workspace", "--bin", "sim", "--target-dir"])
        .arg(&target)
        .current_dir(&tree)
        .status()
        .map_err(|error| MutantError::File { path: "cargo".into(), error })?;
    if status.success() { Ok(target.join("release/sim")) } else { Err(MutantError::Compilation) }
}

/// Removes what an earlier copy of the sources had and these do not have any more.
fn remove_others(tree: &Path, directory: &Path, files: &BTreeSet<&Path>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(tree, &path, files)?;
        } else if !files.contains(path.strip_prefix(tree).expect("it is below the tree")) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Plays seeds against a mutant and says what came of it.
fn is_caught(binary: &Path, mutant: &Mutant, jobs: Option<usize>) -> bool {
    let begun = Instant::now();
    let played = Command::new(binary)
        .args(["--first", "--seeds", &mutant.seeds.to_string()])
        .args(&mutant.arguments)
        .args(jobs.map(|jobs| format!("--jobs={jobs}")))
        .env(SWITCH, &mutant.name)
        .stderr(Stdio::null())
        .output()
        .expect("the binary was just compiled");
    let said = String::from_utf8_lossy(&played.stdout).into_owned();
    let first = said.lines().find(|line| line.starts_with("seed ")).unwrap_or_default();
    let caught = !played.status.success() && !first.is_empty();
    let verdict = if caught { "caught" } else { "MISSED" };
    println!("{verdict}  {:24} {:5.1} s  {}", mutant.name, begun.elapsed().as_secs_f64(), mutant.what);
    println!("        {}", if caught { first } else { "no seed failed" });
    caught
}
