//! Whose a subscription is: Resource Manager tells everybody, in its answer to a request without a token.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;

use super::cloud::Cloud;
use super::rest::{RestError, TIMEOUT, encoded, transport};

/// Id of the tenant of a subscription.
///
/// # Errors
/// Resource Manager cannot be asked, or knows no such subscription.
pub(crate) async fn tenant(cloud: &Cloud, subscription: &str) -> Result<String, RestError> {
    let url = format!("{}/subscriptions/{}?api-version=2022-12-01", cloud.resource_manager.url, encoded(subscription));
    let client = reqwest::Client::builder().timeout(TIMEOUT).https_only(true).redirect(Policy::none()).build();
    let client = client.map_err(|error| transport(&url, &error))?;
    let answer = client.get(&url).send().await.map_err(|error| transport(&url, &error))?;
    let missing = || RestError::Incomplete { what: format!("subscription {subscription}"), field: "tenant" };
    challenged(answer.headers()).ok_or_else(missing)
}

/// `Bearer authorization_uri="https://login.windows.net/TENANT", error="…"` (RFC 6750, section 3).
fn challenged(headers: &HeaderMap) -> Option<String> {
    let challenge = headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let uri = challenge.split_once("authorization_uri=\"")?.1.split('"').next()?;
    let tenant = uri.trim_end_matches('/').rsplit('/').next()?;
    (!tenant.is_empty()).then(|| tenant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(challenge: &'static str) -> Option<String> {
        challenged(&HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge.parse().unwrap())]))
    }

    #[test]
    fn the_tenant_is_the_end_of_where_to_log_in() {
        let challenge = r#"Bearer authorization_uri="https://login.windows.net/contoso.com", error="invalid_token""#;
        assert_eq!(of(challenge).as_deref(), Some("contoso.com"));
    }

    #[test]
    fn a_challenge_that_tells_no_place_tells_no_tenant() {
        assert_eq!(of(r#"Bearer error="invalid_token""#), None);
    }
}
