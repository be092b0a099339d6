//! Conditional requests: RFC 9110 section 13 for reads, S3's subset of it for writes.

use crate::{
    attributes::{http_date, timestamp},
    error::{error, not_implemented, precondition_failed, stored, with_headers},
    store::{Store, StoredObject},
};
use s3s::{
    S3ErrorCode, S3Result,
    dto::{ETag, ETagCondition, Timestamp},
};
use vault::{Condition, Place};

/// What a read is conditional on.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Proceed,
    NotModified,
    Failed,
}

impl ReadConditions {
    /// Decides a GET or HEAD: 304 and 412 are errors to the dispatcher.
    pub(crate) fn check(&self, object: &impl StoredObject) -> S3Result<()> {
        match self.evaluate(&object.metadata().etag, object.time_ms()) {
            Outcome::Proceed => Ok(()),
            Outcome::Failed => Err(precondition_failed()),
            Outcome::NotModified => {
                let headers = [
                    ("etag", format!("\"{}\"", object.metadata().etag)),
                    ("last-modified", http_date(&timestamp(object.time_ms()))?),
                    ("x-amz-version-id", object.version().to_string()),
                ];
                Err(with_headers(error(S3ErrorCode::NotModified, "Not Modified"), &headers))
            }
        }
    }

    /// Decides a copy's source, where what would be 304 is 412.
    pub(crate) fn check_source(&self, object: &impl StoredObject) -> S3Result<()> {
        match self.evaluate(&object.metadata().etag, object.time_ms()) {
            Outcome::Proceed => Ok(()),
            Outcome::Failed | Outcome::NotModified => Err(precondition_failed()),
        }
    }

    /// The order of RFC 9110 section 13.2.2: a condition on the ETag overrides the one on the time.
    fn evaluate(&self, etag: &str, time_ms: u64) -> Outcome {
        let modified = timestamp(time_ms / 1000 * 1000);
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, etag, true),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !holds {
            return Outcome::Failed;
        }
        let changed = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => !matches(condition, etag, false),
            (None, Some(since)) => modified > *since,
            (None, None) => true,
        };
        if changed { Outcome::Proceed } else { Outcome::NotModified }
    }
}

fn matches(condition: &ETagCondition, etag: &str, strong: bool) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(ETag::Strong(given)) => given == etag,
        ETagCondition::ETag(ETag::Weak(given)) => !strong && given == etag,
    }
}

/// Whether a range still applies: `If-Range` holds an ETag or a date (RFC 9110 section 13.1.5).
pub(crate) fn range_applies(if_range: Option<&str>, object: &impl StoredObject) -> bool {
    let Some(validator) = if_range else { return true };
    validator == format!("\"{}\"", object.metadata().etag)
        || http_date(&timestamp(object.time_ms())).is_ok_and(|date| date == validator)
}

/// What a write is conditional on, as its headers have it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteConditions {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// The vault's condition. An ETag is turned into the version that has it now, which the vault then insists on.
    /// `early` looks at once whether the write can succeed, before a long body is received.
    pub(crate) async fn resolve<S: Store>(
        self,
        store: &S,
        place: &Place,
        early: bool,
    ) -> S3Result<Condition> {
        match (self.if_match, self.if_none_match) {
            (None, None) => Ok(Condition::None),
            (Some(_), Some(_)) => {
                Err(not_implemented("If-Match and If-None-Match together are not implemented."))
            }
            (None, Some(condition @ ETagCondition::ETag(_))) => match store.head(place, None).await {
                // What has another ETag must still be there when the write comes.
                Ok(current) if !matches(&condition, &current.metadata().etag, false) => {
                    Ok(Condition::IfVersion(current.version()))
                }
                Ok(_) => Err(precondition_failed()),
                Err(vault::Error::NoSuchKey { .. }) => Ok(Condition::IfAbsent),
                Err(cause) => Err(stored(cause)),
            },
            (None, Some(ETagCondition::Any)) => {
                if early && store.head(place, None).await.is_ok() {
                    return Err(precondition_failed());
                }
                Ok(Condition::IfAbsent)
            }
            (Some(condition), None) => {
                let current = store.head(place, None).await.map_err(stored)?;
                match condition {
                    ETagCondition::Any => Ok(Condition::IfPresent),
                    condition if !matches(&condition, &current.metadata().etag, true) => {
                        Err(precondition_failed())
                    }
                    ETagCondition::ETag(_) => Ok(Condition::IfVersion(current.version())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 1_000_000_000_500;

    fn etag(text: &str) -> Option<ETagCondition> {
        Some(text.parse().expect("condition"))
    }

    fn at(offset_s: i64) -> Option<Timestamp> {
        Some(timestamp((NOON_MS as i64 / 1000 + offset_s) as u64 * 1000))
    }

    #[test]
    fn reads_follow_the_rfc() {
        use Outcome::{Failed, NotModified, Proceed};
        let none = ReadConditions::default;
        for (conditions, outcome) in [
            (none(), Proceed),
            (ReadConditions { if_match: etag("\"e\""), ..none() }, Proceed),
            (ReadConditions { if_match: etag("*"), ..none() }, Proceed),
            (ReadConditions { if_match: etag("\"f\""), ..none() }, Failed),
            (ReadConditions { if_match: etag("W/\"e\""), ..none() }, Failed),
            (ReadConditions { if_none_match: etag("\"e\""), ..none() }, NotModified),
            (ReadConditions { if_none_match: etag("W/\"e\""), ..none() }, NotModified),
            (ReadConditions { if_none_match: etag("*"), ..none() }, NotModified),
            (ReadConditions { if_none_match: etag("\"f\""), ..none() }, Proceed),
            (ReadConditions { if_modified_since: at(0), ..none() }, NotModified),
            (ReadConditions { if_modified_since: at(-1), ..none() }, Proceed),
            (ReadConditions { if_unmodified_since: at(0), ..none() }, Proceed),
            (ReadConditions { if_unmodified_since: at(-1), ..none() }, Failed),
            // The ETag's condition overrides the time's.
            (ReadConditions { if_match: etag("\"e\""), if_unmodified_since: at(-1), ..none() }, Proceed),
            (ReadConditions { if_none_match: etag("\"f\""), if_modified_since: at(0), ..none() }, Proceed),
            (
                ReadConditions { if_none_match: etag("\"e\""), if_modified_since: at(-1), ..none() },
                NotModified,
            ),
            // A failed match comes before an unmodified answer.
            (ReadConditions { if_match: etag("\"f\""), if_none_match: etag("\"e\""), ..none() }, Failed),
        ] {
            assert_eq!(conditions.evaluate("e", NOON_MS), outcome, "{conditions:?}");
        }
    }
}
