//! JSON over HTTPS with a bearer token, as Graph and Resource Manager both speak it: throttling honoured, errors with
//! their codes, lists page by page. Sends the token nowhere but to the one host.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::jwt;

use super::cloud::Endpoint;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);
/// How often a request is made again because the service asks to come back later.
const THROTTLED: u32 = 5;
/// Seconds that a service is left alone which does not say how long.
const USUAL_WAIT: u64 = 2;
/// Longest wait that a service is granted; whoever asks for more is reported.
const LONGEST_WAIT: u64 = 60;
/// Pages of a list; more would be a service that goes in circles.
const MAX_PAGES: usize = 1000;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestError {
    /// Nobody there, or not to be trusted.
    #[error("{url}: {reason}")]
    Transport { url: String, reason: String },
    /// No token for it.
    #[error("there is no token for {scope}: {reason}")]
    Login { scope: String, reason: String },
    /// The service's own words.
    #[error("{what}: {status} {code}: {message}")]
    Refused { what: String, status: u16, code: String, message: String },
    /// An answer without what it must have.
    #[error("{what}: the answer has no {field}")]
    Incomplete { what: String, field: &'static str },
}

impl RestError {
    /// Whether what was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the service refused with this code.
    pub(crate) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// One API.
pub(crate) struct Rest {
    client: Client,
    credential: Arc<dyn TokenCredential>,
    endpoint: Endpoint,
}

impl Rest {
    /// # Errors
    /// This machine has no roots of trust.
    pub(crate) fn new(endpoint: Endpoint, credential: Arc<dyn TokenCredential>) -> Result<Self, RestError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| transport(&endpoint.url, &error))?;
        Ok(Self { client, credential, endpoint })
    }

    /// The tenant whose tokens these are.
    ///
    /// # Errors
    /// There is no token, or it does not tell.
    pub(crate) async fn tenant(&self) -> Result<String, RestError> {
        let token = self.token().await?;
        jwt::claims::<Value>(&token)
            .and_then(|claims| claims.get("tid")?.as_str().map(str::to_owned))
            .ok_or(RestError::Incomplete { what: "the access token".to_owned(), field: "tenant (tid)" })
    }

    /// Asks for `path`, which begins with a slash. None where the answer has no body.
    ///
    /// # Errors
    /// It fails.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, RestError> {
        let url = format!("{}{path}", self.endpoint.url);
        let what = format!("{method} {}", path.split('?').next().unwrap_or_default());
        for _ in 0..THROTTLED {
            let response = self.once(method.clone(), &url, body).await?;
            match wait(&response) {
                Some(time) => sleep(time).await,
                None => return read(&what, response).await,
            }
        }
        read(&what, self.once(method, &url, body).await?).await
    }

    /// # Errors
    /// As of [`Self::send`].
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RestError> {
        self.send(Method::GET, path, None).await
    }

    /// All items of a list.
    ///
    /// # Errors
    /// As of [`Self::send`], or the next page is somewhere else.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, RestError> {
        let (mut items, mut next) = (Vec::new(), path.to_owned());
        for _ in 0..MAX_PAGES {
            let mut page = self.get(&next).await?;
            if let Some(Value::Array(more)) = page.get_mut("value").map(Value::take) {
                items.extend(more);
            }
            let link = ["@odata.nextLink", "nextLink"].iter().find_map(|name| page.get(*name)?.as_str());
            let Some(link) = link else { return Ok(items) };
            let elsewhere =
                || RestError::Incomplete { what: format!("GET {path}"), field: "next page of its own host" };
            link.strip_prefix(&self.endpoint.url)
                .filter(|path| path.starts_with('/'))
                .ok_or_else(elsewhere)?
                .clone_into(&mut next);
        }
        Err(RestError::Incomplete { what: format!("GET {path}"), field: "last page" })
    }

    async fn once(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Response, RestError> {
        let mut request = self.client.request(method, url).bearer_auth(self.token().await?);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| transport(url, &error))
    }

    async fn token(&self) -> Result<String, RestError> {
        let scope = &self.endpoint.scope;
        let token = self.credential.get_token(&[scope], None).await;
        let in_words = |error: azure_core::Error| match (error.to_string(), root_cause(&error)) {
            (error, cause) if error.contains(&cause) => error,
            (error, cause) => format!("{error}: {cause}"),
        };
        token
            .map(|token| token.token.secret().to_owned())
            .map_err(|error| RestError::Login { scope: scope.clone(), reason: in_words(error) })
    }
}

/// How long the service wants to be left alone, if that is why it refuses and it is not too long.
fn wait(response: &Response) -> Option<Duration> {
    let later = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let given = response.headers().get(RETRY_AFTER).map(|value| value.to_str().ok()?.parse().ok());
    let seconds = given.unwrap_or(Some(USUAL_WAIT))?;
    (later && seconds <= LONGEST_WAIT).then(|| Duration::from_secs(seconds))
}

async fn read(what: &str, response: Response) -> Result<Value, RestError> {
    let status = response.status();
    let url = response.url().to_string();
    let body = response.bytes().await.map_err(|error| transport(&url, &error))?;
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() {
        return Ok(json);
    }
    let text =
        |field: &str| json.pointer(&format!("/error/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    Err(RestError::Refused {
        what: what.to_owned(),
        status: status.as_u16(),
        code: text("code"),
        message: text("message"),
    })
}

pub(crate) fn transport(url: &str, error: &reqwest::Error) -> RestError {
    RestError::Transport { url: url.to_owned(), reason: root_cause(error) }
}

/// What an error is due to in the end: the words of those around it do not say why.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

/// For a query or a part of a path.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// # Errors
/// It is not there.
pub(crate) fn text(value: &Value, field: &'static str) -> Result<String, RestError> {
    let missing = || RestError::Incomplete { what: "Azure".to_owned(), field };
    value.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(missing)
}
