//! An RSA-2048 key that signs JWTs with RS256: the cluster's, or Entra's.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData as _, RsaKeySize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state_dir::{StateDir, StateDirError};

pub(crate) struct SigningKey {
    key: EncodingKey,
    public: DecodingKey,
    kid: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningKeyError {
    #[error("{file}: not a PEM encoded RSA private key: {reason}")]
    Unusable { file: String, reason: String },
    #[error("cannot generate an RSA key: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error(transparent)]
    StateDir(#[from] StateDirError),
}

impl SigningKey {
    /// The key kept in the directory, generated at the first start.
    pub(crate) fn load_or_generate(dir: &StateDir, name: &str) -> Result<Self, SigningKeyError> {
        let pem = if let Some(pem) = dir.read(name)? {
            pem
        } else {
            let pem = generate()?;
            dir.write(name, pem.as_bytes(), 0o600)?;
            pem
        };
        Self::from_pem(&pem, &dir.file(name).display().to_string())
    }

    /// `file` is only for the error message.
    pub(crate) fn from_pem(pem: &str, file: &str) -> Result<Self, SigningKeyError> {
        let unusable = |reason: String| SigningKeyError::Unusable { file: file.to_owned(), reason };
        let key_pair = KeyPair::from_pem(pem).map_err(|error| unusable(error.to_string()))?;
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| unusable(error.to_string()))?;
        let kid = key_id(&key_pair.subject_public_key_info());
        let public = Jwk::from_encoding_key(&key, Algorithm::RS256).and_then(|jwk| DecodingKey::from_jwk(&jwk));
        let public = public.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { key, public, kid })
    }

    /// `x5t` repeats the key id, as in Entra's access tokens; Kubernetes has none.
    pub(crate) fn sign(&self, claims: &impl Serialize, x5t: bool) -> Result<String, SigningKeyError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        if x5t {
            header.typ = Some("JWT".to_owned());
            header.x5t = Some(self.kid.clone());
        } else {
            header.typ = None;
        }
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }

    /// The claims of what this key has signed; neither audience nor times are looked at.
    pub(crate) fn verify<C: DeserializeOwned>(&self, jwt: &str) -> Option<C> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_aud = false;
        validation.validate_exp = false;
        jsonwebtoken::decode(jwt, &self.public, &validation).map(|token| token.claims).ok()
    }

    pub(crate) fn jwk_set(&self) -> Result<JwkSet, SigningKeyError> {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::RS256)?;
        jwk.common.key_id = Some(self.kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(JwkSet { keys: vec![jwk] })
    }
}

pub(crate) fn generate() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    Ok(key.serialize_pem())
}

/// As Kubernetes computes it: base64url of the SHA-256 of the DER encoded public key
/// (`keyIDFromPublicKey` in `pkg/serviceaccount/jwt.go`).
fn key_id(public_key_der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, public_key_der))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl genrsa`; the id is `openssl dgst -sha256` of its DER form, in base64url.
    const PUBLIC_KEY: &str = "\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAg06VqnYWratew6KMjwt5\
0D05qtrly/zekDvFYbO/JkWrZC7FBmJ6es7DthlUgMAbJavdvz0U/YRvwxsYGXte\
4Td4i4u4AxHqzMbn+7qfcpehDBjs6HO1UEPZTjMAlHq9ogYbI3lxQ7zO5e1AT8Cz\
DTn7PMWwLLs0TXbT/7vNpNPRzmCouukFtOimHs/BLSQOvPo75r7ZcaX0dWFQQQt3\
/qj/Ucoe1M1/nPpaDxGyQ61gR854qmh8dWI56WR6Pbc571eOeTb+L7UuziIKuFEF\
YhwzuJMMVDrlShWlrh0xYHgnbHrd3gpB5s4VBhlRtPNthRjyweC008wTLxrApYXF\
4wIDAQAB";

    #[test]
    fn the_key_id_is_the_digest_of_the_der_encoded_public_key() {
        let der = base64::engine::general_purpose::STANDARD.decode(PUBLIC_KEY).unwrap();
        assert_eq!(key_id(&der), "Ad8IgYlreS_h1uF1FHQDoo_Jknwt1WIX8UM4pVga8kc");
    }
}
