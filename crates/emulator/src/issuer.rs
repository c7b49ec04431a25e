//! The cluster's OIDC issuer: the two documents that kube-apiserver serves
//! (`ServiceAccountIssuerDiscovery`).

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;
use serde_json::{Value, json};

use crate::entra::Entra;

const JWKS_PATH: &str = "/openid/v1/jwks";

struct Issuer {
    url: String,
    keys: JwkSet,
    /// Whose faults tell whether the issuer is down.
    entra: Arc<Entra>,
}

/// `url` is the issuer itself: `https://host:port`, no slash behind it.
pub(crate) fn router(url: String, keys: JwkSet, entra: Arc<Entra>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(configuration))
        .route(JWKS_PATH, get(jwks))
        .with_state(Arc::new(Issuer { url, keys, entra }))
}

async fn configuration(State(issuer): State<Arc<Issuer>>) -> Response {
    let document: Value = json!({
        "issuer": issuer.url,
        "jwks_uri": format!("{}{JWKS_PATH}", issuer.url),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    issuer.answer("application/json", &document)
}

async fn jwks(State(issuer): State<Arc<Issuer>>) -> Response {
    issuer.answer("application/jwk-set+json", &issuer.keys)
}

impl Issuer {
    fn answer(&self, content_type: &'static str, document: &impl Serialize) -> Response {
        if self.entra.faults.get().issuer_down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let mut response = axum::Json(document).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}
