//! `full`: one node's directory is on a file system of its own in memory, too small for what is stored. It runs full, and
//! the node with it. Later the file system is made larger.
//!
//! Mounting it needs no root where users may make namespaces of their own: the drill starts itself again in one
//! (`unshare`), where the mount is seen by nobody else and goes away with it.
//!
//! Expected: the node fills its disk; once there is room it heals.

use super::{HEAL_PATIENCE, Prepared};
use crate::{
    drill::ground::{Ground, drawn, names},
    failure::{Exit, Failure},
    files,
    layout::Layout,
};
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Set in the namespace.
const INSIDE: &str = "OUTLAST_DRILL_INSIDE";
/// What a node needs besides shards in a drill: its chain and its index.
const BESIDES_BYTES: u64 = 8 << 20;
/// How long the node may take to have its disk full after all is written.
const FILL_PATIENCE: Duration = Duration::from_secs(60);

/// Starts this program again where it may mount.
pub(super) fn enter() -> Result<(), Failure> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let arguments = ["--user", "--map-root-user", "--mount", "--propagation", "private"];
    let may = Command::new("unshare").args(arguments).arg("true").output();
    if !may.is_ok_and(|may| may.status.success()) {
        return Err(Failure::new(Exit::Failed, "this machine lets nobody mount a small disk for the drill")
            .hint("it needs the program `unshare` (util-linux) and user namespaces: `unshare -Urm true` must work"));
    }
    let own = std::env::current_exe()
        .map_err(|error| Failure::file("find", Path::new("the program's own file"), &error))?;
    let error = Command::new("unshare")
        .args(arguments)
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(Failure::new(Exit::Failed, format!("cannot run unshare: {error}")))
}

fn mount(arguments: &[&str], at: &Path) -> Result<(), Failure> {
    let cannot = |why: String| {
        Failure::new(Exit::Failed, format!("cannot mount a file system on {}: {}", at.display(), why.trim()))
    };
    let done =
        Command::new("mount").args(arguments).arg(at).output().map_err(|error| cannot(error.to_string()))?;
    if done.status.success() {
        Ok(())
    } else {
        Err(cannot(String::from_utf8_lossy(&done.stderr).into_owned()))
    }
}

/// Mounts a node's directory, with room for less than half of its shards.
pub(super) fn prepare(layout: &Layout, n: usize, bytes: u64) -> Result<Prepared, Failure> {
    let node = drawn(n, 1)[0];
    let directory = layout.node_directory(node);
    files::make_directory(&directory)?;
    let k = proof::committee::threshold(n) as u64;
    let size = format!("size={}", BESIDES_BYTES + bytes / k / 5 * 2);
    mount(&["-t", "tmpfs", "-o", &size, "outlast-drill"], &directory)?;
    Ok(Prepared::Node(node))
}

/// Unmounts, so that the scratch directory can be removed.
pub(super) fn leave(scratch: &Path) {
    let nodes = std::fs::read_dir(scratch.join("nodes")).into_iter().flatten().filter_map(Result::ok);
    for node in nodes {
        // All but one are not mounted.
        let _ = Command::new("umount").arg("--lazy").arg(node.path()).output();
    }
}

pub(super) async fn harm(ground: &mut Ground<'_>, node: usize) -> Result<(), Failure> {
    let (name, directory) = (names(&[node]), ground.directory(node));
    if !filled(&directory).await {
        ground.miss(format!("the disk of {name} is full"));
        return Ok(());
    }
    ground.fault_begins();
    ground.tell(format!("the disk of {name} is full"));
    ground.acknowledged(100).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let state = ground.ailments(&[node], true).await;
    let state = if state.is_empty() { format!("{name} lacks nothing") } else { state.join("; ") };
    ground.tell(format!("all is written; {state}"));
    if let Some(words) = ground.last_words(node) {
        ground.tell(format!("{name} ended last with: {words}"));
    }
    mount(&["-o", "remount,size=4g"], &directory)?;
    ground.tell(format!("the disk of {name} has room again"));
    ground.await_healed(&[node], HEAL_PATIENCE).await;
    ground.fault_ends();
    Ok(())
}

/// Waits until there is hardly any room on the file system.
async fn filled(directory: &Path) -> bool {
    let deadline = tokio::time::Instant::now() + FILL_PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if free_bytes(directory).await.is_some_and(|free| free < 1 << 20) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// Free bytes, as `df` tells.
async fn free_bytes(directory: &Path) -> Option<u64> {
    let directory: PathBuf = directory.to_owned();
    let said =
        tokio::process::Command::new("df").args(["--output=avail", "-B1"]).arg(directory).output().await;
    String::from_utf8(said.ok()?.stdout).ok()?.lines().nth(1)?.trim().parse().ok()
}
