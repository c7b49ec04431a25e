//! The answer to `GET /metadata/identity/info`.

use http::{Response, StatusCode};

use crate::{json, response};

/// `{"tenantId":"…"}` (IMDS swagger, 2018-10-01, `InfoResponse`).
pub fn identity_info(tenant_id: &str) -> Response<Vec<u8>> {
    let mut body = String::from(r#"{"tenantId":""#);
    json::push_escaped(&mut body, tenant_id);
    body.push_str(r#""}"#);
    response::text(StatusCode::OK, body)
}
