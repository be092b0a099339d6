//! Moments of a network's life, and how people and S3 clients write them.
//!
//! A moment is a time, `2026-11-01T10:00:00Z` or `20261101t100000z`, or the height of a block. A bucket in the past is
//! `BUCKET@MOMENT`, or, where names of buckets must be plain, `BUCKET--at-MOMENT` with the short form of a time.

use proof::BucketName;
use std::{fmt, str::FromStr};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment: a time or a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since the Unix epoch.
    TimeMs(u64),
    /// The state after the block of this height.
    Height(u64),
}

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is a time like 2026-11-01T10:00:00Z or 20261101t100000z, or the height of a block")]
pub struct InvalidMoment;

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Height).map_err(|_| InvalidMoment);
        }
        let text = expanded(text).unwrap_or_else(|| text.to_ascii_uppercase());
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| InvalidMoment)?;
        let time_ms = time.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(time_ms).map(Self::TimeMs).map_err(|_| InvalidMoment)
    }
}

/// The long form of `20261101t100000z`.
fn expanded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    let is_short = bytes.len() == 16
        && digits(0..8)
        && bytes[8].eq_ignore_ascii_case(&b't')
        && digits(9..15)
        && bytes[15].eq_ignore_ascii_case(&b'z');
    is_short.then(|| {
        let [year, month, day] = [&text[..4], &text[4..6], &text[6..8]];
        let [hour, minute, second] = [&text[9..11], &text[11..13], &text[13..15]];
        format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
    })
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = match self {
            Self::Height(height) => return write!(f, "block {height}"),
            Self::TimeMs(time_ms) => {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(*time_ms) * 1_000_000)
            }
        };
        // What is out of range was never parsed.
        let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
        f.write_str(&text.unwrap_or_else(|| "a time out of range".to_owned()))
    }
}

/// A bucket as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The bucket.
    pub bucket: BucketName,
    /// When.
    pub moment: Moment,
}

impl Past {
    /// Reads the name of a bucket in the past; `None` when it names no moment.
    pub fn of(name: &str) -> Option<Self> {
        let (bucket, moment) = name.split_once('@').or_else(|| name.rsplit_once("--at-"))?;
        Some(Self { bucket: bucket.parse().ok()?, moment: moment.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-01T10:00:00Z
    const MORNING_MS: u64 = 1_793_527_200_000;

    #[test]
    fn moments_are_read_in_all_their_forms() {
        for (text, moment) in [
            ("2026-11-01T10:00:00Z", Moment::TimeMs(MORNING_MS)),
            ("2026-11-01t10:00:00z", Moment::TimeMs(MORNING_MS)),
            ("20261101t100000z", Moment::TimeMs(MORNING_MS)),
            ("20261101T100000Z", Moment::TimeMs(MORNING_MS)),
            ("2026-11-01T12:30:00+02:30", Moment::TimeMs(MORNING_MS)),
            ("2026-11-01T10:00:00.250Z", Moment::TimeMs(MORNING_MS + 250)),
            ("0", Moment::Height(0)),
            ("12345", Moment::Height(12345)),
        ] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-11-01",
            "20261101",
            "20261301t100000z",
            "20261101t1000é",
            "1969-12-31T23:59:59Z",
            "99999999999999999999",
            "+5",
        ] {
            assert!(!matches!(text.parse(), Ok(Moment::TimeMs(_))), "{text}");
        }
        assert_eq!(Moment::TimeMs(MORNING_MS).to_string(), "2026-11-01T10:00:00Z");
    }

    #[test]
    fn buckets_in_the_past_are_told_from_others() {
        for name in ["shop@2026-11-01T10:00:00Z", "shop@20261101t100000z", "shop--at-20261101t100000z"] {
            let past = Past::of(name).expect(name);
            assert_eq!((past.bucket.as_str(), past.moment), ("shop", Moment::TimeMs(MORNING_MS)));
        }
        let nested = Past::of("a--at-b--at-7").expect("a bucket's name may look so");
        assert_eq!((nested.bucket.as_str(), nested.moment), ("a--at-b", Moment::Height(7)));
        for name in ["shop", "shop@", "shop@noon", "shop--at-", "shop--at-noon", "@7", "SHOP@7", "--at-7"] {
            assert_eq!(Past::of(name), None, "{name}");
        }
    }
}
