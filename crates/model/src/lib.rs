//! Protocols as state machines, searched exhaustively.
//!
//! Here are no protocols, only models of them, in `tests/`: each states in its documentation which code it is a model of,
//! and how it differs. They are a crate of their own because a model needs nothing of ours, and a model checker is needed
//! by nothing else.
