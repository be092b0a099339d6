//! Listings, on which f + 1 nodes agree: see [`Agreement`].

use super::{
    BucketView, BucketsView, Client, Context, CurrentView, ListedVersionView, MomentView, ObjectView,
    ObjectsView, PartView, PartsView, ReadError, UploadsView, VersionsView,
    agreement::{Agreement, Ask},
    calls::{Calls, Event},
    peers::Message,
    read::is_overloaded,
    verify::{Fault, Rejected, manifest, unexpected},
};
use crate::protocol::{
    Answer, BucketsPage, ListRequest, ListedPart, ListedVersion, Listing, Moment, ObjectsPage, Page,
    PageAnswer, PartsPage, Request, UploadsPage, VersionsPage,
};
use bytes::Bytes;
use proof::{Digest, wire::Octets};
use std::time::SystemTime;

impl<E: Context> Client<E> {
    /// A page as of a height, which a quorum has applied, or as of now: at the height given with it.
    pub(super) async fn page(&self, listing: Listing, at: Option<u64>) -> Result<PageAnswer, ReadError> {
        let deadline = self.read_deadline();
        let (height, tip) = match at {
            Some(height) if !listing.is_walk() => (height, height),
            at => {
                let tip = self.read_tip(deadline).await?.header.height;
                (at.unwrap_or(tip), tip.max(at.unwrap_or(tip)))
            }
        };
        loop {
            let failed = match self.agree(&listing, height, tip, deadline).await {
                Ok(page) => return Ok(page),
                Err(failed) => failed,
            };
            self.retry_pause(deadline, failed).await?;
        }
    }

    async fn agree(
        &self,
        listing: &Listing,
        height: u64,
        tip: u64,
        deadline: SystemTime,
    ) -> Result<PageAnswer, ReadError> {
        let peers = &self.shared.peers;
        let needed = self.shared.committee.k();
        let mut agreement = Agreement::new(&peers.order(), needed);
        let mut calls = Calls::new(peers, deadline);
        let mut pages: Vec<(Digest, PageAnswer)> = Vec::new();
        let (mut answered, mut overloaded, mut last) = (0, 0, String::from("none was asked"));
        let agreed = loop {
            if let Some(agreed) = agreement.done() {
                break agreed;
            }
            for (node, ask) in agreement.asks() {
                let digest_only = ask == Ask::Digest;
                let listing = listing.clone();
                let request = Request::List(ListRequest { listing, height, tip, digest_only });
                calls.ask(node, ask, Message::new(&request), Some(peers.hedge_after(node)));
            }
            let (node, ask, answer) = match calls.next().await {
                Some(Event::Answered(node, ask, answer)) => (node, ask, answer),
                Some(Event::Slow(node, ask)) => {
                    if agreement.slow(node, ask) {
                        peers.stalled(node);
                    }
                    continue;
                }
                Some(Event::Again(..) | Event::Over) => continue,
                None if overloaded >= needed => return Err(ReadError::Overloaded),
                None if answered >= needed => return Err(ReadError::Disagreement),
                None => return Err(ReadError::Unavailable { answered, needed, last }),
            };
            overloaded += usize::from(is_overloaded(&answer));
            let checked = answer.map_err(|failed| Rejected::Unable(failed.to_string()));
            match checked.and_then(|answer| named(ask, height, answer)) {
                Ok((digest, page)) => {
                    answered += 1;
                    pages.extend(page.map(|page| (digest, page)));
                    agreement.answered(node, ask, digest);
                }
                Err(rejected) => {
                    last = self.rejected(node, "a listing", rejected);
                    agreement.failed(node, ask);
                }
            }
        };
        for (node, said) in agreement.deviating(agreed) {
            self.shared.peers.caught(node, "a listing", &Fault::Page { said, agreed });
        }
        let page = pages.into_iter().find(|(digest, _)| *digest == agreed);
        Ok(page.expect("the agreement is done only with the page at hand").1)
    }
}

/// The digest that a node names, with its page if that was asked for.
fn named(ask: Ask, height: u64, answer: Answer) -> Result<(Digest, Option<PageAnswer>), Rejected> {
    match (ask, answer) {
        (Ask::Page, Answer::Page(page)) if page.height == height => Ok((page.digest(), Some(page))),
        (Ask::Digest, Answer::PageDigest(digest)) => Ok((digest, None)),
        (_, answer) => Err(unexpected(answer)),
    }
}

// The pages below are agreed on, so an honest node made them: what does not fit is a difference between versions of the
// program, not a lie.

fn differs() -> ReadError {
    ReadError::Disagreement
}

