//! Where tokens come from: the service account token file and Entra.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azwi_entra::{AccessToken, Assertion, AssertionError, AssertionFile, Class, ExchangeError, Exchanger, Refusal};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::concerns::Concerns;
use crate::failure::is_final;
use crate::key::Key;
use crate::metrics::Metrics;

/// How long a refused assertion may take to be replaced: kubelet may be about to.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between looks at the file.
const PAUSE: Duration = Duration::from_millis(100);

/// Why an attempt brought no token.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    /// Nothing to send.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// Sent, without success.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// One attempt's result, boxed so that the cache need not know who makes it.
pub(crate) type Fetch<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, FetchError>> + Send + 'a>>;

/// Makes one attempt to get a token.
pub(crate) trait TokenSource: Send + Sync {
    /// Takes the attempt's timeout at most, twice and a wait for kubelet where Entra refuses the assertion; logs what
    /// happened.
    fn fetch<'a>(&'a self, key: &'a Key, attempt: Attempt) -> Fetch<'a>;
}

/// One try of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// Counts those that came as far as Entra, from 1, anew after each success.
    pub number: u32,
    /// How long Entra may take.
    pub timeout: Duration,
    /// Whether what looks like propagation may be just that.
    pub in_grace: bool,
}

/// Workload identity federation.
pub(crate) struct Federation {
    exchanger: Exchanger,
    assertion: AssertionFile,
    is_missing: AtomicBool,
    concerns: Arc<Concerns>,
    metrics: Option<Arc<Metrics>>,
}

impl Federation {
    /// Exchanges what stands in `assertion` through `exchanger`, and tells `concerns` and `metrics` of it.
    pub(crate) fn new(
        exchanger: Exchanger,
        assertion: AssertionFile,
        concerns: Arc<Concerns>,
        metrics: Option<Arc<Metrics>>,
    ) -> Self {
        Self { exchanger, assertion, is_missing: AtomicBool::new(false), concerns, metrics }
    }

    async fn attempt(&self, key: &Key, attempt: Attempt) -> Result<AccessToken, FetchError> {
        let assertion = self.read()?;
        match self.exchange(key, &assertion, attempt).await {
            Err(ExchangeError::Refused(refusal)) if concerns_the_assertion(&refusal) => {
                match self.replacement(&assertion).await? {
                    Some(fresh) => Ok(self.exchange(key, &fresh, attempt).await?),
                    None => Err(ExchangeError::Refused(refusal).into()),
                }
            }
            result => Ok(result?),
        }
    }

    /// The assertion that takes the place of a refused one, if it comes soon.
    async fn replacement(&self, refused: &Assertion) -> Result<Option<Assertion>, AssertionError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let fresh = self.read()?;
            if fresh != *refused {
                return Ok(Some(fresh));
            }
            sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// Reads the file, and logs when it is gone and when it is back.
    fn read(&self) -> Result<Assertion, AssertionError> {
        let assertion = self.assertion.read();
        let was_missing = self.is_missing.swap(assertion.is_err(), Ordering::Relaxed);
        match &assertion {
            Err(error) if !was_missing => tracing::error!(%error, "no service account token to exchange"),
            Ok(_) if was_missing => tracing::info!("the service account token is there again"),
            _ => {}
        }
        assertion
    }

    async fn exchange(
        &self,
        key: &Key,
        assertion: &Assertion,
        Attempt { number, timeout, in_grace }: Attempt,
    ) -> Result<AccessToken, ExchangeError> {
        let started = Instant::now();
        let Key { identity, resource } = key;
        self.begins(assertion);
        let result = self.exchanger.exchange(&identity.tenant, &identity.client, resource, assertion, timeout).await;
        let took = started.elapsed();
        self.ended(&result, took);
        if is_worth_a_line(&result, number) {
            log(key, assertion, &result, Ended { number, in_grace, took });
        }
        result
    }

    fn begins(&self, assertion: &Assertion) {
        if let Some(claims) = assertion.claims() {
            self.concerns.audience.observe(&claims);
        }
        if let Some(metrics) = &self.metrics {
            metrics.exchanges.begin();
        }
    }

