//! The token endpoint over real TLS, and what verifies its tokens.

use azwi_tests::emulator::{DEMO_SUBJECT, clients};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::{Client, StatusCode, Version};
use serde_json::{Value, json};

use crate::common::{client, client_builder, code, exchange, form, json, request, start, start_with, token_url};

#[tokio::test]
async fn an_assertion_is_exchanged_over_http2() {
    let emulator = start();
    let response = exchange(&emulator, &emulator.token(DEMO_SUBJECT).unwrap()).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
    let counters = emulator.counters().unwrap();
    assert_eq!((counters.exchanges, counters.succeeded, counters.requests_http2), (1, 1, 1));
}

#[tokio::test]
async fn an_assertion_is_exchanged_over_http1() {
    let emulator = start();
    let client = client_builder(&emulator).http1_only().build().unwrap();
    let body = form(clients::DEMO, &emulator.token(DEMO_SUBJECT).unwrap());
    let response = request(&emulator, &client, body).send().await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_11));
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_authority_gets_nowhere() {
    let (emulator, stranger) = (start(), start());
    let error = client(&stranger).get(emulator.authority()).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn the_answer_has_entras_fields_with_numbers_for_lifetimes() {
    let emulator = start();
    let response = exchange(&emulator, &emulator.token(DEMO_SUBJECT).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    let mut answer = json(response).await;
    assert!(answer["access_token"].take().as_str().unwrap().len() > 1500);
    let expected =
        json!({ "token_type": "Bearer", "expires_in": 86399, "ext_expires_in": 86399, "access_token": null });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_refusal_has_entras_fields_and_the_callers_correlation_id() {
    const ID: &str = "9b5b6bd8-5b6a-4c1e-a46b-3a5a3a1b1c1d";
    let emulator = start();
    let body = form(clients::ORPHAN, &emulator.token(DEMO_SUBJECT).unwrap());
    let request = request(&emulator, &client(&emulator), body)
        .header("client-request-id", ID)
        .header("return-client-request-id", "true");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["client-request-id"], ID);
    let answer = json(response).await;
    let (trace, time) = (answer["trace_id"].as_str().unwrap(), answer["timestamp"].as_str().unwrap());
    assert_eq!(
        answer,
        json!({
            "error": "invalid_client",
            "error_description": format!(
                "AADSTS700213: No matching federated identity record found for presented assertion subject \
                 '{DEMO_SUBJECT}'. Check your federated identity credential Subject, Audience and Issuer against the \
                 presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation \
                 Trace ID: {trace} Correlation ID: {ID} Timestamp: {time}"
            ),
            "error_codes": [700_213],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": ID,
            "error_uri": "https://login.microsoftonline.com/error?code=700213",
        })
    );
    assert_eq!((time.len(), &time[10..11], &time[19..]), (20, " ", "Z"));
}

#[tokio::test]
async fn a_get_is_900561() {
    let emulator = start();
    let response = client(&emulator).get(token_url(&emulator)).send().await.unwrap();
    assert_eq!(code(response).await, 900_561);
}

#[tokio::test]
async fn a_body_that_is_no_form_has_no_grant_type() {
    let emulator = start();
    let body = form(clients::DEMO, &emulator.token(DEMO_SUBJECT).unwrap());
    let request = client(&emulator).post(token_url(&emulator)).header("content-type", "text/plain").body(body);
    let answer = json(request.send().await.unwrap()).await;
    assert_eq!(answer["error_codes"][0], 900_144);
    assert!(answer["error_description"].as_str().unwrap().contains("'grant_type'"));
}

#[tokio::test]
async fn a_body_beyond_64_kib_is_refused() {
    let emulator = start();
    let response = exchange(&emulator, &"x".repeat(64 * 1024)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_app_registrations_token_lives_an_hour() {
    let emulator = start();
    let body = form(clients::APP, &emulator.token(DEMO_SUBJECT).unwrap());
    let response = request(&emulator, &client(&emulator), body).send().await.unwrap();
    assert_eq!(json(response).await["expires_in"], 3599);
}

#[tokio::test]
async fn a_resource_server_verifies_the_token_by_discovery() {
    let emulator = start();
    let client = client(&emulator);
    let response = exchange(&emulator, &emulator.token(DEMO_SUBJECT).unwrap()).await.unwrap();
    let token = json(response).await["access_token"].as_str().unwrap().to_owned();

    let url = format!("{}{}/.well-known/openid-configuration", emulator.authority(), emulator.tenant());
    let document = json(client.get(url).send().await.unwrap()).await;
    let keys = json(client.get(document["jwks_uri"].as_str().unwrap()).send().await.unwrap()).await;
    let claims = verified(&token, &keys, document["issuer"].as_str().unwrap());

    assert_eq!(claims["appid"], clients::DEMO);
    assert_eq!(claims["tid"], emulator.tenant());
    assert_eq!(claims["idtyp"], "app");
    assert_eq!(claims["nbf"].as_i64().unwrap(), claims["iat"].as_i64().unwrap() - 300);
    assert_eq!(claims["exp"].as_i64().unwrap(), claims["iat"].as_i64().unwrap() + 86_400);
    assert!(claims["xms_mirid"].as_str().unwrap().ends_with("/userAssignedIdentities/demo"));
}

fn verified(token: &str, keys: &Value, issuer: &str) -> Value {
    let keys: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["https://vault.azure.net"]);
    validation.set_issuer(&[issuer]);
    let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn msal_finds_the_token_endpoint_in_the_v2_document() {
    let emulator = start();
    let url = format!("{}{}/v2.0/.well-known/openid-configuration", emulator.authority(), emulator.tenant());
    let document = json(client(&emulator).get(url).send().await.unwrap()).await;
    assert_eq!(document["token_endpoint"], token_url(&emulator));
}

#[tokio::test]
async fn the_issuer_serves_what_kube_apiserver_serves() {
    let emulator = start();
    let client = client(&emulator);
    let get = async |url: &str| json(client.get(url).send().await.unwrap()).await;
    let issuer = emulator.issuer();
    let document = get(&format!("{issuer}/.well-known/openid-configuration")).await;
    assert_eq!(
        document,
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    );
    let key = get(document["jwks_uri"].as_str().unwrap()).await["keys"][0].clone();
    let header = jsonwebtoken::decode_header(emulator.token(DEMO_SUBJECT).unwrap()).unwrap();
    assert_eq!(
        (key["kid"].as_str(), &key["use"], &key["alg"]),
        (header.kid.as_deref(), &json!("sig"), &json!("RS256"))
    );
}

/// One application that trusts `subject` of `issuer`.
fn trusting(issuer: &str) -> String {
    json!({ "tenants": [{
        "id": "11111111-1111-4111-8111-111111111111",
        "applications": [{
            "name": "demo", "client_id": clients::DEMO, "kind": "managed_identity",
            "federated_identity_credentials": [{ "issuer": issuer, "subject": DEMO_SUBJECT }],
        }],
    }] })
    .to_string()
}

#[tokio::test]
async fn another_clusters_issuer_is_trusted_by_its_authority() {
    let cluster = start();
    let ca = cluster.ca_file();
    let emulator = start_with(Some(&trusting(cluster.issuer())), &["--issuer-ca", ca.to_str().unwrap()]);
    let response = exchange(&emulator, &cluster.token(DEMO_SUBJECT).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_issuer_whose_certificate_is_not_trusted_is_90061() {
    let cluster = start();
    let emulator = start_with(Some(&trusting(cluster.issuer())), &[]);
    let response = exchange(&emulator, &cluster.token(DEMO_SUBJECT).unwrap()).await.unwrap();
    assert_eq!(code(response).await, 90_061);
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_50166() {
    let cluster = start();
    let (ca, issuer) = (cluster.ca_file(), cluster.issuer().replace("localhost", "127.0.0.1"));
    let emulator = start_with(Some(&trusting(&issuer)), &["--issuer-ca", ca.to_str().unwrap()]);
    let token = cluster.token_with(DEMO_SUBJECT, &["--issuer", &issuer]).unwrap();
    assert_eq!(code(exchange(&emulator, &token).await.unwrap()).await, 50_166);
}

#[tokio::test]
async fn a_token_signed_by_another_key_is_700027() {
    let (emulator, other) = (start(), start());
    let key = other.dir().join("cluster.key");
    let token = emulator.token_with(DEMO_SUBJECT, &["--key", key.to_str().unwrap()]).unwrap();
    assert_eq!(code(exchange(&emulator, &token).await.unwrap()).await, 700_027);
}

#[tokio::test]
async fn expired_and_future_tokens_are_700024() {
    let emulator = start();
    for arguments in [["--expires-in", "-1"], ["--not-before", "60"]] {
        let token = emulator.token_with(DEMO_SUBJECT, &arguments).unwrap();
        assert_eq!(code(exchange(&emulator, &token).await.unwrap()).await, 700_024, "{arguments:?}");
    }
}

#[tokio::test]
async fn one_line_in_the_log_tells_who_was_refused_what_and_why_without_the_assertion() {
    let emulator = start_with(None, &["--log-format", "json"]);
    let token = emulator.token(DEMO_SUBJECT).unwrap();
    let client: Client = client(&emulator);
    request(&emulator, &client, form(clients::ORPHAN, &token)).send().await.unwrap();
    let log = emulator.log();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["outcome"], "refused");
    assert_eq!(line["aadsts"], 700_213);
    assert_eq!(line["client_id"], clients::ORPHAN);
    assert_eq!(line["subject"], DEMO_SUBJECT);
    assert_eq!(line["scope"], "https://vault.azure.net/.default");
    assert!(!log.contains(&token));
}
