//! Who asks whom: client ids and tenants, checked once.

use std::fmt;

use thiserror::Error;

/// Why a value names no identity or tenant.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// Client ids are GUIDs.
    #[error("{0:?} is not a GUID such as 11111111-2222-3333-4444-555555555555")]
    ClientId(String),
    /// Tenants are GUIDs or verified domain names.
    #[error("{0:?} is neither a GUID nor a domain name such as contoso.onmicrosoft.com")]
    TenantId(String),
}

/// Client (application) id of an app registration or a user-assigned managed identity: a GUID, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// Parses a GUID in any case.
    ///
    /// # Errors
    /// [`IdentityError::ClientId`] if it is not a hyphenated GUID.
    pub fn parse(value: &str) -> Result<Self, IdentityError> {
        hyphenated_guid(value).map(Self).ok_or_else(|| IdentityError::ClientId(value.to_owned()))
    }

    /// The GUID, lower case, hyphenated.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Entra tenant: a GUID or one of its verified domain names, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantId(Box<str>);

impl TenantId {
    /// Parses a GUID or a domain name.
    ///
    /// # Errors
    /// [`IdentityError::TenantId`] otherwise; the value becomes a URL path segment, so nothing else is let through.
    pub fn parse(value: &str) -> Result<Self, IdentityError> {
        hyphenated_guid(value)
            .or_else(|| is_domain(value).then(|| value.to_ascii_lowercase().into()))
            .map(Self)
            .ok_or_else(|| IdentityError::TenantId(value.to_owned()))
    }

    /// The tenant as it stands in the token endpoint's path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In lower case.
fn hyphenated_guid(value: &str) -> Option<Box<str>> {
    let is_hyphen_at = |index| matches!(index, 8 | 13 | 18 | 23);
    let fits = |(index, byte): (usize, u8)| if is_hyphen_at(index) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    let is_guid = value.len() == 36 && value.bytes().enumerate().all(fits);
    is_guid.then(|| value.to_ascii_lowercase().into())
}

/// A host name of at least two labels (RFC 1123).
fn is_domain(value: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    value.len() <= 253 && value.contains('.') && value.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_a_guid_in_any_case() {
        let id = ClientId::parse("AAAAAAAA-0000-4000-8000-00000000000B").unwrap();
        assert_eq!(id.as_str(), "aaaaaaaa-0000-4000-8000-00000000000b");
    }

    #[test]
    fn anything_but_a_hyphenated_guid_is_no_client_id() {
        for bad in [
            "",
            "app",
            "aaaaaaaa00004000800000000000000b",
            "{aaaaaaaa-0000-4000-8000-00000000000}",
            "aaaaaaaa-0000-4000-80000-0000000000b",
            "gaaaaaaa-0000-4000-8000-00000000000b",
        ] {
            assert_eq!(ClientId::parse(bad), Err(IdentityError::ClientId(bad.to_owned())));
        }
    }

    #[test]
    fn a_tenant_is_a_guid_or_a_domain_name() {
        assert_eq!(TenantId::parse("Contoso.onmicrosoft.com").unwrap().as_str(), "contoso.onmicrosoft.com");
        assert!(TenantId::parse("aaaaaaaa-0000-4000-8000-00000000000b").is_ok());
    }

    #[test]
    fn a_tenant_cannot_leave_its_path_segment() {
        let long = format!("{}.com", "a".repeat(64));
        for bad in
            ["", "common", "a/b.com", "a.com/..", "..", "-a.com", "a-.com", "a..com", "a.com?x", "a b.com", &long]
        {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }
}
