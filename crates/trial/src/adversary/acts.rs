//! What adversaries really did.

use commonware_utils::sync::Mutex;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Counters by who acted and how. Clones share them, so one is enough for a whole network.
#[derive(Clone, Debug, Default)]
pub struct Acts {
    counts: Arc<Mutex<BTreeMap<(&'static str, &'static str), u64>>>,
}

impl Acts {
    /// Counts one act of `who`.
    pub fn count(&self, who: &'static str, act: &'static str) {
        *self.counts.lock().entry((who, act)).or_default() += 1;
    }

    /// How often each did what, by name.
    pub fn counts(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.counts.lock().clone()
    }

    /// All that `who` did.
    pub fn of(&self, who: &str) -> u64 {
        self.counts.lock().iter().filter(|((name, _), _)| *name == who).map(|(_, count)| count).sum()
    }

    /// Everything that was done.
    pub fn total(&self) -> u64 {
        self.counts.lock().values().sum()
    }
}

/// One line an act, by name.
impl fmt::Display for Acts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((who, act), count) in self.counts() {
            writeln!(f, "{who}: {act}: {count}")?;
        }
        Ok(())
    }
}
