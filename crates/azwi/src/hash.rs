//! SHA-256 as names and records have it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

/// In lower-case hex.
pub(crate) fn hex(text: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let nibbles = digest(&SHA256, text).as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<_>>();
    nibbles.into_iter().filter_map(|nibble| DIGITS.get(usize::from(nibble))).collect()
}

/// In base64 for URLs, with padding (RFC 4648, section 5).
pub(crate) fn base64url(text: &[u8]) -> String {
    URL_SAFE.encode(digest(&SHA256, text).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | sha256sum`, as in FIPS 180-2.
    #[test]
    fn it_is_sha_256() {
        assert_eq!(hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(base64url(b"abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=");
    }
}
