//! What a node hears, when a second process runs with its key.
//!
//! Peers know one node by that key. What they send may reach either process; here it reaches both, so that both are
//! fully part of it, and what either says is the node's word. That is the most harm that two processes with one key can
//! do: with real connections, of which peers keep one, each would have a part of it.

use commonware_cryptography::ed25519;
use commonware_p2p::{Message, Receiver};
use commonware_utils::{channel::mpsc, sync::Mutex};
use std::{fmt, future::pending, num::NonZeroUsize, sync::Arc};

/// Messages that the second process has not taken yet, per channel, at most: what does not fit is lost.
const QUEUE: usize = 4_096;

type Queue = mpsc::Sender<Message<ed25519::PublicKey>>;

/// Where the second process listens, by channel. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Mutex<Vec<Queue>>>);

impl Copies {
    /// From now on a second process hears everything, too. Gives its ears.
    pub(crate) fn listen<R>(&self, channels: usize, capacity: NonZeroUsize) -> Vec<Ear<R>> {
        let (queues, ears) = (0..channels)
            .map(|_| {
                let (queue, heard) = mpsc::channel(QUEUE);
                (queue, Ear::Copied { heard, capacity })
            })
            .unzip();
        *self.0.lock() = queues;
        ears
    }

    fn pass_on(&self, channel: usize, message: &Message<ed25519::PublicKey>) {
        if let Some(queue) = self.0.lock().get(channel) {
            // Lost if the other does not keep up, or has died.
            let _ = queue.try_send(message.clone());
        }
    }
}

/// A channel's receiver.
pub(crate) enum Ear<R> {
    /// Of the process that is connected.
    Own {
        /// The connection.
        receiver: R,
        /// The channel's number.
        channel: usize,
        /// Who else listens.
        copies: Copies,
    },
    /// Of a second process.
    Copied {
        /// What the first one hears.
        heard: mpsc::Receiver<Message<ed25519::PublicKey>>,
        /// As of the connection.
        capacity: NonZeroUsize,
    },
}

impl<R> fmt::Debug for Ear<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Own { .. } => "Own",
            Self::Copied { .. } => "Copied",
        };
        f.debug_struct(name).finish_non_exhaustive()
    }
}

impl<R: Receiver<PublicKey = ed25519::PublicKey>> Receiver for Ear<R> {
    type Error = R::Error;
    type PublicKey = ed25519::PublicKey;

    async fn recv(&mut self) -> Result<Message<ed25519::PublicKey>, R::Error> {
        match self {
            Self::Own { receiver, channel, copies } => {
                let message = receiver.recv().await?;
                copies.pass_on(*channel, &message);
                Ok(message)
            }
            Self::Copied { heard, .. } => match heard.recv().await {
                Some(message) => Ok(message),
                None => pending().await,
            },
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        match self {
            Self::Own { receiver, .. } => receiver.capacity(),
            Self::Copied { capacity, .. } => *capacity,
        }
    }
}
