//! Every version that clients know of, by key and age: what several checkers start from.

use crate::history::{Call, History, ObjectSeen, Operation, Outcome, Refusal, Seen, VersionSeen};
use proof::VersionId;
use std::collections::BTreeMap;

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An object, written by the call with this id; `None` when it names no call.
    Object(Option<u64>),
    /// A delete marker.
    Marker,
}

/// A version that a client was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// What it is.
    pub kind: Kind,
    /// Its block time, milliseconds since the Unix epoch, if that was told.
    pub time_ms: Option<u64>,
    /// The call to which it was acknowledged.
    pub acknowledged: Option<u64>,
    /// The sequence number of the event at which a client first knew of it.
    pub known_from: u64,
}

/// The versions of all keys.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    /// By key, then by age.
    pub keys: BTreeMap<String, BTreeMap<VersionId, Version>>,
    /// What clients were told that cannot all be true.
    pub conflicts: Vec<String>,
}

/// One version as one call told of it.
struct Sighting<'a> {
    key: &'a str,
    id: VersionId,
    version: Version,
}

impl Versions {
    /// All versions that the history tells of.
    pub fn of(history: &History) -> Self {
        Self::told_by(history.calls.iter())
    }

    /// All versions that these calls tell of.
    pub fn told_by<'a>(calls: impl Iterator<Item = &'a Call>) -> Self {
        let mut versions = Self::default();
        let mut returned: Vec<&Call> = calls.filter(|call| call.returned.is_some()).collect();
        returned.sort_by_key(|call| call.returned.as_ref().map(|returned| returned.at));
        for call in returned {
            for sighting in sightings(call) {
                versions.add(call, sighting);
            }
        }
        versions.find_doubles();
        versions
    }

    /// All of them: key, version id, version.
    pub fn all(&self) -> impl Iterator<Item = (&str, VersionId, &Version)> {
        self.keys.iter().flat_map(|(key, versions)| {
            versions.iter().map(move |(id, version)| (key.as_str(), *id, version))
        })
    }

    /// The version of this key.
    pub fn get(&self, key: &str, id: VersionId) -> Option<&Version> {
        self.keys.get(key)?.get(&id)
    }

    /// The version that this call wrote, whether it was acknowledged or seen later.
    pub fn written_by(&self, call: &Call) -> Option<(VersionId, &Version)> {
        let write = call.operation.write()?;
        let mut versions = self.keys.get(write.key)?.iter();
        let found = versions.find(|(_, version)| {
            version.acknowledged == Some(call.id) || version.kind == Kind::Object(Some(call.id))
        });
        found.map(|(id, version)| (*id, version))
    }

    fn add(&mut self, call: &Call, sighting: Sighting<'_>) {
        let Sighting { key, id, version: new } = sighting;
        let known = self.keys.entry(key.to_owned()).or_default().entry(id).or_insert(new);
        let times_differ = matches!((known.time_ms, new.time_ms), (Some(a), Some(b)) if a != b);
        if known.kind != new.kind || times_differ {
            let what = format!("{key} was told to have {id} as {known:?}, and otherwise by {call}");
            self.conflicts.push(what);
        }
        known.time_ms = known.time_ms.or(new.time_ms);
        if let (Some(first), Some(second)) = (known.acknowledged, new.acknowledged)
            && first != second
        {
            let what = format!("{id} of {key} was acknowledged to call {first} and to call {second}");
            self.conflicts.push(what);
        }
        known.acknowledged = known.acknowledged.or(new.acknowledged);
    }

    /// A version is of one key, and a call writes one version.
    fn find_doubles(&mut self) {
        let (mut places, mut writes) = (BTreeMap::new(), BTreeMap::new());
        let mut doubles = Vec::new();
        for (key, id, version) in self.all() {
            if let Some(other) = places.insert(id, key) {
                doubles.push(format!("{id} is a version of {other} and of {key}"));
            }
            let write = match version.kind {
                Kind::Object(write) => write,
                Kind::Marker => version.acknowledged,
            };
            if let Some(write) = write
                && let Some(other) = writes.insert(write, id)
            {
                doubles.push(format!("call {write} wrote {other} and {id}"));
            }
        }
        self.conflicts.extend(doubles);
    }
}

