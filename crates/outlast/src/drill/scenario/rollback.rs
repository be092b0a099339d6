//! `rollback`: a node is stopped for a moment early on and its directories copied, as a snapshot of its machine would:
//! data and votes. Later it is killed, and both are put back to that copy. It then has forgotten votes that it cast, which
//! is what makes a rollback dangerous: it may contradict them.
//!
//! Expected: the network goes on, and nobody is told anything false. The node finds out by asking the others, observes, and
//! votes again after its quarantine, with another journal than the one in the copy.

use super::HEAL_PATIENCE;
use crate::{
    drill::ground::{Ground, drawn, names},
    failure::Failure,
    files,
};
use std::{fs, io, path::Path};

/// Shares of the bytes acknowledged when the copy is made and when it is put back, in percent.
const COPY_AT: u64 = 20;
const RETURN_AT: u64 = 60;

pub(super) async fn harm(ground: &mut Ground<'_>) -> Result<(), Failure> {
    let node = drawn(ground.n(), 1)[0];
    let places = [ground.directory(node), ground.votes(node)];
    let copies = ["copy-of-data", "copy-of-votes"].map(|name| ground.layout().root().join(name));
    ground.acknowledged(COPY_AT).await;
    ground.kill(node).await;
    for (place, copy) in places.iter().zip(&copies) {
        copy_directory(place, copy).map_err(|error| Failure::file("copy", place, &error))?;
    }
    ground.start(node);
    ground.tell(format!("the directories of {} copied", names(&[node])));
    ground.acknowledged(RETURN_AT).await;
    ground.fault_begins();
    ground.kill(node).await;
    for (place, copy) in places.iter().zip(&copies) {
        files::remove_directory(place)?;
        fs::rename(copy, place).map_err(|error| Failure::file("put back", place, &error))?;
    }
    let copied = marker(ground, node);
    ground.start(node);
    ground.tell(format!("{} put back to that copy: data and votes", names(&[node])));
    let name = names(&[node]);
    match ground.healed(&[node], true, HEAL_PATIENCE).await {
        Ok(()) if marker(ground, node) == copied => {
            ground.miss(format!("{name} finds out that it has forgotten votes"));
        }
        Ok(()) => ground.tell(format!("{name} found out, was in quarantine, lacks nothing, and votes again")),
        Err(why) => ground.miss(format!("{name} comes back: {why}")),
    }
    ground.fault_ends();
    Ok(())
}

/// What says which journal of votes the node goes by.
fn marker(ground: &Ground<'_>, node: usize) -> Option<String> {
    fs::read_to_string(ground.votes(node).join("voter")).ok()
}

/// Copies a directory, whose files may be mostly holes: those stay holes.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    use std::{io::Read as _, os::unix::fs::FileExt as _};
    let (mut source, target) = (fs::File::open(from)?, fs::File::create(to)?);
    let (mut offset, mut block) = (0, vec![0; 1 << 20]);
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            return target.set_len(offset);
        }
        if block[..read].iter().any(|byte| *byte != 0) {
            target.write_all_at(&block[..read], offset)?;
        }
        offset += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_equal() {
        let base = tempfile::tempdir().unwrap();
        let (from, to) = (base.path().join("from"), base.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        let mut bytes = vec![0; 3 << 20];
        bytes[(1 << 20) + 5] = 7;
        fs::write(from.join("a/b/holes"), &bytes).unwrap();
        fs::write(from.join("empty"), "").unwrap();
        copy_directory(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("a/b/holes")).unwrap(), bytes);
        assert_eq!(fs::read(to.join("empty")).unwrap(), b"");
    }
}
