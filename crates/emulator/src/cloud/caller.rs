//! Who asks: the bearer token (RFC 6750), which must be this emulator's own and for whom it is shown to. What its owner
//! may do is not asked.

use axum::http::{HeaderMap, header};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::entra::{Entra, access_token};

pub(crate) struct Caller {
    pub(crate) tenant: Uuid,
    pub(crate) client_id: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unauthenticated {
    Missing,
    /// Not a JWT, or not signed by this emulator's Entra for one of its tenants.
    Invalid,
    Expired,
    /// Names the token's audience.
    Audience(String),
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    exp: i64,
    nbf: i64,
    tid: Uuid,
    appid: String,
}

pub(crate) fn verify(entra: &Entra, headers: &HeaderMap, audiences: &[&str]) -> Result<Caller, Unauthenticated> {
    let token = bearer(headers).ok_or(Unauthenticated::Missing)?;
    let claims: Claims = entra.key.verify(token).ok_or(Unauthenticated::Invalid)?;
    let config = entra.directory.now();
    let tenant = config.tenant(&claims.tid.to_string()).ok_or(Unauthenticated::Invalid)?;
    if claims.iss != access_token::issuer(tenant) {
        return Err(Unauthenticated::Invalid);
    }
    if !(claims.nbf..claims.exp).contains(&OffsetDateTime::now_utc().unix_timestamp()) {
        return Err(Unauthenticated::Expired);
    }
    let without_slash = |url: &str| url.strip_suffix('/').unwrap_or(url).to_owned();
    let audience = without_slash(&claims.aud);
    if audience != without_slash(&entra.authority) && !audiences.contains(&audience.as_str()) {
        return Err(Unauthenticated::Audience(claims.aud));
    }
    Ok(Caller { tenant: tenant.id, client_id: claims.appid })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
