//! What an AADSTS code means for the one who asked: the only place where codes are classified.
//!
//! Keyed off the first of `error_codes`, then `error`, then the HTTP status. Never off the text, which Microsoft says
//! may change, nor off the status where the code is known: 70021 was seen as 400 in 2022 and as 401 in 2023.
//! Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use Class::{Issuer, MalformedAssertion, Permanent, Propagating, Request, StaleAssertion, Throttled, Transient};

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Stays until somebody changes the configuration in Entra.
    Permanent,
    /// As [`Class::Permanent`], unless the identity is new: changes take minutes to reach all of Entra.
    Propagating,
    /// The asked-for resource or scope is at fault, not the identity.
    Request,
    /// The assertion's time or signing key is off: read it again, then wait for kubelet or for Entra's key cache.
    StaleAssertion,
    /// The assertion is no JWT Entra can read: read it again, then it is permanent.
    MalformedAssertion,
    /// Entra could not fetch the cluster's discovery document or keys.
    Issuer,
    /// Passes by itself.
    Transient,
    /// Too many requests: ask again only when told.
    Throttled,
}

/// Every AADSTS code we know of on the path of a federated token exchange.
const CODES: &[(u64, Class)] = &[
    (50_000, Transient),             // error issuing a token
    (50_001, Request),               // resource principal not found
    (50_027, MalformedAssertion),    // invalid JWT
    (50_033, Transient),             // retryable error
    (50_166, Issuer),                // request to external OIDC endpoint failed
    (50_196, Throttled),             // client is in a request loop
    (53_000, Permanent),             // Conditional Access: device
    (53_003, Permanent),             // Conditional Access: blocked
    (65_005, Request),               // resource not in the app's required resources
    (70_001, Permanent),             // application not found or disabled
    (70_011, Request),               // invalid scope
    (70_021, Propagating),           // no matching federated identity credential
    (70_025, Propagating),           // no federated identity credential at all
    (90_002, Permanent),             // tenant not found
    (90_006, Transient),             // external server retryable error
    (90_012, Transient),             // request timed out
    (90_024, Transient),             // request budget exceeded
    (90_033, Transient),             // MSODS unavailable
    (90_036, Permanent),             // unexpected, not retryable
    (90_055, Throttled),             // tenant throttled
    (90_061, Issuer),                // request to external OIDC endpoint failed
    (90_090, Transient),             // server error
    (90_091, Transient),             // server error
    (100_007, Permanent),            // regional endpoint not allowed
    (500_011, Request),              // resource principal not found in the tenant
    (530_032, Permanent),            // Conditional Access: tenant policy
    (650_057, Request),              // resource not listed
    (700_016, Propagating),          // application not found in the tenant
    (700_024, StaleAssertion),       // assertion outside its valid time range
    (700_027, StaleAssertion),       // signature invalid or key not found
    (700_211, Propagating),          // no federated credential for the issuer
    (700_212, Propagating),          // no federated credential for the audience
    (700_213, Propagating),          // no federated credential for the subject
    (700_222, Permanent),            // Entra-issued token as assertion
    (700_226, Permanent),            // federated credential usage
    (700_229, Permanent),            // federated credential limits
    (700_236, Permanent),            // unsupported app or issuer
    (900_023, Permanent),            // malformed tenant
    (900_384, Permanent),            // malformed tenant
    (901_002, Permanent),            // `resource` sent to the v2.0 endpoint
    (1_002_012, Request),            // scope must end with /.default
    (5_002_738, MalformedAssertion), // JWT with an unsupported algorithm
    (7_000_112, Permanent),          // application disabled
    (7_000_215, Permanent),          // invalid client secret
    (7_000_222, Permanent),          // expired client secret
    (7_002_121, Propagating),        // no federated credential for this combination
    (7_002_137, Propagating),        // subject mismatch
    (7_002_138, Permanent),          // subject differs in case only
];

/// Whether `code` has a row of its own.
pub fn is_known(code: u64) -> bool {
    CODES.iter().any(|(known, _)| *known == code)
}

