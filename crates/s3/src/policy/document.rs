//! Bucket policies: what their JSON means, and what it decides.
//!
//! Of a policy everything is understood, or it is refused: an element, principal, action or condition that is not known
//! here may be the one that denies.

use super::actions::{ACTIONS, Level, glob};
use serde::{
    Deserialize, Deserializer,
    de::{
        Error as _, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer},
    },
};
use std::{collections::BTreeSet, fmt, marker::PhantomData};

/// What names of buckets and objects begin with.
const ARN: &str = "arn:aws:s3:::";
/// Principals, actions, resources and values of a condition in a statement.
const ITEMS_MAX: usize = 256;

/// A policy that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Statement {
    allows: bool,
    everybody: bool,
    keys: BTreeSet<String>,
    /// The names that its patterns stand for.
    actions: BTreeSet<&'static str>,
    resources: Vec<String>,
    /// Patterns of which the parameter `prefix` of a listing must match one of each set.
    prefixes: Vec<Vec<String>>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act<'a> {
    /// Who: an access key's id, or nobody in particular.
    pub(crate) who: Option<&'a str>,
    pub(crate) bucket: &'a str,
    pub(crate) key: Option<&'a str>,
    /// Of a listing.
    pub(crate) prefix: Option<&'a str>,
}

/// What a policy says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denied,
    Allowed,
    /// Nothing.
    Silent,
}

impl Statement {
    fn is_about(&self, act: &Act<'_>, action: &str) -> bool {
        let who = self.everybody || act.who.is_some_and(|who| self.keys.contains(who));
        let name = match act.key {
            None => act.bucket.to_owned(),
            Some(key) => format!("{}/{key}", act.bucket),
        };
        let listed = |patterns: &Vec<String>| {
            act.prefix.is_some_and(|prefix| patterns.iter().any(|pattern| glob(pattern, prefix)))
        };
        who && self.actions.contains(action)
            && self.resources.iter().any(|resource| glob(resource, &name))
            && self.prefixes.iter().all(listed)
    }
}

impl Policy {
    /// What it says of an action. A denial counts more than any permission.
    pub(crate) fn decide(&self, act: &Act<'_>, action: &str) -> Verdict {
        let about = self.statements.iter().filter(|statement| statement.is_about(act, action));
        about.fold(Verdict::Silent, |verdict, statement| match (verdict, statement.allows) {
            (Verdict::Denied, _) | (_, false) => Verdict::Denied,
            (_, true) => Verdict::Allowed,
        })
    }

    /// Whether it allows anything to everybody.
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| statement.allows && statement.everybody)
    }

    /// The access keys that it names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| statement.keys.iter().map(String::as_str))
    }

    /// Reads the policy of a bucket. `owner` is the account that keys may be named with. Errors are for people.
    pub(crate) fn read(text: &str, bucket: &str, owner: &str) -> Result<Self, String> {
        let given: Given = serde_json::from_str(text)
            .map_err(|error| format!("This policy is not understood, so it is not kept: {error}"))?;
        if given.version.is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
            return Err("The policy must contain a valid version string".to_owned());
        }
        if given.statement.0.is_empty() {
            return Err("Could not parse the policy: Statement is empty!".to_owned());
        }
        let statements = given.statement.0.into_iter().map(|statement| statement.read(bucket, owner));
        Ok(Self { statements: statements.collect::<Result<_, String>>()? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(rename = "Version")]
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    #[serde(rename = "Statement")]
    statement: Many<GivenStatement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    #[serde(rename = "Effect")]
    effect: Effect,
    #[serde(rename = "Principal")]
    principal: Principal,
    #[serde(rename = "Action")]
    action: Many<String>,
    #[serde(rename = "Resource")]
    resource: Many<String>,
    #[serde(rename = "Condition")]
    condition: Option<Condition>,
}

#[derive(Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    #[serde(rename = "StringEquals")]
    equals: Option<Listing>,
    #[serde(rename = "StringLike")]
    like: Option<Listing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(rename = "s3:prefix")]
    prefix: Many<String>,
}

