//! How a command line names buckets, objects and versions: `BUCKET/KEY`.

use proof::{BucketName, transaction::Place};

/// A bucket, and a key or the beginning of one, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub bucket: BucketName,
    pub key: String,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("s3://").unwrap_or(text);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = bucket.parse::<BucketName>().map_err(|error| error.to_string())?;
        Ok(Self { bucket, key: key.to_owned() })
    }
}

/// Reads `BUCKET/KEY`.
pub(crate) fn place(text: &str) -> Result<Place, String> {
    let Target { bucket, key } = text.parse()?;
    if key.is_empty() {
        return Err(format!("an object is BUCKET/KEY, and {text} has no key"));
    }
    Ok(Place { bucket, key: key.parse().map_err(|error: proof::names::InvalidObjectKey| error.to_string())? })
}

/// `BUCKET/KEY` of a place.
pub(crate) fn name(place: &Place) -> String {
    format!("{}/{}", place.bucket, place.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_bucket_and_key() {
        for text in ["photos/2026/cat.jpg", "s3://photos/2026/cat.jpg"] {
            let place = place(text).unwrap();
            assert_eq!((place.bucket.as_str(), place.key.as_str()), ("photos", "2026/cat.jpg"));
            assert_eq!(name(&place), "photos/2026/cat.jpg");
        }
        for text in ["photos", "photos/", "/cat.jpg", "P/x", ""] {
            assert!(place(text).is_err(), "{text}");
        }
        let target: Target = "photos/2026/".parse().unwrap();
        assert_eq!(target.key, "2026/");
    }
}