/// Classifies a refusal. `codes` is Entra's `error_codes`, `error` its `error` (may be empty), `status` the HTTP status.
pub fn classify(codes: &[u64], error: &str, status: u16) -> Class {
    let by_code = codes.first().and_then(|code| CODES.iter().find(|(known, _)| known == code));
    match (by_code, error, status) {
        (Some(&(_, class)), _, _) => class,
        (None, "invalid_resource" | "invalid_scope", _) => Request,
        (None, _, 429) => Throttled,
        (None, "temporarily_unavailable" | "server_error", _) | (None, _, 408) => Transient,
        (None, _, 400..=499) => Permanent,
        // A gateway's answer, not Entra's: redirects among them, which are not followed.
        (None, _, _) => Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Named tests, so that a changed row says which code changed.
    macro_rules! codes {
        ($($name:ident: $code:literal => $class:ident,)*) => {$(
            #[test]
            fn $name() {
                // Whatever status and error it comes with: the code decides.
                for (error, status) in [("invalid_client", 401), ("invalid_request", 400), ("", 503)] {
                    assert_eq!(classify(&[$code], error, status), $class);
                }
            }
        )*
            #[test]
            fn every_known_code_has_a_test() {
                let tested = [$($code),*];
                for (code, _) in CODES {
                    assert!(tested.contains(code), "{code} has no test");
                }
                assert_eq!(tested.len(), CODES.len());
            }
        };
    }

    codes! {
        aadsts50000_is_transient: 50_000 => Transient,
        aadsts50001_is_the_request: 50_001 => Request,
        aadsts50027_is_a_malformed_assertion: 50_027 => MalformedAssertion,
        aadsts50033_is_transient: 50_033 => Transient,
        aadsts50166_is_the_issuer: 50_166 => Issuer,
        aadsts50196_is_throttling: 50_196 => Throttled,
        aadsts53000_is_permanent: 53_000 => Permanent,
        aadsts53003_is_permanent: 53_003 => Permanent,
        aadsts65005_is_the_request: 65_005 => Request,
        aadsts70001_is_permanent: 70_001 => Permanent,
        aadsts70011_is_the_request: 70_011 => Request,
        aadsts70021_may_be_propagation: 70_021 => Propagating,
        aadsts70025_may_be_propagation: 70_025 => Propagating,
        aadsts90002_is_permanent: 90_002 => Permanent,
        aadsts90006_is_transient: 90_006 => Transient,
        aadsts90012_is_transient: 90_012 => Transient,
        aadsts90024_is_transient: 90_024 => Transient,
        aadsts90033_is_transient: 90_033 => Transient,
        aadsts90036_is_permanent: 90_036 => Permanent,
        aadsts90055_is_throttling: 90_055 => Throttled,
        aadsts90061_is_the_issuer: 90_061 => Issuer,
        aadsts90090_is_transient: 90_090 => Transient,
        aadsts90091_is_transient: 90_091 => Transient,
        aadsts100007_is_permanent: 100_007 => Permanent,
        aadsts500011_is_the_request: 500_011 => Request,
        aadsts530032_is_permanent: 530_032 => Permanent,
        aadsts650057_is_the_request: 650_057 => Request,
        aadsts700016_may_be_propagation: 700_016 => Propagating,
        aadsts700024_is_a_stale_assertion: 700_024 => StaleAssertion,
        aadsts700027_is_a_stale_assertion: 700_027 => StaleAssertion,
        aadsts700211_may_be_propagation: 700_211 => Propagating,
        aadsts700212_may_be_propagation: 700_212 => Propagating,
        aadsts700213_may_be_propagation: 700_213 => Propagating,
        aadsts700222_is_permanent: 700_222 => Permanent,
        aadsts700226_is_permanent: 700_226 => Permanent,
        aadsts700229_is_permanent: 700_229 => Permanent,
        aadsts700236_is_permanent: 700_236 => Permanent,
        aadsts900023_is_permanent: 900_023 => Permanent,
        aadsts900384_is_permanent: 900_384 => Permanent,
        aadsts901002_is_permanent: 901_002 => Permanent,
        aadsts1002012_is_the_request: 1_002_012 => Request,
        aadsts5002738_is_a_malformed_assertion: 5_002_738 => MalformedAssertion,
        aadsts7000112_is_permanent: 7_000_112 => Permanent,
        aadsts7000215_is_permanent: 7_000_215 => Permanent,
        aadsts7000222_is_permanent: 7_000_222 => Permanent,
        aadsts7002121_may_be_propagation: 7_002_121 => Propagating,
        aadsts7002137_may_be_propagation: 7_002_137 => Propagating,
        aadsts7002138_is_permanent: 7_002_138 => Permanent,
    }

    #[test]
    fn every_known_code_is_on_the_page_for_troubleshooting() {
        let page = include_str!("../../../docs/troubleshooting.md");
        for (code, _) in CODES {
            assert!(page.contains(&format!("| AADSTS{code} | ")), "{code} is not on the page");
        }
    }

    #[test]
    fn without_a_known_code_the_error_decides() {
        assert_eq!(classify(&[1], "temporarily_unavailable", 400), Transient);
        assert_eq!(classify(&[], "server_error", 400), Transient);
        assert_eq!(classify(&[], "invalid_resource", 400), Request);
        assert_eq!(classify(&[], "invalid_scope", 400), Request);
    }

    #[test]
    fn without_a_known_code_or_error_the_status_decides() {
        assert_eq!(classify(&[], "", 429), Throttled);
        for status in [302, 307, 408, 500, 502, 503, 504] {
            assert_eq!(classify(&[], "", status), Transient);
        }
        assert_eq!(classify(&[], "invalid_client", 401), Permanent);
        assert_eq!(classify(&[4_242], "", 418), Permanent);
    }
}
