//! Submitting transactions: the one place where the vault changes anything.

use crate::{Condition, Context, Error, Vault, Written};
use bytes::Bytes;
use chain::client::{Committed, ReadError, SubmitError};
use ledger::Refusal;
use proof::{
    SignedTransaction, Transaction,
    transaction::{KeyAt, Operation, Place, Precondition},
    wire::List,
};
use std::time::UNIX_EPOCH;

/// What is to be done, if what must hold holds.
#[derive(Default)]
pub(crate) struct Intent {
    pub preconditions: Vec<Precondition>,
    pub operations: Vec<Operation>,
    /// The bytes that the operations name, in order.
    pub attachments: Vec<Bytes>,
}

impl Intent {
    pub(crate) fn of(operation: Operation) -> Self {
        Self { operations: vec![operation], ..Self::default() }
    }

    pub(crate) fn with(mut self, attachments: impl IntoIterator<Item = Bytes>) -> Self {
        self.attachments.extend(attachments);
        self
    }

    pub(crate) fn requiring(mut self, preconditions: impl IntoIterator<Item = Precondition>) -> Self {
        self.preconditions.extend(preconditions);
        self
    }
}

impl Condition {
    /// The precondition that says so of this key.
    pub(crate) fn on(self, place: &Place) -> Option<Precondition> {
        match self {
            Self::None => None,
            Self::IfAbsent => Some(Precondition::KeyAbsent(place.clone())),
            Self::IfVersion(version) => Some(Precondition::KeyAt(KeyAt { place: place.clone(), version })),
        }
    }
}

impl<E: Context> Vault<E> {
    /// Signs and submits, and returns when it is final and a quorum has applied it. When the nodes are overloaded it
    /// submits the same transaction again: no id is executed twice.
    pub(crate) async fn commit(&self, intent: Intent) -> Result<Committed, Error> {
        let shared = &self.shared;
        let now = shared.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        let few = "an intent of the vault has few operations";
        let transaction = Transaction {
            network: shared.network,
            tenant: shared.tenant,
            signer: shared.key.public_key(),
            nonce: self.random(),
            expires_ms: (now + shared.limits.expiry).as_millis() as u64,
            preconditions: List::new(intent.preconditions).expect(few),
            operations: List::new(intent.operations).expect(few),
        };
        self.submit(transaction.sign(&shared.key, intent.attachments)).await
    }

    /// Submits until it is known what became of it, or the nodes were overloaded for too long.
    pub(crate) async fn submit(&self, signed: SignedTransaction) -> Result<Committed, Error> {
        let mut attempts = 0;
        self.patiently(|| {
            attempts += 1;
            let (is_first, signed) = (attempts == 1, signed.clone());
            async move {
                self.shared.chain.submit(signed).await.map_err(|error| match error {
                    // Nobody got it now, but some node may have had room for it before.
                    SubmitError::Unavailable { .. } if !is_first => Error::Unknown(error.to_string()),
                    error => error.into(),
                })
            }
        })
        .await
    }
}

/// The first operation of what was committed.
pub(crate) fn written(committed: &Committed) -> Written {
    Written {
        version: committed.version(0),
        time_ms: committed.time_ms(),
        transaction: committed.transaction,
    }
}

impl From<SubmitError> for Error {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused { refusal, .. } => refusal.into(),
            SubmitError::Overloaded => Self::Overloaded,
            SubmitError::Expired | SubmitError::Unavailable { .. } => Self::Unavailable(error.to_string()),
            SubmitError::Unknown { .. } => Self::Unknown(error.to_string()),
            SubmitError::Inadmissible(_) | SubmitError::RefusedUnknown { .. } => {
                Self::NotAllowed(error.to_string())
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchBucket => Self::NoSuchBucket,
            Refusal::BucketExists => Self::BucketExists,
            Refusal::BucketNotEmpty => Self::BucketNotEmpty,
            Refusal::KeyPresent | Refusal::KeyMissing | Refusal::KeyChanged => Self::PreconditionFailed,
            Refusal::NoSuchUpload => Self::NoSuchUpload,
            Refusal::UploadChanged
            | Refusal::NoSuchVersion
            | Refusal::VersionHidden
            | Refusal::VersionShown
            | Refusal::VersionsChanged => Self::Conflict,
            Refusal::NotLockable => Self::NotLockable,
            Refusal::InvalidRetention => Self::InvalidRetention,
            Refusal::Retained | Refusal::RetainedByGovernance | Refusal::Held => {
                Self::Locked(refusal.to_string())
            }
            // Of time, and not of right: with a right clock, or when block time has caught up, it is taken.
            Refusal::Expired | Refusal::ExpiryTooFar => Self::Unavailable(refusal.to_string()),
            other => Self::NotAllowed(other.to_string()),
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Self::Overloaded,
            ReadError::Unavailable { .. } | ReadError::Disagreement => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_time_is_not_one_of_right() {
        for refusal in [Refusal::Expired, Refusal::ExpiryTooFar] {
            assert!(matches!(Error::from(refusal), Error::Unavailable(_)), "{refusal:?}");
        }
        assert!(matches!(Error::from(Refusal::NotSigner), Error::NotAllowed(_)));
    }
}
