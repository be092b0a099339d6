//! Listing a bucket's current objects, and its versions.

use crate::{
    Context, Error, Hiding, ListAfter, ListRequest, Listed, ListedVersion, Metadata, Page, Vault,
    VersionsAfter, VersionsPage, VersionsRequest,
    sealed::{SealedVersion, Subject, unseal},
};
use chain::client::{
    After, AfterPlace, AfterVersion, ListedVersionView, ObjectView, ObjectsQuery, VersionsQuery,
};
use proof::{
    limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH, OBJECT_KEY_MAX},
    wire::Octets,
};

/// Objects and prefixes of one page: S3's limit.
pub const LIST_LIMIT_MAX: usize = 1000;

type Text = Octets<OBJECT_KEY_MAX>;

/// As much of a text as a key can have. A key is greater than the text exactly when it is greater than this.
pub(crate) fn cut(text: &str) -> Text {
    Octets::new(text.as_bytes()[..text.len().min(OBJECT_KEY_MAX)].to_vec()).expect("cut to size")
}

impl<E: Context> Vault<E> {
    /// One page of a bucket's current objects, at most [`LIST_LIMIT_MAX`]. An object whose sealed body does not open
    /// is listed without metadata: [`Self::head`] tells why. Errors: `NoSuchBucket`.
    pub async fn list(&self, request: ListRequest) -> Result<Page, Error> {
        let limit = request.limit.min(LIST_LIMIT_MAX);
        if limit == 0 || request.prefix.len() > OBJECT_KEY_MAX {
            self.head_bucket(&request.bucket).await?;
            return Ok(Page::default());
        }
        // No key has a longer delimiter in it.
        let delimiter = request.delimiter.filter(|delimiter| delimiter.len() <= OBJECT_KEY_MAX);
        let mut query = ObjectsQuery {
            tenant: self.shared.tenant,
            bucket: request.bucket,
            prefix: cut(&request.prefix),
            delimiter: cut(&delimiter.unwrap_or_default()),
            after: request.after.map_or(After::Start, after),
            limit: limit as u16,
        };
        let mut page = Page::default();
        // A page of the chain's is bounded in bytes too, and may be short, or even empty, though more follow.
        loop {
            let view = self
                .patiently(|| async { Ok(self.shared.chain.list(query.clone(), request.at).await?) })
                .await?
                .ok_or(Error::NoSuchBucket)?;
            page.objects.extend(view.objects.into_iter().map(|object| self.listed(object)));
            page.prefixes.extend(view.prefixes);
            let count = page.objects.len() + page.prefixes.len();
            match view.next {
                None => return Ok(Page { next: None, ..page }),
                Some(next) if count > 0 => return Ok(Page { next: Some(reached(next)?), ..page }),
                Some(next) => query.after = next,
            }
        }
    }

    fn listed(&self, view: ObjectView) -> Listed {
        let ObjectView { entry, sealed } = view;
        let subject = Subject::Version(&entry.place);
        let opened = unseal::<SealedVersion>(&self.shared.master_key, self.shared.tenant, subject, &sealed)
            .and_then(|sealed| Ok((sealed.length, sealed.metadata.open()?)));
        let (length, metadata) = opened.unwrap_or_else(|error| {
            tracing::warn!(place = ?entry.place, version = %entry.version, %error, "listed without metadata");
            (plaintext_length(entry.body().map_or(0, |body| body.ciphertext_length)), Metadata::default())
        });
        Listed { key: entry.place.key, version: entry.version, time_ms: entry.time_ms, length, metadata }
    }

