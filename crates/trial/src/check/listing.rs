//! Listings: a page is the bucket's state at one block height.
//!
//! Versions name their heights. So each key in a page's reach, by what the page says of it, allows some heights: from the
//! version listed to the one that followed it, or those at which the key had no current object. A page is true when some
//! height is allowed by all keys, not below any version known before the page was asked for, and below every version whose
//! write was asked for after it came. Writes of unknown outcome that nobody saw may explain an object that is missing,
//! and a common prefix without a known object.
//!
//! Besides: objects and prefixes are in ascending order, within what was asked for, rolled up as asked for, and not more
//! than asked for; and a page that is not the last goes on behind what it has.

mod heights;
mod request;

use super::{Kind, Version, Versions, Violation};
use crate::history::{Call, History, Operation, PageSeen, Seen};
use heights::Heights;
use proof::VersionId;
use request::Request;
use std::collections::{BTreeMap, BTreeSet};

fn violation(what: String) -> Violation {
    Violation { checker: "listing", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    let judge = Judge { history, versions: Versions::of(history) };
    let judge = |call: &Call| {
        let (Operation::List { .. }, Some(Seen::Page(page))) = (&call.operation, call.seen()) else {
            return None;
        };
        let request = Request::of(&call.operation).expect("it is a listing");
        let wrong = request.misfit(page).map(str::to_owned);
        let wrong = wrong.or_else(|| judge.at_no_height(call, &request, page));
        wrong.map(|why| violation(format!("{why}: {call}")))
    };
    history.calls.iter().filter_map(judge).collect()
}

struct Judge<'a> {
    history: &'a History,
    versions: Versions,
}

impl Judge<'_> {
    /// Why there is no height at which the bucket was like this page.
    fn at_no_height(&self, call: &Call, request: &Request<'_>, page: &PageSeen) -> Option<String> {
        let returned = call.returned.as_ref().expect("it came").at.sequence;
        let mut allowed = self.during(call.invoked.sequence, returned);
        if allowed.is_empty() {
            return Some("what was known before is younger than what was written after".into());
        }
        let listed: BTreeMap<&str, VersionId> =
            page.objects.iter().map(|object| (object.key.as_str(), object.version)).collect();
        let prefixes: BTreeSet<&str> = page.prefixes.iter().map(String::as_str).collect();
        let mut rolled_up: BTreeMap<&str, Heights> = BTreeMap::new();
        for key in self.keys().filter(|key| request.reaches(key, page.next.as_ref())) {
            let prefix = request.common_prefix(key);
            let says = match (prefix, listed.get(key)) {
                (None, Some(version)) => self.current(key, *version),
                (Some(prefix), _) if prefixes.contains(prefix) => {
                    rolled_up.entry(prefix).or_default().or(self.present(key, returned));
                    continue;
                }
                (None, None) | (Some(_), _) => self.absent(key, returned),
            };
            allowed.and(&says);
            if allowed.is_empty() {
                return Some(format!("at no height it is so, for {key}"));
            }
        }
        for prefix in prefixes {
            allowed.and(rolled_up.get(prefix).unwrap_or(&Heights::default()));
            if allowed.is_empty() {
                return Some(format!("at no height it is so, for what begins with {prefix}"));
            }
        }
        None
    }

    /// All keys that anybody wrote or saw.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let written = self.history.calls.iter().filter_map(|call| Some(call.operation.write()?.key));
        let seen = self.versions.keys.keys().map(String::as_str);
        written.chain(seen).collect::<BTreeSet<_>>().into_iter()
    }

    /// Heights that a page asked for and come at these events may be of.
    fn during(&self, invoked: u64, returned: u64) -> Heights {
        let (mut from, mut to) = (0, u64::MAX);
        for (_, id, version) in self.versions.all() {
            if version.known_from < invoked {
                from = from.max(id.height);
            }
            if self.asked_for(version).is_some_and(|asked_for| asked_for > returned) {
                to = to.min(id.height.saturating_sub(1));
            }
        }
        Heights::between(from, to)
    }

    /// The event at which this version's write began, if that is known.
    fn asked_for(&self, version: &Version) -> Option<u64> {
        let call = match version.kind {
            Kind::Object(write) => write.or(version.acknowledged),
            Kind::Marker => version.acknowledged,
        };
        Some(self.history.call(call?)?.invoked.sequence)
    }

    /// Heights at which this version of the key was current.
    fn current(&self, key: &str, id: VersionId) -> Heights {
        let mut heights = Heights::default();
        heights.or(self
            .lives(key)
            .filter(|(of, _, _)| *of == Some(id))
            .map(|(_, _, heights)| heights)
            .collect());
        heights
    }

    /// Heights at which the key had an object, or may have had one.
    fn present(&self, key: &str, returned: u64) -> Heights {
        let objects = self.lives(key).filter(|(_, is_object, _)| *is_object);
        let mut heights: Heights = objects.map(|(_, _, heights)| heights).collect();
        heights.or(self.unseen(key, false, returned));
        heights
    }

    /// Heights at which the key had no object, or may have had none.
    fn absent(&self, key: &str, returned: u64) -> Heights {
        let others = self.lives(key).filter(|(_, is_object, _)| !is_object);
        let mut heights: Heights = others.map(|(_, _, heights)| heights).collect();
        heights.or(self.unseen(key, true, returned));
        heights
    }

    /// The key's life: nothing, then each version until the next; whether it is an object; and the heights.
    fn lives(&self, key: &str) -> impl Iterator<Item = (Option<VersionId>, bool, Heights)> {
        let versions = self.versions.keys.get(key).into_iter().flatten();
        let mut lives = vec![(None, false, 0)];
        lives.extend(versions.map(|(id, of)| (Some(*id), of.kind != Kind::Marker, id.height)));
        let ends: Vec<_> = lives.iter().skip(1).map(|(_, _, from)| Some(*from)).chain([None]).collect();
        lives.into_iter().zip(ends).map(|((id, is_object, from), end)| {
            let heights = match end {
                // All of a block is done before its state is seen.
                Some(end) if end <= from => Heights::default(),
                Some(end) => Heights::between(from, end - 1),
                None => Heights::between(from, u64::MAX),
            };
            (id, is_object, heights)
        })
    }

    /// Heights at which a write of the key may have taken effect that nobody saw: deletes, or others.
    fn unseen(&self, key: &str, deletes: bool, returned: u64) -> Heights {
        let of_key = |call: &&Call| {
            let write = call.operation.write();
            let fits = write.is_some_and(|write| write.key == key && write.content.is_none() == deletes);
            fits && call.is_unknown() && self.versions.written_by(call).is_none()
        };
        let begun = self.history.calls.iter().filter(of_key).map(|call| call.invoked.sequence);
        let heights = begun.filter(|begun| *begun < returned).map(|begun| {
            let known = self.versions.all().filter(|(_, _, version)| version.known_from < begun);
            let height = known.map(|(_, id, _)| id.height).max().map_or(0, |height| height.saturating_add(1));
            Heights::between(height, u64::MAX)
        });
        heights.collect()
    }
}

#[cfg(test)]
mod tests;
