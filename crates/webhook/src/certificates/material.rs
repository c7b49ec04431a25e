//! What the Secret holds: an authority and a certificate of its, with their keys, all as PEM text.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;

/// Certificates and keys. Has no `Debug`, since the keys must not be told.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    /// The authority, and behind it the one before that, if certificates of that may still be served.
    pub ca: String,
    /// The authority's key.
    pub ca_key: String,
    /// What is served.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Names in the Secret, as OPA's cert-controller has them, which the Go webhook uses.
const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

impl Material {
    /// Reads a Secret's data; `None` unless all of it is there.
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |name| String::from_utf8(data.get(name)?.0.clone()).ok();
        Some(Self { ca: text(CA)?, ca_key: text(CA_KEY)?, certificate: text(CERTIFICATE)?, key: text(KEY)? })
    }

    /// Writes into a Secret's data; what else is there stays.
    pub(super) fn write(&self, data: &mut BTreeMap<String, ByteString>) {
        for (name, text) in [(CA, &self.ca), (CA_KEY, &self.ca_key), (CERTIFICATE, &self.certificate), (KEY, &self.key)]
        {
            data.insert(name.to_owned(), ByteString(text.clone().into_bytes()));
        }
    }
}
