//! Why a node's answer was no help, and why an operation failed.

use proof::Digest;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many nodes have no room left.
    #[error("too many nodes have no room left")]
    Full,
    /// The nodes, or this gateway's links to them, have more work than they take. Nothing is wrong; try later.
    #[error("too many nodes are overloaded")]
    Overloaded,
    /// Too few nodes answered in time.
    #[error("{good} nodes where {needed} are needed; {failures}")]
    Unavailable {
        /// Nodes that did what was asked.
        good: usize,
        /// Nodes that must.
        needed: usize,
        /// What the others said, as text.
        failures: String,
    },
    /// The nodes answered, and too few of them hold it.
    #[error("{good} nodes hold {id} where {needed} are needed; {failures}")]
    Lost {
        /// The chunk or page.
        id: Digest,
        /// Nodes that gave it, or their shard of it.
        good: usize,
        /// Nodes that must.
        needed: usize,
        /// What the others said, as text.
        failures: String,
    },
    /// The chunk's writer did not encode it consistently: it has no contents.
    #[error("chunk {0} was not encoded consistently by its writer")]
    Inconsistent(Digest),
    /// The nodes refused: what was put or certified is not as the protocol wants it.
    #[error("refused: {0}")]
    Refused(String),
}

/// Why one node's answer was no help.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Unreachable(String),
    #[error("overloaded")]
    Overloaded,
    #[error("no room left")]
    Full,
    #[error("does not hold it")]
    NotHeld,
    #[error("its shard log has failed")]
    Broken,
    #[error("refused: {0}")]
    Refused(String),
    /// The node sent something that no correct node sends; the evidence as text.
    #[error("false: {0}")]
    Lied(String),
}

impl Failure {
    /// Whether asking again soon may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Overloaded)
    }
}

impl From<link::Error> for Failure {
    fn from(error: link::Error) -> Self {
        match error {
            link::Error::Overloaded => Self::Overloaded,
            link::Error::ReplyTooLarge => Self::Lied("an answer longer than any there is".into()),
            error => Self::Unreachable(error.to_string()),
        }
    }
}

/// The error that these failures of nodes add up to; for a get, of `id`.
pub(super) fn sum(good: usize, needed: usize, failures: &[(usize, Failure)], id: Option<Digest>) -> Error {
    let text: Vec<String> =
        failures.iter().map(|(node, failure)| format!("node {node}: {failure}")).collect();
    let text = text.join("; ");
    let is_any = |test: fn(&Failure) -> bool| failures.iter().any(|(_, failure)| test(failure));
    let refusal = failures.iter().find_map(|(_, failure)| match failure {
        Failure::Refused(reason) => Some(reason),
        _ => None,
    });
    match (refusal, id) {
        _ if is_any(|failure| matches!(failure, Failure::Full)) => Error::Full,
        _ if is_any(|failure| matches!(failure, Failure::Overloaded)) => Error::Overloaded,
        (Some(reason), _) => Error::Refused(reason.clone()),
        (None, Some(id))
            if !is_any(|failure| matches!(failure, Failure::Unreachable(_) | Failure::Broken)) =>
        {
            Error::Lost { id, good, needed, failures: text }
        }
        _ => Error::Unavailable { good, needed, failures: text },
    }
}
