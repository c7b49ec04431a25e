//! GUIDs: random ones, and ones that stay the same for the same name.

use aws_lc_rs::digest;
use uuid::Uuid;

pub(crate) fn random() -> Uuid {
    Uuid::new_v4()
}

/// The same name always gives the same GUID, as an object in a directory keeps its id.
pub(crate) fn of(name: &str) -> Uuid {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *hashed;
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
