//! What an operator sees of a sidecar that was told to serve metrics.

use std::collections::HashSet;
use std::fs;
use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::emulator::DEMO_SUBJECT;
use azwi_tests::http::{Connection, METADATA};
use azwi_tests::metrics::{FLAG, Scrape, address, ask};
use azwi_tests::proxy::{Proxy, TOKEN};
use azwi_tests::stage::{DEMO, ORPHAN, RESOURCE, Stage};

fn stage() -> Result<Stage> {
    Stage::with(&[], &[FLAG])
}

fn scrape(stage: &Stage) -> Result<Scrape> {
    Scrape::of(&stage.proxy)
}

fn run(args: &[&str]) -> Result<Output> {
    Ok(Command::new(binary("azwi-proxy")?).env_clear().args(args).output()?)
}

/// Without a sandbox other processes of the same user may look at its files.
const OPEN: &str = "--sandbox=off";

/// Ports on which a process listens.
fn listening(pid: u32) -> Result<Vec<u16>> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let sockets: HashSet<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        ports.extend(table.lines().filter_map(|line| listener(line, &sockets)));
    }
    Ok(ports)
}

/// The port of a line of `/proc/net/tcp`, if it is a listening one of `sockets`.
fn listener(line: &str, sockets: &HashSet<String>) -> Option<u16> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let port = u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()?;
    (*state == "0A" && sockets.contains(*inode)).then_some(port)
}

#[test]
fn without_the_flag_nothing_listens_but_the_port_for_apps() -> Result<()> {
    let proxy = Proxy::start(&[], &[OPEN])?;
    assert_eq!(listening(proxy.pid())?, [proxy.port()]);
    Ok(())
}

#[test]
fn with_the_flag_there_is_one_port_more() -> Result<()> {
    let proxy = Proxy::start(&[], &[FLAG, OPEN])?;
    let ports: HashSet<_> = listening(proxy.pid())?.into_iter().collect();
    assert_eq!(ports, HashSet::from([proxy.port(), address(&proxy)?.port()]));
    Ok(())
}

#[test]
fn a_token_from_memory_is_cached_and_one_that_was_waited_for_fetched() -> Result<()> {
    let stage = stage()?;
    for _ in 0..3 {
        assert_eq!(stage.token()?.status, 200);
    }
    let scrape = scrape(&stage)?;
    assert_eq!((scrape.requests("fetched"), scrape.requests("cached")), (Some(1.0), Some(2.0)));
    Ok(())
}

#[test]
fn a_request_at_fault_and_a_path_that_does_not_exist_are_outcomes_of_their_own() -> Result<()> {
    let stage = stage()?;
    assert_eq!(stage.proxy.ask("GET", TOKEN, &[])?.status, 400);
    assert_eq!(stage.proxy.ask("POST", TOKEN, &[METADATA])?.status, 405);
    assert_eq!(stage.proxy.ask("GET", "/metadata/identity/nonesuch", &[METADATA])?.status, 404);
    let scrape = scrape(&stage)?;
    assert_eq!((scrape.requests("refused_request"), scrape.requests("not_found")), (Some(2.0), Some(1.0)));
    Ok(())
}

#[test]
fn what_entra_refuses_is_counted_with_each_request_and_the_exchange_once_with_its_code() -> Result<()> {
    let stage = stage()?;
    for _ in 0..3 {
        assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    }
    let scrape = scrape(&stage)?;
    assert_eq!(scrape.requests("refused_by_entra"), Some(3.0));
    assert_eq!(scrape.exchanges("propagating", "700213"), Some(1.0));
    Ok(())
}

