//! Rows in memory.

use super::store::{Step, Store, StoreError, Visit};
use bytes::Bytes;
use commonware_utils::sync::RwLock;
use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
    sync::Arc,
};

/// Rows in memory. They live as long as the last clone.
#[derive(Clone, Default)]
pub struct Memory {
    rows: Arc<RwLock<BTreeMap<Vec<u8>, Bytes>>>,
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.rows.read().get(key).cloned())
    }

    fn scan(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let rows = self.rows.read();
        let mut from = from.to_vec();
        'seek: while from.as_slice() < until {
            for (key, value) in rows.range::<[u8], _>((Included(from.as_slice()), Excluded(until))) {
                match visit(key, value)? {
                    Step::Next => {}
                    Step::Stop => return Ok(()),
                    Step::Seek(to) => {
                        debug_assert!(to > *key, "a scan goes forward");
                        from = to;
                        continue 'seek;
                    }
                }
            }
            return Ok(());
        }
        Ok(())
    }

    fn commit(&self, rows: Vec<(Vec<u8>, Bytes)>) -> Result<(), StoreError> {
        self.rows.write().extend(rows);
        Ok(())
    }
}
