//! Lifecycle rules as S3's XML has them.

use super::rules::{End, Rule};
use crate::error::{error, invalid_argument, invalid_request, not_implemented};
use s3s::{S3Error, S3ErrorCode, S3Result, dto::*};
use std::collections::BTreeSet;

/// Rules of a bucket: S3's limit.
const RULES_MAX: usize = 1000;
/// Characters of a rule's id.
const ID_MAX: usize = 255;
/// Milliseconds of a day.
const DAY_MS: i128 = 24 * 60 * 60 * 1000;

fn malformed(message: &'static str) -> S3Error {
    error(S3ErrorCode::MalformedXML, message)
}

/// Errors: MalformedXML, InvalidArgument, InvalidRequest; NotImplemented for what this store does not do.
pub(super) fn of_document(given: BucketLifecycleConfiguration) -> S3Result<Vec<Rule>> {
    if given.rules.is_empty() || given.rules.len() > RULES_MAX {
        return Err(malformed("A lifecycle configuration has 1 to 1000 rules."));
    }
    let mut rules = given.rules.into_iter().map(rule).collect::<S3Result<Vec<Rule>>>()?;
    let mut ids = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.id.is_empty()) {
        if !ids.insert(rule.id.clone()) {
            return Err(invalid_argument("Rule ID must be unique. Found same ID for more than one rule"));
        }
    }
    let mut free = (1..).map(|number| format!("rule-{number}")).filter(|id| !ids.contains(id));
    for rule in rules.iter_mut().filter(|rule| rule.id.is_empty()) {
        rule.id = free.next().expect("there are more numbers than rules");
    }
    Ok(rules)
}

fn rule(given: LifecycleRule) -> S3Result<Rule> {
    if given.noncurrent_version_expiration.is_some() {
        return Err(not_implemented(
            "NoncurrentVersionExpiration is not implemented: it would destroy versions, and nothing that an access key \
             can ask for does.",
        ));
    }
    if given.noncurrent_version_transitions.is_some() || given.transitions.is_some() {
        return Err(not_implemented("Transitions are not implemented: there is one storage class."));
    }
    let enabled = match given.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("Status must be Enabled or Disabled.")),
    };
    let id = given.id.unwrap_or_default();
    if id.chars().count() > ID_MAX {
        return Err(invalid_argument("ID length should not exceed allowed limit of 255"));
    }
    let filtered = given.filter.is_some();
    let selected = match (given.prefix, given.filter) {
        (Some(_), Some(_)) => return Err(malformed("A rule has a Prefix or a Filter, not both.")),
        (prefix, None) => Rule { prefix, ..Rule::default() },
        (None, Some(filter)) => of_filter(filter)?,
    };
    let end = given.expiration.map(end).transpose()?.flatten();
    let abort_days = given.abort_incomplete_multipart_upload.map(abort).transpose()?;
    let (tagged, sized) = (!selected.tags.is_empty(), selected.greater.or(selected.less).is_some());
    if end == Some(End::Markers) && (tagged || sized) {
        let message = "ExpiredObjectDeleteMarker cannot be specified with tags or sizes: markers have none.";
        return Err(invalid_request(message));
    }
    if abort_days.is_some() && (tagged || sized) {
        let message =
            "AbortIncompleteMultipartUpload cannot be specified with tags or sizes: uploads have none.";
        return Err(invalid_request(message));
    }
    if end.is_none() && abort_days.is_none() {
        return Err(invalid_request("At least one action needs to be specified in a rule"));
    }
    Ok(Rule { id, enabled, filtered, end, abort_days, ..selected })
}

