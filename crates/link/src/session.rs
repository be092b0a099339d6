//! What both ends share: the handshake's parameters, reading with a deadline, writing in batches.

use crate::{
    Context, Reason,
    cipher::Aes256Gcm,
    frame::{self, FRAME_MAX},
    limits::{BATCH_BYTES, Limits},
};
use bytes::Bytes;
use commonware_cryptography::ed25519::PrivateKey;
use commonware_macros::select;
use commonware_runtime::{IoBufs, Sink, Stream};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};

/// Separates the handshakes of links from all else that signs with the same keys.
const NAMESPACE: &[u8] = b"_OUTLAST_LINK_V1";

/// Longest message of the stream.
pub(crate) const MESSAGE_MAX: u32 = FRAME_MAX as u32;

pub(crate) type Upgrade = Cups<Sake<PrivateKey>, Aes256Gcm>;

pub(crate) fn upgrade(key: PrivateKey, limits: &Limits) -> Upgrade {
    let sake = Sake {
        signer: key,
        synchrony_bound: limits.clock_skew,
        max_handshake_age: limits.clock_skew + limits.handshake_timeout,
        version: sake::Version::V1,
    };
    Cups::new(sake, cups::Version::V1)
}

/// The handshake's namespace for a network.
pub(crate) fn namespace(network: &[u8]) -> Vec<u8> {
    [NAMESPACE, network].concat()
}

/// Receives messages, and gives up on a silent peer.
pub(crate) struct Reader<E, I> {
    pub(crate) context: E,
    pub(crate) limits: Limits,
    pub(crate) receiver: cups::Receiver<Aes256Gcm, I>,
}

impl<E: Context, I: Stream> Reader<E, I> {
    /// The next message. After an error, or when cancelled, the connection must be discarded.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Reason> {
        select! {
            message = self.receiver.recv() => message
                .map(|message| message.coalesce().into())
                .map_err(|error| Reason::Broken(error.to_string())),
            _ = self.context.sleep(self.limits.silence) => Err(Reason::Silent),
        }
    }
}

/// Sends messages, each write within its deadline.
pub(crate) struct Writer<E, O> {
    pub(crate) context: E,
    pub(crate) limits: Limits,
    pub(crate) sender: cups::Sender<Aes256Gcm, O>,
}

impl<E: Context, O: Sink> Writer<E, O> {
    /// Writes all messages in order, small ones together. Waits for the first deadline missed at most.
    pub(crate) async fn write(&mut self, messages: Vec<IoBufs>) -> Result<(), Reason> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for message in messages {
            if !batch.is_empty() && bytes + message.len() > BATCH_BYTES {
                self.write_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += message.len();
            batch.push(message);
        }
        self.write_batch(batch).await
    }

    /// Writes a keepalive.
    pub(crate) async fn keepalive(&mut self) -> Result<(), Reason> {
        self.write_batch(vec![frame::keepalive()]).await
    }

    async fn write_batch(&mut self, batch: Vec<IoBufs>) -> Result<(), Reason> {
        select! {
            sent = self.sender.send_many(batch) => sent.map_err(|error| Reason::Broken(error.to_string())),
            _ = self.context.sleep(self.limits.write_timeout) => Err(Reason::WriteTimeout),
        }
    }
}
