//! Listings: a page is the bucket's state at one block height.
//!
//! Versions name their heights. So each key in a page's reach, by what the page says of it, allows some heights: those at
//! which the version listed may have been current ([`Lives`]), or at which the key may have had no current object. A page
//! as of a height is true when all allow that one; another is true when some
//! height is allowed by all keys, not below any version known before the page was asked for, and below every version whose
//! write was asked for after it came. Writes of unknown outcome that nobody saw may explain an object that is missing,
//! and a common prefix without a known object.
//!
//! Besides: objects and prefixes are in ascending order, within what was asked for, rolled up as asked for, and not more
//! than asked for; and a page that is not the last goes on behind what it has.

mod request;

use super::{
    Kind, Versions, Violation,
    heights::Heights,
    lives::{Lives, after_all_known, asked_for},
};
use crate::history::{Call, History, Operation, PageSeen, Seen};
use proof::VersionId;
use request::Request;
use std::collections::{BTreeMap, BTreeSet};

fn violation(what: String) -> Violation {
    Violation { checker: "listing", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    let versions = &Versions::of(history);
    let judge = Judge { history, versions, lives: Lives::of(history, versions) };
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
    versions: &'a Versions,
    lives: Lives<'a>,
}

impl Judge<'_> {
    /// Why there is no height at which the bucket was like this page.
    fn at_no_height(&self, call: &Call, request: &Request<'_>, page: &PageSeen) -> Option<String> {
        let returned = call.returned.as_ref().expect("it came").at.sequence;
        let mut allowed = match call.operation {
            Operation::List { at: Some(height), .. } => Heights::between(height, height),
            _ => self.during(call.invoked.sequence, returned),
        };
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
                (None, Some(version)) => self.lives.current(key, *version),
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
            if asked_for(self.history, version).is_some_and(|asked_for| asked_for > returned) {
                to = to.min(id.height.saturating_sub(1));
            }
        }
        Heights::between(from, to)
    }

    /// Heights at which the key had an object, or may have had one.
    fn present(&self, key: &str, returned: u64) -> Heights {
        let mut heights = self.current_of(key, |kind| kind != Kind::Marker);
        heights.or(self.unseen(key, false, returned));
        heights
    }

    /// Heights at which the key had no object, or may have had none.
    fn absent(&self, key: &str, returned: u64) -> Heights {
        let mut heights = self.current_of(key, |kind| kind == Kind::Marker);
        heights.or(self.lives.nothing(key));
        heights.or(self.unseen(key, true, returned));
        heights
    }

    /// Heights at which a version of such a kind may have been current.
    fn current_of(&self, key: &str, is_wanted: impl Fn(Kind) -> bool) -> Heights {
        let versions = self.versions.keys.get(key).into_iter().flatten();
        let wanted = versions.filter(|(_, version)| is_wanted(version.kind));
        wanted.map(|(id, _)| self.lives.current(key, *id)).collect()
    }

    /// Heights at which a write of the key may have taken effect that nobody saw: deletes, or others.
    fn unseen(&self, key: &str, deletes: bool, returned: u64) -> Heights {
        let of_key = |call: &&Call| {
            let write = call.operation.write();
            let fits = write.is_some_and(|write| write.key == key && write.content.is_none() == deletes);
            fits && call.is_unknown() && self.versions.written_by(call).is_none()
        };
        let begun = self.history.calls.iter().filter(of_key).map(|call| call.invoked.sequence);
        let heights = begun
            .filter(|begun| *begun < returned)
            .map(|begun| Heights::between(after_all_known(self.versions, begun), u64::MAX));
        heights.collect()
    }
}

#[cfg(test)]
mod tests;
