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
pub(super) fn page<S: Store>(store: &S, time_ms: u64, height: u64) -> Result<Page, StoreError> {
    let from = Key::new(MOMENTS).greatest_first(time_ms).done();
    let mut moment = None;
    store.scan(&from, &Key::new(MOMENTS).past(), &mut |row, _| {
        let number = |bytes: &[u8; 8]| !u64::from_be_bytes(*bytes);
        let numbers = row[1..].first_chunk().map(number).zip(row.last_chunk().map(number));
        let (time_ms, of_block) = numbers.ok_or(StoreError::Damaged("a moment"))?;
        if of_block > height {
            return Ok(Step::Next);
        }
        moment = Some(Moment { height: of_block, time_ms });
        Ok(Step::Stop)
    })?;
    Ok(Page::Moment(List::new(moment.into_iter().collect()).expect("one at the most")))
}
