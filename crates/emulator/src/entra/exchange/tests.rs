//! One error code, one way to earn it.

use std::sync::LazyLock;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::config::DEFAULT_CONFIG;
use crate::entra::aadsts::{
    ALGORITHM_UNSUPPORTED, ASSERTION_MALFORMED, AUDIENCE_MISMATCH, ISSUER_MISMATCH, NO_CREDENTIALS, SCOPE_INVALID,
    SCOPE_NOT_DEFAULT, SUBJECT_CASE_MISMATCH, SUBJECT_MISMATCH,
};
use crate::signing_key::{self, SigningKey};

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const DEMO: &str = "22222222-2222-4222-8222-222222222222";
const ISSUER: &str = "https://cluster.example";
const NOW: i64 = 1_800_000_000;

static PEM: LazyLock<String> = LazyLock::new(|| signing_key::generate().unwrap());
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_pem(&PEM, "key").unwrap());
static OTHER_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(&signing_key::generate().unwrap(), "other").unwrap());

enum Issuer {
    Serves(JwkSet),
    ServesNonsense,
}

impl IssuerKeys for Issuer {
    async fn key(&self, issuer: &str, kid: &str) -> Result<Option<Jwk>, DiscoveryError> {
        match self {
            Self::Serves(keys) => Ok(keys.find(kid).cloned()),
            Self::ServesNonsense => {
                Err(DiscoveryError::Answer { url: issuer.to_owned(), problem: "nonsense".to_owned() })
            }
        }
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "system:serviceaccount:default:demo",
        "aud": ["api://AzureADTokenExchange"],
        "nbf": NOW - 10,
        "exp": NOW + 10,
    })
}

fn form() -> TokenForm {
    TokenForm {
        grant_type: Some("client_credentials".to_owned()),
        client_id: Some(DEMO.to_owned()),
        scope: Some("https://management.azure.com//.default openid offline_access profile".to_owned()),
        client_assertion_type: Some(JWT_BEARER.to_owned()),
        client_assertion: Some(KEY.sign(&claims(), false).unwrap()),
        ..TokenForm::default()
    }
}

fn form_with(claim: &str, value: impl Into<Value>) -> TokenForm {
    let mut claims = claims();
    claims[claim] = value.into();
    asserting(KEY.sign(&claims, false).unwrap())
}

fn asserting(jwt: String) -> TokenForm {
    TokenForm { client_assertion: Some(jwt), ..form() }
}

async fn run_with(config: &str, issuer: &Issuer, tenant: &str, form: &TokenForm) -> Result<String, Aadsts> {
    let checks = Checks {
        config: &Config::parse(config).unwrap(),
        own_issuer: ISSUER,
        authority: "https://localhost:8443/",
        keys: issuer,
        now: OffsetDateTime::from_unix_timestamp(NOW).unwrap(),
    };
    checks.run(tenant, form, &mut Facts::default()).await.map(|grant| grant.resource)
}

async fn run(tenant: &str, form: &TokenForm) -> Result<String, Aadsts> {
    run_with(DEFAULT_CONFIG, &Issuer::Serves(KEY.jwk_set().unwrap()), tenant, form).await
}

async fn refusal(form: TokenForm) -> Aadsts {
    run(TENANT, &form).await.unwrap_err()
}

#[tokio::test]
async fn a_good_request_earns_a_token_for_the_resource_as_written() {
    assert_eq!(run(TENANT, &form()).await, Ok("https://management.azure.com/".to_owned()));
}

#[tokio::test]
async fn a_tenant_is_known_by_its_domain_too() {
    assert!(run("emulator.example", &form()).await.is_ok());
}

#[tokio::test]
async fn an_unknown_tenant_is_90002() {
    let unknown = run("99999999-9999-4999-8999-999999999999", &form()).await;
    assert_eq!(unknown, Err(TENANT_NOT_FOUND));
    assert_eq!(run("elsewhere.example", &form()).await, Err(TENANT_NOT_FOUND));
}

#[tokio::test]
async fn a_malformed_tenant_is_900023() {
    assert_eq!(run("no tenant", &form()).await, Err(TENANT_MALFORMED));
    assert_eq!(run("common", &form()).await, Err(TENANT_MALFORMED));
}

