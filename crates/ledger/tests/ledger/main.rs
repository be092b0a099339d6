//! Tests of the ledger: the rules one by one, whole histories against a simple model, admission, hostile
//! input, and the bytes of the state.

mod admission;
mod formats;
mod hiding;
mod hostile;
mod locks;
mod model;
mod network;
mod quotas;
mod rules;
