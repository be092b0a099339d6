//! Lifecycle rules: what they apply to and when, and how they are kept.
//!
//! They are kept as pairs, `application/x-www-form-urlencoded`: `rule` with its id begins one; then follow `status`, `form`
//! (whether its prefix stood in a filter), `prefix`, `tag` with `value` for each tag, `greater` and `less` (bytes), and what
//! it does: `days`, `date` (milliseconds since the Unix epoch) or `marker`, and `abort` (days).

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    /// Whether what it applies to was given as a filter, and not as a prefix alone.
    pub(crate) filtered: bool,
    pub(crate) prefix: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    /// Objects of more bytes than this.
    pub(crate) greater: Option<u64>,
    /// Objects of less bytes than this.
    pub(crate) less: Option<u64>,
    pub(crate) end: Option<End>,
    /// Uploads that are not completed are aborted so many days after they were begun.
    pub(crate) abort_days: Option<u32>,
}

/// When an object ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// So many days after it was put.
    Days(u32),
    /// Milliseconds since the Unix epoch.
    Date(u64),
    /// Not objects, but delete markers that are their keys' only versions.
    Markers,
}

/// The midnight (UTC) that is so many days after a time, or follows it.
fn midnight(time_ms: u64, days: u32) -> u64 {
    (time_ms + u64::from(days) * DAY_MS).div_ceil(DAY_MS) * DAY_MS
}

