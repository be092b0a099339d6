//! `rot`: random bytes are flipped in files of one node, under its feet: in its shard log, and in its archives of blocks
//! and finalizations. Later it is killed and started again, so that it meets what it has on disk. The nodes of this drill
//! scrub all they have every few seconds, not every two weeks.
//!
//! Expected: the node finds the rot and heals, by itself. (When its archives are beyond that, it says so and does not
//! start: then its directory is deleted, as docs/operations.md has it, and it heals from nothing. The report tells.)

use super::{HEAL_PATIENCE, Prepared, configure};
use crate::{
    drill::ground::{Ground, drawn, names},
    failure::Failure,
    keys,
    layout::Layout,
};
use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// Share of the bytes acknowledged when bytes are flipped, in percent.
const FAULT_AT: u64 = 50;
/// Bytes flipped in the shard log, and in each file of the archives.
const FLIPS_IN_SHARDS: usize = 40;
const FLIPS_IN_ARCHIVES: usize = 4;
/// Seconds in which the nodes of this drill read all their shards.
const SCRUB_SECONDS: u64 = 5;
/// How long until the scrubber has found what there is.
const FIND_PATIENCE: Duration = Duration::from_secs(40);

pub(super) fn prepare(layout: &Layout, n: usize) -> Result<Prepared, Failure> {
    for index in 0..n {
        configure(layout, index, |config| {
            config.shards.scrub_period_seconds = SCRUB_SECONDS;
            config.shards.scrub_bytes_per_second = 64 << 20;
        })?;
    }
    Ok(Prepared::Node(drawn(n, 1)[0]))
}

pub(super) async fn harm(ground: &mut Ground<'_>, node: usize) -> Result<(), Failure> {
    let name = names(&[node]);
    ground.acknowledged(FAULT_AT).await;
    ground.fault_begins();
    let storage = ground.directory(node).join("storage");
    let mut flipped = 0;
    for (partition, flips) in [
        ("node-shards", FLIPS_IN_SHARDS),
        ("node-chain-blocks-value", FLIPS_IN_ARCHIVES),
        ("node-chain-finalizations-value", FLIPS_IN_ARCHIVES),
    ] {
        for file in files_of(&storage.join(partition)) {
            flipped += flip(&file, flips).map_err(|error| Failure::file("flip bytes in", &file, &error))?;
        }
    }
    ground.tell(format!("{flipped} bytes flipped in the shard log and the archives of {name}"));
    let found = found_by_scrub(ground, node).await;
    match found {
        0 => ground.miss(format!("{name} finds damage by scrubbing within {} s", FIND_PATIENCE.as_secs())),
        found => ground.tell(format!("{name} found {found} damaged records by scrubbing")),
    }
    ground.await_healed(&[node], HEAL_PATIENCE).await;
    ground.last_words(node);
    ground.kill(node).await;
    ground.start(node);
    ground.tell(format!("{name} killed and started again"));
    if let Err(why) = ground.healed(&[node], true, HEAL_PATIENCE / 3).await {
        let why = ground.last_words(node).unwrap_or(why);
        ground.tell(format!("{name} does not come back on what it has: {why}"));
        ground.kill(node).await;
        ground.delete(node)?;
        ground.start(node);
        ground.tell(format!("{name} deleted, and back, empty"));
        ground.await_healed(&[node], HEAL_PATIENCE).await;
    } else {
        ground.tell(format!("{name} is back on what it has"));
    }
    ground.fault_ends();
    Ok(())
}

async fn found_by_scrub(ground: &Ground<'_>, node: usize) -> u64 {
    let deadline = std::time::Instant::now() + FIND_PATIENCE;
    while std::time::Instant::now() < deadline {
        let status = ground.status().await.unwrap_or_default();
        if let Some(damaged) =
            status["nodes"][node]["scrub"]["damaged"].as_u64().filter(|damaged| *damaged > 0)
        {
            return damaged;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    0
}

fn files_of(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}

/// Flips bits of bytes at random places, where the file is no hole. Gives how many.
fn flip(path: &Path, count: usize) -> io::Result<usize> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let (length, mut flipped) = (file.metadata()?.len(), 0);
    // Segments are long and mostly empty until they are filled.
    for _ in 0..count * 200 {
        let at = u64::from_be_bytes(keys::draw()) % length.max(1);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        if byte[0] != 0 {
            file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at)?;
            flipped += 1;
        }
        if flipped == count {
            break;
        }
    }
    file.sync_all()?;
    Ok(flipped)
}
