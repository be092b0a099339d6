//! Drawing keys, and the S3 access keys of a gateway.

use crate::{
    failure::{Exit, Failure},
    files,
};
use proof::{Digest, SecretKey};
use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use zeroize::Zeroizing;

/// Bytes that nobody can guess, from the operating system.
pub(crate) fn draw<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A signing key.
pub(crate) fn draw_signing() -> SecretKey {
    SecretKey::from_seed(draw())
}

/// 32 secret bytes as a key file has them.
pub(crate) fn to_file(secret: &[u8; 32]) -> Vec<u8> {
    format!("{}\n", Digest(*secret)).into_bytes()
}

/// An S3 access key with its secret.
#[derive(Clone)]
pub(crate) struct AccessKey {
    /// 20 characters, the first two `OL`.
    pub id: String,
    /// 40 characters.
    pub secret: Zeroizing<String>,
}

impl AccessKey {
    pub(crate) fn draw() -> Self {
        const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        const MIXED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // It never begins with what a command line takes for an option.
        let secret = Zeroizing::new(text::<1>(UPPER) + &text::<39>(MIXED));
        Self { id: format!("OL{}", text::<18>(UPPER)), secret }
    }
}

/// Characters of an alphabet whose length is a power of two, so that each is equally likely.
fn text<const N: usize>(alphabet: &[u8]) -> String {
    debug_assert!(alphabet.len().is_power_of_two());
    draw::<N>().iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect()
}

/// The access keys that a gateway knows, by id.
#[derive(Clone, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessKeys {
    /// By id.
    pub keys: BTreeMap<String, Entry>,
}

/// What the file says of a key.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Entry {
    /// Its secret: it may do everything.
    Full(String),
    /// Its secret, and what it may do.
    Scoped(Scoped),
}

/// A key that may not do everything.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scoped {
    pub secret: String,
    /// Verbs: see [`s3::Verb`].
    pub allow: Vec<String>,
    /// In these buckets; in all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<String>,
    /// To keys that begin so; to all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
}

impl Entry {
    fn secret(&self) -> &str {
        match self {
            Self::Full(secret) => secret,
            Self::Scoped(scoped) => &scoped.secret,
        }
    }
}

impl Scoped {
    fn scope(&self) -> Result<s3::Scope, String> {
        Ok(s3::Scope {
            verbs: self.allow.iter().map(|verb| verb.parse()).collect::<Result<_, String>>()?,
            buckets: self.buckets.iter().cloned().collect(),
            prefixes: self.prefixes.clone(),
        })
    }
}

