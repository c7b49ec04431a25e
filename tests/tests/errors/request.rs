//! The request is at fault, or asks for what is not here: Entra hears nothing of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use azwi_tests::http::METADATA;
use azwi_tests::proxy::TOKEN;
use azwi_tests::stage::{DEMO, RESOURCE, SECOND, Stage};

use crate::answer::{BAD_REQUEST, FORBIDDEN, assert_refusal, target};

const NO_METADATA: &str = r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
const NOT_FOUND: &str = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
const FAULT: &str = "invalid_request";

#[test]
fn row_01_without_the_metadata_header_the_answer_is_400_in_imdss_words_whatever_the_query() -> Result<()> {
    let stage = Stage::new()?;
    for query in ["", "?api-version=2018-02-01", "?api-version=2018-02-01&resource=x&msi-res-id=x", "?resource=%"] {
        for headers in [&[][..], &["Metadata: false"]] {
            let response = stage.proxy.ask("GET", &format!("{TOKEN}{query}"), headers)?;
            assert_refusal(&response, BAD_REQUEST, FAULT);
            assert_eq!(response.body, NO_METADATA, "{query}");
        }
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

/// The availability probes of azure-identity for Python and JavaScript wait no longer.
#[test]
fn row_01_a_bare_probe_is_answered_within_300_ms() -> Result<()> {
    let stage = Stage::new()?;
    let probe = || {
        let started = Instant::now();
        stage.proxy.ask("GET", TOKEN, &[]).map(|_| started.elapsed())
    };
    // The best of three, since a busy machine may be slow once.
    let fastest = [probe()?, probe()?, probe()?].into_iter().min();
    assert!(fastest < Some(Duration::from_millis(300)), "{fastest:?}");
    Ok(())
}

#[test]
fn row_02_a_request_that_was_forwarded_is_400() -> Result<()> {
    let stage = Stage::new()?;
    let response = stage.proxy.ask("GET", &target(RESOURCE), &[METADATA, "X-Forwarded-For: 10.0.0.1"])?;
    assert_refusal(&response, BAD_REQUEST, FAULT);
    assert!(response.field("error_description").contains("X-Forwarded-For"), "{}", response.body);
    Ok(())
}

#[test]
fn row_03_any_method_but_get_is_405_and_says_which_is_allowed() -> Result<()> {
    let stage = Stage::new()?;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = stage.proxy.ask(method, &target(RESOURCE), &[METADATA])?;
        assert_refusal(&response, "405 Method Not Allowed", FAULT);
        assert_eq!(response.header("Allow"), Some("GET"), "{method}");
    }
    Ok(())
}

#[test]
fn row_04_no_api_version_is_refused_not_even_none() -> Result<()> {
    let stage = Stage::new()?;
    for version in ["", "&api-version=", "&api-version=2017-09-01", "&api-version=2099-12-31", "&api-version=x"] {
        let response = stage.proxy.ask("GET", &format!("{TOKEN}?{RESOURCE}{version}"), &[METADATA])?;
        assert_eq!(response.status, 200, "{version:?}: {}", response.body);
    }
    Ok(())
}

#[test]
fn row_05_a_query_that_names_no_single_resource_and_identity_is_400() -> Result<()> {
    let stage = Stage::new()?;
    for (query, reason) in [
        ("", "Required query variable 'resource' is missing"),
        ("resource=", "Required query variable 'resource' is missing"),
        ("resource=https://a.example&resource=https://b.example", "A query parameter is specified more than once"),
        ("resource=https://a.example+https://b.example", "must not hold whitespace"),
        ("resource=%zz", "invalid percent-encoding"),
        ("resource=%ff", "not valid UTF-8"),
        (&format!("{RESOURCE}&client_id={DEMO}&mi_res_id=x"), "mutually exclusive"),
    ] {
        let response = stage.proxy.ask("GET", &target(query), &[METADATA])?;
        assert_refusal(&response, BAD_REQUEST, FAULT);
        assert!(response.field("error_description").contains(reason), "{query}: {}", response.body);
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

/// Azure CLI tries its next kind of selector on exactly these bytes.
#[test]
fn row_06_an_identity_that_the_pod_may_not_use_is_not_found() -> Result<()> {
    let stage = Stage::with(&[], &["--allowed-client-ids", DEMO, "--unmapped-identity=reject"])?;
    for selector in [format!("client_id={SECOND}"), format!("object_id={SECOND}"), "mi_res_id=/other".to_owned()] {
        let response = stage.proxy.token(&format!("{RESOURCE}&{selector}"))?;
        assert_eq!((response.status_line().as_str(), response.body.as_str()), (BAD_REQUEST, NOT_FOUND), "{selector}");
        assert_eq!((response.body.len(), response.header("Retry-After")), (68, None));
    }
    assert_eq!(stage.exchanges()?, 0);
    Ok(())
}

#[test]
fn row_07_where_several_identities_are_allowed_and_none_is_the_default_the_app_must_choose() -> Result<()> {
    let stage = Stage::with(&[("AZURE_CLIENT_ID", "")], &["--allowed-client-ids", &format!("{DEMO},{SECOND}")])?;
    let response = stage.token()?;
    assert_refusal(&response, BAD_REQUEST, FAULT);
    assert!(response.field("error_description").starts_with("Multiple user assigned identities exist"));
    assert_eq!(response.body.len(), 168);
    Ok(())
}

/// MSAL.NET takes a 400 here for the presence of `IMDSv2`.
#[test]
fn row_21_imds_v2_does_not_exist_with_the_metadata_header_and_without() -> Result<()> {
    let stage = Stage::new()?;
    for target in ["/metadata/identity/getplatformmetadata?cred-api-version=2.0", "/metadata/identity/issuecredential"]
    {
        for headers in [&[][..], &[METADATA]] {
            for method in ["GET", "POST"] {
                assert_refusal(&stage.proxy.ask(method, target, headers)?, "404 Not Found", "not_found");
            }
        }
    }
    Ok(())
}

#[test]
fn row_22_other_metadata_is_403_where_the_operator_has_closed_it() -> Result<()> {
    let stage = Stage::with(&[], &["--passthrough=off"])?;
    for path in ["instance", "instance/compute/location", "versions", "attested/document", "loadbalancer"] {
        let response = stage.proxy.ask("GET", &format!("/metadata/{path}?api-version=2021-02-01"), &[METADATA])?;
        assert_refusal(&response, FORBIDDEN, "access_denied");
    }
    Ok(())
}

#[test]
fn row_23_what_does_not_exist_is_404() -> Result<()> {
    let stage = Stage::new()?;
    for path in
        ["/", "/metadata", "/metadata/identity", "/metadata/identity/oauth2/tokens", "/metadata/Identity/oauth2/token"]
    {
        assert_refusal(&stage.proxy.ask("GET", path, &[METADATA])?, "404 Not Found", "not_found");
    }
    Ok(())
}
