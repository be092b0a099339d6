//! Reading as of an earlier block.

use crate::{
    Context, Error, Moment, Object, Vault, VersionsRequest, object,
    visibility::{newer, of_key},
};
use chain::client::{CurrentView, HeadView};
use proof::{VersionId, transaction::Place};
use std::time::{Duration, UNIX_EPOCH};

/// How long a moment that has just come is waited for, until no more blocks can have its time.
const SETTLE_WAIT: Duration = Duration::from_secs(5);
/// Wait between looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

impl<E: Context> Vault<E> {
    /// The height of the block that was the newest at a moment. It stays so: a moment is over when a block has a later time,
    /// which is waited for a little. Errors: `NotYet`.
    pub async fn height_at(&self, moment: Moment) -> Result<u64, Error> {
        let chain = &self.shared.chain;
        match moment {
            Moment::Height(height) => {
                let tip = self.patiently(|| async { Ok(chain.tip().await?) }).await?;
                if height > tip.header.height { Err(Error::NotYet) } else { Ok(height) }
            }
            Moment::TimeMs(time_ms) => {
                let now = self.shared.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
                if u128::from(time_ms) > now.as_millis() {
                    return Err(Error::NotYet);
                }
                self.settled(time_ms).await?;
                let block = self.patiently(|| async { Ok(chain.moment(time_ms).await?) }).await?;
                // Before its first block a network held nothing, as after block zero.
                Ok(block.map_or(0, |block| block.height))
            }
        }
    }

    /// The block time of the newest block, milliseconds since the Unix epoch: what time it is to the network.
    pub async fn time_ms(&self) -> Result<u64, Error> {
        let tip = self.patiently(|| async { Ok(self.shared.chain.tip().await?) }).await?;
        Ok(tip.header.time_ms)
    }

    /// Waits until no block can have this time any more. This gateway's clock does not tell: the nodes' may be behind it.
    async fn settled(&self, time_ms: u64) -> Result<(), Error> {
        let shared = &self.shared;
        let deadline = shared.context.current() + SETTLE_WAIT;
        loop {
            let tip = self.patiently(|| async { Ok(shared.chain.tip().await?) }).await?;
            if tip.header.time_ms > time_ms {
                return Ok(());
            }
            if shared.context.current() >= deadline {
                return Err(Error::NotYet);
            }
            self.pause(SETTLE_PAUSE).await;
        }
    }

    /// The version of a key that was current at a height, or the one named if it was there then.
    /// Errors: as [`Self::head`].
    pub async fn head_at(
        &self,
        place: &Place,
        version: Option<VersionId>,
        height: u64,
    ) -> Result<Object, Error> {
        match version {
            Some(version) => self.version_at(place, version, height).await,
            None => self.current_at(place, height).await,
        }
    }

    async fn current_at(&self, place: &Place, height: u64) -> Result<Object, Error> {
        let (chain, tenant) = (&self.shared.chain, self.shared.tenant);
        let current = self.patiently(|| async { Ok(chain.current_at(tenant, place, height).await?) }).await?;
        match current {
            CurrentView::NoBucket => Err(Error::NoSuchBucket),
            CurrentView::Absent => Err(Error::NoSuchKey { marker: None }),
            CurrentView::Version(version) => match self.kept(place, version).await {
                Err(Error::Marker { marker, .. }) => Err(Error::NoSuchKey { marker: Some(marker) }),
                kept => kept,
            },
        }
    }

    async fn version_at(&self, place: &Place, version: VersionId, height: u64) -> Result<Object, Error> {
        let request = VersionsRequest { limit: 1, at: Some(height), ..of_key(place, newer(version), false) };
        let page = self.list_versions(request).await?;
        match page.versions.first() {
            Some(listed) if listed.version == version => self.kept(place, version).await,
            _ => Err(Error::NoSuchVersion),
        }
    }

    /// A version, whether it is hidden or its bucket deleted since or not. Errors: `NoSuchVersion`, `Marker`.
    pub async fn kept(&self, place: &Place, version: VersionId) -> Result<Object, Error> {
        match self.named_view(place, version).await?.view {
            HeadView::Object(view) => object::open(&self.shared.master_key, self.shared.tenant, view),
            HeadView::Marker(entry) => Err(Error::Marker { marker: version, time_ms: entry.time_ms }),
            HeadView::Absent | HeadView::NoBucket => Err(Error::NoSuchVersion),
        }
    }
}
