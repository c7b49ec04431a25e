//! What shipped clients send to the token endpoint, and what they must get back. Each test is one of their habits.

use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::http::{METADATA, Response};
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{DEMO, RESOURCE, SECOND, Stage};

const NO_METADATA: &str = r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
const NOT_FOUND: &str = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;

fn is_json(response: &Response) -> bool {
    response.header("Content-Type") == Some("application/json; charset=utf-8") && response.json().is_object()
}

/// The client id that answered.
fn client_id(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.body);
    response.field("client_id")
}

#[test]
fn row_01_a_bare_probe_is_answered_400_within_300_ms() -> Result<()> {
    let stage = Stage::new()?;
    let mut fastest = Duration::MAX;
    // The best of three, since a busy machine may be slow once.
    for _ in 0..3 {
        let started = Instant::now();
        let response = stage.proxy.ask("GET", TOKEN, &[])?;
        fastest = fastest.min(started.elapsed());
        assert_eq!((response.status, response.reason.as_str()), (400, "Bad Request"));
        assert_eq!(response.body, NO_METADATA);
    }
    assert!(fastest < Duration::from_millis(300), "{fastest:?}");
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn row_02_a_probe_with_the_full_query_is_told_about_the_header_and_not_about_the_identity() -> Result<()> {
    let stage = Stage::new()?;
    let target = format!("{TOKEN}?api-version=2018-02-01&{RESOURCE}&msi-res-id=x");
    let response = stage.proxy.ask("GET", &target, &[])?;
    assert_eq!((response.status, response.body.as_str()), (400, NO_METADATA));
    Ok(())
}

#[test]
fn row_03_a_probe_with_the_header_and_no_query_is_answered_400_in_json() -> Result<()> {
    let response = Stage::new()?.proxy.ask("GET", TOKEN, &[METADATA])?;
    assert_eq!(response.status, 400);
    assert!(is_json(&response));
    assert_eq!(response.field("error_description"), "Required query variable 'resource' is missing");
    Ok(())
}

#[test]
fn row_04_a_probe_with_only_the_api_version_is_told_about_the_header() -> Result<()> {
    let response = Stage::new()?.proxy.ask("GET", &format!("{TOKEN}?api-version=2018-02-01"), &[])?;
    assert_eq!((response.status, response.body.as_str()), (400, NO_METADATA));
    Ok(())
}

#[test]
fn row_05_a_trailing_slash_of_the_resource_is_echoed_and_reaches_entra() -> Result<()> {
    let stage = Stage::new()?;
    let response = stage.proxy.token("resource=https%3A%2F%2Fmanagement.core.windows.net%2F")?;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.field("resource"), "https://management.core.windows.net/");
    // Entra takes everything before the last slash of the scope as the audience.
    assert_eq!(claims(&response)["aud"], "https://management.core.windows.net/");
    Ok(())
}

#[test]
fn row_06_a_resource_that_is_not_percent_encoded_is_understood() -> Result<()> {
    let response = Stage::new()?.proxy.token("resource=https://vault.azure.net")?;
    assert_eq!((response.status, response.field("resource").as_str()), (200, "https://vault.azure.net"));
    assert_eq!(claims(&response)["aud"], "https://vault.azure.net");
    Ok(())
}