/// Whom a statement is about.
struct Principal(Vec<String>);

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            #[serde(rename = "AWS")]
            keys: Many<String>,
        }
        let Many(given) = Many::<OneOf<Named>>::deserialize(deserializer)?;
        match given.as_slice() {
            [OneOf::Text(text)] if text == "*" => Ok(Self(vec![text.clone()])),
            [OneOf::Other(Named { keys })] => Ok(Self(keys.0.clone())),
            _ => Err(D::Error::custom("a Principal is \"*\" or {\"AWS\": ...}")),
        }
    }
}

/// A text, or something else.
enum OneOf<T> {
    Text(String),
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOf<T>, E> {
                Ok(OneOf::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOf<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OneOf::Other)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// One, or a list of them.
struct Many<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Each<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one item or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Many<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| Many(vec![one]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Many<T>, A::Error> {
                let items = Vec::deserialize(SeqAccessDeserializer::new(items))?;
                match items.len() {
                    0 => Err(A::Error::custom("an empty list")),
                    1..=ITEMS_MAX => Ok(Many(items)),
                    _ => Err(A::Error::custom(format!("a list has up to {ITEMS_MAX} items here"))),
                }
            }
        }

        deserializer.deserialize_any(Each(PhantomData))
    }
}

impl GivenStatement {
    fn read(self, bucket: &str, owner: &str) -> Result<Statement, String> {
        let (mut everybody, mut keys) = (false, BTreeSet::new());
        for principal in self.principal.0 {
            if principal == "*" {
                everybody = true;
            } else {
                keys.insert(key_of(&principal, owner)?);
            }
        }
        let resources =
            self.resource.0.iter().map(|given| resource(given, bucket)).collect::<Result<Vec<_>, _>>()?;
        let mut actions = BTreeSet::new();
        for pattern in &self.action.0 {
            let found = matching(pattern)?;
            if !found.iter().any(|(_, level)| resources.iter().any(|resource| level.fits(resource, bucket))) {
                return Err(format!("Action does not apply to any resource(s) in statement: {pattern}"));
            }
            actions.extend(found.into_iter().map(|(name, _)| name));
        }
        let prefixes = self.condition.map_or(Ok(Vec::new()), |condition| condition.read(&actions))?;
        let allows = matches!(self.effect, Effect::Allow);
        Ok(Statement { allows, everybody, keys, actions, resources, prefixes })
    }
}

impl Condition {
    fn read(self, actions: &BTreeSet<&str>) -> Result<Vec<Vec<String>>, String> {
        const LISTINGS: [&str; 3] = ["ListBucket", "ListBucketVersions", "ListBucketMultipartUploads"];
        if !actions.iter().all(|action| LISTINGS.contains(action)) {
            return Err("s3:prefix is a condition of s3:ListBucket and its like only.".to_owned());
        }
        // Nothing in a text to be equal to is a wildcard.
        let mut sets = Vec::new();
        if let Some(Listing { prefix: Many(values) }) = self.equals {
            if values.iter().any(|value| value.contains(['*', '?'])) {
                return Err("StringEquals takes no wildcards here: use StringLike.".to_owned());
            }
            sets.push(values);
        }
        sets.extend(self.like.map(|Listing { prefix: Many(values) }| values));
        match sets.iter().flatten().any(|value| value.contains("${")) {
            true => Err("Policy variables are not supported.".to_owned()),
            false if sets.is_empty() => Err("A Condition must not be empty.".to_owned()),
            false => Ok(sets),
        }
    }
}

/// The access key that a principal names: its id, or as a user of the account.
fn key_of(principal: &str, owner: &str) -> Result<String, String> {
    let user = principal.strip_prefix("arn:aws:iam::").and_then(|user| user.split_once(":user/"));
    let key = match user {
        Some((account, key)) if account == owner => key,
        Some(_) => "",
        None => principal,
    };
    let plain = |text: &str| !text.is_empty() && !text.contains([':', '*', '?', '/', '$']);
    if plain(key) { Ok(key.to_owned()) } else { Err(format!("Invalid principal in policy: {principal}")) }
}