fn of_filter(filter: LifecycleRuleFilter) -> S3Result<Rule> {
    let LifecycleRuleFilter { and, object_size_greater_than, object_size_less_than, prefix, tag } = filter;
    let alone = [object_size_greater_than.is_some(), object_size_less_than.is_some(), prefix.is_some()];
    let alone = alone.into_iter().chain([tag.is_some(), and.is_some()]).filter(|given| *given).count();
    if alone > 1 {
        return Err(malformed("A Filter has one element: put several into And."));
    }
    let and = and.unwrap_or(LifecycleRuleAndOperator {
        object_size_greater_than,
        object_size_less_than,
        prefix,
        tags: tag.map(|tag| vec![tag]),
    });
    let mut names = BTreeSet::new();
    let tag = |tag: Tag| match (tag.key, tag.value) {
        (Some(name), Some(value)) if names.insert(name.clone()) => Ok((name, value)),
        (Some(_), Some(_)) => Err(invalid_request("Duplicate Tag Keys are not allowed.")),
        _ => Err(malformed("A tag needs its Key and Value.")),
    };
    let tags = and.tags.unwrap_or_default().into_iter().map(tag).collect::<S3Result<_>>()?;
    let bytes = |given: Option<i64>| {
        given.map(u64::try_from).transpose().map_err(|_| malformed("Sizes of objects are not negative."))
    };
    let (greater, less) = (bytes(and.object_size_greater_than)?, bytes(and.object_size_less_than)?);
    if greater.zip(less).is_some_and(|(greater, less)| greater >= less) {
        let message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.";
        return Err(invalid_request(message));
    }
    Ok(Rule { prefix: and.prefix, tags, greater, less, ..Rule::default() })
}

fn end(given: LifecycleExpiration) -> S3Result<Option<End>> {
    let LifecycleExpiration { date, days, expired_object_delete_marker: markers } = given;
    match (date, days, markers) {
        (None, None, Some(removes)) => Ok(removes.then_some(End::Markers)),
        (None, Some(days), None) => positive(days, "Expiration").map(|days| Some(End::Days(days))),
        (Some(date), None, None) => {
            let time_ms = time::OffsetDateTime::from(date).unix_timestamp_nanos() / 1_000_000;
            match u64::try_from(time_ms) {
                Ok(date_ms) if time_ms % DAY_MS == 0 => Ok(Some(End::Date(date_ms))),
                _ => Err(invalid_argument("'Date' must be at midnight GMT")),
            }
        }
        _ => Err(malformed("An Expiration has one of Days, Date and ExpiredObjectDeleteMarker.")),
    }
}

fn abort(given: AbortIncompleteMultipartUpload) -> S3Result<u32> {
    let days = given.days_after_initiation;
    positive(
        days.ok_or_else(|| malformed("DaysAfterInitiation is missing."))?,
        "AbortIncompleteMultipartUpload",
    )
}

fn positive(days: i32, action: &str) -> S3Result<u32> {
    let days = u32::try_from(days).ok().filter(|days| *days > 0);
    days.ok_or_else(|| invalid_argument(format!("'Days' for {action} action must be a positive integer")))
}

pub(super) fn to_document(rule: Rule) -> LifecycleRule {
    let status = if rule.enabled { ExpirationStatus::ENABLED } else { ExpirationStatus::DISABLED };
    let expiration = rule.end.map(|end| LifecycleExpiration {
        date: match end {
            End::Date(date_ms) => Some(crate::attributes::timestamp(date_ms)),
            _ => None,
        },
        days: match end {
            End::Days(days) => i32::try_from(days).ok(),
            _ => None,
        },
        expired_object_delete_marker: (end == End::Markers).then_some(true),
    });
    let abort = |days| AbortIncompleteMultipartUpload { days_after_initiation: i32::try_from(days).ok() };
    let (filter, prefix) = match rule.filtered {
        true => (Some(filter(rule.prefix, rule.tags, rule.greater, rule.less)), None),
        false => (None, Some(rule.prefix.unwrap_or_default())),
    };
    LifecycleRule {
        abort_incomplete_multipart_upload: rule.abort_days.map(abort),
        expiration,
        filter,
        id: Some(rule.id),
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(status),
        transitions: None,
    }
}

fn filter(
    prefix: Option<String>,
    tags: Vec<(String, String)>,
    greater: Option<u64>,
    less: Option<u64>,
) -> LifecycleRuleFilter {
    let bytes = |given: Option<u64>| given.and_then(|bytes| i64::try_from(bytes).ok());
    let count = usize::from(prefix.is_some()) + tags.len();
    let count = count + usize::from(greater.is_some()) + usize::from(less.is_some());
    let mut tags: TagSet =
        tags.into_iter().map(|(name, value)| Tag { key: Some(name), value: Some(value) }).collect();
    if count < 2 {
        return LifecycleRuleFilter {
            and: None,
            object_size_greater_than: bytes(greater),
            object_size_less_than: bytes(less),
            prefix,
            tag: tags.pop(),
        };
    }
    let and = LifecycleRuleAndOperator {
        object_size_greater_than: bytes(greater),
        object_size_less_than: bytes(less),
        prefix,
        tags: (!tags.is_empty()).then_some(tags),
    };
    LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() }
}
