//! What shipped clients send to the token endpoint, and what they must get back. Each test is one of their habits.

use anyhow::Result;
use azwi_tests::http::{METADATA, Response};
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{DEMO, RESOURCE, SECOND, Stage};

fn is_json(response: &Response) -> bool {
    response.header("Content-Type") == Some("application/json; charset=utf-8") && response.json().is_object()
}

/// The client id that answered.
fn client_id(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.body);
    response.field("client_id")
}

#[test]
fn a_trailing_slash_of_the_resource_is_echoed_and_reaches_entra() -> Result<()> {
    let stage = Stage::new()?;
    let response = stage.proxy.token("resource=https%3A%2F%2Fmanagement.core.windows.net%2F")?;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.field("resource"), "https://management.core.windows.net/");
    // Entra takes everything before the last slash of the scope as the audience.
    assert_eq!(claims(&response)["aud"], "https://management.core.windows.net/");
    Ok(())
}

#[test]
fn a_resource_that_is_not_percent_encoded_is_understood() -> Result<()> {
    let response = Stage::new()?.proxy.token("resource=https://vault.azure.net")?;
    assert_eq!((response.status, response.field("resource").as_str()), (200, "https://vault.azure.net"));
    assert_eq!(claims(&response)["aud"], "https://vault.azure.net");
    Ok(())
}

#[test]
fn rusts_api_version_and_lower_case_header_are_accepted() -> Result<()> {
    let target = format!("{TOKEN}?api-version=2019-08-01&{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &["metadata: true"])?.status, 200);
    Ok(())
}

#[test]
fn msal4js_double_slash_is_not_redirected() -> Result<()> {
    let target = format!("/{TOKEN}?api-version=2018-02-01&{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &[METADATA])?.status, 200);
    Ok(())
}

#[test]
fn the_first_segment_may_have_any_case_and_the_path_a_trailing_slash() -> Result<()> {
    let target = format!("/Metadata/identity/oauth2/token/?{RESOURCE}");
    assert_eq!(Stage::new()?.proxy.ask("GET", &target, &[METADATA])?.status, 200);
    Ok(())
}

#[test]
fn without_a_list_any_client_id_is_tried_at_entra() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&client_id={SECOND}"))?), SECOND);
    let unknown = "99999999-9999-4999-8999-999999999999";
    let response = stage.proxy.token(&format!("{RESOURCE}&client_id={unknown}"))?;
    assert_eq!((response.status, response.json()["error_codes"][0].as_u64()), (403, Some(700_016)));
    Ok(())
}

#[test]
fn the_three_spellings_of_a_resource_id_mean_the_same_identity() -> Result<()> {
    let stage = Stage::new()?;
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/demo";
    for name in ["mi_res_id", "msi_res_id", "msi-res-id"] {
        assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&{name}={id}"))?), DEMO, "{name}");
    }
    assert_eq!(stage.exchanges()?, 1);
    Ok(())
}

#[test]
fn an_empty_client_id_means_the_default_identity() -> Result<()> {
    assert_eq!(client_id(&Stage::new()?.proxy.token(&format!("{RESOURCE}&client_id="))?), DEMO);
    Ok(())
}

#[test]
fn a_connection_that_is_opened_and_closed_leaves_no_trace_in_the_log() -> Result<()> {
    let mut stage = Stage::new()?;
    drop(stage.proxy.connect()?);
    // Answered after the empty connection was accepted, as connections are taken in order.
    stage.proxy.ask("GET", "/readyz", &[])?;
    stage.proxy.terminate()?;
    stage.proxy.wait()?;
    let log = stage.proxy.log.whole();
    let messages: Vec<_> = log.lines().filter_map(|line| line.split(r#""message":""#).nth(1)).collect();
    assert_eq!(messages.len(), 5, "sandbox, starting, listening, draining, ended: {log}");
    Ok(())
}

#[test]
fn the_answer_survives_the_clients_that_search_it_for_substrings() -> Result<()> {
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

/// The payload of the access token.
fn claims(response: &Response) -> serde_json::Value {
    azwi_tests::jwt::claims(&response.field("access_token"))
}
