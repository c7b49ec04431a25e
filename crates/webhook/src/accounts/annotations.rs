//! From a service account's annotations to what the mutation needs of them.

use std::collections::BTreeMap;

use azwi_conventions::annotation::{CLIENT_ID, IDENTITY_MAP, SERVICE_ACCOUNT_TOKEN_EXPIRATION, TENANT_ID};

use crate::mutate::ServiceAccount;

/// Those of ours, if there is any; all others are forgotten, since a cluster has many service accounts.
pub(crate) fn of_ours(mut annotations: BTreeMap<String, String>) -> Option<ServiceAccount> {
    let mut take = |name| annotations.remove(name).map(String::into_boxed_str);
    let account = ServiceAccount {
        client_id: take(CLIENT_ID),
        tenant_id: take(TENANT_ID),
        token_expiration: take(SERVICE_ACCOUNT_TOKEN_EXPIRATION),
        identity_map: take(IDENTITY_MAP),
    };
    let ServiceAccount { client_id, tenant_id, token_expiration, identity_map } = &account;
    [client_id, tenant_id, token_expiration, identity_map].iter().any(|value| value.is_some()).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> Option<ServiceAccount> {
        of_ours(annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_empty_annotation_is_not_the_same_as_none() {
        let account = read(&[(TENANT_ID, ""), ("other", "x")]).unwrap();
        assert_eq!((account.tenant_id.as_deref(), account.client_id), (Some(""), None));
    }

    #[test]
    fn an_account_without_any_of_ours_is_nothing() {
        assert!(read(&[("other", "x")]).is_none());
    }
}
