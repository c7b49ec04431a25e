//! What things are called in Azure where nobody says it. On applications as azure-workload-identity's `azwi` has it, so
//! that each finds again what the other has made.

use crate::hash;

/// Longest name of a credential that Azure takes.
const MAX_NAME: usize = 120;
/// Of a hash, in a name that people are to read.
const DIGITS: usize = 12;

/// Of an application: `<namespace>-<name>-<hash of the issuer>`.
pub(crate) fn application(namespace: &str, name: &str, issuer: &str) -> String {
    format!("{namespace}-{name}-{}", hash::base64url(issuer.as_bytes()))
}

/// Of an application's federated identity credential: the hash of all three.
pub(crate) fn application_credential(namespace: &str, name: &str, issuer: &str) -> String {
    hash::base64url(format!("{namespace}-{name}-{issuer}").as_bytes())
}

/// Of a managed identity's. Resource Manager does not take an application's: it wants a letter or a digit first, and `=`
/// nowhere.
pub(crate) fn managed_identity_credential(namespace: &str, name: &str, issuer: &str) -> String {
    let hash = hash::hex(format!("{issuer} {}", subject(namespace, name)).as_bytes());
    let readable = format!("{namespace}-{name}").replace('.', "-");
    format!("{readable:.width$}-{hash:.DIGITS$}", width = MAX_NAME - DIGITS - 1)
}

/// What a token of the service account says of itself.
pub(crate) fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example of azure-workload-identity's own tests.
    #[test]
    fn an_application_is_called_as_azure_workload_identity_calls_it() {
        let name = application("service-account-namespace", "service-account-name", "service-account-issuer-url");
        let wanted = "service-account-namespace-service-account-name-t4BxHnnPeJsOfTLIBFbdKeRHdVMaIRdxwkxwF13SvKw=";
        assert_eq!(name, wanted);
    }

    /// `printf shop-cart-abc | openssl sha256 -binary | basenc --base64url`
    #[test]
    fn its_credential_is_called_by_a_hash_of_service_account_and_issuer() {
        assert_eq!(application_credential("shop", "cart", "abc"), SHOP_CART_ABC);
    }

    const SHOP_CART_ABC: &str = "NBFtF0b1jLGh4f2zE1fjL4E1WhDYD1ERg4_PBEHKlTA=";

    #[test]
    fn a_managed_identitys_credential_has_a_name_that_resource_manager_takes() {
        let name = managed_identity_credential("shop", &"cart.v1.".repeat(30), "https://cluster.example/");
        assert!(name.len() == MAX_NAME && name.starts_with("shop-cart-v1-"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
    }

    #[test]
    fn of_two_clusters_the_names_differ() {
        let names = ["https://a.example/", "https://b.example/"];
        let [a, b] = names.map(|issuer| managed_identity_credential("shop", "cart", issuer));
        assert_ne!(a, b);
    }
}