#[test]
fn throttling_is_an_outcome_of_its_own() -> Result<()> {
    let stage = stage()?;
    stage.entra.faults(r#"{"aadsts":90055,"status":429,"retry_after":17}"#)?;
    assert_eq!(stage.token()?.status, 429);
    let scrape = scrape(&stage)?;
    assert_eq!((scrape.requests("throttled"), scrape.exchanges("throttled", "90055")), (Some(1.0), Some(1.0)));
    Ok(())
}

#[test]
fn an_entra_that_does_not_answer_makes_requests_unavailable_and_the_authority_not_reachable_until_it_answers_again()
-> Result<()> {
    let stage = stage()?;
    assert_eq!(scrape(&stage)?.value("azwi_proxy_authority_reachable", &[]), None);
    stage.entra.faults(r#"{"reset":true}"#)?;
    assert_eq!(stage.token()?.status, 503);
    let during = scrape(&stage)?;
    assert_eq!(during.requests("unavailable"), Some(1.0));
    assert!(during.exchanges("no_answer", "none") >= Some(1.0));
    assert_eq!(during.value("azwi_proxy_authority_reachable", &[]), Some(0.0));
    stage.entra.clear_faults()?;
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(scrape(&stage)?.value("azwi_proxy_authority_reachable", &[]), Some(1.0));
    Ok(())
}

#[test]
fn an_outage_of_entra_is_one_warning_and_its_end_another_line() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"reset":true}"#)?;
    assert_eq!(stage.token()?.status, 503);
    stage.entra.clear_faults()?;
    assert_eq!(stage.token()?.status, 200);
    stage.proxy.terminate()?;
    let log = stage.proxy.log.whole();
    assert_eq!(log.matches("Entra does not answer").count(), 1, "{log}");
    assert_eq!(log.matches("Entra answers again").count(), 1, "{log}");
    Ok(())
}

