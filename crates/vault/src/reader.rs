//! Reading an object's bytes.

use crate::Error;
use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

/// The bytes of an object, in order, as they come from the nodes: verified and decrypted. After an error it ends.
/// Dropping it stops fetching.
pub struct Reader {
    // The lock is never contended (polling has `&mut`); it only makes the reader `Sync`.
    stream: Mutex<BoxStream<'static, Result<Bytes, Error>>>,
}

impl Stream for Reader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.stream.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        stream.as_mut().poll_next(context)
    }
}
