//! Requests that are answered without asking Entra ID, and the bytes they are answered with.
//!
//! Texts are constants: nothing a client sent is ever echoed.

use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};

use crate::{json, response};

/// Why a request is refused. `Display` is the `error_description` that the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// The path needs decoding or normalising before its meaning is known. NMI answers 400 to such
    /// spellings of the token path (aad-pod-identity `pkg/nmi/server/server.go`).
    #[error("The request path is not spelled canonically")]
    HostilePath,
    /// No such endpoint.
    #[error("The requested path does not exist")]
    NotFound,
    /// `getplatformmetadata` and `issuecredential` of `IMDSv2`. 404 whatever the method and headers:
    /// MSAL.NET takes a 400 to its probe without the `Metadata` header for a sign of `IMDSv2`.
    #[error("IMDSv2 is not supported")]
    ImdsV2,
    /// The identity endpoints know GET only (Microsoft Learn, "How to use managed identities … to
    /// acquire an access token": 405).
    #[error("Only the GET method is allowed")]
    MethodNotAllowed,
    /// No `Metadata: true`. The text is that of IMDS and of NMI (`metadataNotSpecifiedError`); the
    /// availability probes of the Azure SDKs expect a JSON 400.
    #[error("Required metadata header not specified")]
    MissingMetadataHeader,
    /// `X-Forwarded-For` is present, so that a proxy relays the request: IMDS refuses these
    /// (Microsoft Learn, "Azure Instance Metadata Service").
    #[error("Requests with an X-Forwarded-For header are not accepted")]
    Forwarded,
    /// A `%` in the query is not followed by two hexadecimal digits (RFC 3986 section 2.1).
    #[error("The query holds an invalid percent-encoding")]
    InvalidPercentEncoding,
    /// The decoded query is not UTF-8.
    #[error("The query is not valid UTF-8")]
    QueryNotUtf8,
    /// IMDS refuses a parameter name given twice (Microsoft Learn, "Azure Instance Metadata
    /// Service").
    #[error("A query parameter is specified more than once")]
    DuplicateParameter,
    /// `resource` is absent or empty. The text is that of IMDS (aad-pod-identity pull request 450).
    #[error("Required query variable 'resource' is missing")]
    MissingResource,
    /// `resource` is longer than any App ID URI.
    #[error("The query variable 'resource' is too long")]
    ResourceTooLong,
    /// `resource` holds whitespace or control characters; RFC 6749 section 3.3 separates scopes by
    /// spaces, and one token serves one resource.
    #[error("The query variable 'resource' must not hold whitespace or control characters")]
    MalformedResource,
    /// More than one identity is named. They exclude one another (IMDS swagger, 2018-10-01,
    /// `getToken`).
    #[error("The query variables 'client_id', 'object_id' and 'msi_res_id' are mutually exclusive")]
    SelectorsExclusive,
    /// The identity named is not known. The text is that of IMDS; Azure CLI tries its next kind of
    /// selector on this answer.
    #[error("Identity not found")]
    IdentityNotFound,
    /// None of several identities is named. The text is that of IMDS (Hexadite/acs-keyvault-agent
    /// pull request 43).
    #[error(
        "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
    )]
    MultipleIdentities,
}

impl Rejection {
    /// The status that the client sees.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::ImdsV2 => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The complete answer: `{"error":…,"error_description":…}` as IMDS words it.
    pub fn response(&self) -> Response<Vec<u8>> {
        let mut response = response::text(self.status(), self.body());
        if *self == Self::MethodNotAllowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }

    fn error(self) -> &'static str {
        match self {
            Self::NotFound | Self::ImdsV2 => "not_found",
            _ => "invalid_request",
        }
    }

    fn body(self) -> String {
        let mut body = String::from(r#"{"error":""#);
        body.push_str(self.error());
        body.push_str(r#"","error_description":""#);
        json::push_escaped(&mut body, &self.to_string());
        body.push_str(r#""}"#);
        body
    }
}