    /// One page of a bucket's versions and delete markers, by key, newest first. Objects whose sealed bodies do not
    /// open are listed as by [`Self::list`]. Errors: `NoSuchBucket`.
    pub async fn list_versions(&self, request: VersionsRequest) -> Result<VersionsPage, Error> {
        let limit = request.limit.min(LIST_LIMIT_MAX);
        if limit == 0 || request.prefix.len() > OBJECT_KEY_MAX {
            self.head_bucket(&request.bucket).await?;
            return Ok(VersionsPage::default());
        }
        let delimiter = request.delimiter.filter(|delimiter| delimiter.len() <= OBJECT_KEY_MAX);
        let mut query = VersionsQuery {
            tenant: self.shared.tenant,
            bucket: request.bucket,
            prefix: cut(&request.prefix),
            delimiter: cut(&delimiter.unwrap_or_default()),
            after: request.after.map_or(AfterVersion::Start, after_version),
            limit: limit as u16,
            hidden: request.hidden,
            exact: request.exact,
        };
        let mut page = VersionsPage::default();
        loop {
            let view = self
                .patiently(|| async { Ok(self.shared.chain.list_versions(query.clone(), request.at).await?) })
                .await?
                .ok_or(Error::NoSuchBucket)?;
            page.versions.extend(view.versions.into_iter().map(|version| self.listed_version(version)));
            page.prefixes.extend(view.prefixes);
            let count = page.versions.len() + page.prefixes.len();
            match view.next {
                None => return Ok(VersionsPage { next: None, ..page }),
                Some(next) if count > 0 => {
                    return Ok(VersionsPage { next: Some(reached_version(next)?), ..page });
                }
                Some(next) => query.after = next,
            }
        }
    }

    fn listed_version(&self, view: ListedVersionView) -> ListedVersion {
        let ListedVersionView { entry, sealed, current, hidden } = view;
        let (key, version, time_ms) = (entry.place.key.clone(), entry.version, entry.time_ms);
        let object = sealed.map(|sealed| self.listed(ObjectView { entry, sealed }));
        let contents = object.map(|Listed { length, metadata, .. }| (length, metadata));
        let hidden = hidden.map(|(place, time_ms)| Hiding { place, time_ms });
        ListedVersion { key, version, time_ms, contents, current, hidden }
    }
}

fn after_version(after: VersionsAfter) -> AfterVersion {
    match after {
        VersionsAfter::Key(text) => AfterVersion::Key(cut(&text)),
        VersionsAfter::Prefix(text) => AfterVersion::Prefix(cut(&text)),
        VersionsAfter::Version(key, version) => AfterVersion::Place(AfterPlace { key: cut(&key), version }),
    }
}

fn reached_version(after: AfterVersion) -> Result<VersionsAfter, Error> {
    Ok(match after {
        AfterVersion::Start => VersionsAfter::Key(String::new()),
        AfterVersion::Key(key) => VersionsAfter::Key(owned(&key)?),
        AfterVersion::Prefix(prefix) => VersionsAfter::Prefix(owned(&prefix)?),
        AfterVersion::Place(place) => VersionsAfter::Version(owned(&place.key)?, place.version),
    })
}

fn owned(text: &Text) -> Result<String, Error> {
    let text = std::str::from_utf8(text).map(str::to_owned);
    text.map_err(|_| Error::Damaged("a listing goes on after what is no text".into()))
}

fn after(after: ListAfter) -> After {
    match after {
        ListAfter::Key(text) => After::Key(cut(&text)),
        ListAfter::Prefix(text) => After::Prefix(cut(&text)),
    }
}

fn reached(after: After) -> Result<ListAfter, Error> {
    Ok(match after {
        After::Start => ListAfter::Key(String::new()),
        After::Key(key) => ListAfter::Key(owned(&key)?),
        After::Prefix(prefix) => ListAfter::Prefix(owned(&prefix)?),
    })
}

/// Bytes of plaintext in this much ciphertext, if it is a single segment.
fn plaintext_length(ciphertext_length: u64) -> u64 {
    let chunks = ciphertext_length.div_ceil(CHUNK_LENGTH + CHUNK_TAG_LENGTH);
    ciphertext_length.saturating_sub(chunks * CHUNK_TAG_LENGTH)
}
