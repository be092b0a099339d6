//! What a listing asks for.

use crate::history::{After, Operation, PageSeen};

/// A page that is asked for.
pub(super) struct Request<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    after: Option<&'a After>,
    limit: usize,
}

impl<'a> Request<'a> {
    pub(super) fn of(operation: &'a Operation) -> Option<Self> {
        match operation {
            Operation::List { prefix, delimiter, after, limit, .. } => Some(Self {
                prefix,
                delimiter: delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
                after: after.as_ref(),
                limit: *limit,
            }),
            _ => None,
        }
    }

    /// Whether the page that goes on at `next` tells of this key.
    pub(super) fn reaches(&self, key: &str, next: Option<&After>) -> bool {
        let is_after = self.after.is_none_or(|after| is_behind(key, after));
        key.starts_with(self.prefix) && is_after && next.is_none_or(|next| !is_behind(key, next))
    }

    /// The common prefix into which the key, which has this prefix, is rolled up.
    pub(super) fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let rest = key.get(self.prefix.len()..)?;
        Some(&key[..self.prefix.len() + rest.find(delimiter)? + delimiter.len()])
    }

    /// Why the page is not what was asked for, whatever the bucket has.
    pub(super) fn misfit(&self, page: &PageSeen) -> Option<&'static str> {
        let PageSeen { objects, prefixes, next } = page;
        let next = next.as_ref();
        let count = objects.len() + prefixes.len();
        if !objects.is_sorted_by(|a, b| a.key < b.key) || !prefixes.is_sorted_by(|a, b| a < b) {
            return Some("it is not in order, or has something twice");
        }
        if count > self.limit {
            return Some("it has more than was asked for");
        }
        if objects.iter().any(|object| !self.reaches(&object.key, next)) {
            return Some("it has an object out of its reach");
        }
        if objects.iter().any(|object| self.common_prefix(&object.key).is_some()) {
            return Some("it has an object that belongs into a common prefix");
        }
        let is_none = |prefix: &String| {
            !prefix.starts_with(self.prefix) || self.common_prefix(prefix) != Some(prefix.as_str())
        };
        if prefixes.iter().any(is_none) {
            return Some("it has a common prefix that is none");
        }
        let is_before = |prefix: &String| match self.after {
            Some(After::Prefix(after)) => prefix <= after,
            Some(After::Key(after)) => prefix <= after && !after.starts_with(prefix.as_str()),
            None => false,
        };
        if prefixes.iter().any(is_before) {
            return Some("it has a common prefix out of its reach");
        }
        (next.is_some() && count == 0).then_some("it is empty and goes on")
    }
}

/// Whether a listing that goes on there comes to this key.
fn is_behind(key: &str, after: &After) -> bool {
    match after {
        After::Key(after) => key > after.as_str(),
        After::Prefix(prefix) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(delimiter: Option<&str>, after: Option<After>) -> Operation {
        Operation::List {
            prefix: "a".into(),
            delimiter: delimiter.map(str::to_owned),
            after,
            limit: 2,
            at: None,
        }
    }

    #[test]
    fn reach_is_between_where_it_begins_and_where_the_next_begins() {
        let reached = |after: Option<After>, next: Option<After>| {
            let operation = list(None, after);
            let request = Request::of(&operation).unwrap();
            let keys = ["a", "a/x", "a/y", "ab", "b"].into_iter();
            keys.filter(|key| request.reaches(key, next.as_ref())).collect::<Vec<_>>()
        };
        let (key, prefix) =
            (|key: &str| Some(After::Key(key.into())), |to: &str| Some(After::Prefix(to.into())));
        assert_eq!(reached(None, None), ["a", "a/x", "a/y", "ab"]);
        assert_eq!(reached(key("a/x"), None), ["a/y", "ab"]);
        assert_eq!(reached(prefix("a/"), None), ["ab"]);
        assert_eq!(reached(None, key("a/x")), ["a", "a/x"]);
        assert_eq!(reached(key("a"), prefix("a/")), ["a/x", "a/y"]);
    }

    #[test]
    fn common_prefixes_end_with_the_first_delimiter_behind_the_prefix() {
        let operation = list(Some("//"), None);
        let request = Request::of(&operation).unwrap();
        assert_eq!(request.common_prefix("ab//c//d"), Some("ab//"));
        assert_eq!(request.common_prefix("a//c"), Some("a//"));
        assert_eq!(request.common_prefix("a/c"), None);
        let operation = list(Some(""), None);
        assert_eq!(Request::of(&operation).unwrap().common_prefix("a//c"), None);
    }
}
