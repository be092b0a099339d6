//! `disks`: when all is written and all nodes have their shards, all are killed, and 2f of them lose everything: directories,
//! votes, keys. What is left are f + 1 disks: one less and no chunk could be decoded.
//!
//! 1. The objects are read off those f + 1, without any node running, and compared with what was stored.
//! 2. The approvers begin a new epoch, in which nodes with new keys have the places of those that are gone. All nodes are
//!    started; the new ones fetch the chain, heal, and vote; and the network serves all that was stored, and takes more.
//!
//! Expected: all objects are salvaged; the new nodes heal and vote.

use super::HEAL_PATIENCE;
use crate::{
    bare::{self, Key, LIST, Task},
    drill::ground::{Ground, Stored, drawn, names},
    failure::{Exit, Failure},
    files,
    gateway::GatewayConfig,
    layout,
    recovery::here,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::Instant,
};

pub(super) async fn afterwards(ground: &mut Ground<'_>) -> Result<(), Failure> {
    let all: Vec<usize> = (0..ground.n()).collect();
    ground.await_healed(&all, HEAL_PATIENCE).await;
    for node in &all {
        ground.kill(*node).await;
    }
    let gone = drawn(ground.n(), 2 * ground.f());
    for node in &gone {
        ground.delete(*node)?;
        files::remove_directory(&ground.votes(*node))?;
        let key = ground.layout().node_key(*node);
        files::remove(&key).map_err(|error| Failure::file("remove", &key, &error))?;
    }
    ground.tell(format!("all nodes killed; disks, votes and keys of {} gone", names(&gone)));
    salvage(ground, &all, &gone).await?;
    ground.fault_begins();
    ground.stop_gateway().await;
    recover(ground).await?;
    all.iter().for_each(|node| ground.start(*node));
    ground.start_gateway();
    ground.tell(format!("all nodes back, {} empty and with new keys", names(&gone)));
    ground.await_healed(&all, HEAL_PATIENCE).await;
    ground.makes_bucket("after-recovery").await;
    ground.fault_ends();
    Ok(())
}

async fn recover(ground: &mut Ground<'_>) -> Result<(), Failure> {
    let (output, layout, began) = (ground.output(), ground.layout().clone(), Instant::now());
    let work = tokio::task::spawn_blocking(move || here::recover(output, &layout, &here::Wishes::default()));
    let done = work.await.expect("recovering does not panic")?;
    let terms = done.recovery.map(|recovery| recovery.terms).expect("it was not only looked");
    ground.tell(format!(
        "the approvers begin epoch {} after block {}, {:.1} s later",
        terms.committee.epoch(),
        terms.last.header.height,
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

async fn salvage(ground: &mut Ground<'_>, all: &[usize], gone: &[usize]) -> Result<(), Failure> {
    let left: Vec<usize> = all.iter().copied().filter(|node| !gone.contains(node)).collect();
    let gateway = GatewayConfig::load(&ground.layout().gateway(None).join(layout::GATEWAY_CONFIG))?;
    let to = ground.layout().root().join("salvaged");
    let task = Task {
        output: ground.output(),
        directories: left.iter().map(|node| ground.directory(*node)).collect(),
        key: Key {
            lineage: gateway.lineage,
            tenant: gateway.vault.tenant,
            master_key: gateway.vault.master_key,
        },
        to: to.clone(),
        bucket: None,
        at: None,
        all_versions: false,
    };
    let (stored, began) = (ground.stored(), Instant::now());
    let work = tokio::task::spawn_blocking(move || {
        let salvaged = bare::salvage(&task)?;
        compare(&to, &stored).map(|wrong| (salvaged, wrong))
    });
    let outcome = work.await.expect("salvaging does not panic");
    let (salvaged, (lost, false_reads)) = outcome?;
    ground.lost_elsewhere += lost;
    ground.false_elsewhere += false_reads;
    ground.tell(format!(
        "{} objects read off the disks of {} in {:.1} s; {lost} lost, {false_reads} false",
        salvaged.written,
        names(&left),
        began.elapsed().as_secs_f64()
    ));
    if !salvaged.is_complete() {
        ground.miss("all objects are salvaged");
    }
    Ok(())
}

/// Of the objects stored, how many are not among the files, and how many are with other bytes.
fn compare(salvaged: &Path, stored: &[Stored]) -> Result<(u64, u64), Failure> {
    let path = salvaged.join(LIST);
    let list = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    let mut files = BTreeMap::new();
    for line in list.lines() {
        let line: Value = serde_json::from_str(line)
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))?;
        if let (Some(key), Some(file)) = (line["key"].as_str(), line["file"].as_str()) {
            files.insert(key.to_owned(), salvaged.join(file));
        }
    }
    let (mut lost, mut false_reads) = (0, 0);
    for object in stored {
        let Some(path) = files.get(&object.key) else {
            lost += 1;
            continue;
        };
        let sha256 = hash(path).map_err(|error| Failure::file("read", path, &error))?;
        false_reads += u64::from(sha256 != object.sha256);
    }
    Ok((lost, false_reads))
}

fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&piece[..read]),
        }
    }
}
