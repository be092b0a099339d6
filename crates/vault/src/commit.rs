//! Submitting transactions: the one place where the vault changes anything.

use crate::{Condition, Context, Error, Vault, Written};
use bytes::Bytes;
use chain::client::{Committed, HeadView, ReadError, SubmitError};
use ledger::Refusal;
use proof::{
    SignedTransaction, Transaction,
    transaction::{KeyAt, Operation, Place, Precondition},
    wire::List,
};
use std::time::UNIX_EPOCH;

/// Attempts at a write to a key that must be there, while others write to it.
const ATTEMPTS: u32 = 8;

/// What is to be done, if what must hold holds.
#[derive(Clone, Default)]
pub(crate) struct Intent {
    pub preconditions: Vec<Precondition>,
    /// A key that must hold some object.
    pub present: Option<Place>,
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

    pub(crate) fn requiring<R: Into<Requirement>>(mut self, required: impl IntoIterator<Item = R>) -> Self {
        for required in required {
            match required.into() {
                Requirement::Holds(precondition) => self.preconditions.push(precondition),
                Requirement::Present(place) => self.present = Some(place),
            }
        }
        self
    }
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// This, as the ledger has it.
    Holds(Precondition),
    /// The key holds an object. The ledger knows only that it holds a certain version.
    Present(Place),
}

impl From<Precondition> for Requirement {
    fn from(precondition: Precondition) -> Self {
        Self::Holds(precondition)
    }
}

impl Condition {
    /// What says so of this key.
    pub(crate) fn on(self, place: &Place) -> Option<Requirement> {
        let place = place.clone();
        match self {
            Self::None => None,
            Self::IfAbsent => Some(Precondition::KeyAbsent(place).into()),
            Self::IfVersion(version) => Some(Precondition::KeyAt(KeyAt { place, version }).into()),
            Self::IfPresent => Some(Requirement::Present(place)),
        }
    }
}

impl<E: Context> Vault<E> {
    /// Signs and submits, and returns when it is final and a quorum has applied it. When the nodes are overloaded it
    /// submits the same transaction again: no id is executed twice.
    pub(crate) async fn commit(&self, intent: Intent) -> Result<Committed, Error> {
        let Some(place) = intent.present.clone() else { return self.commit_once(intent).await };
        for attempt in 1.. {
            // It is there if it is still the version that it is now, or if what is there then is.
            let HeadView::Object(current) = self.view(&place).await? else {
                return Err(Error::PreconditionFailed);
            };
            let at = KeyAt { place: place.clone(), version: current.entry.version };
            match self.commit_once(intent.clone().requiring([Precondition::KeyAt(at)])).await {
                Err(Error::PreconditionFailed) if attempt < ATTEMPTS => {}
                committed => return committed,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn commit_once(&self, intent: Intent) -> Result<Committed, Error> {
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
            Refusal::QuotaExceeded => Self::QuotaExceeded,
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
