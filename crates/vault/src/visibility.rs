//! Hiding versions, and undoing deletes. Nothing is destroyed by the one, so the other is always possible.
//!
//! What a change of several versions of a key makes current is planned here from what a listing shows, an operation at
//! a time as the ledger will see them ([`plan`]), and holds only if nobody else hid or showed one meanwhile; otherwise
//! the listing is read again.

use crate::{
    Context, Error, HiddenVersion, ListedVersion, Vault, VersionsAfter, VersionsRequest, commit::Intent,
};
use ledger::{Record, key};
use proof::{
    VersionId,
    transaction::{HideVersion, Operation, Place, Succession, UnhideVersion},
    wire::List,
};
use std::collections::BTreeSet;

/// Versions of a key that one transaction hides or shows.
const BATCH: usize = 60;
/// Attempts at a key that others are changing.
const ATTEMPTS: usize = 8;
/// Versions looked at at a time, where many are.
const PAGE: usize = 1000;

/// A version as far as hiding is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    version: VersionId,
    marker: bool,
    hidden: bool,
    current: bool,
}

impl From<&ListedVersion> for Seen {
    fn from(listed: &ListedVersion) -> Self {
        let (marker, hidden) = (listed.contents.is_none(), listed.hidden.is_some());
        Self { version: listed.version, marker, hidden, current: listed.current }
    }
}

/// What a key's versions are changed for.
enum Goal<'a> {
    /// These, newest first, are hidden.
    Hide(&'a [VersionId]),
    /// Deletes are undone: see [`Vault::undelete`].
    Undelete(Option<u64>),
}

/// A key's versions, newest first, and which of them are to be shown and to be hidden.
struct Wanted {
    seen: Vec<Seen>,
    show: Vec<Seen>,
    hide: Vec<Seen>,
}

impl<E: Context> Vault<E> {
    /// Hides versions of a key: they are gone from listings and reads, and the newest that is left becomes current.
    /// Gives those that were there. Errors: `NoSuchBucket`, `Conflict`.
    pub async fn hide(&self, place: &Place, versions: &[VersionId]) -> Result<Vec<HiddenVersion>, Error> {
        let mut wanted = versions.to_vec();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        wanted.dedup();
        let mut hidden = Vec::new();
        for wanted in wanted.chunks(BATCH) {
            let done = self.change(place, Goal::Hide(wanted)).await?.into_iter();
            hidden.extend(done.map(|seen| HiddenVersion { version: seen.version, marker: seen.marker }));
        }
        Ok(hidden)
    }

    /// Makes the newest object of a key that has no current one current again: it is shown, and delete markers above
    /// it are hidden. With a time, all that was deleted from it on (block time, milliseconds) is undone instead: what
    /// was hidden since is shown, delete markers put since are hidden. Gives the number of versions that changed.
    /// Errors: `NoSuchBucket`, `Conflict`.
    pub async fn undelete(&self, place: &Place, since_ms: Option<u64>) -> Result<usize, Error> {
        Ok(self.change(place, Goal::Undelete(since_ms)).await?.len())
    }

    async fn wanted(&self, place: &Place, goal: &Goal<'_>) -> Result<Wanted, Error> {
        match goal {
            Goal::Undelete(since_ms) => Ok(undoing(&self.all_versions(place).await?, *since_ms)),
            Goal::Hide(versions) => {
                let seen = self.look(place, versions).await?;
                let hide = |seen: &&Seen| versions.contains(&seen.version);
                let hide = seen.iter().filter(hide).copied().collect();
                Ok(Wanted { seen, show: Vec::new(), hide })
            }
        }
    }

