//! The client assertion: read without trust, then verified with the issuer's key.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Deserializer};

use crate::entra::aadsts::{ALGORITHM_UNSUPPORTED, ASSERTION_MALFORMED, Aadsts, Facts, SIGNATURE_INVALID};

/// The claims that are checked (RFC 7523 section 3).
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) aud: Vec<String>,
    /// Seconds since the epoch.
    pub(crate) exp: i64,
    #[serde(default)]
    pub(crate) nbf: i64,
}

#[derive(Debug)]
pub(crate) struct Assertion {
    pub(crate) kid: String,
    pub(crate) claims: Claims,
}

impl Assertion {
    /// Only RS256, with a key id; nothing is verified yet.
    pub(crate) fn read(jwt: &str, facts: &mut Facts) -> Result<Self, Aadsts> {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(jwt).map_err(|_| ASSERTION_MALFORMED)?;
        facts.set("issuer", &claims.iss);
        facts.set("subject", &claims.sub);
        facts.set("audience", claims.aud.join(","));
        let header = jsonwebtoken::decode_header(jwt).map_err(|_| ASSERTION_MALFORMED)?;
        facts.set("algorithm", format!("{:?}", header.alg));
        if header.alg != Algorithm::RS256 {
            return Err(ALGORITHM_UNSUPPORTED);
        }
        let kid = header.kid.ok_or(ASSERTION_MALFORMED)?;
        facts.set("kid", &kid);
        Ok(Self { kid, claims })
    }
}

/// Only the signature; `key` is the issuer's key with the assertion's key id.
pub(crate) fn verify_signature(jwt: &str, key: &Jwk) -> Result<(), Aadsts> {
    let key = DecodingKey::from_jwk(key).map_err(|_| SIGNATURE_INVALID)?;
    let mut validation = Validation::new(Algorithm::RS256);
    // Audience and times have checks and codes of their own.
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    validation.validate_exp = false;
    jsonwebtoken::decode::<Claims>(jwt, &key, &validation).map(drop).map_err(|_| SIGNATURE_INVALID)
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(audience) => vec![audience],
        OneOrMany::Many(audiences) => audiences,
    })
}