#[tokio::test]
async fn a_missing_parameter_is_900144() {
    assert_eq!(refusal(TokenForm { grant_type: None, ..form() }).await, PARAMETER_MISSING);
    assert_eq!(refusal(TokenForm { client_id: None, ..form() }).await, PARAMETER_MISSING);
}

#[tokio::test]
async fn another_grant_is_70003() {
    let form = TokenForm { grant_type: Some("password".to_owned()), ..form() };
    assert_eq!(refusal(form).await, GRANT_UNSUPPORTED);
}

#[tokio::test]
async fn a_repeated_parameter_is_9002313() {
    let body = b"grant_type=client_credentials&client_id=a&client_id=a";
    assert_eq!(refusal(TokenForm::parse(body)).await, MALFORMED);
}

#[tokio::test]
async fn an_unknown_application_is_700016() {
    let form = TokenForm { client_id: Some("99999999-9999-4999-8999-999999999999".to_owned()), ..form() };
    assert_eq!(refusal(form).await, APPLICATION_NOT_FOUND);
}

#[tokio::test]
async fn an_application_of_another_tenant_is_700016() {
    let other = "99999999-9999-4999-8999-999999999999";
    let mut config: Value = serde_json::from_str(DEFAULT_CONFIG).unwrap();
    let tenants = config["tenants"].as_array_mut().unwrap();
    tenants.push(json!({ "id": other, "applications": [] }));
    let issuer = Issuer::Serves(KEY.jwk_set().unwrap());
    let outcome = run_with(&config.to_string(), &issuer, other, &form()).await;
    assert_eq!(outcome, Err(APPLICATION_NOT_FOUND));
}

#[tokio::test]
async fn a_resource_parameter_is_901002() {
    let form = TokenForm { resource: Some("https://vault.azure.net".to_owned()), ..form() };
    assert_eq!(refusal(form).await, RESOURCE_PARAMETER);
}

#[tokio::test]
async fn a_missing_scope_is_90014() {
    assert_eq!(refusal(TokenForm { scope: None, ..form() }).await, SCOPE_MISSING);
}

#[tokio::test]
async fn no_credential_at_all_is_7000218() {
    assert_eq!(refusal(TokenForm { client_assertion: None, ..form() }).await, ASSERTION_MISSING);
}

#[tokio::test]
async fn a_secret_is_7000215() {
    let form = TokenForm { client_assertion: None, client_secret: Some("s3cret".to_owned()), ..form() };
    assert_eq!(refusal(form).await, SECRET_INVALID);
}

#[tokio::test]
async fn another_assertion_type_is_9002313() {
    assert_eq!(refusal(TokenForm { client_assertion_type: None, ..form() }).await, MALFORMED);
}

#[tokio::test]
async fn what_is_no_jwt_is_50027() {
    assert_eq!(refusal(asserting("not a token".to_owned())).await, ASSERTION_MALFORMED);
}

#[tokio::test]
async fn a_missing_claim_is_50027() {
    for claim in ["iss", "sub", "aud", "exp"] {
        assert_eq!(refusal(form_with(claim, Value::Null)).await, ASSERTION_MALFORMED, "{claim}");
    }
}

#[tokio::test]
async fn a_jwt_without_a_key_id_is_50027() {
    let key = EncodingKey::from_rsa_pem(PEM.as_bytes()).unwrap();
    let jwt = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(), &key).unwrap();
    assert_eq!(refusal(asserting(jwt)).await, ASSERTION_MALFORMED);
}

#[tokio::test]
async fn another_algorithm_is_5002738() {
    let key = EncodingKey::from_rsa_pem(PEM.as_bytes()).unwrap();
    for algorithm in [Algorithm::RS384, Algorithm::PS256] {
        let jwt = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap();
        assert_eq!(refusal(asserting(jwt)).await, ALGORITHM_UNSUPPORTED);
    }
}

#[tokio::test]
async fn an_application_without_federated_credentials_is_70025() {
    let mut config: Value = serde_json::from_str(DEFAULT_CONFIG).unwrap();
    config["tenants"][0]["applications"][0]["federated_identity_credentials"] = json!([]);
    let issuer = Issuer::Serves(KEY.jwk_set().unwrap());
    let outcome = run_with(&config.to_string(), &issuer, TENANT, &form()).await;
    assert_eq!(outcome, Err(NO_CREDENTIALS));
}

