//! A gateway's core: the one write path and the one read path.

mod error;
mod limits;
mod metadata;
mod object;
mod reader;
mod types;
mod vault;
mod writer;

pub use error::{ConnectError, Error};
pub use limits::*;
pub use metadata::Metadata;
pub use proof::transaction::Place;
pub use reader::Reader;
pub use types::*;
pub use vault::{Config, Vault};
pub use writer::{PartWriter, Writer};

/// What a vault needs of its runtime. Every commonware runtime context has it.
pub trait Context: link::Context {}

impl<E: link::Context> Context for E {}
