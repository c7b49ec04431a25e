//! When which certificate is made. Pure but for the randomness of keys; the time is an argument.
//!
//! A certificate always ends before its authority does. A new authority has the one before it in its bundle, so that
//! replicas that still serve a certificate of that are trusted until they have seen the new one.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};

use super::material::Material;
use super::{pem, served};

const COMMON_NAME: &str = "azure-workload-identity-ca";
const ORGANIZATION: &str = "azure-workload-identity";

const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
const CERTIFICATE_LIFETIME: Duration = Duration::days(365);
/// What must be left of a certificate; the Go webhook renews then too.
const CERTIFICATE_RESERVE: Duration = Duration::days(90);
/// What must be left of an authority: more than a certificate lives.
const AUTHORITY_RESERVE: Duration = Duration::days(400);
/// Clocks may differ.
const BACKDATED: Duration = Duration::hours(1);

/// What should be in the Secret.
pub(super) enum Wanted {
    /// What is there.
    Kept(Material),
    /// This in its place.
    New(Material),
}

/// What should be in a Secret that holds `current`, for a server of that name, at `now`.
///
/// # Errors
/// If no key or certificate can be made.
pub(super) fn wanted(current: Option<Material>, dns_name: &str, now: OffsetDateTime) -> Result<Wanted, rcgen::Error> {
    let Some(current) = current else { return replaced(None, dns_name, now).map(Wanted::New) };
    match authority(&current, now) {
        Some(_) if is_good(&current, dns_name, now) => Ok(Wanted::Kept(current)),
        Some(authority) => {
            let (certificate, key) = issue(&authority, dns_name, now)?;
            Ok(Wanted::New(Material { certificate, key, ..current }))
        }
        None => replaced(Some(&current), dns_name, now).map(Wanted::New),
    }
}

/// Everything new.
fn replaced(previous: Option<&Material>, dns_name: &str, now: OffsetDateTime) -> Result<Material, rcgen::Error> {
    let ca_key = KeyPair::generate()?;
    let params = authority_params(now)?;
    let own = params.self_signed(&ca_key)?.pem();
    let previous = previous.filter(|previous| is_in_force(previous, now));
    let ca = previous.map_or_else(|| own.clone(), |previous| pem::with_first_of(&own, &previous.ca));
    let text = ca_key.serialize_pem();
    let (certificate, key) = issue(&Issuer::new(params, ca_key), dns_name, now)?;
    Ok(Material { ca, ca_key: text, certificate, key })
}

/// Whether certificates of its newest authority may still be served.
fn is_in_force(material: &Material, now: OffsetDateTime) -> bool {
    let certificate = CertificateDer::from_pem_slice(material.ca.as_bytes()).ok();
    certificate.and_then(|certificate| served::expiry(&certificate)).is_some_and(|end| end > now.unix_timestamp())
}

/// The authority, if it can be used and lasts.
fn authority(current: &Material, now: OffsetDateTime) -> Option<Issuer<'static, KeyPair>> {
    let certificate = CertificateDer::from_pem_slice(current.ca.as_bytes()).ok()?;
    let key = KeyPair::from_pem(&current.ca_key).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    let is_its_key = parsed.public_key().raw == key.subject_public_key_info();
    let lasts = parsed.validity().not_after.timestamp() > (now + AUTHORITY_RESERVE).unix_timestamp();
    (parsed.is_ca() && is_its_key && lasts).then(|| Issuer::from_ca_cert_der(&certificate, key).ok()).flatten()
}

/// Whether the API server would trust the certificate now and for as long as one must last.
fn is_good(current: &Material, dns_name: &str, now: OffsetDateTime) -> bool {
    served::parse(current.certificate.as_bytes(), current.key.as_bytes()).is_ok()
        && [now, now + CERTIFICATE_RESERVE].into_iter().all(|time| is_trusted(current, dns_name, time).is_some())
}

fn is_trusted(current: &Material, dns_name: &str, time: OffsetDateTime) -> Option<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(current.ca.as_bytes()).ok()?).ok()?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let certificate = CertificateDer::from_pem_slice(current.certificate.as_bytes()).ok()?;
    let name = ServerName::try_from(dns_name).ok()?;
    let seconds = u64::try_from(time.unix_timestamp()).ok()?;
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(&certificate, &[], &name, &[], time).ok().map(|_| ())
}