pub(super) fn buckets(answer: PageAnswer) -> Result<BucketsView, ReadError> {
    let Page::Buckets(BucketsPage { buckets, more }) = answer.page else { return Err(differs()) };
    let buckets = buckets.into_inner().into_iter();
    let view = |bucket: crate::protocol::ListedBucket| BucketView {
        bucket: bucket.bucket,
        created: bucket.created,
        created_ms: bucket.created_ms,
    };
    Ok(BucketsView { height: answer.height, buckets: buckets.map(view).collect(), more })
}

pub(super) fn objects(answer: PageAnswer) -> Result<Option<ObjectsView>, ReadError> {
    let ObjectsPage { objects, prefixes, next } = match answer.page {
        Page::NoSuch => return Ok(None),
        Page::Objects(page) => page,
        _ => return Err(differs()),
    };
    let text = |prefix: &Octets<_>| String::from_utf8(prefix.to_vec()).map_err(|_| differs());
    let prefixes = prefixes.iter().map(text).collect::<Result<_, _>>()?;
    let objects = objects.into_inner().into_iter();
    let objects =
        objects.map(|of| ObjectView { entry: of.entry, sealed: of.sealed.bytes().clone() }).collect();
    let next = next.into_inner().pop();
    Ok(Some(ObjectsView { height: answer.height, objects, prefixes, next }))
}

pub(super) fn versions(answer: PageAnswer) -> Result<Option<VersionsView>, ReadError> {
    let VersionsPage { versions, prefixes, next } = match answer.page {
        Page::NoSuch => return Ok(None),
        Page::Versions(page) => page,
        _ => return Err(differs()),
    };
    let text = |prefix: &Octets<_>| String::from_utf8(prefix.to_vec()).map_err(|_| differs());
    let prefixes = prefixes.iter().map(text).collect::<Result<_, _>>()?;
    let view = |ListedVersion { entry, sealed, current, hidden }| ListedVersionView {
        entry,
        sealed: sealed.into_inner().pop().map(|sealed| sealed.bytes().clone()),
        current,
        hidden: hidden.first().map(|since| (since.changed, since.time_ms)),
    };
    let versions = versions.into_inner().into_iter().map(view).collect();
    let next = next.into_inner().pop();
    Ok(Some(VersionsView { height: answer.height, versions, prefixes, next }))
}

pub(super) fn current(answer: PageAnswer) -> Result<CurrentView, ReadError> {
    match answer.page {
        Page::NoSuch => Ok(CurrentView::NoBucket),
        Page::Current(version) => {
            Ok(version.first().copied().map_or(CurrentView::Absent, CurrentView::Version))
        }
        _ => Err(differs()),
    }
}

pub(super) fn annotation(answer: PageAnswer) -> Result<Option<Option<Bytes>>, ReadError> {
    match answer.page {
        Page::NoSuch => Ok(None),
        Page::Annotation(sealed) => Ok(Some(sealed.first().map(|sealed| sealed.bytes().clone()))),
        _ => Err(differs()),
    }
}

pub(super) fn moment(answer: PageAnswer) -> Result<Option<MomentView>, ReadError> {
    let Page::Moment(moment) = answer.page else { return Err(differs()) };
    let view = |moment: &Moment| MomentView { height: moment.height, time_ms: moment.time_ms };
    Ok(moment.first().map(view))
}

pub(super) fn uploads(answer: PageAnswer) -> Result<Option<UploadsView>, ReadError> {
    let UploadsPage { uploads, next } = match answer.page {
        Page::NoSuch => return Ok(None),
        Page::Uploads(page) => page,
        _ => return Err(differs()),
    };
    let uploads = uploads.into_inner().into_iter();
    let uploads = uploads.map(|upload| (upload.entry, upload.sealed.bytes().clone())).collect();
    let next = next.into_inner().pop();
    Ok(Some(UploadsView { height: answer.height, uploads, next }))
}

pub(super) fn parts(answer: PageAnswer) -> Result<Option<PartsView>, ReadError> {
    let PartsPage { parts, more } = match answer.page {
        Page::NoSuch => return Ok(None),
        Page::Parts(page) => page,
        _ => return Err(differs()),
    };
    let parts = parts.into_inner().into_iter().map(part).collect::<Result<_, _>>()?;
    Ok(Some(PartsView { height: answer.height, parts, more }))
}

fn part(part: ListedPart) -> Result<PartView, ReadError> {
    let ListedPart { entry, sealed, payload } = part;
    let payload = payload.into_inner().pop().map(|payload| manifest(payload.bytes().clone()));
    let manifest = payload.transpose().map_err(|_| differs())?;
    Ok(PartView { entry, sealed: sealed.bytes().clone(), manifest })
}
