//! An object's contents as its reader needs them.

use std::fmt;

/// Keys and payload of an object.
#[derive(Clone)]
pub(crate) struct Contents {}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents")
    }
}
