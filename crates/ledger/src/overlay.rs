//! Reading the state, and writing to it without touching it.

use crate::{key::StateKey, record::Record};
use std::{collections::BTreeMap, fmt::Debug};

/// A state to read.
pub trait View {
    /// The record at `key`, if there is one.
    fn get(&self, key: &StateKey) -> Option<Record>;
}

impl View for BTreeMap<StateKey, Record> {
    fn get(&self, key: &StateKey) -> Option<Record> {
        BTreeMap::get(self, key).cloned()
    }
}

/// A view with writes on top. It is a view itself, so overlays nest: a transaction's on its block's.
pub(crate) struct Overlay<'a, V> {
    below: &'a V,
    writes: BTreeMap<StateKey, Record>,
}

impl<'a, V: View> Overlay<'a, V> {
    /// Nothing written yet.
    pub(crate) fn new(below: &'a V) -> Self {
        Self { below, writes: BTreeMap::new() }
    }

    /// The record at `key`, which by the domain of the key is of kind `R`.
    pub(crate) fn read<R: TryFrom<Record, Error: Debug>>(&self, key: &StateKey) -> Option<R> {
        self.get(key).map(|record| R::try_from(record).expect("each kind of record has a domain of keys"))
    }

    /// As [`Self::read`], of what was written here, not below.
    pub(crate) fn written<R: TryFrom<Record, Error: Debug>>(&self, key: &StateKey) -> Option<R> {
        let record = self.writes.get(key).cloned();
        record.map(|record| R::try_from(record).expect("each kind of record has a domain of keys"))
    }

    /// Sets the record at `key`.
    pub(crate) fn write(&mut self, key: StateKey, record: impl Into<Record>) {
        self.writes.insert(key, record.into());
    }

    /// Takes over what an overlay on top wrote.
    pub(crate) fn absorb(&mut self, mut writes: BTreeMap<StateKey, Record>) {
        self.writes.append(&mut writes);
    }

    /// What was written.
    pub(crate) fn into_writes(self) -> BTreeMap<StateKey, Record> {
        self.writes
    }
}

impl<V: View> View for Overlay<'_, V> {
    fn get(&self, key: &StateKey) -> Option<Record> {
        self.writes.get(key).cloned().or_else(|| self.below.get(key))
    }
}
