//! From a time to the block that was the newest then.

use super::{
    layout::{Key, MOMENTS},
    store::{Step, Store, StoreError},
};
use crate::protocol::{Moment, Page};
use proof::wire::List;

/// The row of a block.
pub(super) fn key(time_ms: u64, height: u64) -> Vec<u8> {
    Key::new(MOMENTS).greatest_first(time_ms).greatest_first(height).done()
}

/// The newest block with transactions, not above `height`, whose time is not after `time_ms`. Blocks without any
/// change nothing, so the state at that time is the state after this block.
///
/// A higher block is not earlier. So if the newest of that time is above `height`, the time of the first that is above
/// can be searched for by halves, and what precedes it in the order of the rows is the answer.
pub(super) fn page<S: Store>(store: &S, time_ms: u64, height: u64) -> Result<Page, StoreError> {
    let is_above = |time_ms| {
        let newest = newest(store, time_ms, u64::MAX)?;
        Ok::<_, StoreError>(newest.is_some_and(|newest| newest.height > height))
    };
    let moment = if is_above(time_ms)? {
        // The first time that has a block above `height` is in this range.
        let (mut from, mut until) = (0, time_ms);
        while from < until {
            let middle = from + (until - from) / 2;
            if is_above(middle)? { until = middle } else { from = middle + 1 }
        }
        newest(store, until, height)?
    } else {
        newest(store, time_ms, u64::MAX)?
    };
    Ok(Page::Moment(List::new(moment.into_iter().collect()).expect("one at the most")))
}

/// The newest block of this time that is not above `height`, or else the newest of an earlier time.
fn newest<S: Store>(store: &S, time_ms: u64, height: u64) -> Result<Option<Moment>, StoreError> {
    let mut moment = None;
    store.scan(&key(time_ms, height), &Key::new(MOMENTS).past(), &mut |row, _| {
        let number = |bytes: &[u8; 8]| !u64::from_be_bytes(*bytes);
        let numbers = row[1..].first_chunk().map(number).zip(row.last_chunk().map(number));
        let (time_ms, height) = numbers.ok_or(StoreError::Damaged("a moment"))?;
        moment = Some(Moment { height, time_ms });
        Ok(Step::Stop)
    })?;
    Ok(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Memory, model::Counting};
    use bytes::Bytes;

    #[test]
    fn a_moment_takes_few_steps() {
        // Some blocks have one time, as under load; the last is far ahead.
        let times = [3, 3, 5, 5, 5, 6, 9, 9, u64::MAX];
        let store = Memory::default();
        let rows = (1..).zip(times).map(|(height, time_ms)| (key(time_ms, height), Bytes::new()));
        store.commit(rows.collect()).unwrap();
        for height in 0..=10 {
            for time_ms in (0..=11).chain([u64::MAX - 1, u64::MAX]) {
                let blocks = (1..).zip(times).filter(|(of, at)| *of <= height && *at <= time_ms);
                let expected = blocks.last().map(|(height, time_ms)| Moment { height, time_ms });
                let Page::Moment(moment) = page(&store, time_ms, height).unwrap() else { panic!() };
                assert_eq!(moment.first(), expected.as_ref(), "{time_ms} {height}");
            }
        }
        let store = Counting::over(Memory::default());
        let rows = (1..=50_000).map(|height| (key(height * 7, height), Bytes::new()));
        store.commit(rows.collect()).unwrap();
        page(&store, u64::MAX, 0).unwrap();
        page(&store, 300_000, 1).unwrap();
        assert!(store.count() < 200, "{} rows", store.count());
    }
}
