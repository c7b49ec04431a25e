//! The error codes of the token endpoint with their OAuth names, statuses and texts.
//!
//! Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; texts as
//! Entra was seen to word them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

/// The number after `AADSTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Aadsts(pub(crate) u32);

pub(crate) const NOT_POST: Aadsts = Aadsts(900_561);
pub(crate) const PARAMETER_MISSING: Aadsts = Aadsts(900_144);
pub(crate) const MALFORMED: Aadsts = Aadsts(9_002_313);
pub(crate) const TENANT_MALFORMED: Aadsts = Aadsts(900_023);
pub(crate) const TENANT_NOT_FOUND: Aadsts = Aadsts(90_002);
pub(crate) const GRANT_UNSUPPORTED: Aadsts = Aadsts(70_003);
pub(crate) const APPLICATION_NOT_FOUND: Aadsts = Aadsts(700_016);
pub(crate) const RESOURCE_PARAMETER: Aadsts = Aadsts(901_002);
pub(crate) const SCOPE_MISSING: Aadsts = Aadsts(90_014);
pub(crate) const NO_SERVICE_PRINCIPAL: Aadsts = Aadsts(7_000_229);
pub(crate) const ASSERTION_OF_ANOTHER: Aadsts = Aadsts(700_021);
pub(crate) const ASSERTION_AUDIENCE: Aadsts = Aadsts(700_023);
pub(crate) const SECRET_INVALID: Aadsts = Aadsts(7_000_215);
pub(crate) const ASSERTION_MISSING: Aadsts = Aadsts(7_000_218);
pub(crate) const ASSERTION_MALFORMED: Aadsts = Aadsts(50_027);
pub(crate) const ALGORITHM_UNSUPPORTED: Aadsts = Aadsts(5_002_738);
pub(crate) const NO_CREDENTIALS: Aadsts = Aadsts(70_025);
pub(crate) const ISSUER_MISMATCH: Aadsts = Aadsts(700_211);
pub(crate) const AUDIENCE_MISMATCH: Aadsts = Aadsts(700_212);
pub(crate) const SUBJECT_MISMATCH: Aadsts = Aadsts(700_213);
pub(crate) const SUBJECT_CASE_MISMATCH: Aadsts = Aadsts(7_002_138);
pub(crate) const ISSUER_UNREACHABLE: Aadsts = Aadsts(90_061);
pub(crate) const ISSUER_UNUSABLE: Aadsts = Aadsts(50_166);
pub(crate) const SIGNATURE_INVALID: Aadsts = Aadsts(700_027);
pub(crate) const ASSERTION_OUT_OF_TIME: Aadsts = Aadsts(700_024);
pub(crate) const SCOPE_NOT_DEFAULT: Aadsts = Aadsts(1_002_012);
pub(crate) const SCOPE_INVALID: Aadsts = Aadsts(70_011);
pub(crate) const RESOURCE_NOT_FOUND: Aadsts = Aadsts(500_011);

struct Wording {
    status: u16,
    error: &'static str,
    /// `{name}` stands for the fact of that name.
    text: &'static str,
}

const UNKNOWN: Wording = Wording { status: 400, error: "invalid_request", text: "The request was refused." };

