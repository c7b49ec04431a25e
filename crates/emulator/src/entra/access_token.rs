//! The access token: a v1.0 JWT with the claims that Entra gives a workload.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::config::{Application, Kind, Tenant};
use crate::entra::exchange::Proof;
use crate::guid;
use crate::signing_key::{SigningKey, SigningKeyError};

/// Entra lets a token begin five minutes before it is issued.
const BEGINS_BEFORE: i64 = 300;

#[derive(Serialize)]
struct AccessTokenClaims<'a> {
    aud: &'a str,
    iss: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    aio: String,
    appid: String,
    appidacr: &'static str,
    idp: &'a str,
    idtyp: &'static str,
    oid: String,
    rh: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [String],
    sub: String,
    tid: String,
    uti: String,
    ver: &'static str,
    xms_ftd: String,
    xms_idrel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xms_mirid: Option<&'a str>,
    xms_rd: String,
    xms_tcdt: i64,
}

/// `now` in seconds since the epoch, `lifetime` in seconds.
pub(crate) fn issue(
    key: &SigningKey,
    tenant: &Tenant,
    application: &Application,
    resource: &str,
    proof: Proof,
    now: i64,
    lifetime: u32,
) -> Result<String, SigningKeyError> {
    let issuer = issuer(tenant);
    let claims = AccessTokenClaims {
        aud: resource,
        iss: &issuer,
        iat: now,
        nbf: now - BEGINS_BEFORE,
        exp: now + i64::from(lifetime),
        aio: opaque(2),
        appid: application.client_id.to_string(),
        appidacr: if proof == Proof::Secret { "1" } else { "2" },
        idp: &issuer,
        idtyp: "app",
        oid: application.object_id.to_string(),
        rh: format!("1.{}.", opaque(2)),
        roles: &application.roles,
        sub: application.object_id.to_string(),
        tid: tenant.id.to_string(),
        uti: opaque(1),
        ver: "1.0",
        xms_ftd: opaque(3),
        xms_idrel: "7 32",
        xms_mirid: match &application.kind {
            Kind::ManagedIdentity { resource_id, .. } => Some(resource_id),
            Kind::AppRegistration { .. } => None,
        },
        xms_rd: opaque(3),
        xms_tcdt: 1_600_000_000,
    };
    key.sign(&claims, true)
}

/// Of v1.0 tokens, whatever host they come from.
pub(crate) fn issuer(tenant: &Tenant) -> String {
    format!("https://sts.windows.net/{}/", tenant.id)
}

/// Random bytes that mean something only to Entra.
fn opaque(guids: usize) -> String {
    let bytes: Vec<u8> = (0..guids).flat_map(|_| guid::random().into_bytes()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}