    fn ended(&self, result: &Result<AccessToken, ExchangeError>, took: Duration) {
        self.concerns.authority.observe(result);
        if let Some(metrics) = &self.metrics {
            metrics.exchanges.end(result, took);
        }
    }
}

impl TokenSource for Federation {
    fn fetch<'a>(&'a self, key: &'a Key, attempt: Attempt) -> Fetch<'a> {
        Box::pin(self.attempt(key, attempt))
    }
}

fn concerns_the_assertion(refusal: &Refusal) -> bool {
    matches!(refusal.class(), Class::StaleAssertion | Class::MalformedAssertion)
}

/// Of many failures in a row the 1st, 2nd, 4th, 8th… tell enough.
fn is_worth_a_line(result: &Result<AccessToken, ExchangeError>, number: u32) -> bool {
    number.is_power_of_two() || !is_soon_tried_again(result)
}

/// Whether it failed for a reason that passes by itself or with the assertion, so that the same line would come again and
/// again; other refusals are remembered.
fn is_soon_tried_again(result: &Result<AccessToken, ExchangeError>) -> bool {
    match result {
        Ok(_) => false,
        Err(ExchangeError::Refused(refusal)) => {
            let passes = matches!(refusal.class(), Class::Transient | Class::Issuer | Class::Throttled);
            passes || concerns_the_assertion(refusal)
        }
        Err(ExchangeError::Transport { .. } | ExchangeError::Malformed(_)) => true,
    }
}

/// What is known of an attempt besides what Entra said.
#[derive(Clone, Copy)]
struct Ended {
    number: u32,
    in_grace: bool,
    took: Duration,
}

/// One line an exchange: who asked for what with which assertion, and what Entra said.
fn log(key: &Key, assertion: &Assertion, result: &Result<AccessToken, ExchangeError>, ended: Ended) {
    let Ended { number: attempt, in_grace, took } = ended;
    let claims = assertion.claims();
    let issuer = claims.as_ref().map(|claims| claims.iss.as_str());
    let subject = claims.as_ref().map(|claims| claims.sub.as_str());
    let audience = claims.as_ref().map(|claims| claims.aud.to_string());
    let tenant_id = key.identity.tenant.as_str();
    let client_id = key.identity.client.as_str();
    let resource = key.resource.as_str();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(token) => tracing::info!(
            tenant_id,
            client_id,
            resource,
            issuer,
            subject,
            audience,
            attempt,
            took_ms,
            expires_in = token.expires_in.as_secs(),
            "token exchanged"
        ),
        Err(ExchangeError::Refused(refusal)) => tracing::error!(
            tenant_id, client_id, resource, issuer, subject, audience, attempt, took_ms,
            status = refusal.status,
            error = refusal.error,
            aadsts = refusal.error_codes.first(),
            class = ?refusal.class(),
            is_final = is_final(refusal.class(), in_grace),
            description = %refusal,
            trace_id = refusal.trace_id,
            correlation_id = refusal.correlation_id,
            "token exchange refused"
        ),
        Err(error) => tracing::error!(
            tenant_id, client_id, resource, issuer, subject, audience, attempt, took_ms, %error,
            "token exchange failed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the first ten refusals in a row with `code` are logged.
    fn logged(code: u64) -> Vec<u32> {
        let body = format!(r#"{{"error":"invalid_client","error_codes":[{code}]}}"#);
        let refused = Err(ExchangeError::Refused(Box::new(Refusal::from_response(400, None, body.as_bytes(), ""))));
        (1..=10).filter(|&number| is_worth_a_line(&refused, number)).collect()
    }

    #[test]
    fn of_refusals_of_the_assertion_and_of_those_that_pass_the_1st_2nd_4th_and_8th_are_logged() {
        for code in [700_024, 700_027, 50_027, 90_033, 90_055, 90_061] {
            assert_eq!(logged(code), [1, 2, 4, 8], "{code}");
        }
    }

    #[test]
    fn of_refusals_of_the_identity_or_the_resource_each_is_logged() {
        for code in [700_213, 7_000_112, 500_011] {
            assert_eq!(logged(code).len(), 10, "{code}");
        }
    }
}
