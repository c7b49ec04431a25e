//! Logins of whoever sets a federation up: by client secret, and by certificate.

use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, clients};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, RsaKeySize};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::cloud::secret_form;
use crate::common::{client, code, form, json as body_of, request, start, start_with, token_url};

const VAULT: &str = "https://vault.azure.net/.default";

async fn ask(emulator: &Emulator<'_>, body: String) -> Response {
    request(emulator, &client(emulator), body).send().await.unwrap()
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn the_right_secret_earns_a_token_that_tells_how() {
    let emulator = start();
    let response = ask(&emulator, secret_form(clients::OPERATOR, OPERATOR_SECRET, VAULT)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let claims = claims(&body_of(response).await["access_token"]);
    assert_eq!((&claims["appid"], &claims["appidacr"]), (&json!(clients::OPERATOR), &json!("1")));
}

#[tokio::test]
async fn another_secret_is_7000215_and_so_is_any_of_an_application_without() {
    let emulator = start();
    assert_eq!(code(ask(&emulator, secret_form(clients::OPERATOR, "guess", VAULT)).await).await, 7_000_215);
    assert_eq!(code(ask(&emulator, secret_form(clients::APP, OPERATOR_SECRET, VAULT)).await).await, 7_000_215);
}

/// An emulator with one application that has a certificate, and the key and the certificate.
struct Certified {
    emulator: Emulator<'static>,
    key: EncodingKey,
    der: Vec<u8>,
}

impl Certified {
    fn start() -> Self {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::default().self_signed(&pair).unwrap();
        let config = json!({ "tenants": [{
            "id": "11111111-1111-4111-8111-111111111111",
            "applications": [{
                "name": "pipeline",
                "client_id": clients::OPERATOR,
                "kind": "app_registration",
                "certificates": [certificate.pem()],
                "federated_identity_credentials": [],
            }],
        }] });
        let emulator = start_with(Some(&config.to_string()), &[]);
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { emulator, key, der: certificate.der().to_vec() }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": clients::OPERATOR, "sub": clients::OPERATOR, "aud": token_url(&self.emulator),
            "nbf": 0, "exp": 4_000_000_000_u64, "jti": "1",
        })
    }

    async fn ask(&self, algorithm: Algorithm, claims: &Value) -> Response {
        let mut header = Header::new(algorithm);
        header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(sha256(&self.der)));
        let jwt = jsonwebtoken::encode(&header, claims, &self.key).unwrap();
        ask(&self.emulator, form(clients::OPERATOR, &jwt)).await
    }

    async fn refusal(&self, claim: &str, value: Value) -> u64 {
        let mut claims = self.claims();
        claims[claim] = value;
        code(self.ask(Algorithm::PS256, &claims).await).await
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut hashes = provider.cipher_suites.iter().filter_map(|suite| Some(suite.tls13()?.common.hash_provider));
    let sha256 = hashes.find(|hash| hash.algorithm() == rustls::crypto::hash::HashAlgorithm::SHA256).unwrap();
    sha256.hash(bytes).as_ref().to_vec()
}

#[tokio::test]
async fn an_assertion_signed_by_the_certificate_earns_a_token() {
    let certified = Certified::start();
    for algorithm in [Algorithm::PS256, Algorithm::RS256] {
        let response = certified.ask(algorithm, &certified.claims()).await;
        assert_eq!(response.status(), StatusCode::OK, "{algorithm:?}");
    }
}

#[tokio::test]
async fn each_claim_of_such_an_assertion_counts() {
    let certified = Certified::start();
    assert_eq!(certified.refusal("sub", json!(clients::DEMO)).await, 700_021);
    assert_eq!(certified.refusal("aud", json!("https://login.microsoftonline.com/common")).await, 700_023);
    assert_eq!(certified.refusal("exp", json!(1)).await, 700_024);
}

#[tokio::test]
async fn a_certificate_that_is_not_the_applications_is_700027() {
    let (certified, stranger) = (Certified::start(), Certified::start());
    let strange = Certified { emulator: certified.emulator, ..stranger };
    let response = strange.ask(Algorithm::PS256, &strange.claims()).await;
    assert_eq!(code(response).await, 700_027);
}