    /// Plans and commits, again if others come between. Gives what was changed.
    async fn change(&self, place: &Place, goal: Goal<'_>) -> Result<Vec<Seen>, Error> {
        let mut changed = Vec::new();
        'attempt: for _ in 0..ATTEMPTS {
            // The count comes first: should the listing know more than it, the ledger refuses.
            let revision = self.revision(place).await?;
            let steps = plan(place, revision, &self.wanted(place, &goal).await?);
            for batch in steps.chunks(BATCH) {
                let operations = batch.iter().map(|(_, operation)| operation.clone()).collect();
                match self.commit(Intent { operations, ..Intent::default() }).await {
                    Ok(_) => changed.extend(batch.iter().map(|(seen, _)| *seen)),
                    Err(Error::Conflict) => continue 'attempt,
                    Err(error) => return Err(error),
                }
            }
            return Ok(changed);
        }
        Err(Error::Conflict)
    }

    /// How often versions of the key were hidden or shown. Errors: `NoSuchBucket`.
    async fn revision(&self, place: &Place) -> Result<u32, Error> {
        let tenant = &self.shared.tenant;
        let keys = [key::bucket(tenant, &place.bucket), key::visibility(tenant, place)];
        let read = self.patiently(|| async { Ok(self.shared.chain.records(&keys).await?) }).await?;
        match read.1.as_slice() {
            [Some(Record::Bucket(bucket)), _] if bucket.deleted => Err(Error::NoSuchBucket),
            [Some(Record::Bucket(_)), None] => Ok(0),
            [Some(Record::Bucket(_)), Some(Record::Visibility(visibility))] => Ok(visibility.revision),
            _ => Err(Error::NoSuchBucket),
        }
    }

    /// The versions that are wanted and not hidden, and all that is between them, and the next one, if there is one.
    async fn look(&self, place: &Place, wanted: &[VersionId]) -> Result<Vec<Seen>, Error> {
        let (Some(newest), Some(oldest)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
        let limit = if wanted.len() == 1 { 2 } else { PAGE };
        let mut request = VersionsRequest { limit, ..of_key(place, newer(*newest), false) };
        let mut seen: Vec<Seen> = Vec::new();
        loop {
            let page = self.list_versions(request.clone()).await?;
            seen.extend(page.versions.iter().map(Seen::from));
            if page.next.is_none() || seen.last().is_some_and(|last| last.version < *oldest) {
                return Ok(seen);
            }
            request.after = page.next;
        }
    }

    async fn all_versions(&self, place: &Place) -> Result<Vec<ListedVersion>, Error> {
        let mut request = of_key(place, NEWEST, true);
        let mut versions = Vec::new();
        loop {
            let page = self.list_versions(request.clone()).await?;
            versions.extend(page.versions);
            request.after = page.next;
            if request.after.is_none() {
                return Ok(versions);
            }
        }
    }
}

/// Newer than any version.
const NEWEST: VersionId = VersionId { height: u64::MAX, index: u32::MAX, operation: u16::MAX };

/// The least id that is newer.
pub(crate) fn newer(version: VersionId) -> VersionId {
    let VersionId { height, index, operation } = version;
    match (operation.checked_add(1), index.checked_add(1), height.checked_add(1)) {
        (Some(operation), ..) => VersionId { operation, ..version },
        (None, Some(index), _) => VersionId { height, index, operation: 0 },
        (None, None, Some(height)) => VersionId { height, index: 0, operation: 0 },
        (None, None, None) => NEWEST,
    }
}

/// The versions of a key that are older than this one.
pub(crate) fn of_key(place: &Place, than: VersionId, hidden: bool) -> VersionsRequest {
    let key = place.key.as_str();
    VersionsRequest {
        bucket: place.bucket.clone(),
        prefix: key.to_owned(),
        exact: true,
        delimiter: None,
        after: Some(VersionsAfter::Version(key.to_owned(), than)),
        limit: PAGE,
        hidden,
        at: None,
    }
}

/// What undoes a key's deletes: see [`Vault::undelete`].
fn undoing(listed: &[ListedVersion], since_ms: Option<u64>) -> Wanted {
    let seen: Vec<Seen> = listed.iter().map(Seen::from).collect();
    let pairs = || listed.iter().zip(&seen);
    let (show, hide): (Vec<_>, Vec<_>) = match since_ms {
        Some(since_ms) => {
            let hidden_since =
                |listed: &ListedVersion| listed.hidden.is_some_and(|hiding| hiding.time_ms >= since_ms);
            let show = pairs()
                .filter(|(listed, seen)| hidden_since(listed) && (!seen.marker || listed.time_ms < since_ms));
            let hide =
                pairs().filter(|(listed, seen)| seen.marker && !seen.hidden && listed.time_ms >= since_ms);
            (show.collect(), hide.collect())
        }
        None if seen.iter().any(|seen| seen.current && !seen.marker) => (Vec::new(), Vec::new()),
        None => {
            let newest = pairs().find(|(_, seen)| !seen.marker);
            let above = |seen: &Seen| newest.is_some_and(|(_, newest)| seen.version > newest.version);
            let hide = pairs().filter(|(_, seen)| seen.marker && !seen.hidden && above(seen));
            (newest.into_iter().filter(|(_, seen)| seen.hidden).collect(), hide.collect())
        }
    };
    let only = |pairs: Vec<(&ListedVersion, &Seen)>| pairs.into_iter().map(|(_, seen)| *seen).collect();
    let (show, hide) = (only(show), only(hide));
    Wanted { seen, show, hide }
}

