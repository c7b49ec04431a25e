//! The spelling of identities, as Entra ID has them, and what to say about a client id that is none.

use azwi_conventions::annotation;

use super::ServiceAccount;
use super::denial::Quoted;

/// A GUID with hyphens, in any case.
pub(super) fn is_guid(value: &str) -> bool {
    let is_hyphen_at = |index| matches!(index, 8 | 13 | 18 | 23);
    let fits = |(index, byte): (usize, u8)| if is_hyphen_at(index) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    value.len() == 36 && value.bytes().enumerate().all(fits)
}

/// A GUID, or a domain name of at least two labels (RFC 1123).
pub(super) fn is_tenant(value: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    is_guid(value) || value.len() <= 253 && value.contains('.') && value.split('.').all(is_label)
}

/// What is odd about the service account's client id, if anybody `needs` it.
///
/// Only a warning: an app may name its client id itself, in ways that nobody sees from here.
pub(super) fn warning(account: &ServiceAccount, needs: bool) -> Option<String> {
    let client_id = account.client_id.as_deref().unwrap_or_default();
    if !needs || is_guid(client_id) {
        return None;
    }
    let key = annotation::CLIENT_ID;
    Some(if client_id.is_empty() {
        format!("the service account has no annotation {key}: apps must name their client id themselves")
    } else {
        format!("annotation {key} of the service account is {}, which is no client id: not a GUID", Quoted(client_id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_hyphens_in_their_places() {
        assert!(is_guid("0a1b2c3d-0000-4000-8000-ABCDEFabcdef"));
        for bad in ["", "0a1b2c3d00004000800000000000abcd", "0a1b2c3d-0000-4000-80000-bcdefabcdef", &"g".repeat(36)] {
            assert!(!is_guid(bad), "{bad}");
        }
    }

    #[test]
    fn a_tenant_is_a_guid_or_a_domain() {
        for good in ["0a1b2c3d-0000-4000-8000-abcdefabcdef", "contoso.onmicrosoft.com"] {
            assert!(is_tenant(good), "{good}");
        }
        for bad in ["", "contoso", "a..b", "-a.b", "a-.b", "a/b.c", &format!("{}.b", "a".repeat(64))] {
            assert!(!is_tenant(bad), "{bad}");
        }
    }
}
