//! What a token says of itself, unverified: for tokens that were just fetched from who signed them, or that are only
//! looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

pub(crate) fn header<T: DeserializeOwned>(jwt: &str) -> Option<T> {
    part(jwt, 0)
}

pub(crate) fn claims<T: DeserializeOwned>(jwt: &str) -> Option<T> {
    part(jwt, 1)
}

fn part<T: DeserializeOwned>(jwt: &str, index: usize) -> Option<T> {
    let part = jwt.trim().split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
