//! Why a call on the network did not give what was asked.

use ledger::Refusal;

/// Why a read gave nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Too few nodes gave an answer that holds.
    #[error("{answered} of the {needed} nodes needed answered: {last}")]
    Unavailable {
        /// Nodes that did.
        answered: usize,
        /// Nodes needed.
        needed: usize,
        /// What kept the last of the others from it.
        last: String,
    },
    /// Nodes answered that they have no room now.
    #[error("the nodes are overloaded; try again later")]
    Overloaded,
    /// Not enough nodes agreed in time.
    #[error("the nodes did not agree on a listing in time")]
    Disagreement,
}

/// Why a transaction was not applied, or is not known to be.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// It can never be applied: more nodes say so than can be faulty.
    #[error("the transaction is not admissible: {0}")]
    Inadmissible(String),
    /// It was ordered and refused: proven. It changed nothing.
    #[error("refused at height {height}: {refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The block's height.
        height: u64,
    },
    /// It was ordered and refused for a reason that this program does not know: proven. It changed nothing.
    #[error("refused at height {height} with code {code}; this program is older than the network's")]
    RefusedUnknown {
        /// The code.
        code: u16,
        /// The block's height.
        height: u64,
    },
    /// More nodes than can be faulty have no room. Should others have taken it, it may still be applied before it
    /// expires.
    #[error("the nodes are overloaded; try again later")]
    Overloaded,
    /// Its time is over and it was not ordered: proven. It changed nothing and never will.
    #[error("the transaction expired before it was ordered")]
    Expired,
    /// It could not be sent to any node. It changed nothing.
    #[error("no node could be reached: {last}")]
    Unavailable {
        /// What kept the last one from being reached.
        last: String,
    },
    /// It was sent, and what became of it is not known. It may be applied until it expires.
    #[error("the outcome is not known yet: {last}")]
    Unknown {
        /// What kept the last node from answering.
        last: String,
    },
}
