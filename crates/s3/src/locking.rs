//! Object lock: what buckets and versions are set to. The rules are the ledger's; here they get S3's names.

use crate::{
    error::{custom, error, invalid_argument, invalid_request, stored},
    objects::find_at,
    store::{Store, StoredObject},
    surface::{Surface, bucket, place},
    tagging,
};
use hyper::StatusCode;
use proof::VersionId;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::time::{SystemTime, UNIX_EPOCH};
use vault::{Metadata, Mode, Period, Place, Settings, VersionLock};

/// Where an upload's settings wait, among its metadata, until it is completed.
const TAGGING: &str = "x-amz-tagging";
const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-ms";
const HOLD: &str = "x-amz-object-lock-legal-hold";

/// The request headers that set what a version is made with.
pub(crate) struct Asked {
    pub(crate) tagging: Option<String>,
    pub(crate) mode: Option<ObjectLockMode>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) hold: Option<ObjectLockLegalHoldStatus>,
}

/// Takes [`Asked`] out of an operation's input.
macro_rules! asked {
    ($input:expr) => {
        $crate::locking::Asked {
            tagging: $input.tagging.take(),
            mode: $input.object_lock_mode.take(),
            until: $input.object_lock_retain_until_date.take(),
            hold: $input.object_lock_legal_hold_status.take(),
        }
    };
}
pub(crate) use asked;

impl Asked {
    /// Errors: InvalidArgument, InvalidTag.
    pub(crate) fn into_settings(self) -> S3Result<Settings> {
        let retention = match (&self.mode, &self.until) {
            (None, None) => None,
            (Some(mode), Some(until)) => {
                let mode = lock_mode(mode.as_str())
                    .ok_or_else(|| invalid_argument("Unknown wormMode directive."))?;
                Some(vault::Retention { mode, until_ms: ahead(until)? })
            }
            _ => {
                return Err(invalid_argument(
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
                ));
            }
        };
        let hold = match self.hold.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
            None | Some(ObjectLockLegalHoldStatus::OFF) => false,
            Some(ObjectLockLegalHoldStatus::ON) => true,
            Some(_) => return Err(invalid_argument("Legal Hold must be either of 'ON' or 'OFF'")),
        };
        let tags = self.tagging.as_deref().map(tagging::of_header).transpose()?;
        let tags = tags.filter(|tags| !tags.is_empty()).map(String::into_bytes);
        Ok(Settings { tags, retention, hold })
    }
}

/// Keeps an upload's settings in its metadata.
pub(crate) fn note(settings: Settings, metadata: &mut Metadata) {
    let mut keep = |name: &str, value: String| drop(metadata.headers.insert(name.to_owned(), value));
    if let Some(tags) = settings.tags {
        keep(TAGGING, String::from_utf8(tags).expect("tags are text"));
    }
    if let Some(retention) = settings.retention {
        keep(MODE, mode_name(&retention.mode).to_owned());
        keep(UNTIL, retention.until_ms.to_string());
    }
    if settings.hold {
        keep(HOLD, ObjectLockLegalHoldStatus::ON.to_owned());
    }
}

/// Takes them out again. A retention that has ended meanwhile locks nothing.
pub(crate) fn noted(metadata: &mut Metadata) -> Settings {
    let mut take = |name: &str| metadata.headers.remove(name);
    let (tags, mode, until, hold) = (take(TAGGING), take(MODE), take(UNTIL), take(HOLD));
    let mode = mode.and_then(|mode| lock_mode(&mode));
    let until_ms = until.and_then(|until| until.parse().ok()).filter(|until| *until > now_ms());
    let retention = mode.zip(until_ms).map(|(mode, until_ms)| vault::Retention { mode, until_ms });
    Settings { tags: tags.map(String::into_bytes), retention, hold: hold.is_some() }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn lock_mode(name: &str) -> Option<Mode> {
    match name {
        ObjectLockRetentionMode::GOVERNANCE => Some(Mode::Governance),
        ObjectLockRetentionMode::COMPLIANCE => Some(Mode::Compliance),
        _ => None,
    }
}

fn mode_name(mode: &Mode) -> &'static str {
    match mode {
        Mode::Governance => ObjectLockRetentionMode::GOVERNANCE,
        Mode::Compliance => ObjectLockRetentionMode::COMPLIANCE,
    }
}

/// Milliseconds since the Unix epoch. Errors: InvalidArgument.
fn ahead(until: &Timestamp) -> S3Result<u64> {
    let until = time::OffsetDateTime::from(until.clone()).unix_timestamp_nanos() / 1_000_000;
    u64::try_from(until)
        .ok()
        .filter(|until_ms| *until_ms > now_ms())
        .ok_or_else(|| invalid_argument("The retain until date must be in the future!"))
}

fn date(until_ms: u64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + std::time::Duration::from_millis(until_ms))
}

/// Fills the lock fields of an answer to GET or HEAD.
macro_rules! describe_lock {
    ($output:expr, $lock:expr) => {{
        let lock: vault::VersionLock = $lock;
        let (mode, until, hold) = $crate::locking::described(&lock);
        $output.object_lock_mode = mode;
        $output.object_lock_retain_until_date = until;
        $output.object_lock_legal_hold_status = hold;
    }};
}
pub(crate) use describe_lock;

