//! How two states of buckets differ, key by key: what `outlast diff` shows and `outlast restore` undoes.
//!
//! Both are walked in order of their keys, a page at a time, so memory does not grow with them.

use crate::failure::Failure;
use commonware_runtime::tokio::Context;
use proof::{BucketName, ObjectKey};
use std::{cmp::Ordering, collections::VecDeque};
use vault::{ListAfter, ListRequest, Listed, Vault};

/// Objects asked for at a time.
const PAGE: usize = 1000;

/// The objects of a bucket, now or as of a height, by key.
pub(crate) struct Walk<'a> {
    vault: &'a Vault<Context>,
    request: ListRequest,
    page: VecDeque<Listed>,
    finished: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(vault: &'a Vault<Context>, bucket: &BucketName, prefix: &str, at: Option<u64>) -> Self {
        let (bucket, prefix) = (bucket.clone(), prefix.to_owned());
        let request = ListRequest { bucket, prefix, delimiter: None, after: None, limit: PAGE, at };
        Self { vault, request, page: VecDeque::new(), finished: false }
    }

    /// Whether the bucket is, or was, there. Errors: that it is not.
    pub(crate) async fn check(&mut self) -> Result<(), Failure> {
        self.peek().await.map(drop)
    }

    /// The next object, without taking it.
    async fn peek(&mut self) -> Result<Option<&Listed>, Failure> {
        while self.page.is_empty() && !self.finished {
            let page = self.vault.list(self.request.clone()).await?;
            self.page = page.objects.into();
            self.finished = page.next.is_none();
            self.request.after = page.next.or_else(|| Some(ListAfter::Key(String::new())));
        }
        Ok(self.page.front())
    }
}

/// A key that two states do not agree on.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub key: ObjectKey,
    /// What the first state has there.
    pub first: Option<Listed>,
    /// What the second state has there.
    pub second: Option<Listed>,
}

/// The differences between two states, by key.
pub(crate) struct Changes<'a> {
    pub first: Walk<'a>,
    pub second: Walk<'a>,
}

impl Changes<'_> {
    /// The next key at which the states differ.
    pub(crate) async fn next(&mut self) -> Result<Option<Change>, Failure> {
        loop {
            let order = match (self.first.peek().await?, self.second.peek().await?) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(first), Some(second)) => first.key.cmp(&second.key),
            };
            let first = if order.is_le() { self.first.page.pop_front() } else { None };
            let second = if order.is_ge() { self.second.page.pop_front() } else { None };
            let key = first.as_ref().or(second.as_ref()).map(|listed| listed.key.clone());
            let Some(key) = key else { return Ok(None) };
            if !is_same(first.as_ref(), second.as_ref()) {
                return Ok(Some(Change { key, first, second }));
            }
        }
    }
}

/// Whether two versions are one, or hold the same.
fn is_same(first: Option<&Listed>, second: Option<&Listed>) -> bool {
    match (first, second) {
        (Some(first), Some(second)) => {
            let contents = |listed: &Listed| (listed.length, listed.metadata.clone());
            first.version == second.version
                || (!first.metadata.etag.is_empty() && contents(first) == contents(second))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::VersionId;
    use vault::Metadata;

    fn listed(height: u64, length: u64, etag: &str) -> Listed {
        Listed {
            key: "key".parse().unwrap(),
            version: VersionId { height, index: 0, operation: 0 },
            time_ms: height,
            length,
            metadata: Metadata { etag: etag.to_owned(), ..Metadata::default() },
        }
    }

    #[test]
    fn a_copy_is_no_change() {
        let (old, copy) = (listed(1, 5, "e"), listed(2, 5, "e"));
        assert!(is_same(Some(&old), Some(&copy)) && is_same(Some(&old), Some(&old)));
        assert!(
            !is_same(Some(&old), Some(&listed(2, 5, "f"))) && !is_same(Some(&old), Some(&listed(2, 6, "e")))
        );
        assert!(
            !is_same(Some(&listed(1, 5, "")), Some(&listed(2, 5, ""))),
            "what does not open is not known"
        );
        assert!(!is_same(Some(&old), None) && !is_same(None, Some(&old)));
    }
}