const fn wording(status: u16, error: &'static str, text: &'static str) -> Wording {
    Wording { status, error, text }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn look_up(code: Aadsts) -> Wording {
    let invalid_request = |text| wording(400, "invalid_request", text);
    let invalid_client = |text| wording(401, "invalid_client", text);
    let invalid_scope = |text| wording(400, "invalid_scope", text);
    match code.0 {
        50_000 | 50_033 | 90_006 | 90_012 | 90_024 | 90_033 | 90_090 | 90_091 => {
            wording(503, "temporarily_unavailable", "A transient error has occurred. Please try again.")
        }
        50_001 => wording(
            400,
            "invalid_resource",
            "The application named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
        ),
        50_027 => invalid_client("JWT token is invalid or malformed."),
        50_166 | 90_061 => invalid_request("Request to External OIDC endpoint failed."),
        50_196 => wording(
            400,
            "invalid_grant",
            "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.",
        ),
        53_003 => wording(
            400,
            "invalid_grant",
            "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        ),
        70_003 => wording(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."),
        70_011 => invalid_scope(
            "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.",
        ),
        70_021 => invalid_client(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{audience}'. https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation",
        ),
        70_025 => {
            invalid_client("The client '{client_id}'({application}) has no configured federated identity credentials.")
        }
        90_002 => invalid_request(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.",
        ),
        90_014 => invalid_request(
            "The required field 'scope' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
        ),
        90_055 => wording(
            429,
            "temporarily_unavailable",
            "The server is busy and unable to process your request at this time. Please retry later.",
        ),
        500_011 => wording(
            400,
            "invalid_resource",
            "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
        ),
        700_016 => wording(
            400,
            "unauthorized_client",
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
        ),
        700_021 => invalid_client(
            "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        ),
        700_023 => invalid_client(
            "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        ),
        700_024 => invalid_client(
            "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {not_before}, expiry time of assertion {expires}. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        ),
        700_027 => invalid_client(
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '{kid}'.]",
        ),
        700_211 => invalid_client(
            "No matching federated identity record found for presented assertion issuer '{issuer}'. Please note that the matching is done using a case-sensitive comparison. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
        ),
        700_212 => invalid_client(
            "No matching federated identity record found for presented assertion audience '{audience}'. Please note that the matching is done using a case-sensitive comparison. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
        ),
        700_213 => invalid_client(
            "No matching federated identity record found for presented assertion subject '{subject}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
        ),
        900_023 => invalid_request(
            "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
        ),
        900_144 => invalid_request("The request body must contain the following parameter: '{parameter}'."),
        900_561 => invalid_request("The endpoint only accepts POST, OPTIONS requests. Received a {method} request."),
        901_002 => invalid_request("The 'resource' request parameter is not supported."),
        1_002_012 => invalid_scope(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
        ),
        5_002_738 => invalid_client(
            "Invalid JWT token. '{algorithm}' is not a supported signature algorithm. Supported signing algorithms are: 'RS256,RS384,RS512'",
        ),
        7_000_112 => wording(400, "unauthorized_client", "Application '{client_id}'({application}) is disabled."),
        7_000_215 => invalid_client(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'.",
        ),
        7_000_218 => invalid_client(
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        ),
        7_000_229 => wording(
            401,
            "unauthorized_client",
            "The client application {client_id} is missing service principal in the tenant {tenant}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
        ),
        7_002_138 => invalid_client(
            "No matching federated identity record found for presented assertion subject '{subject}'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. See documentation at: https://learn.microsoft.com/entra/workload-id/workload-identity-federation. See breaking change notification and remediation at: https://learn.microsoft.com/en-us/entra/identity-platform/reference-breaking-changes#august-2024.",
        ),
        9_002_313 => invalid_request("Invalid request. Request is malformed or invalid."),
        _ => UNKNOWN,
    }
}

impl Aadsts {
    /// What Entra says when it answers with this status and nothing more specific is wanted.
    pub(crate) fn usual_for_status(status: u16) -> Self {
        match status {
            429 => Self(90_055),
            500.. => Self(90_033),
            _ => MALFORMED,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(look_up(self).status).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The OAuth error name (RFC 6749 section 5.2).
    pub(crate) fn error(self) -> &'static str {
        look_up(self).error
    }

    /// `AADSTS<code>: <text>` with the facts filled in.
    pub(crate) fn describe(self, facts: &Facts) -> String {
        format!("AADSTS{}: {}", self.0, facts.fill(look_up(self).text))
    }
}

/// What is known of a request: for the wording of errors, and for the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts(BTreeMap<&'static str, String>);

impl Facts {
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// Empty when unknown.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            filled.push_str(before);
            filled.push_str(self.get(name));
            rest = after;
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_filled_into_the_text_once() {
        let mut facts = Facts::default();
        facts.set("client_id", "{tenant}");
        facts.set("tenant", "t");
        let text = APPLICATION_NOT_FOUND.describe(&facts);
        assert!(
            text.starts_with(
                "AADSTS700016: Application with identifier '{tenant}' was not found in the directory 't'."
            )
        );
    }

    #[test]
    fn a_code_without_a_wording_is_an_invalid_request() {
        let code = Aadsts(123);
        assert_eq!((code.status(), code.error()), (StatusCode::BAD_REQUEST, "invalid_request"));
    }
}
