//! More requests wait for Entra than may: whoever needs nothing of Entra does not notice.

use anyhow::{Context as _, Result};
use azwi_tests::http::{Connection, METADATA};
use azwi_tests::metrics::{FLAG, Scrape};
use azwi_tests::process::allow_many_files;
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{RESOURCE, Stage};

/// More than there are connections.
const CROWD: u32 = 1100;
/// So many may wait.
const WAITING: u32 = 768;

/// Connections on each of which somebody has asked for a token that Entra does not give.
fn crowd(stage: &Stage) -> Result<Vec<Connection>> {
    allow_many_files()?;
    let target = format!("{TOKEN}?api-version=2018-02-01&resource=https://vault.azure.net");
    let ask = |_| {
        let mut connection = stage.proxy.connect()?;
        connection.request("GET", &target, &[METADATA])?;
        Ok(connection)
    };
    (0..CROWD).map(ask).collect()
}

#[test]
fn while_a_crowd_waits_for_entra_probes_and_cached_tokens_are_answered_and_the_rest_is_429() -> Result<()> {
    let stage = Stage::with(&[], &[FLAG])?;
    let token = stage.token()?.field("access_token");
    assert!(!token.is_empty());
    stage.entra.faults(r#"{"hang":true}"#)?;
    let mut crowd = crowd(&stage)?;
    let last = crowd.pop().context("nobody")?.response()?;
    assert_eq!((last.status, last.header("Retry-After")), (429, Some("1")), "{}", last.body);
    assert_eq!(last.field("error_description"), "Too many requests are waiting for an answer.");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(stage.proxy.ask("GET", probe, &[])?.body, "ok");
    }
    // Whoever bypasses the cache may have to wait otherwise.
    for query in [RESOURCE.to_owned(), format!("{RESOURCE}&bypass_cache=true")] {
        assert_eq!(stage.proxy.token(&query)?.field("access_token"), token, "{query}");
    }
    let other = stage.proxy.ask("GET", "/metadata/instance?api-version=2021-02-01", &[METADATA])?;
    assert_eq!((other.status, other.header("Retry-After")), (429, Some("1")), "{}", other.body);
    let scrape = Scrape::of(&stage.proxy)?;
    assert_eq!(scrape.requests("throttled"), Some(f64::from(CROWD - WAITING)));
    // All of this while as many wait as may.
    let mut waiting = 0;
    for connection in &mut crowd {
        waiting += u32::from(connection.is_open()?);
    }
    assert_eq!(waiting, WAITING);
    Ok(())
}