fn sightings(call: &Call) -> Vec<Sighting<'_>> {
    let known_from = call.returned.as_ref().expect("what has not returned told nothing").at.sequence;
    let told = |key, id, kind, time_ms, acknowledged| Sighting {
        key,
        id,
        version: Version { kind, time_ms, acknowledged, known_from },
    };
    let object = |seen: &'_ ObjectSeen| (seen.version, Kind::Object(seen.write), Some(seen.time_ms));
    match (call.outcome(), &call.operation) {
        (Some(Outcome::Ok(Seen::Written { version, time_ms })), operation) => {
            let Some(write) = operation.write() else { return Vec::new() };
            let kind = write.content.map_or(Kind::Marker, |_| Kind::Object(Some(call.id)));
            vec![told(write.key, *version, kind, Some(*time_ms), Some(call.id))]
        }
        (Some(Outcome::Ok(Seen::Object(seen))), _) => {
            let (id, kind, time_ms) = object(seen);
            vec![told(&seen.key, id, kind, time_ms, None)]
        }
        (Some(Outcome::Ok(Seen::Page(page))), _) => {
            let told = |seen| {
                let (id, kind, time_ms) = object(seen);
                told(&seen.key, id, kind, time_ms, None)
            };
            page.objects.iter().map(told).collect()
        }
        (Some(Outcome::Ok(Seen::Versions(page))), _) => {
            let mut sightings = Vec::new();
            for VersionSeen { key, version, time_ms, contents, .. } in &page.versions {
                let kind = contents.map_or(Kind::Marker, |(_, write)| Kind::Object(write));
                sightings.push(told(key, *version, kind, Some(*time_ms), None));
            }
            sightings
        }
        (
            Some(Outcome::Refused(refusal)),
            Operation::Read { key, .. } | Operation::ReadAt { key, .. } | Operation::Kept { key, .. },
        ) => match *refusal {
            Refusal::NoSuchKey { marker: Some(marker) } => {
                vec![told(key, marker, Kind::Marker, None, None)]
            }
            Refusal::Marker { marker, time_ms } => {
                vec![told(key, marker, Kind::Marker, Some(time_ms), None)]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::{Story, v};

    #[test]
    fn versions_are_gathered_from_acknowledgements_and_reads() {
        let mut story = Story::new();
        let put = story.put("a", v(1));
        let lost = story.lost_put("a");
        story.get("a", v(2), lost);
        story.delete("a", v(3));
        story.absent("b", Some(v(4)));
        let versions = Versions::of(&story.history);
        assert_eq!(versions.conflicts, Vec::<String>::new());
        let kinds: Vec<_> = versions.all().map(|(key, id, version)| (key, id.height, version.kind)).collect();
        let expected = [
            ("a", 1, Kind::Object(Some(put))),
            ("a", 2, Kind::Object(Some(lost))),
            ("a", 3, Kind::Marker),
            ("b", 4, Kind::Marker),
        ];
        assert_eq!(kinds, expected);
        let call = story.history.call(lost).unwrap();
        let (id, version) = versions.written_by(call).unwrap();
        assert_eq!((id, version.acknowledged), (v(2), None));
    }

    #[test]
    fn what_cannot_all_be_true_is_a_conflict() {
        let conflicts = |tell: &dyn Fn(&mut Story)| {
            let mut story = Story::new();
            tell(&mut story);
            Versions::of(&story.history).conflicts.len()
        };
        let twice = |first: &'static str, second: &'static str| {
            conflicts(&move |story| {
                story.put(first, v(1));
                story.put(second, v(1));
            })
        };
        assert_eq!(twice("a", "a"), 2, "one id: two writes, acknowledged to two calls");
        assert_eq!(twice("a", "b"), 1, "one id, two keys");
        assert_eq!(
            conflicts(&|story| {
                let put = story.put("a", v(1));
                story.get("a", v(2), put);
            }),
            1,
            "one write, two versions"
        );
        assert_eq!(
            conflicts(&|story| {
                story.put("a", v(1));
                story.absent("a", Some(v(1)));
            }),
            1,
            "an object and a marker"
        );
    }
}