#[test]
fn a_refusal_means_that_the_authority_is_reachable() -> Result<()> {
    let stage = stage()?;
    stage.entra.faults(r#"{"status":503,"remaining":1}"#)?;
    assert_eq!(stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?.status, 403);
    assert_eq!(scrape(&stage)?.value("azwi_proxy_authority_reachable", &[]), Some(1.0));
    Ok(())
}

#[test]
fn a_code_that_nobody_knows_is_counted_as_other() -> Result<()> {
    let stage = stage()?;
    stage.entra.faults(r#"{"aadsts":4242424,"status":400}"#)?;
    assert_eq!(stage.token()?.status, 403);
    assert_eq!(scrape(&stage)?.exchanges("permanent", "other"), Some(1.0));
    Ok(())
}

#[test]
fn a_pod_without_configuration_is_misconfigured_and_not_ready() -> Result<()> {
    let proxy = Proxy::start(&[], &[FLAG])?;
    assert_eq!(proxy.token(RESOURCE)?.status, 403);
    let scrape = Scrape::of(&proxy)?;
    assert_eq!(scrape.requests("misconfigured"), Some(1.0));
    assert_eq!(scrape.value("azwi_proxy_ready", &[]), Some(0.0));
    Ok(())
}

#[test]
fn what_goes_to_the_real_metadata_service_is_told_from_requests_for_tokens() -> Result<()> {
    let nobody = [("METADATA_IP", "127.0.0.1"), ("METADATA_PORT", "1")];
    let open = Proxy::start(&nobody, &[FLAG])?;
    let closed = Proxy::start(&[], &[FLAG, "--passthrough=off"])?;
    for (proxy, status) in [(&open, 503), (&closed, 403)] {
        assert_eq!(proxy.ask("GET", "/metadata/instance?api-version=2021-02-01", &[METADATA])?.status, status);
    }
    assert_eq!(Scrape::of(&open)?.requests("passthrough_failed"), Some(1.0));
    assert_eq!(Scrape::of(&closed)?.requests("passthrough_blocked"), Some(1.0));
    Ok(())
}

#[test]
fn the_histogram_counts_exchanges_and_not_requests() -> Result<()> {
    let stage = stage()?;
    stage.entra.faults(r#"{"latency_ms":500}"#)?;
    for _ in 0..3 {
        assert_eq!(stage.token()?.status, 200);
    }
    let scrape = scrape(&stage)?;
    assert_eq!(scrape.value("azwi_proxy_exchange_duration_seconds_count", &[]), Some(1.0));
    assert_eq!(scrape.value("azwi_proxy_exchange_duration_seconds_bucket", &[("le", "0.4")]), Some(0.0));
    assert!(scrape.value("azwi_proxy_exchange_duration_seconds_sum", &[]).is_some_and(|sum| sum >= 0.5));
    Ok(())
}

#[test]
fn an_exchange_under_way_is_in_flight() -> Result<()> {
    let stage = stage()?;
    stage.entra.faults(r#"{"hang":true}"#)?;
    let mut app = stage.proxy.connect()?;
    app.request("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
    stage.entra.wait_for_exchanges(1)?;
    assert_eq!(scrape(&stage)?.value("azwi_proxy_exchanges_in_flight", &[]), Some(1.0));
    Ok(())
}

#[test]
fn the_token_that_expires_first_of_those_in_use_is_told_and_how_many_there_are() -> Result<()> {
    let stage = stage()?;
    assert_eq!(scrape(&stage)?.value("azwi_proxy_token_expiry_seconds", &[]), None);
    assert_eq!(stage.token()?.status, 200);
    stage.entra.faults(r#"{"token_lifetime":1800}"#)?;
    assert_eq!(stage.proxy.token("resource=https://vault.azure.net")?.status, 200);
    let scrape = scrape(&stage)?;
    assert_eq!(scrape.value("azwi_proxy_cached_tokens", &[]), Some(2.0));
    let left = scrape.value("azwi_proxy_token_expiry_seconds", &[]).context("no expiry")?;
    assert!((1700.0..=1800.0).contains(&left), "{left}");
    Ok(())
}

#[test]
fn what_is_left_of_the_service_account_token_is_told_also_when_it_is_past() -> Result<()> {
    let stage = stage()?;
    let left = scrape(&stage)?.value("azwi_proxy_assertion_expiry_seconds", &[]).context("no expiry")?;
    assert!((3500.0..=3600.0).contains(&left), "{left}");
    stage.entra.write_token_with(&stage.token_file(), DEMO_SUBJECT, &["--expires-in=-60"])?;
    let left = scrape(&stage)?.value("azwi_proxy_assertion_expiry_seconds", &[]).context("no expiry")?;
    assert!((-120.0..=-60.0).contains(&left), "{left}");
    fs::remove_file(stage.token_file())?;
    assert_eq!(scrape(&stage)?.value("azwi_proxy_assertion_expiry_seconds", &[]), None);
    Ok(())
}

#[test]
fn a_foreign_audience_shows_in_the_metrics_and_in_the_log_once_and_the_sidecar_is_ready_all_the_same() -> Result<()> {
    let stage = stage()?;
    let unexpected = |scrape: &Scrape| scrape.value("azwi_proxy_assertion_audience_unexpected", &[]);
    assert_eq!(unexpected(&scrape(&stage)?), Some(0.0));
    stage.entra.write_token_with(&stage.token_file(), DEMO_SUBJECT, &["--audience=api://other"])?;
    for resource in ["https://vault.azure.net", "https://graph.microsoft.com"] {
        assert_eq!(stage.proxy.token(&format!("resource={resource}"))?.status, 403);
    }
    let scrape = scrape(&stage)?;
    assert_eq!((unexpected(&scrape), scrape.value("azwi_proxy_ready", &[])), (Some(1.0), Some(1.0)));
    stage.entra.write_token(&stage.token_file(), DEMO_SUBJECT)?;
    assert_eq!(stage.token()?.status, 200);
    stage.proxy.terminate()?;
    let log = stage.proxy.log.whole();
    assert_eq!(log.matches(r#""audience":"api://other","expected":"api://AzureADTokenExchange""#).count(), 1, "{log}");
    assert_eq!(log.matches("has the usual audience again").count(), 1, "{log}");
    Ok(())
}

#[test]
fn the_audience_is_compared_with_that_of_the_cloud_from_the_start() -> Result<()> {
    let stage = Stage::with(&[("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/")], &[])?;
    let line = stage.proxy.log.wait_for(&[("expected", "api://AzureADTokenExchangeUSGov")]).context("no warning")?;
    assert_eq!(line.get("level").and_then(|level| level.as_str()), Some("WARN"));
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    Ok(())
}

#[test]
fn with_an_identity_binding_of_aks_another_audience_is_usual() -> Result<()> {
    let stage = Stage::with(&[("AZURE_KUBERNETES_TOKEN_PROXY", "https://127.0.0.1:1")], &[FLAG])?;
    stage.proxy.log.wait_for(&[("expected", "api://AKSIdentityBinding"), ("level", "WARN")]).context("no warning")?;
    stage.entra.write_token_with(&stage.token_file(), DEMO_SUBJECT, &["--audience=api://AKSIdentityBinding"])?;
    assert_eq!(scrape(&stage)?.value("azwi_proxy_assertion_audience_unexpected", &[]), Some(0.0));
    Ok(())
}

#[test]
fn the_build_has_a_version_and_a_commit() -> Result<()> {
    let proxy = Proxy::start(&[], &[FLAG])?;
    let scrape = Scrape::of(&proxy)?;
    let build = scrape.samples.iter().find(|sample| sample.name == "azwi_proxy_build_info").context("no build")?;
    let version = String::from_utf8(run(&["--version"])?.stdout)?;
    let label = |name: &str| build.labels.get(name).cloned().unwrap_or_default();
    assert_eq!(version, format!("azwi-proxy {} ({})\n", label("version"), label("commit")));
    Ok(())
}

#[test]
fn no_token_and_no_identity_appears_however_it_ends() -> Result<()> {
    let stage = stage()?;
    let token = stage.token()?.field("access_token");
    stage.proxy.token(&format!("{RESOURCE}&client_id={ORPHAN}"))?;
    stage.proxy.token("resource=https://secret.example/unheard-of")?;
    let text = scrape(&stage)?.text;
    let assertion = fs::read_to_string(stage.token_file())?;
    for secret in [&token, &assertion, DEMO, ORPHAN, stage.entra.tenant(), DEMO_SUBJECT, "https:", "secret.example"] {
        assert!(!secret.is_empty() && !text.contains(secret), "{secret} in {text}");
    }
    Ok(())
}

#[test]
fn a_scrape_changes_nothing_of_what_it_tells() -> Result<()> {
    let stage = stage()?;
    assert_eq!(stage.token()?.status, 200);
    let counters = |scrape: Scrape| {
        let counted = scrape.samples.into_iter().filter(|sample| !sample.name.ends_with("expiry_seconds"));
        counted.map(|sample| (sample.name, sample.labels, sample.value)).collect::<Vec<_>>()
    };
    let first = counters(scrape(&stage)?);
    for _ in 0..3 {
        assert_eq!(counters(scrape(&stage)?), first);
    }
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn whoever_occupies_the_port_for_metrics_does_not_hold_up_tokens() -> Result<()> {
    let stage = stage()?;
    let address = address(&stage.proxy)?;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Connection::to(address)?);
    }
    assert_eq!(stage.token()?.status, 200);
    assert_eq!(stage.proxy.ask("GET", "/readyz", &[])?.status, 200);
    Ok(())
}

#[test]
fn each_port_answers_only_what_it_is_for() -> Result<()> {
    let stage = stage()?;
    assert_eq!(stage.proxy.ask("GET", "/metrics", &[METADATA])?.status, 404);
    let token = format!("{TOKEN}?{RESOURCE}");
    for (target, method, status) in [(token.as_str(), "GET", 404), ("/readyz", "GET", 404), ("/metrics", "POST", 405)] {
        assert_eq!(ask(&stage.proxy, method, target, &[METADATA])?.status, status, "{method} {target}");
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn the_text_is_what_the_scraper_accepts() -> Result<()> {
    let proxy = Proxy::start(&[], &[FLAG])?;
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (headers, expected) in [
        (&[accept][..], "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (&[], "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let response = ask(&proxy, "GET", "/metrics", headers)?;
        assert_eq!(response.header("Content-Type"), Some(expected));
        assert!(response.body.ends_with("\n# EOF\n"), "{}", response.body);
    }
    Ok(())
}

#[test]
fn an_address_that_is_none_is_refused_by_its_flag() -> Result<()> {
    for value in ["9090", "localhost:9090", "0.0.0.0:70000"] {
        let output = run(&["--metrics-addr", value])?;
        assert_eq!(output.status.code(), Some(64));
        let stderr = String::from_utf8(output.stderr)?;
        assert!(stderr.contains("--metrics-addr: ") && stderr.contains(value), "{stderr}");
    }
    Ok(())
}

#[test]
fn an_address_that_is_taken_ends_the_start_with_a_reason() -> Result<()> {
    let proxy = Proxy::start(&[], &[FLAG])?;
    // A port for apps of its own: the one that is free for a moment at least.
    let free = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let output = run(&[&format!("--proxy-port={free}"), &format!("--metrics-addr={}", address(&proxy)?)])?;
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr)?;
    assert!(stderr.contains("--metrics-addr: cannot listen"), "{stderr}");
    Ok(())
}
