//! The commands, one file each.

pub(crate) mod diff;
pub(crate) mod drill;
pub(crate) mod gateway;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod mb;
pub(crate) mod node;
pub(crate) mod put;
pub(crate) mod quota;
pub(crate) mod receipt;
pub(crate) mod recover;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod salvage;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod survey;
pub(crate) mod tenant;
pub(crate) mod undelete;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod versions;
