//! The unmodified app, run as a pod would run it: another uid, nothing in its environment.

use std::process::Stdio;

use anyhow::{Context as _, bail};
use azwi_tests::http::Response;
use serde_json::Value;

use crate::cast::{Cast, stdout, text};
use crate::json::{field, text_field};

/// What the app tells about one request.
pub(crate) struct Token {
    pub(crate) took_ms: f64,
    pub(crate) expires_on: String,
    pub(crate) claims: Value,
}

/// Runs the app: it asks twice, each time with a fresh credential.
pub(crate) fn get_two_tokens(cast: &Cast) -> anyhow::Result<(Token, Token)> {
    let told = stdout(&cast.run("unmodified-app", cast.app_user(), &[])?)?;
    let mut tokens = told.lines().map(token);
    let mut next = || tokens.next().context("the app asked less than twice")?;
    Ok((next()?, next()?))
}

/// Runs the app for another identity and returns the error that the SDK shows.
pub(crate) fn be_refused(cast: &Cast, client_id: &str) -> anyhow::Result<String> {
    let output = cast.run("unmodified-app", cast.app_user(), &["--client-id", client_id])?;
    if output.status.success() {
        bail!("the app got a token: {}", text(&output.stdout));
    }
    Ok(text(&output.stderr))
}

fn token(line: &str) -> anyhow::Result<Token> {
    let told: Value = serde_json::from_str(line).with_context(|| format!("the app told {line:?}"))?;
    Ok(Token {
        took_ms: field(&told, "took_ms").as_f64().context("no time")?,
        expires_on: text_field(&told, "expires_on")?,
        claims: field(&told, "claims").clone(),
    })
}

/// A plain request for a token to `resource`, still under way.
pub(crate) struct Request(std::process::Child);

impl Request {
    /// Sends it as the app's user, with these headers only.
    pub(crate) fn send(cast: &Cast, resource: &str, headers: &[&str]) -> anyhow::Result<Self> {
        let mut command = cast.command("demo", cast.app_user());
        command.args(["http-get", &token_url(resource)]).args(headers);
        Ok(Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
    }

    /// Waits for the answer.
    pub(crate) fn answer(self) -> anyhow::Result<Response> {
        Response::read(&mut stdout(&self.0.wait_with_output()?)?.as_bytes())
    }
}

/// How an app without an SDK asks the metadata service for a token.
pub(crate) fn token_url(resource: &str) -> String {
    format!("http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}")
}
