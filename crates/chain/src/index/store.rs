//! The ordered rows below an index: in memory for simulation, on disk for nodes.

use bytes::Bytes;

/// Rows in byte order of their keys. Clones share the rows.
///
/// Rows are only ever added, or written again with the same bytes, except for the one that holds the height. So a
/// reader that leaves out what is newer than the height it reads at needs no snapshot: commits meanwhile do not change
/// what it sees.
pub trait Store: Clone + Send + Sync + 'static {
    /// The row with this key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Shows `visit` the rows from `from` on and before `until`, in order, as it directs.
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Writes rows, all or none also over a crash, but not necessarily before a crash of the machine: rows of the
    /// newest commits may be gone then. After an error the store is not to be used.
    fn commit(&self, rows: Vec<(Vec<u8>, Bytes)>) -> Result<(), StoreError>;
}

/// Takes a row's key and value, and says where to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<Step, StoreError> + 'a;

/// Where a scan goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// At the next row.
    Next,
    /// At the first row whose key is not less than this, which is greater than the present one.
    Seek(Vec<u8>),
    /// Nowhere.
    Stop,
}

/// As of when a page is read, and how much work it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The state after the block of this height is read.
    pub(super) height: u64,
    /// What is newer than `height`, up to this height, is left out as well, but counts as examined: nodes that have
    /// got this far count alike.
    pub(super) tip: u64,
    /// A page ends when it has examined so much. Two at the least: what a key had later, and what it had then.
    pub(super) examined_max: usize,
}

/// The rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine below failed.
    #[error("the index's store failed: {0}")]
    Failed(String),
    /// A row is not what was written, or one is missing.
    #[error("the index is damaged ({0}); delete it and restart the node to have it rebuilt from blocks")]
    Damaged(&'static str),
}
