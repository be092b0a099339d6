//! What a command that failed says: an error, a hint, and an exit code that scripts can tell apart.

use std::{fmt, path::Path, process::ExitCode};

/// Exit codes. 2 is clap's, for arguments that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// None of the others.
    Failed = 1,
    /// Arguments that make no sense.
    Usage = 2,
    /// No such bucket, object, version, tenant or network.
    NotFound = 3,
    /// Too few nodes answer, or they are overloaded.
    Unavailable = 4,
    /// A configuration, a key or a genesis file is missing, wrong or damaged.
    Configuration = 5,
    /// A port or a directory is in use.
    InUse = 6,
    /// A receipt or a file is not what it claims to be.
    NotProven = 7,
    /// It exists already, or a condition does not hold.
    Conflict = 8,
}

/// Why a command failed and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A file could not be used.
    pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let failure = Self::new(Exit::Failed, format!("cannot {what} {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::NotFound => failure.hint("check the path"),
            std::io::ErrorKind::PermissionDenied => failure.hint("check who owns it, and its mode"),
            std::io::ErrorKind::StorageFull => failure.hint("the disk is full: make room and try again"),
            _ => failure,
        }
    }

    /// Prints it on standard error, and gives the code to exit with.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if json {
            let line =
                serde_json::json!({ "error": self.message, "hint": self.hint, "exit": self.exit as u8 });
            eprintln!("{line}");
        } else {
            eprintln!("{self}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<node::config::ConfigError> for Failure {
    fn from(error: node::config::ConfigError) -> Self {
        Self::new(Exit::Configuration, error.to_string())
    }
}

impl From<vault::ConnectError> for Failure {
    fn from(error: vault::ConnectError) -> Self {
        Self::new(Exit::Configuration, error.to_string())
            .hint("copy the [[nodes]] entries of gateway.toml again from another gateway or node")
    }
}

impl From<vault::Error> for Failure {
    fn from(error: vault::Error) -> Self {
        use vault::Error;
        let (exit, hint) = match &error {
            Error::NoSuchBucket => {
                (Exit::NotFound, Some("`outlast ls` lists the buckets, `outlast mb BUCKET` makes one"))
            }
            Error::NoSuchKey { marker: Some(_) } => (
                Exit::NotFound,
                Some("it was deleted, and its versions are still there: `outlast undelete BUCKET/KEY`"),
            ),
            Error::NoSuchKey { .. } => (Exit::NotFound, Some("`outlast ls BUCKET` lists the objects")),
            Error::NoSuchVersion => {
                (Exit::NotFound, Some("`outlast stat BUCKET/KEY` shows the current version"))
            }
            Error::Marker { .. } | Error::NoSuchUpload => (Exit::NotFound, None),
            Error::NotYet => (Exit::Usage, Some("name a time that is past, or a block that is")),
            Error::BucketExists | Error::PreconditionFailed | Error::Conflict => (Exit::Conflict, None),
            Error::Locked(_) => (Exit::Conflict, Some("what is locked stays until its retention ends")),
            Error::NotLockable | Error::InvalidRetention => (Exit::Usage, None),
            Error::BucketNotEmpty => (Exit::Conflict, None),
            Error::Overloaded => (Exit::Unavailable, Some("nothing was done; try again in a moment")),
            Error::Unavailable(_) => (
                Exit::Unavailable,
                Some("is the network running? `outlast up` starts it, `outlast status` says what is wrong"),
            ),
            Error::Unknown(_) => (
                Exit::Unavailable,
                Some("`outlast stat BUCKET/KEY` shows, in a few minutes, whether it happened"),
            ),
            Error::QuotaExceeded => {
                (Exit::Conflict, Some("`outlast quota [BUCKET]` shows what is kept, and sets what may be"))
            }
            Error::Full => (Exit::Unavailable, Some("`outlast status` shows which node has no room left")),
            Error::Damaged(_) => {
                (Exit::NotProven, Some("check that master.key is the one it was written with"))
            }
            _ => (Exit::Failed, None),
        };
        Self { exit, message: error.to_string(), hint: hint.map(str::to_owned) }
    }
}