/// Mode, end and hold, as headers have them.
pub(crate) fn described(
    lock: &VersionLock,
) -> (Option<ObjectLockMode>, Option<Timestamp>, Option<ObjectLockLegalHoldStatus>) {
    let retention = lock.retention.as_ref();
    let on = || ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON);
    (
        retention.map(|retention| ObjectLockMode::from_static(mode_name(&retention.mode))),
        retention.map(|retention| date(retention.until_ms)),
        lock.hold.then(on),
    )
}

fn malformed() -> S3Error {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    error(S3ErrorCode::MalformedXML, message)
}

pub(crate) async fn put_object_lock_configuration<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let input = request.input;
    let name = bucket(&input.bucket)?;
    if input.token.is_some() {
        return Err(invalid_request(
            "x-amz-bucket-object-lock-token is not needed: object lock can be enabled anyway.",
        ));
    }
    let configuration = input.object_lock_configuration.ok_or_else(malformed)?;
    let enabled = configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str);
    if enabled != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let default = match configuration.rule {
        None => None,
        Some(rule) => Some(default_retention(rule.default_retention.ok_or_else(malformed)?)?),
    };
    surface.store.set_bucket_lock(&name, default).await.map_err(|cause| match cause {
        vault::Error::InvalidRetention => invalid_period("Default retention period is too large."),
        cause => stored(cause),
    })?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

fn invalid_period(message: &'static str) -> S3Error {
    custom("InvalidRetentionPeriod", StatusCode::BAD_REQUEST, message)
}

fn default_retention(given: DefaultRetention) -> S3Result<vault::DefaultRetention> {
    let mode = given.mode.as_ref().and_then(|mode| lock_mode(mode.as_str())).ok_or_else(malformed)?;
    let positive = |count: i32| {
        let message = "Default retention period must be a positive integer value.";
        u32::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| invalid_period(message))
    };
    let period = match (given.days, given.years) {
        (Some(days), None) => Period::Days(positive(days)?),
        (None, Some(years)) => Period::Years(positive(years)?),
        _ => return Err(malformed()),
    };
    Ok(vault::DefaultRetention { mode, period })
}

pub(crate) async fn get_object_lock_configuration<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let name = bucket(&request.input.bucket)?;
    let Some(default) = surface.store.bucket_lock(&name).await.map_err(stored)? else {
        let message = "Object Lock configuration does not exist for this bucket";
        return Err(error(S3ErrorCode::ObjectLockConfigurationNotFoundError, message));
    };
    let rule = default.map(|default| {
        let (days, years) = match default.period {
            Period::Days(days) => (Some(days as i32), None),
            Period::Years(years) => (None, Some(years as i32)),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(mode_name(&default.mode)));
        ObjectLockRule { default_retention: Some(DefaultRetention { days, mode, years }) }
    });
    let enabled = ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED);
    let configuration = ObjectLockConfiguration { object_lock_enabled: Some(enabled), rule };
    Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
}

/// The version that a request names, or the current one, in a bucket that has object lock.
async fn lockable<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<(Place, VersionId, S::Object)> {
    let place = place(bucket_name, key)?;
    if surface.store.bucket_lock(&place.bucket).await.map_err(stored)?.is_none() {
        return Err(stored(vault::Error::NotLockable));
    }
    let (found, _) = find_at(surface, bucket_name, key, version_id).await?;
    Ok((place, found.version(), found))
}

pub(crate) async fn put_object_retention<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let input = request.input;
    let (place, version, _) =
        lockable(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let given = input.retention.ok_or_else(malformed)?;
    let retention = match (given.mode, given.retain_until_date) {
        // An empty document ends it.
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = lock_mode(mode.as_str()).ok_or_else(malformed)?;
            Some(vault::Retention { mode, until_ms: ahead(&until)? })
        }
        _ => return Err(malformed()),
    };
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    surface.store.set_retention(&place, version, retention, bypass).await.map_err(stored)?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

pub(crate) async fn get_object_retention<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let input = request.input;
    let (_, _, found) = lockable(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let Some(retention) = surface.store.lock(&found).await.map_err(stored)?.retention else {
        let message = "The specified object does not have a ObjectLock configuration";
        return Err(error(S3ErrorCode::NoSuchObjectLockConfiguration, message));
    };
    let retention = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(mode_name(&retention.mode))),
        retain_until_date: Some(date(retention.until_ms)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
}

pub(crate) async fn put_object_legal_hold<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let input = request.input;
    let (place, version, _) =
        lockable(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let status = input.legal_hold.and_then(|hold| hold.status);
    let hold = match status.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        _ => return Err(malformed()),
    };
    surface.store.set_hold(&place, version, hold).await.map_err(stored)?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

pub(crate) async fn get_object_legal_hold<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let input = request.input;
    let (_, _, found) = lockable(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let hold = surface.store.lock(&found).await.map_err(stored)?.hold;
    let status = if hold { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    let status = Some(ObjectLockLegalHoldStatus::from_static(status));
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold: Some(ObjectLockLegalHold { status }) }))
}