impl Rule {
    fn covers(&self, key: &str) -> bool {
        self.enabled && self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    /// When the rule ends an object that was put at `time_ms`, if it is about such objects; their tags aside.
    pub(crate) fn ends(&self, key: &str, length: u64, time_ms: u64) -> Option<u64> {
        let fits = self.covers(key)
            && self.greater.is_none_or(|greater| length > greater)
            && self.less.is_none_or(|less| length < less);
        match self.end? {
            End::Days(days) if fits => Some(midnight(time_ms, days)),
            End::Date(date_ms) if fits => Some(date_ms),
            _ => None,
        }
    }

    /// Whether the rule is about objects with these tags.
    pub(crate) fn takes(&self, tags: &[(String, String)]) -> bool {
        self.tags.iter().all(|tag| tags.contains(tag))
    }

    /// When the rule aborts an upload that was begun at `time_ms`.
    pub(crate) fn aborts(&self, key: &str, time_ms: u64) -> Option<u64> {
        self.abort_days.filter(|_| self.covers(key)).map(|days| midnight(time_ms, days))
    }

    /// Whether the rule removes a marker that is all that is left of a key.
    pub(crate) fn removes_marker(&self, key: &str) -> bool {
        self.end == Some(End::Markers) && self.covers(key)
    }
}

/// The prefixes that have to be looked at for rules that `wanted` says are needed. None is within another.
pub(crate) fn prefixes(rules: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Vec<String> {
    let needed = rules.iter().filter(|rule| rule.enabled && wanted(rule));
    let mut prefixes: Vec<String> = needed.map(|rule| rule.prefix.clone().unwrap_or_default()).collect();
    prefixes.sort_unstable();
    prefixes.dedup_by(|next, before| next.starts_with(before.as_str()));
    prefixes
}

pub(crate) fn write(rules: &[Rule]) -> Vec<u8> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for rule in rules {
        let mut say = |name, value: &dyn ToString| pairs.push((name, value.to_string()));
        say("rule", &rule.id);
        say("status", &if rule.enabled { "Enabled" } else { "Disabled" });
        say("form", &if rule.filtered { "filter" } else { "prefix" });
        rule.prefix.iter().for_each(|prefix| say("prefix", prefix));
        for (name, value) in &rule.tags {
            say("tag", name);
            say("value", value);
        }
        rule.greater.iter().for_each(|bytes| say("greater", bytes));
        rule.less.iter().for_each(|bytes| say("less", bytes));
        match rule.end {
            Some(End::Days(days)) => say("days", &days),
            Some(End::Date(date_ms)) => say("date", &date_ms),
            Some(End::Markers) => say("marker", &""),
            None => {}
        }
        rule.abort_days.iter().for_each(|days| say("abort", days));
    }
    serde_urlencoded::to_string(pairs).expect("pairs of text are encoded").into_bytes()
}

pub(crate) fn read(kept: &[u8]) -> Option<Vec<Rule>> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(kept).ok()?;
    let mut rules: Vec<Rule> = Vec::new();
    for (name, value) in pairs {
        if name == "rule" {
            rules.push(Rule { id: value, ..Rule::default() });
            continue;
        }
        let rule = rules.last_mut()?;
        match name.as_str() {
            "status" => rule.enabled = value == "Enabled",
            "form" => rule.filtered = value == "filter",
            "prefix" => rule.prefix = Some(value),
            "tag" => rule.tags.push((value, String::new())),
            "value" => rule.tags.last_mut()?.1 = value,
            "greater" => rule.greater = Some(value.parse().ok()?),
            "less" => rule.less = Some(value.parse().ok()?),
            "days" => rule.end = Some(End::Days(value.parse().ok()?)),
            "date" => rule.end = Some(End::Date(value.parse().ok()?)),
            "marker" => rule.end = Some(End::Markers),
            "abort" => rule.abort_days = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*};

    /// 2026-11-01T10:00:00Z
    const MORNING_MS: u64 = 1_793_527_200_000;
    const MIDNIGHT_MS: u64 = 1_793_491_200_000;

    fn rule(end: End) -> Rule {
        Rule { enabled: true, end: Some(end), ..Rule::default() }
    }

    #[test]
    fn days_end_at_midnight() {
        assert_eq!(rule(End::Days(1)).ends("k", 0, MORNING_MS), Some(MIDNIGHT_MS + 2 * DAY_MS));
        assert_eq!(rule(End::Days(1)).ends("k", 0, MIDNIGHT_MS), Some(MIDNIGHT_MS + DAY_MS));
        assert_eq!(rule(End::Date(7)).ends("k", 0, MORNING_MS), Some(7));
        let far = rule(End::Days(i32::MAX as u32)).ends("k", 0, MORNING_MS);
        assert!(far > Some(MORNING_MS));
    }

    #[test]
    fn rules_apply_to_what_they_say() {
        let sized = Rule {
            prefix: Some("logs/".into()),
            greater: Some(10),
            less: Some(20),
            abort_days: Some(2),
            ..rule(End::Date(1))
        };
        let ends = |rule: &Rule, key, length| rule.ends(key, length, 0).is_some();
        for (key, length, expected) in
            [("logs/a", 11, true), ("logs/a", 10, false), ("logs/a", 19, true), ("logs/a", 20, false)]
        {
            assert_eq!(ends(&sized, key, length), expected, "{length}");
        }
        assert!(!ends(&sized, "log", 15));
        assert!(!ends(&Rule { enabled: false, ..sized.clone() }, "logs/a", 15));
        assert!(!ends(&rule(End::Markers), "a", 1));
        assert_eq!(sized.aborts("logs/a", 1), Some(3 * DAY_MS));
        assert_eq!(sized.aborts("a", 1), None);
        assert!(rule(End::Markers).removes_marker("a") && !sized.removes_marker("logs/a"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let tagged = Rule { tags: vec![pair("a", "1"), pair("b", "2")], ..rule(End::Days(1)) };
        assert!(tagged.takes(&[pair("b", "2"), pair("c", "3"), pair("a", "1")]));
        assert!(!tagged.takes(&[pair("a", "1"), pair("b", "3")]) && rule(End::Days(1)).takes(&[]));
    }

    #[test]
    fn no_prefix_is_within_another() {
        let with = |prefix: Option<&str>| Rule { prefix: prefix.map(Into::into), ..rule(End::Days(1)) };
        let rules = ["b/", "a", "a/b", "b/c", "c"].map(|prefix| with(Some(prefix)));
        assert_eq!(prefixes(&rules, |_| true), ["a", "b/", "c"]);
        assert_eq!(prefixes(&rules, |rule| rule.prefix.as_deref() == Some("a/b")), ["a/b"]);
        assert_eq!(prefixes(&[with(None), with(Some("x"))], |_| true), [""]);
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let end = prop_oneof![
            any::<u32>().prop_map(End::Days),
            any::<u64>().prop_map(End::Date),
            Just(End::Markers)
        ];
        (
            (any::<String>(), any::<bool>(), any::<bool>(), option::of(any::<String>())),
            vec((any::<String>(), any::<String>()), 0..3),
            (option::of(any::<u64>()), option::of(any::<u64>()), option::of(end), option::of(any::<u32>())),
        )
            .prop_map(|((id, enabled, filtered, prefix), tags, (greater, less, end, abort_days))| {
                Rule { id, enabled, filtered, prefix, tags, greater, less, end, abort_days }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rules_come_back(rules in vec(any_rule(), 0..4)) {
            prop_assert_eq!(read(&write(&rules)), Some(rules));
        }
    }

    #[test]
    fn what_is_no_rule_is_damaged() {
        for kept in ["days=1", "rule=&days=x", "rule=&colour=x", "rule=&value=x"] {
            assert_eq!(read(kept.as_bytes()), None, "{kept}");
        }
    }
}