fn issue(
    authority: &Issuer<'_, KeyPair>,
    dns_name: &str,
    now: OffsetDateTime,
) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    // The service's name is longer than the 64 characters of a common name, so it stands in the SAN only.
    let mut params = CertificateParams::new([dns_name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    lasts(&mut params, now, CERTIFICATE_LIFETIME);
    Ok((params.signed_by(&key, authority)?.pem(), key.serialize_pem()))
}

fn authority_params(now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
    params.subject_alt_names = vec![SanType::DnsName(COMMON_NAME.try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    lasts(&mut params, now, AUTHORITY_LIFETIME);
    Ok(params)
}

fn lasts(params: &mut CertificateParams, now: OffsetDateTime, lifetime: Duration) {
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "azure-wi-webhook-webhook-service.azure-workload-identity-system.svc";

    /// When the files in `testdata` were made.
    const TESTDATA_MADE: i64 = 1_795_390_103;

    fn at(days: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::days(20_000 + days)
    }

    fn new(current: Option<Material>, days: i64) -> Material {
        match wanted(current, NAME, at(days)).unwrap() {
            Wanted::New(material) => material,
            Wanted::Kept(_) => panic!("kept"),
        }
    }

    fn is_kept(current: &Material, name: &str, days: i64) -> bool {
        matches!(wanted(Some(current.clone()), name, at(days)).unwrap(), Wanted::Kept(kept) if kept == *current)
    }

    #[test]
    fn what_was_made_is_trusted_for_the_services_name() {
        let made = new(None, 0);
        assert!(is_trusted(&made, NAME, at(0)).is_some() && is_trusted(&made, NAME, at(364)).is_some());
        assert!(is_trusted(&made, "elsewhere.svc", at(0)).is_none());
    }

    #[test]
    fn it_is_kept_until_ninety_days_before_its_end() {
        let made = new(None, 0);
        assert!(is_kept(&made, NAME, 0) && is_kept(&made, NAME, 274));
        assert!(!is_kept(&made, NAME, 276));
    }

    #[test]
    fn a_renewed_certificate_is_of_the_same_authority() {
        let made = new(None, 0);
        let renewed = new(Some(made.clone()), 276);
        assert!(renewed.ca == made.ca && renewed.ca_key == made.ca_key && renewed.certificate != made.certificate);
        assert!(is_trusted(&renewed, NAME, at(276 + 364)).is_some());
    }

    #[test]
    fn a_certificate_never_outlives_its_authority() {
        let made = new(None, 0);
        let last = new(Some(made.clone()), 3650 - 401);
        assert_eq!(last.ca, made.ca);
        assert_ne!(new(Some(last), 3650 - 399).ca, made.ca);
    }

    #[test]
    fn a_new_authority_brings_the_one_before_it_and_no_other() {
        let first = new(None, 0);
        let second = new(Some(first.clone()), 3300);
        assert!(second.ca.ends_with(&first.ca) && second.ca.len() > first.ca.len());
        let third = new(Some(second.clone()), 6600);
        assert!(third.ca.contains(second.ca.strip_suffix(&first.ca).unwrap()) && !third.ca.contains(&first.ca));
    }

    #[test]
    fn a_certificate_for_another_name_or_with_another_key_is_replaced() {
        let made = new(None, 0);
        assert!(!is_kept(&made, "azure-wi-webhook-webhook-service.elsewhere.svc", 0));
        let mixed = Material { key: new(None, 0).key, ..made };
        assert!(!is_kept(&mixed, NAME, 0));
    }

    #[test]
    fn an_authority_with_the_wrong_key_is_replaced_but_still_trusted() {
        let made = new(None, 0);
        let mixed = Material { ca_key: new(None, 0).ca_key, ..made.clone() };
        let replaced = new(Some(mixed), 1);
        assert!(replaced.ca_key != made.ca_key && replaced.ca.ends_with(&made.ca));
    }

    #[test]
    fn garbage_is_replaced_and_nothing_of_it_is_trusted() {
        let garbage = || "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        let material = Material { ca: garbage(), ca_key: garbage(), certificate: garbage(), key: String::new() };
        assert!(!new(Some(material), 0).ca.contains("AAAA"));
    }

    /// As `cert-controller` of the Go webhook writes it: RSA, keys in PKCS#1.
    #[test]
    fn the_secret_of_the_go_webhook_is_taken_over() {
        let theirs = Material {
            ca: include_str!("testdata/ca.crt").to_owned(),
            ca_key: include_str!("testdata/ca.key").to_owned(),
            certificate: include_str!("testdata/tls.crt").to_owned(),
            key: include_str!("testdata/tls.key").to_owned(),
        };
        assert!(theirs.ca_key.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
        let now = OffsetDateTime::from_unix_timestamp(TESTDATA_MADE).unwrap();
        let keeps = |time| matches!(wanted(Some(theirs.clone()), NAME, time).unwrap(), Wanted::Kept(_));
        assert!(keeps(now + Duration::days(1)));
        let Wanted::New(renewed) = wanted(Some(theirs.clone()), NAME, now + Duration::days(300)).unwrap() else {
            panic!("kept")
        };
        assert_eq!(renewed.ca, theirs.ca);
        assert!(is_trusted(&renewed, NAME, now + Duration::days(300)).is_some());
    }
}
