//! From the `scope` of a client credentials request to the resource the token is for.

use crate::entra::aadsts::{Aadsts, SCOPE_INVALID, SCOPE_NOT_DEFAULT};

const DEFAULT: &str = "/.default";

/// Sent by MSAL with every request, and without a meaning in this flow.
const OPENID_SCOPES: [&str; 3] = ["openid", "offline_access", "profile"];

/// Everything before the last `/.default`, verbatim: `https://vault.azure.net//.default` is for
/// `https://vault.azure.net/`, with its slash.
pub(crate) fn resource(scope: &str) -> Result<&str, Aadsts> {
    let mut scopes = scope.split_ascii_whitespace().filter(|scope| !OPENID_SCOPES.contains(scope));
    let (Some(scope), None) = (scopes.next(), scopes.next()) else {
        return Err(SCOPE_INVALID);
    };
    match scope.strip_suffix(DEFAULT) {
        Some("") => Err(SCOPE_INVALID),
        Some(resource) => Ok(resource),
        None => Err(SCOPE_NOT_DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_keeps_its_trailing_slash() {
        assert_eq!(
            resource("https://management.core.windows.net//.default"),
            Ok("https://management.core.windows.net/")
        );
    }

    #[test]
    fn the_openid_scopes_that_msal_adds_are_allowed() {
        let scope = "https://vault.azure.net/.default openid offline_access profile";
        assert_eq!(resource(scope), Ok("https://vault.azure.net"));
    }

    #[test]
    fn a_scope_that_does_not_end_in_default_is_1002012() {
        assert_eq!(resource("https://vault.azure.net/user_impersonation"), Err(SCOPE_NOT_DEFAULT));
        assert_eq!(resource("https://vault.azure.net"), Err(SCOPE_NOT_DEFAULT));
    }

    #[test]
    fn two_resources_are_70011() {
        assert_eq!(resource("https://a.example/.default https://b.example/.default"), Err(SCOPE_INVALID));
    }

    #[test]
    fn no_resource_at_all_is_70011() {
        assert_eq!(resource("openid profile"), Err(SCOPE_INVALID));
        assert_eq!(resource("/.default"), Err(SCOPE_INVALID));
    }
}
