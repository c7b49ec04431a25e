//! The bytes of every answer that is given without asking Entra ID.

use azwi_imds::{Rejection, identity_info};
use http::Response;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};

const GOLDEN: [(Rejection, u16, &str); 15] = [
    (
        Rejection::HostilePath,
        400,
        r#"{"error":"invalid_request","error_description":"The request path is not spelled canonically"}"#,
    ),
    (Rejection::NotFound, 404, r#"{"error":"not_found","error_description":"The requested path does not exist"}"#),
    (Rejection::ImdsV2, 404, r#"{"error":"not_found","error_description":"IMDSv2 is not supported"}"#),
    (
        Rejection::MethodNotAllowed,
        405,
        r#"{"error":"invalid_request","error_description":"Only the GET method is allowed"}"#,
    ),
    (
        Rejection::MissingMetadataHeader,
        400,
        r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#,
    ),
    (
        Rejection::Forwarded,
        400,
        r#"{"error":"invalid_request","error_description":"Requests with an X-Forwarded-For header are not accepted"}"#,
    ),
    (
        Rejection::InvalidPercentEncoding,
        400,
        r#"{"error":"invalid_request","error_description":"The query holds an invalid percent-encoding"}"#,
    ),
    (Rejection::QueryNotUtf8, 400, r#"{"error":"invalid_request","error_description":"The query is not valid UTF-8"}"#),
    (
        Rejection::DuplicateParameter,
        400,
        r#"{"error":"invalid_request","error_description":"A query parameter is specified more than once"}"#,
    ),
    (
        Rejection::MissingResource,
        400,
        r#"{"error":"invalid_request","error_description":"Required query variable 'resource' is missing"}"#,
    ),
    (
        Rejection::ResourceTooLong,
        400,
        r#"{"error":"invalid_request","error_description":"The query variable 'resource' is too long"}"#,
    ),
    (
        Rejection::MalformedResource,
        400,
        r#"{"error":"invalid_request","error_description":"The query variable 'resource' must not hold whitespace or control characters"}"#,
    ),
    (
        Rejection::SelectorsExclusive,
        400,
        r#"{"error":"invalid_request","error_description":"The query variables 'client_id', 'object_id' and 'msi_res_id' are mutually exclusive"}"#,
    ),
    (Rejection::IdentityNotFound, 400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#),
    (
        Rejection::MultipleIdentities,
        400,
        r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}"#,
    ),
];

fn header(response: &Response<Vec<u8>>, name: http::HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn every_rejection_has_its_status_and_bytes() {
    for (rejection, status, body) in GOLDEN {
        let response = rejection.response();
        assert_eq!(response.status().as_u16(), status, "{rejection:?}");
        assert_eq!(std::str::from_utf8(response.body()), Ok(body), "{rejection:?}");
    }
}

#[test]
fn every_rejection_is_json_with_two_strings() {
    for (rejection, ..) in GOLDEN {
        let response = rejection.response();
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{rejection:?}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{rejection:?}");
        assert_eq!(header(&response, CONTENT_TYPE), Some("application/json; charset=utf-8"));
        assert_eq!(header(&response, CONTENT_LENGTH), Some(response.body().len().to_string().as_str()));
    }
}

#[test]
fn the_bodies_of_imds_have_their_known_lengths() {
    for (rejection, length) in [
        (Rejection::MissingMetadataHeader, 88),
        (Rejection::IdentityNotFound, 68),
        (Rejection::MissingResource, 95),
        (Rejection::MultipleIdentities, 168),
    ] {
        assert_eq!(rejection.response().body().len(), length, "{rejection:?}");
    }
}

#[test]
fn no_rejection_asks_to_be_retried() {
    for (rejection, ..) in GOLDEN {
        assert_eq!(header(&rejection.response(), RETRY_AFTER), None, "{rejection:?}");
    }
}

#[test]
fn only_the_wrong_method_is_told_which_is_allowed() {
    for (rejection, status, _) in GOLDEN {
        let expected = (status == 405).then_some("GET");
        assert_eq!(header(&rejection.response(), ALLOW), expected, "{rejection:?}");
    }
}

#[test]
fn only_an_unknown_identity_is_worded_as_one() {
    for (rejection, _, body) in GOLDEN {
        assert_eq!(body.contains("Identity not found"), rejection == Rejection::IdentityNotFound);
        assert!(!body.to_lowercase().contains("unreachable"));
    }
}

#[test]
fn identity_info_names_the_tenant() {
    let response = identity_info("72f988bf-86f1-41af-91ab-2d7cd011db47");
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), br#"{"tenantId":"72f988bf-86f1-41af-91ab-2d7cd011db47"}"#);
    assert_eq!(header(&response, CONTENT_TYPE), Some("application/json; charset=utf-8"));
    assert_eq!(header(&response, CONTENT_LENGTH), Some("51"));
}
