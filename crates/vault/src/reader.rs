//! Reading an object's bytes.
//!
//! Chunks that hold some of the range are located page by page, fetched and decrypted each in a task of its own, and
//! given out in order. A reader waits for room for one chunk; chunks ahead of it it asks for only while half of all
//! room is free. So readers of slow callers, which give nothing back, leave room for others.

use crate::{
    CHUNKS_AHEAD, Context, Error, Object, Vault,
    dispersal::stopped,
    layout::{Located, PagePlace, locate, matches, pages_within},
    object::Contents,
    sealed::Secret,
};
use blob::{DataKey, SegmentKey};
use bytes::Bytes;
use chain::client::PayloadView;
use commonware_runtime::AbortOnDrop;
use commonware_utils::sync::Exclusive;
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use proof::{
    Manifest,
    manifest::{Page, PageRef},
};
use std::{
    collections::VecDeque,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};
use tokio::sync::OwnedSemaphorePermit;

/// The bytes of an object, in order, as they come from the nodes: verified and decrypted. After an error it ends.
/// Dropping it stops fetching.
pub struct Reader {
    stream: Exclusive<BoxStream<'static, Result<Bytes, Error>>>,
}

impl Reader {
    /// The bytes of `range`, which lies within the object.
    pub(crate) fn open<E: Context>(vault: &Vault<E>, object: &Object, range: Range<u64>) -> Self {
        let stream = match &object.contents.ciphertext {
            _ if range.is_empty() => stream::empty().boxed(),
            PayloadView::Inline(ciphertext) => {
                let plaintext = decrypt_inline(vault, &object.contents, ciphertext);
                let piece = plaintext.map(|bytes| bytes.slice(range.start as usize..range.end as usize));
                stream::once(async { piece }).boxed()
            }
            PayloadView::Manifest(manifest) => {
                let fetch = Fetch::new(vault.clone(), &object.contents.sealed.data_key, manifest, range);
                match fetch {
                    Ok(fetch) => stream::try_unfold(fetch, |fetch| fetch.next().boxed()).boxed(),
                    Err(error) => stream::once(async { Err(error) }).boxed(),
                }
            }
        };
        Self { stream: Exclusive::new(stream) }
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.stream.get_mut().as_mut().poll_next(context)
    }
}

fn decrypt_inline<E: Context>(
    vault: &Vault<E>,
    contents: &Contents,
    ciphertext: &Bytes,
) -> Result<Bytes, Error> {
    let key = SegmentKey::new(*contents.sealed.data_key.bytes());
    blob::open_chunk(&vault.shared.code, &key, 0, ciphertext).map_err(|_| undecryptable())
}

/// A range of a stored object being fetched.
struct Fetch<E: Context> {
    vault: Vault<E>,
    data_key: DataKey,
    range: Range<u64>,
    /// Pages not yet looked into.
    pages: VecDeque<Source>,
    /// Chunks not yet asked for.
    located: VecDeque<Located>,
    /// The segment of the chunk asked for last.
    segment: Option<(u32, Arc<SegmentKey>)>,
    /// Chunks asked for.
    ahead: VecDeque<AbortOnDrop<Result<Fetched, Error>>>,
    /// Room for the chunk given out last: its bytes are with the caller until it asks for more.
    given: Option<OwnedSemaphorePermit>,
}

enum Source {
    Here(Page),
    Stored(PageRef, PagePlace),
}

struct Fetched {
    bytes: Bytes,
    room: OwnedSemaphorePermit,
}

impl<E: Context> Fetch<E> {
    fn new(
        vault: Vault<E>,
        data_key: &Secret,
        manifest: &Manifest,
        range: Range<u64>,
    ) -> Result<Self, Error> {
        let pages = match manifest {
            Manifest::Direct(page) => VecDeque::from([Source::Here(page.clone())]),
            Manifest::Paged(pages) => pages_within(pages, &range)?
                .into_iter()
                .map(|(page, place)| Source::Stored(page, place))
                .collect(),
        };
        let (located, ahead) = (VecDeque::new(), VecDeque::new());
        Ok(Self {
            vault,
            data_key: data_key.data_key(),
            range,
            pages,
            located,
            segment: None,
            ahead,
            given: None,
        })
    }

    /// The next bytes, and the rest; `None` at the end.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        self.given = None;
        self.ask_ahead().await?;
        let Some(first) = self.ahead.pop_front() else { return Ok(None) };
        let Fetched { bytes, room } = first.join().await.map_err(|_| stopped())??;
        self.given = Some(room);
        Ok(Some((bytes, self)))
    }

    /// Asks for chunks until enough are on the way, there is no room, or none are left.
    async fn ask_ahead(&mut self) -> Result<(), Error> {
        while self.ahead.len() < CHUNKS_AHEAD {
            if self.located.is_empty() && !self.look_into_next_page().await? {
                return Ok(());
            }
            let limit = &self.vault.shared.chunks_read;
            if !self.ahead.is_empty() && limit.available_permits() <= self.vault.shared.limits.chunks_read / 2
            {
                return Ok(());
            }
            let room = self.vault.room(limit).await?;
            if let Some(located) = self.located.pop_front() {
                self.ask(located, room)?;
            }
        }
        Ok(())
    }

    /// Locates chunks in the next page; `false` when there is none.
    async fn look_into_next_page(&mut self) -> Result<bool, Error> {
        let (page, place) = match self.pages.pop_front() {
            None => return Ok(false),
            Some(Source::Here(page)) => (page, PagePlace { offset: 0, chunks: 0 }),
            Some(Source::Stored(reference, place)) => (self.vault.get_page(&reference).await?, place),
        };
        self.located.extend(locate(&page, place, &self.range)?);
        Ok(true)
    }

    fn ask(&mut self, located: Located, room: OwnedSemaphorePermit) -> Result<(), Error> {
        let key = self.segment_key(&located)?;
        let vault = self.vault.clone();
        let task = self.vault.shared.context.child("fetch").spawn(move |_| async move {
            let ciphertext =
                vault.patiently(|| async { Ok(vault.shared.shards.get_chunk(&located.id).await?) }).await?;
            let plaintext = blob::open_chunk(&vault.shared.code, &key, located.number, &ciphertext)
                .map_err(|_| undecryptable())?;
            if plaintext.len() as u64 != located.length {
                return Err(Error::Damaged("a chunk is not as long as its manifest says".into()));
            }
            Ok(Fetched { bytes: plaintext.slice(located.wanted), room })
        });
        self.ahead.push_back(task.abort_on_drop());
        Ok(())
    }

    fn segment_key(&mut self, located: &Located) -> Result<Arc<SegmentKey>, Error> {
        match &self.segment {
            Some((segment, key)) if *segment == located.segment => Ok(key.clone()),
            _ => {
                let key = blob::unwrap_segment_key(&self.data_key, located.segment, &located.sealed_key);
                let key = Arc::new(key.map_err(|_| undecryptable())?);
                self.segment = Some((located.segment, key.clone()));
                Ok(key)
            }
        }
    }
}

impl<E: Context> Vault<E> {
    /// A page of a manifest. Errors: `Damaged` when it is not as its reference says.
    pub(crate) async fn get_page(&self, reference: &PageRef) -> Result<Page, Error> {
        let page = self.patiently(|| async { Ok(self.shared.shards.get_page(&reference.id).await?) }).await?;
        if matches(&page, reference) {
            Ok(page)
        } else {
            Err(Error::Damaged("a page is not as its manifest says".into()))
        }
    }
}

fn undecryptable() -> Error {
    Error::Damaged("a chunk does not decrypt".into())
}