/// The names that a pattern of an action stands for.
fn matching(pattern: &str) -> Result<Vec<(&'static str, Level)>, String> {
    let lower = pattern.to_ascii_lowercase();
    let wanted = if lower == "*" { Some("*") } else { lower.strip_prefix("s3:") };
    let fits =
        |(name, _): &&(&str, Level)| wanted.is_some_and(|wanted| glob(wanted, &name.to_ascii_lowercase()));
    let found: Vec<_> = ACTIONS.iter().filter(fits).copied().collect();
    if found.is_empty() { Err(format!("Policy has invalid action: {pattern}")) } else { Ok(found) }
}

/// What stands behind [`ARN`], if that can be in the bucket.
fn resource(given: &str, bucket: &str) -> Result<String, String> {
    let invalid = || format!("Policy has invalid resource: {given}");
    let pattern = given.strip_prefix(ARN).filter(|pattern| !pattern.contains("${")).ok_or_else(invalid)?;
    let literal = pattern.split(['*', '?']).next().unwrap_or_default();
    let inside = match literal.len() == pattern.len() {
        true => literal == bucket || literal.strip_prefix(bucket).is_some_and(|key| key.starts_with('/')),
        false => format!("{bucket}/").starts_with(literal) || literal.starts_with(&format!("{bucket}/")),
    };
    if inside { Ok(pattern.to_owned()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statement: &str) -> Result<Policy, String> {
        Policy::read(&format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#), "shop", "me")
    }

    fn statement(change: (&str, &str)) -> String {
        r#"{"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::shop/public/*"}"#
            .replace(change.0, change.1)
    }

    fn act<'a>(who: Option<&'a str>, key: &'a str) -> Act<'a> {
        Act { who, bucket: "shop", key: Some(key), prefix: None }
    }

    #[test]
    fn a_prefix_is_public() {
        let policy = policy(&statement(("", ""))).unwrap();
        assert!(policy.is_public());
        assert_eq!(policy.decide(&act(None, "public/a"), "GetObject"), Verdict::Allowed);
        assert_eq!(policy.decide(&act(Some("key"), "public/a"), "GetObject"), Verdict::Allowed);
        for (key, action) in [("private/a", "GetObject"), ("public/a", "PutObject"), ("public", "GetObject")]
        {
            assert_eq!(policy.decide(&act(None, key), action), Verdict::Silent, "{key} {action}");
        }
        let other = Act { bucket: "other", ..act(None, "public/a") };
        assert_eq!(policy.decide(&other, "GetObject"), Verdict::Silent);
    }

    #[test]
    fn a_denial_wins_in_any_order() {
        let deny = statement(("Allow", "Deny")).replace("public/*", "public/secret*");
        let allow = statement(("GetObject", "*"));
        for statements in [format!("{deny}, {allow}"), format!("{allow}, {deny}")] {
            let policy = policy(&statements).unwrap();
            assert_eq!(policy.decide(&act(Some("key"), "public/secret1"), "GetObject"), Verdict::Denied);
            assert_eq!(policy.decide(&act(None, "public/open"), "GetObject"), Verdict::Allowed);
            assert_eq!(policy.decide(&act(None, "public/secret1"), "PutObject"), Verdict::Allowed);
        }
    }

    #[test]
    fn keys_are_named_by_id_or_as_users() {
        let keys = r#"{"AWS": ["OLREAD", "arn:aws:iam::me:user/OLOTHER"]}"#;
        let policy = policy(&statement((r#""*""#, keys))).unwrap();
        assert!(!policy.is_public());
        assert_eq!(policy.keys().collect::<Vec<_>>(), ["OLOTHER", "OLREAD"]);
        for (who, verdict) in [
            (Some("OLREAD"), Verdict::Allowed),
            (Some("OLOTHER"), Verdict::Allowed),
            (Some("OLTHIRD"), Verdict::Silent),
            (None, Verdict::Silent),
        ] {
            assert_eq!(policy.decide(&act(who, "public/a"), "GetObject"), verdict, "{who:?}");
        }
    }

    #[test]
    fn listings_may_be_limited_to_a_prefix() {
        let text = r#"{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::shop"], "Condition": {"StringLike": {"s3:prefix": "public/*"}}}"#;
        let like = policy(text).unwrap();
        let equals =
            policy(&text.replace("StringLike", "StringEquals").replace("public/*", "public/")).unwrap();
        let lists = |policy: &Policy, prefix| {
            let act = Act { who: None, bucket: "shop", key: None, prefix };
            policy.decide(&act, "ListBucket") == Verdict::Allowed
        };
        assert!(lists(&like, Some("public/")) && lists(&like, Some("public/a")));
        assert!(!lists(&like, Some("publi")) && !lists(&like, Some("")) && !lists(&like, None));
        assert!(lists(&equals, Some("public/")) && !lists(&equals, Some("public/a")));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let condition = |condition: &str| format!(r#""Effect": "Allow", "Condition": {condition}"#);
        for (from, to) in [
            (r#""Action""#, r#""NotAction""#.to_owned()),
            (r#""Resource""#, r#""NotResource""#.to_owned()),
            (r#""Principal""#, r#""NotPrincipal""#.to_owned()),
            ("Allow", "allow".to_owned()),
            (r#""Effect": "Allow""#, r#""Effect": "Allow", "Effect": "Deny""#.to_owned()),
            (r#""Effect": "Allow""#, condition(r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#)),
            (r#""Effect": "Allow""#, condition(r#"{"StringLike": {"s3:prefix": "a*"}}"#)),
            (r#""Effect": "Allow""#, condition("{}")),
            (r#""*""#, r#"{"CanonicalUser": "*"}"#.to_owned()),
            (r#""*""#, r#"{"AWS": "*", "Service": "x"}"#.to_owned()),
            (r#""*""#, r#"{"AWS": []}"#.to_owned()),
            (r#""*""#, r#""OLREAD""#.to_owned()),
            (r#""*""#, r#"{"AWS": "arn:aws:iam::you:user/OLREAD"}"#.to_owned()),
            (r#""*""#, r#"{"AWS": "arn:aws:iam::me:root"}"#.to_owned()),
            (r#""*""#, r#"{"AWS": "OL*"}"#.to_owned()),
            ("s3:GetObject", "s3:FlyToTheMoon".to_owned()),
            ("s3:GetObject", "s3:PutBucketPolicy".to_owned()),
            ("s3:GetObject", "GetObject".to_owned()),
            ("s3:GetObject", "ec2:*".to_owned()),
            ("s3:GetObject", "s3:ListBucket".to_owned()),
            ("shop/public/*", "shop".to_owned()),
            ("shop/public/*", "shopping/*".to_owned()),
            ("shop/public/*", "other/*".to_owned()),
            ("shop/public/*", "shop/${aws:username}/*".to_owned()),
            ("arn:aws:s3:::shop", "shop".to_owned()),
        ] {
            let text = statement((from, &to));
            assert!(policy(&text).is_err(), "{text}");
        }
        for text in ["", "{}", "[]", r#"{"Statement": []}"#, r#"{"Statement": [{}]}"#, "policy"] {
            assert!(Policy::read(text, "shop", "me").is_err(), "{text}");
        }
        let version = format!(r#"{{"Version": "2040-01-01", "Statement": {}}}"#, statement(("", "")));
        assert!(Policy::read(&version, "shop", "me").is_err());
        let single = format!(r#"{{"Id": "x", "Statement": {}}}"#, statement(("", "")));
        assert!(Policy::read(&single, "shop", "me").is_ok(), "one statement needs no list");
    }

    #[test]
    fn wildcards_may_stand_for_the_bucket_too() {
        for given in ["*", "shop*", "sh?p/*", "shop/*", "*/public/a", "shop"] {
            let text = statement(("shop/public/*", given)).replace("s3:GetObject", "s3:*");
            assert!(policy(&text).is_ok(), "{given}");
        }
        for given in ["shoppe*", "x*"] {
            assert!(policy(&statement(("shop/public/*", given))).is_err(), "{given}");
        }
    }
}