impl AccessKeys {
    pub(crate) fn of(key: &AccessKey) -> Self {
        Self { keys: BTreeMap::from([(key.id.clone(), Entry::Full(key.secret.to_string()))]) }
    }

    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let read = std::fs::metadata(path).and_then(|metadata| {
            std::fs::read_to_string(path).map(|text| (metadata.permissions().mode() & 0o777, text))
        });
        let (mode, text) = read.map_err(|error| Failure::file("read", path, &error))?;
        if mode & 0o077 != 0 {
            let message = format!("{} can be read by others (mode {mode:o})", path.display());
            return Err(Failure::new(Exit::Configuration, message).hint(format!(
                "chmod 600 {0}; replace the keys if others may have read them",
                path.display()
            )));
        }
        // The parser's own message quotes the text: it would show a secret.
        let keys: Self = toml::from_str(&text).map_err(|_| {
            Failure::new(Exit::Configuration, format!("{} holds no access keys", path.display()))
                .hint("it has a table [keys] with lines  ID = \"SECRET\", and tables [keys.ID]; `outlast key new` writes them")
        })?;
        if keys.keys.is_empty() {
            return Err(Failure::new(
                Exit::Configuration,
                format!("{} holds no access keys", path.display()),
            )
            .hint("`outlast key new` adds one"));
        }
        keys.scopes(path)?;
        Ok(keys)
    }

    /// Secrets by id.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&String, &str)> {
        self.keys.iter().map(|(id, entry)| (id, entry.secret()))
    }

    /// What keys are limited to. `path` is for the message.
    pub(crate) fn scopes(&self, path: &Path) -> Result<BTreeMap<String, s3::Scope>, Failure> {
        let scoped = self.keys.iter().filter_map(|(id, entry)| match entry {
            Entry::Full(_) => None,
            Entry::Scoped(scoped) => Some((id, scoped)),
        });
        let scope = |(id, scoped): (&String, &Scoped)| {
            let scope = scoped.scope().map_err(|why| {
                Failure::new(Exit::Configuration, format!("{}: access key {id}: {why}", path.display()))
            })?;
            Ok((id.clone(), scope))
        };
        scoped.map(scope).collect()
    }

    pub(crate) fn to_file(&self) -> Vec<u8> {
        toml::to_string(self).expect("text by text is a TOML table").into_bytes()
    }

    /// Adds a key to the file at `path`: to do everything, or what is said.
    pub(crate) fn add(path: &Path, key: &AccessKey, scoped: Option<Scoped>) -> Result<(), Failure> {
        let mut keys = Self::load(path)?;
        let secret = key.secret.to_string();
        let entry = match scoped {
            None => Entry::Full(secret),
            Some(scoped) => Entry::Scoped(Scoped { secret, ..scoped }),
        };
        keys.keys.insert(key.id.clone(), entry);
        files::replace(path, &keys.to_file(), true)
    }

    /// The first key, for those who need any: one that may do everything, if there is one.
    pub(crate) fn first(&self) -> AccessKey {
        let full = self.keys.iter().find(|(_, entry)| matches!(entry, Entry::Full(_)));
        let (id, entry) = full.or(self.keys.first_key_value()).expect("never empty when loaded");
        AccessKey { id: id.clone(), secret: Zeroizing::new(entry.secret().to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_keys_have_the_shape_that_clients_expect() {
        let (one, other) = (AccessKey::draw(), AccessKey::draw());
        assert_eq!((one.id.len(), one.secret.len()), (20, 40));
        assert!(one.id.starts_with("OL") && one.id.bytes().all(|c| c.is_ascii_alphanumeric()));
        assert!(one.id != other.id && one.secret != other.secret);
    }

    #[test]
    fn access_keys_are_added_to_their_file() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("access-keys.toml");
        let (one, other) = (AccessKey::draw(), AccessKey::draw());
        files::replace(&path, &AccessKeys::of(&one).to_file(), true).unwrap();
        AccessKeys::add(&path, &other, None).unwrap();
        let keys = AccessKeys::load(&path).unwrap();
        assert_eq!(keys.keys.len(), 2);
        assert_eq!(keys.keys[&other.id].secret(), *other.secret);
        assert!(keys.scopes(&path).unwrap().is_empty());
    }

    #[test]
    fn keys_with_scopes_are_read_and_written() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("access-keys.toml");
        let scoped = "[keys]\nOLZ = \"SECRET\"\n\n[keys.OLA]\nsecret = \"OTHER\"\nallow = [\"list\", \"mark\"]\n\
                      buckets = [\"logs\"]\nprefixes = [\"2025/\"]\n";
        files::replace(&path, scoped.as_bytes(), true).unwrap();
        let keys = AccessKeys::load(&path).unwrap();
        let scopes = keys.scopes(&path).unwrap();
        assert_eq!(scopes.len(), 1);
        assert!(scopes["OLA"].verbs.iter().eq([&s3::Verb::List, &s3::Verb::Mark]));
        assert!(scopes["OLA"].buckets.contains("logs") && scopes["OLA"].prefixes == ["2025/"]);
        assert_eq!(keys.first().id, "OLZ", "the one that may do everything");
        let again: AccessKeys = toml::from_str(std::str::from_utf8(&keys.to_file()).unwrap()).unwrap();
        assert!(again == keys);

        files::replace(&path, scoped.replace("mark", "destroy").as_bytes(), true).unwrap();
        let failure = AccessKeys::load(&path).err().unwrap();
        assert!(failure.message.contains("OLA") && failure.message.contains("destroy"), "{failure}");
        files::replace(&path, scoped.replace("prefixes", "prefix").as_bytes(), true).unwrap();
        assert_eq!(AccessKeys::load(&path).err().unwrap().exit, Exit::Configuration);
    }

    #[test]
    fn a_damaged_or_exposed_file_is_refused_without_showing_a_secret() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("access-keys.toml");
        files::replace(&path, b"[keys]\nOLX = SECRET", true).unwrap();
        let failure = AccessKeys::load(&path).err().unwrap();
        assert!(!failure.to_string().contains("SECRET = "), "{failure}");
        assert!(!failure.message.contains("OLX"), "{failure}");
        files::replace(&path, &AccessKeys::of(&AccessKey::draw()).to_file(), false).unwrap();
        assert_eq!(AccessKeys::load(&path).err().unwrap().exit, Exit::Configuration);
    }
}
