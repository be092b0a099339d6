//! The certificate of a gateway that speaks TLS: read from files, or made here for a network on one machine.
//!
//! What is made is an authority and the one certificate that it ever signs: its key is thrown away. Clients are told to
//! trust the authority, and nobody can sign anything else that they would then believe.

use crate::{
    failure::{Exit, Failure},
    files,
    gateway::{GatewayConfig, TlsFiles},
    layout,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::{net::SocketAddr, path::Path};

impl TlsFiles {
    /// Reads what the configuration names. The key must be readable by its owner alone.
    pub(crate) fn load(&self) -> Result<s3::Tls, Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let read = |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
        let certificate = read(&self.certificate)?;
        let metadata = std::fs::metadata(&self.key);
        let metadata = metadata.map_err(|error| Failure::file("read", &self.key, &error))?;
        let (mode, path) = (metadata.permissions().mode() & 0o777, self.key.display());
        if mode & 0o077 != 0 {
            let message = format!("{path} can be read by others (mode {mode:o})");
            return Err(Failure::new(Exit::Configuration, message)
                .hint(format!("chmod 600 {path}; replace the key if others may have read it")));
        }
        s3::Tls::from_pem(&certificate, &read(&self.key)?).map_err(|error| {
            let message = format!("TLS with {} and {path}: {error}", self.certificate.display());
            Failure::new(Exit::Configuration, message)
                .hint("[tls] in gateway.toml names a chain of certificates and its private key, both PEM")
        })
    }
}

/// Has the gateway in `directory` speak TLS from its next start on. A certificate that is there is used again, unless it
/// was made for another address.
pub(crate) fn enable(directory: &Path) -> Result<(), Failure> {
    let path = directory.join(layout::GATEWAY_CONFIG);
    let mut config = GatewayConfig::read(&path)?;
    if config.tls.is_some() {
        return Ok(());
    }
    make(directory, config.s3_listen, &config.domains)?;
    config.tls = Some(TlsFiles {
        certificate: layout::TLS_CERTIFICATE.into(),
        key: layout::TLS_KEY.into(),
        authority: Some(layout::TLS_AUTHORITY.into()),
    });
    files::replace(&path, &config.to_file(), false)
}

/// Makes certificate, key and authority in `directory` for a gateway that listens there.
pub(crate) fn make(directory: &Path, listen: SocketAddr, domains: &[String]) -> Result<(), Failure> {
    let made = draw(listen, domains);
    let Made { authority, certificate, key } = made.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot make a TLS certificate: {error}"))
            .hint("check `domains` in gateway.toml, or configure a certificate of your own in its [tls]")
    })?;
    files::replace(&directory.join(layout::TLS_KEY), key.as_bytes(), true)?;
    files::replace(&directory.join(layout::TLS_CERTIFICATE), certificate.as_bytes(), true)?;
    files::replace(&directory.join(layout::TLS_AUTHORITY), authority.as_bytes(), false)
}

/// All in PEM.
struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn draw(listen: SocketAddr, domains: &[String]) -> Result<Made, rcgen::Error> {
    let named = |name: &str, params: &mut CertificateParams| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2049, 12, 31));
    };
    let mut authority = CertificateParams::new(Vec::new())?;
    named("Outlast gateway, made by outlast up --tls", &mut authority);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names(listen, domains))?;
    named("Outlast gateway", &mut params);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok(Made {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// What clients may call the gateway: this machine, the address it listens at, and its domains with their buckets.
fn names(listen: SocketAddr, domains: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "*.localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    } else if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        names.push(host.trim().to_owned());
    }
    names.extend(domains.iter().flat_map(|domain| [domain.clone(), format!("*.{domain}")]));
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_made_can_be_used_and_is_secret() {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        make(base.path(), "10.1.2.3:9000".parse().unwrap(), &["s3.example.com".to_owned()]).unwrap();
        let files = TlsFiles {
            certificate: at(layout::TLS_CERTIFICATE),
            key: at(layout::TLS_KEY),
            authority: Some(at(layout::TLS_AUTHORITY)),
        };
        files.load().unwrap();
        let mode = |name| std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(layout::TLS_KEY), mode(layout::TLS_CERTIFICATE)), (0o600, 0o600));

        let other = TlsFiles { key: at(layout::TLS_AUTHORITY), ..files.clone() };
        assert_eq!(other.load().err().unwrap().exit, Exit::Configuration);
        std::fs::set_permissions(at(layout::TLS_KEY), std::fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = files.load().err().unwrap();
        assert!(exposed.message.contains("can be read by others"), "{exposed}");
    }
}
