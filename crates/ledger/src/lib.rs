//! What a transaction may do: a pure state machine.
