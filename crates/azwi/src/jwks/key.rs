//! A public key, and how RFC 7517 writes it.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey as Parts;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Why a key cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the certificate cannot be read")]
    Certificate,
    #[error(
        "the key is none that Kubernetes signs tokens with: expected RSA of 2048 to 8192 bits, or EC on P-256, P-384 or P-521"
    )]
    Unsupported,
}

impl From<Unspecified> for KeyError {
    fn from(_: Unspecified) -> Self {
        Self::Unsupported
    }
}

/// How the tokens of a key are signed (RFC 7518).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rsa,
    /// On a curve whose coordinates are so many bytes long.
    Ec {
        name: &'static str,
        curve: &'static str,
        coordinate: usize,
    },
}

const KINDS: [(&dyn VerificationAlgorithm, Algorithm); 4] = [
    (&RSA_PKCS1_2048_8192_SHA256, Algorithm::Rsa),
    (&ECDSA_P256_SHA256_ASN1, Algorithm::Ec { name: "ES256", curve: "P-256", coordinate: 32 }),
    (&ECDSA_P384_SHA384_ASN1, Algorithm::Ec { name: "ES384", curve: "P-384", coordinate: 48 }),
    (&ECDSA_P521_SHA512_ASN1, Algorithm::Ec { name: "ES512", curve: "P-521", coordinate: 66 }),
];

/// A key that a token's signature can be verified by. There is no way from here to a private one.
pub(crate) struct PublicKey {
    algorithm: Algorithm,
    /// In DER, as everybody writes it.
    spki: Vec<u8>,
}

impl PublicKey {
    /// Of a `SubjectPublicKeyInfo` in DER (RFC 5280).
    ///
    /// # Errors
    /// It is none, or of another kind.
    pub(crate) fn of_spki(der: &[u8]) -> Result<Self, KeyError> {
        // Elsewhere than in RFC 5280's structure the library takes a bare RSA key as well.
        SubjectPublicKeyInfo::from_der(der).map_err(|_| KeyError::Unsupported)?;
        for (kind, algorithm) in KINDS {
            if let Ok(key) = ParsedPublicKey::new(kind, der) {
                let spki: PublicKeyX509Der<'_> = key.as_der()?;
                return Ok(Self { algorithm, spki: spki.as_ref().to_vec() });
            }
        }
        Err(KeyError::Unsupported)
    }

    /// Of an X.509 certificate in DER.
    ///
    /// # Errors
    /// It is none, or its key is of another kind.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self, KeyError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| KeyError::Certificate)?;
        Self::of_spki(certificate.public_key().raw)
    }

    /// The public half of a private key in DER, in PKCS #8, or of its own kind (PKCS #1, RFC 5915).
    ///
    /// # Errors
    /// It is none, or of another kind.
    pub(crate) fn of_private_key(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
            return Self::of_spki(spki.as_ref());
        }
        for signing in
            [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING]
        {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(signing, der) {
                let spki: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
                return Self::of_spki(spki.as_ref());
            }
        }
        Err(KeyError::Unsupported)
    }

    /// As Kubernetes computes it, to name the key in a token's header.
    fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.spki))
    }
}

/// A key as a JSON object, its members in the order in which kube-apiserver writes them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Jwk {
    r#use: &'static str,
    kty: &'static str,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    alg: &'static str,
    #[serde(flatten)]
    numbers: Numbers,
}

/// In Base64url, RSA's without leading zeros and EC's as long as the curve's.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Numbers {
    Rsa { n: String, e: String },
    Ec { x: String, y: String },
}

impl Jwk {
    /// # Errors
    /// The key is an EC point in its compressed form.
    pub(crate) fn new(key: &PublicKey) -> Result<Self, KeyError> {
        let (_, info) = SubjectPublicKeyInfo::from_der(&key.spki).map_err(|_| KeyError::Unsupported)?;
        let parts = info.parsed().map_err(|_| KeyError::Unsupported)?;
        let numbers = Numbers::of(&parts, key.algorithm).ok_or(KeyError::Unsupported)?;
        let (kty, alg, crv) = match key.algorithm {
            Algorithm::Rsa => ("RSA", "RS256", None),
            Algorithm::Ec { name, curve, .. } => ("EC", name, Some(curve)),
        };
        Ok(Self { r#use: "sig", kty, kid: key.id(), crv, alg, numbers })
    }
}

impl Numbers {
    fn of(parts: &Parts<'_>, algorithm: Algorithm) -> Option<Self> {
        match (parts, algorithm) {
            (Parts::RSA(key), Algorithm::Rsa) => Some(Self::Rsa { n: integer(key.modulus), e: integer(key.exponent) }),
            (Parts::EC(point), Algorithm::Ec { coordinate, .. }) => {
                // SEC 1, 2.3.3: 4, then both coordinates.
                let (x, y) = point.data().strip_prefix(&[4])?.split_at_checked(coordinate)?;
                (y.len() == coordinate).then(|| Self::Ec { x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) })
            }
            _ => None,
        }
    }
}

/// As RFC 7518, 2 has it: big-endian, in as few bytes as possible.
fn integer(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    URL_SAFE_NO_PAD.encode(bytes.get(zeros..).unwrap_or_default())
}
