//! What things are called where nobody says it, as azure-workload-identity's `azwi` calls them: each finds again what the
//! other has made.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Of an application: `<namespace>-<name>-<hash of the issuer>`.
pub(super) fn application(namespace: &str, name: &str, issuer: &str) -> String {
    format!("{namespace}-{name}-{}", hash(issuer))
}

/// Of a federated identity credential: the hash of all three.
pub(super) fn credential(namespace: &str, name: &str, issuer: &str) -> String {
    hash(&format!("{namespace}-{name}-{issuer}"))
}

/// What a token of the service account says of itself.
pub(super) fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | openssl sha256 -binary | basenc --base64url`, without the padding.
    #[test]
    fn a_hash_is_sha_256_in_base64url() {
        assert_eq!(hash("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(application("shop", "cart", "abc"), format!("shop-cart-{}", hash("abc")));
        assert_eq!(credential("shop", "cart", "abc"), hash("shop-cart-abc"));
    }
}