#[test]
fn row_07_rusts_api_version_and_lower_case_header_are_accepted() -> Result<()> {
    let target = format!("{TOKEN}?api-version=2019-08-01&{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &["metadata: true"])?.status, 200);
    Ok(())
}

#[test]
fn row_08_msal4js_double_slash_is_not_redirected() -> Result<()> {
    let target = format!("/{TOKEN}?api-version=2018-02-01&{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &[METADATA])?.status, 200);
    Ok(())
}

#[test]
fn row_09_the_first_segment_may_have_any_case_and_the_path_a_trailing_slash() -> Result<()> {
    let target = format!("/Metadata/identity/oauth2/token/?{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &[METADATA])?.status, 200);
    Ok(())
}

#[test]
fn row_10_a_client_id_outside_the_list_does_not_exist() -> Result<()> {
    let stage = Stage::with(&[], &["--allowed-client-ids", DEMO])?;
    let response = stage.proxy.token(&format!("{RESOURCE}&client_id={SECOND}"))?;
    assert_eq!((response.status, response.reason.as_str()), (400, "Bad Request"));
    assert_eq!((response.body.as_str(), response.body.len()), (NOT_FOUND, 68));
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn row_10_without_a_list_any_client_id_is_tried_at_entra() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&client_id={SECOND}"))?), SECOND);
    let unknown = "99999999-9999-4999-8999-999999999999";
    let response = stage.proxy.token(&format!("{RESOURCE}&client_id={unknown}"))?;
    assert_eq!((response.status, response.json()["error_codes"][0].as_u64()), (403, Some(700_016)));
    Ok(())
}

#[test]
fn row_11_the_three_spellings_of_a_resource_id_mean_the_same_identity() -> Result<()> {
    let stage = Stage::new()?;
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/demo";
    for name in ["mi_res_id", "msi_res_id", "msi-res-id"] {
        assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&{name}={id}"))?), DEMO, "{name}");
    }
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn row_12_an_empty_client_id_means_the_default_identity() -> Result<()> {
    assert_eq!(client_id(&Stage::new()?.proxy.token(&format!("{RESOURCE}&client_id="))?), DEMO);
    Ok(())
}

#[test]
fn row_13_the_probes_for_imds_v2_are_404_with_and_without_the_header() -> Result<()> {
    let stage = Stage::new()?;
    for target in ["/metadata/identity/getplatformmetadata?cred-api-version=2.0", "/metadata/identity/issuecredential"]
    {
        for headers in [&[][..], &[METADATA]] {
            for method in ["GET", "POST"] {
                assert_eq!(stage.proxy.ask(method, target, headers)?.status, 404, "{method} {target} {headers:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn row_14_a_connection_that_is_opened_and_closed_leaves_no_trace_in_the_log() -> Result<()> {
    let mut stage = Stage::new()?;
    drop(stage.proxy.connect()?);
    // Answered after the empty connection was accepted, as connections are taken in order.
    stage.proxy.ask("GET", "/readyz", &[])?;
    stage.proxy.terminate()?;
    stage.proxy.wait()?;
    let log = stage.proxy.log.whole();
    let messages: Vec<_> = log.lines().filter_map(|line| line.split(r#""message":""#).nth(1)).collect();
    assert_eq!(messages.len(), 4, "starting, listening, draining, ended: {log}");
    Ok(())
}

#[test]
fn row_15_a_missing_federated_credential_is_403_in_json_without_retry_after() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.write_token(&stage.token_file(), "system:serviceaccount:default:stranger")?;
    let response = stage.token()?;
    assert_eq!((response.status, response.reason.as_str()), (403, "Forbidden"));
    assert!(is_json(&response));
    assert_eq!(response.header("Retry-After"), None);
    assert_eq!(response.json()["error_codes"][0], 700_213);
    assert!(!response.field("trace_id").is_empty() && !response.field("correlation_id").is_empty());
    Ok(())
}

#[test]
fn row_16_an_entra_that_answers_503_becomes_503_with_a_short_retry_after() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.faults(r#"{"status":503}"#)?;
    let started = Instant::now();
    let response = stage.token()?;
    assert!(started.elapsed() < Duration::from_secs(9));
    assert_eq!((response.status, response.field("error").as_str()), (503, "temporarily_unavailable"));
    assert!(is_json(&response));
    let retry_after: u64 = response.header("Retry-After").unwrap_or_default().parse()?;
    assert!((1..=20).contains(&retry_after), "{retry_after}");
    Ok(())
}

#[test]
fn row_17_while_entra_is_down_the_cached_token_is_served_and_counts_down() -> Result<()> {
    let stage = Stage::new()?;
    let first = stage.token()?;
    stage.entra.faults(r#"{"status":503}"#)?;
    let second = loop {
        let response = stage.token()?;
        assert_eq!(response.status, 200);
        if response.field("expires_in") != first.field("expires_in") {
            break response;
        }
    };
    assert_eq!(second.field("access_token"), first.field("access_token"));
    assert_eq!(second.field("expires_on"), first.field("expires_on"));
    assert!(second.field("expires_in").parse::<u64>()? < first.field("expires_in").parse()?);
    Ok(())
}

#[test]
fn row_18_other_methods_are_405_in_json() -> Result<()> {
    let stage = Stage::new()?;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = stage.proxy.ask(method, &format!("{TOKEN}?{RESOURCE}"), &[METADATA])?;
        assert_eq!((response.status, response.header("Allow")), (405, Some("GET")), "{method}");
        assert!(is_json(&response));
    }
    Ok(())
}

#[test]
fn row_19_the_answer_survives_the_clients_that_search_it_for_substrings() -> Result<()> {
    let body = Stage::new()?.token()?.body;
    let find = |needle: &str| body.find(needle).unwrap_or_else(|| panic!("{needle} is not in {body}"));
    // azure-identity for C++ and Microsoft.Data.SqlClient take the first match.
    assert!(find("expires_in") < find("ext_expires_in"));
    // MSAL.NET: both keys write the same property, the last one wins.
    assert!(find("expires_in") < find("expires_on"));
    // mssql-jdbc looks for these, in the first line only.
    find(r#""expires_in":""#);
    find(r#""access_token":""#);
    assert!(!body.contains('\n'));
    let expires_on = &body[find(r#""expires_on":""#) + r#""expires_on":""#.len()..];
    assert_eq!(expires_on.find('"'), Some(10));
    assert!(expires_on[..10].bytes().all(|byte| byte.is_ascii_digit()));
    Ok(())
}

#[test]
fn the_answer_has_imdss_keys_in_imdss_order_and_all_values_are_strings() -> Result<()> {
    let response = Stage::new()?.token()?;
    assert_eq!(response.header("Content-Type"), Some("application/json; charset=utf-8"));
    let json = response.json();
    let object = json.as_object().unwrap();
    assert!(object.values().all(serde_json::Value::is_string), "{json}");
    let keys = [
        "access_token",
        "client_id",
        "expires_in",
        "expires_on",
        "ext_expires_in",
        "not_before",
        "resource",
        "token_type",
    ];
    assert_eq!(object.len(), keys.len());
    let places: Vec<_> = keys.iter().map(|key| response.body.find(&format!(r#""{key}":"#)).unwrap()).collect();
    assert!(places.is_sorted(), "{}", response.body);
    Ok(())
}

#[test]
fn the_times_of_the_answer_are_those_of_the_token() -> Result<()> {
    let response = Stage::new()?.token()?;
    let claims = claims(&response);
    assert_eq!(response.field("expires_on"), claims["exp"].to_string());
    assert_eq!(response.field("not_before"), claims["nbf"].to_string());
    Ok(())
}

#[test]
fn headers_are_spelled_as_imds_spells_them() -> Result<()> {
    let response = Stage::new()?.token()?;
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"Content-Type") && names.contains(&"Content-Length"), "{names:?}");
    assert!(response.header("Transfer-Encoding").is_none() && response.header("Retry-After").is_none());
    Ok(())
}

#[test]
fn a_forwarded_request_is_refused() -> Result<()> {
    let response = Stage::new()?.proxy.ask("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA, "X-Forwarded-For: x"])?;
    assert_eq!((response.status, response.field("error").as_str()), (400, "invalid_request"));
    Ok(())
}

#[test]
fn compression_is_never_used() -> Result<()> {
    let stage = Stage::new()?;
    let response = stage.proxy.ask("GET", &format!("{TOKEN}?{RESOURCE}"), &[METADATA, "Accept-Encoding: gzip"])?;
    assert_eq!((response.status, response.header("Content-Encoding")), (200, None));
    Ok(())
}

#[test]
fn a_form_content_type_on_a_get_is_ignored() -> Result<()> {
    let stage = Stage::new()?;
    let headers = [METADATA, "Content-Type: application/x-www-form-urlencoded"];
    assert_eq!(stage.proxy.ask("GET", &format!("{TOKEN}?{RESOURCE}"), &headers)?.status, 200);
    Ok(())
}

#[test]
fn hostile_spellings_of_the_path_are_400_and_reach_nobody() -> Result<()> {
    let stage = Stage::new()?;
    for target in [
        "/metadata/identity%2foauth2%2ftoken",
        "/metadata/%69dentity/oauth2/token",
        "/metadata/identity\\oauth2\\token",
        "/metadata/identity/oauth2/token;x",
        "/metadata/./identity/oauth2/token",
        "/metadata/instance/../identity/oauth2/token",
        "/metadata/%2e%2e/metadata/identity/oauth2/token",
        "/metadata//identity/oauth2/token",
    ] {
        let response = stage.proxy.ask("GET", &format!("{target}?{RESOURCE}"), &[METADATA])?;
        assert_eq!(response.status, 400, "{target}");
        assert!(is_json(&response));
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn unknown_paths_are_404_in_json() -> Result<()> {
    let stage = Stage::new()?;
    for target in
        ["/", "/metadata", "/metadata/identity", "/metadata/identity/oauth2/tokens", "/metadata/Identity/oauth2/token"]
    {
        let response = stage.proxy.ask("GET", target, &[METADATA])?;
        assert_eq!(response.status, 404, "{target}");
        assert!(is_json(&response));
    }
    Ok(())
}

#[test]
fn the_tenant_is_told_under_identity_info() -> Result<()> {
    let stage = Stage::new()?;
    let response = stage.proxy.ask("GET", "/metadata/identity/info?api-version=2018-02-01", &[METADATA])?;
    assert_eq!(response.body, format!(r#"{{"tenantId":"{}"}}"#, stage.entra.tenant()));
    Ok(())
}

#[test]
fn the_metadata_header_can_be_made_optional() -> Result<()> {
    let stage = Stage::with(&[], &["--metadata-header=ignore"])?;
    assert_eq!(stage.proxy.ask("GET", &format!("{TOKEN}?{RESOURCE}"), &[])?.status, 200);
    Ok(())
}

#[test]
fn an_unknown_resource_is_400_with_entras_reason() -> Result<()> {
    let response = Stage::new()?.proxy.token("resource=https://unknown.example")?;
    assert_eq!((response.status, response.json()["error_codes"][0].as_u64()), (400, Some(500_011)));
    assert_eq!(response.header("Retry-After"), None);
    Ok(())
}

#[test]
fn with_several_identities_allowed_and_none_by_default_the_app_must_choose() -> Result<()> {
    let stage = Stage::with(&[("AZURE_CLIENT_ID", "")], &["--allowed-client-ids", &format!("{DEMO},{SECOND}")])?;
    let response = stage.token()?;
    assert_eq!((response.status, response.body.len()), (400, 168));
    assert!(response.field("error_description").starts_with("Multiple user assigned identities exist"));
    Ok(())
}

/// The payload of the access token.
fn claims(response: &Response) -> serde_json::Value {
    azwi_tests::jwt::claims(&response.field("access_token"))
}
