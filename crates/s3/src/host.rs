//! Which bucket, if any, the Host header names.
//!
//! `bucket.localhost` and `bucket.<domain>` name a bucket, with or without port. Every other host, an IP address
//! included, is the endpoint itself: the bucket is then the first part of the path.

use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};

/// The domains below which a host name is a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// `localhost` and `domains`, given without port.
    pub(crate) fn new(domains: &[String]) -> Self {
        let given = domains.iter().map(|domain| domain.trim_matches('.').to_ascii_lowercase());
        Self(given.filter(|domain| !domain.is_empty()).chain(["localhost".to_owned()]).collect())
    }

    /// The bucket that `host` names.
    pub(crate) fn bucket(&self, host: &str) -> Option<String> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.to_ascii_lowercase();
        let bucket =
            |domain: &String| Some(name.strip_suffix(domain.as_str())?.strip_suffix('.')?.to_owned());
        // The longest bucket name is that of the shortest domain; a domain below another one must win.
        self.0.iter().filter_map(bucket).filter(|bucket| !bucket.is_empty()).min_by_key(String::len)
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let endpoint = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => endpoint.with_bucket(bucket),
            None => endpoint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_a_domain_are_buckets() {
        let domains =
            Domains::new(&["s3.example.com".to_owned(), "eu.s3.example.com".to_owned(), String::new()]);
        for (host, bucket) in [
            ("localhost", None),
            ("localhost:9000", None),
            ("photos.localhost:9000", Some("photos")),
            ("a.b.localhost", Some("a.b")),
            ("Photos.S3.example.com", Some("photos")),
            ("s3.example.com:443", None),
            ("photos.eu.s3.example.com", Some("photos")),
            (".localhost", None),
            ("notlocalhost", None),
            ("gateway.internal", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(domains.bucket(host).as_deref(), bucket, "{host}");
        }
    }
}