#[tokio::test]
async fn another_issuer_is_700211_even_if_only_by_a_slash() {
    assert_eq!(refusal(form_with("iss", "https://elsewhere.example")).await, ISSUER_MISMATCH);
    assert_eq!(refusal(form_with("iss", format!("{ISSUER}/"))).await, ISSUER_MISMATCH);
}

#[tokio::test]
async fn another_subject_is_700213() {
    assert_eq!(refusal(form_with("sub", "system:serviceaccount:default:other")).await, SUBJECT_MISMATCH);
}

#[tokio::test]
async fn a_subject_that_differs_in_case_is_7002138() {
    assert_eq!(refusal(form_with("sub", "system:serviceaccount:default:Demo")).await, SUBJECT_CASE_MISMATCH);
}

#[tokio::test]
async fn another_audience_is_700212() {
    assert_eq!(refusal(form_with("aud", json!(["api://AKSIdentityBinding"]))).await, AUDIENCE_MISMATCH);
}

#[tokio::test]
async fn an_audience_may_stand_without_an_array() {
    assert!(run(TENANT, &form_with("aud", "api://AzureADTokenExchange")).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_serves_nonsense_is_50166() {
    let outcome = run_with(DEFAULT_CONFIG, &Issuer::ServesNonsense, TENANT, &form()).await;
    assert_eq!(outcome, Err(ISSUER_UNUSABLE));
}

#[tokio::test]
async fn a_key_that_the_issuer_does_not_have_is_700027() {
    let jwt = OTHER_KEY.sign(&claims(), false).unwrap();
    assert_eq!(refusal(asserting(jwt)).await, SIGNATURE_INVALID);
}

#[tokio::test]
async fn a_signature_over_something_else_is_700027() {
    let good = KEY.sign(&claims(), false).unwrap();
    let forged = form_with("exp", NOW + 99_999).client_assertion.unwrap();
    let (message, _) = forged.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(refusal(asserting(format!("{message}.{signature}"))).await, SIGNATURE_INVALID);
}

#[tokio::test]
async fn an_expired_assertion_is_700024_from_the_very_second() {
    assert!(run(TENANT, &form_with("exp", NOW + 1)).await.is_ok());
    assert_eq!(refusal(form_with("exp", NOW)).await, ASSERTION_OUT_OF_TIME);
}

#[tokio::test]
async fn an_assertion_of_the_future_is_700024() {
    assert!(run(TENANT, &form_with("nbf", NOW)).await.is_ok());
    assert_eq!(refusal(form_with("nbf", NOW + 1)).await, ASSERTION_OUT_OF_TIME);
}

#[tokio::test]
async fn a_scope_that_is_not_default_is_1002012() {
    let form = TokenForm { scope: Some("https://vault.azure.net/read".to_owned()), ..form() };
    assert_eq!(refusal(form).await, SCOPE_NOT_DEFAULT);
}

#[tokio::test]
async fn several_resources_are_70011() {
    let scope = "https://vault.azure.net/.default https://storage.azure.com/.default";
    assert_eq!(refusal(TokenForm { scope: Some(scope.to_owned()), ..form() }).await, SCOPE_INVALID);
}

#[tokio::test]
async fn an_unknown_resource_is_500011() {
    let form = TokenForm { scope: Some("https://nobody.example/.default".to_owned()), ..form() };
    assert_eq!(refusal(form).await, RESOURCE_NOT_FOUND);
}

#[tokio::test]
async fn a_bad_assertion_is_told_before_a_bad_scope() {
    let mut form = form_with("sub", "system:serviceaccount:default:other");
    form.scope = Some("nonsense".to_owned());
    assert_eq!(refusal(form).await, SUBJECT_MISMATCH);
}

#[tokio::test]
async fn a_mismatch_is_told_before_the_issuer_is_asked_for_its_keys() {
    let form = form_with("sub", "system:serviceaccount:default:other");
    let outcome = run_with(DEFAULT_CONFIG, &Issuer::ServesNonsense, TENANT, &form).await;
    assert_eq!(outcome, Err(SUBJECT_MISMATCH));
}
