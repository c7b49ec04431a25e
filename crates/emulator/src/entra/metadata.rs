//! What a resource server needs to verify the emulator's tokens: the tenant's discovery documents
//! and Entra's signing keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::config::Tenant;
use crate::entra::{Entra, access_token};

/// Of v2.0 tokens. MSAL reads the token endpoint from it.
pub(crate) async fn v2(State(entra): State<Arc<Entra>>, Path(tenant): Path<String>) -> Response {
    describe(&entra, &tenant, |tenant| format!("{}{}/v2.0", entra.authority, tenant.id))
}

/// Of v1.0 tokens, which is what the token endpoint issues for Azure's resources.
pub(crate) async fn v1(State(entra): State<Arc<Entra>>, Path(tenant): Path<String>) -> Response {
    describe(&entra, &tenant, access_token::issuer)
}

pub(crate) async fn keys(State(entra): State<Arc<Entra>>, Path(tenant): Path<String>) -> Response {
    if entra.directory.now().tenant(&tenant).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    match entra.key.jwk_set() {
        Ok(keys) => Json(keys).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot describe the signing key");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn describe(entra: &Entra, tenant: &str, issuer: impl Fn(&Tenant) -> String) -> Response {
    match entra.directory.now().tenant(tenant) {
        Some(tenant) => Json(document(&entra.authority, tenant, &issuer(tenant))).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn document(authority: &str, tenant: &Tenant, issuer: &str) -> Value {
    let base = format!("{authority}{}", tenant.id);
    json!({
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": issuer,
        // Required by clients that read the document, served by nobody: there are no users here.
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "response_types_supported": ["code"],
        "tenant_region_scope": null,
    })
}
