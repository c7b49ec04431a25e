//! What the tests of Graph and Resource Manager share: somebody who is logged in.

use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, clients};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{client, form, json as body_of, post, start, token_url};

pub(crate) const GRAPH: &str = "https://graph.microsoft.com/.default";
pub(crate) const ARM: &str = "https://management.azure.com/.default";

/// An emulator, and a token for one of its APIs.
pub(crate) struct Session {
    pub(crate) emulator: Emulator<'static>,
    pub(crate) client: Client,
    pub(crate) token: String,
}

/// Status and body.
pub(crate) type Answer = (StatusCode, Value);

impl Session {
    pub(crate) async fn start(scope: &str) -> Self {
        let emulator = start();
        let client = client(&emulator);
        let token = login(&emulator, &client, scope).await;
        Self { emulator, client, token }
    }

    /// `path` with its leading slash, or a whole URL.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = match path.strip_prefix('/') {
            Some(path) => format!("{}{path}", self.emulator.authority()),
            None => path.to_owned(),
        };
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// What the token endpoint says to the service account's token: 0 for an access token, or the AADSTS code.
    pub(crate) async fn exchange(&self, client_id: &str, subject: &str) -> u64 {
        let body = form(client_id, &self.emulator.token(subject).unwrap());
        let response = post(&self.client, &token_url(&self.emulator), body).send().await.unwrap();
        body_of(response).await["error_codes"][0].as_u64().unwrap_or_default()
    }
}

/// A login with the operator's client secret.
pub(crate) async fn login(emulator: &Emulator<'_>, client: &Client, scope: &str) -> String {
    let body = secret_form(clients::OPERATOR, OPERATOR_SECRET, scope);
    let answer = body_of(post(client, &token_url(emulator), body).send().await.unwrap()).await;
    text(&answer["access_token"])
}

pub(crate) fn secret_form(client_id: &str, secret: &str, scope: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client_id)
        .append_pair("scope", scope)
        .append_pair("client_secret", secret)
        .finish()
}

pub(crate) fn text(value: &Value) -> String {
    assert!(value.is_string(), "not a string: {value}");
    value.as_str().unwrap().to_owned()
}

/// The code and the status of a refusal.
pub(crate) fn refused(answer: &Answer) -> (u16, String) {
    (answer.0.as_u16(), text(&answer.1["error"]["code"]))
}

/// A federated identity credential as both APIs take it, Resource Manager within `properties`.
pub(crate) fn credential(emulator: &Emulator<'_>, subject: &str) -> Value {
    json!({ "issuer": emulator.issuer(), "subject": subject, "audiences": ["api://AzureADTokenExchange"] })
}