/// The operations that show and hide what is wanted, each as the key is after those before it.
fn plan(place: &Place, mut revision: u32, wanted: &Wanted) -> Vec<(Seen, Operation)> {
    let Wanted { seen, show, hide } = wanted;
    let mut current = seen.iter().find(|seen| seen.current).map(|seen| seen.version);
    let mut left: BTreeSet<VersionId> =
        seen.iter().filter(|seen| !seen.hidden && !hide.contains(seen)).map(|seen| seen.version).collect();
    let mut steps = Vec::new();
    for seen in show {
        let becomes_current = current.is_none_or(|current| current < seen.version);
        if becomes_current {
            current = Some(seen.version);
        }
        left.insert(seen.version);
        let place = place.clone();
        let show = UnhideVersion { place, version: seen.version, current: becomes_current };
        steps.push((*seen, Operation::UnhideVersion(show)));
        revision = revision.saturating_add(1);
    }
    // The current one goes first: then none of the others is.
    let (first, others): (Vec<&Seen>, _) = hide.iter().partition(|seen| current == Some(seen.version));
    for seen in first.into_iter().chain(others) {
        let version = seen.version;
        let successor = left.range(..version).next_back().copied().into_iter().collect();
        let successor = List::new(successor).expect("one at the most");
        let succession = (current == Some(version)).then_some(Succession { revision, successor });
        let succession = List::new(succession.into_iter().collect()).expect("one at the most");
        let hide = HideVersion { place: place.clone(), version, succession };
        steps.push((*seen, Operation::HideVersion(hide)));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hiding, Metadata};

    fn id(height: u64) -> VersionId {
        VersionId { height, index: 0, operation: 0 }
    }

    fn place() -> Place {
        Place { bucket: "bucket".parse().unwrap(), key: "key".parse().unwrap() }
    }

    /// Versions newest first: `o` objects and `m` markers, upper case when hidden, one per height, hidden at 100.
    fn versions(kinds: &str) -> Vec<ListedVersion> {
        let count = kinds.len() as u64;
        let current = kinds.find(|kind: char| kind.is_ascii_lowercase());
        let version = |(at, kind): (usize, char)| ListedVersion {
            key: place().key,
            version: id(count - at as u64),
            time_ms: count - at as u64,
            contents: kind.eq_ignore_ascii_case(&'o').then(|| (1, Metadata::default())),
            current: current == Some(at),
            hidden: kind.is_ascii_uppercase().then_some(Hiding { place: id(100), time_ms: 100 }),
        };
        kinds.chars().enumerate().map(version).collect()
    }

    fn heights(seen: &[Seen]) -> Vec<u64> {
        seen.iter().map(|seen| seen.version.height).collect()
    }

    #[test]
    fn the_newest_object_comes_back() {
        for (kinds, show, hide) in [
            ("o", vec![], vec![]),
            ("oMO", vec![], vec![]),
            ("mo", vec![], vec![2]),
            ("mmOo", vec![2], vec![4, 3]),
            ("MO", vec![1], vec![]),
            ("mMo", vec![], vec![3]),
            ("m", vec![], vec![]),
            ("mM", vec![], vec![]),
        ] {
            let wanted = undoing(&versions(kinds), None);
            assert_eq!((heights(&wanted.show), heights(&wanted.hide)), (show, hide), "{kinds}");
        }
    }

    #[test]
    fn what_was_deleted_since_is_undone() {
        for (kinds, since_ms, show, hide) in [
            ("mo", 2, vec![], vec![2]),
            ("mo", 3, vec![], vec![]),
            // What was put and hidden since comes back, but not a marker put since.
            ("MOMO", 3, vec![3, 2, 1], vec![]),
            ("MO", 101, vec![], vec![]),
        ] {
            let wanted = undoing(&versions(kinds), Some(since_ms));
            assert_eq!((heights(&wanted.show), heights(&wanted.hide)), (show, hide), "{kinds} {since_ms}");
        }
    }

    #[test]
    fn each_step_knows_those_before_it() {
        let seen: Vec<Seen> = versions("mmOo").iter().map(Seen::from).collect();
        let wanted = Wanted { show: vec![seen[2]], hide: vec![seen[1], seen[0]], seen };
        let steps: Vec<Operation> = plan(&place(), 7, &wanted).into_iter().map(|(_, step)| step).collect();
        let succession = Succession { revision: 8, successor: List::new(vec![id(2)]).unwrap() };
        let hide = |height, succession| {
            let succession = List::new(succession).unwrap();
            Operation::HideVersion(HideVersion { place: place(), version: id(height), succession })
        };
        let show = UnhideVersion { place: place(), version: id(2), current: false };
        assert_eq!(steps, [Operation::UnhideVersion(show), hide(4, vec![succession]), hide(3, vec![])]);
    }

    #[test]
    fn when_nothing_is_left_nothing_is_current() {
        let seen: Vec<Seen> = versions("ooO").iter().map(Seen::from).collect();
        let wanted = Wanted { show: vec![], hide: seen[..2].to_vec(), seen };
        let steps = plan(&place(), 1, &wanted);
        let Operation::HideVersion(first) = &steps[0].1 else { panic!("hidden") };
        assert_eq!(first.succession[0], Succession { revision: 1, successor: List::default() });
    }

    #[test]
    fn the_next_id_is_the_least_greater_one() {
        let id = |height, index, operation| VersionId { height, index, operation };
        assert_eq!(newer(id(1, 2, 3)), id(1, 2, 4));
        assert_eq!(newer(id(1, 2, u16::MAX)), id(1, 3, 0));
        assert_eq!(newer(id(1, u32::MAX, u16::MAX)), id(2, 0, 0));
        assert_eq!(newer(NEWEST), NEWEST);
    }
}
