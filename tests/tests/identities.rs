//! Whom an app may ask for, and by which of an identity's names.

use anyhow::Result;
use azwi_tests::http::Response;
use azwi_tests::stage::{DEMO, RESOURCE, SECOND, Stage};

const RESOURCE_ID: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second";
const OBJECT_ID: &str = "66666666-6666-4666-8666-666666666666";

fn client_id(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.body);
    response.field("client_id")
}

fn map() -> String {
    format!(r#"{{"{RESOURCE_ID}":"{SECOND}","{OBJECT_ID}":"{SECOND}"}}"#)
}

#[test]
fn a_mapped_resource_id_in_any_case_and_a_mapped_object_id_mean_their_client() -> Result<()> {
    let stage = Stage::with(&[("AZWI_IDENTITY_MAP", &map())], &[])?;
    for selector in [
        format!("mi_res_id={RESOURCE_ID}"),
        format!("msi_res_id={}", RESOURCE_ID.to_uppercase()),
        format!("object_id={OBJECT_ID}"),
    ] {
        assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&{selector}"))?), SECOND, "{selector}");
    }
    assert_eq!(client_id(&stage.token()?), DEMO);
    Ok(())
}

#[test]
fn the_map_may_be_a_file() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, map())?;
    let stage = Stage::with(&[], &["--identity-map", &file.path().to_string_lossy()])?;
    assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&object_id={OBJECT_ID}"))?), SECOND);
    Ok(())
}

#[test]
fn with_a_map_an_unmapped_id_does_not_exist() -> Result<()> {
    let stage = Stage::with(&[], &["--identity-map", &map()])?;
    let response = stage.proxy.token(&format!("{RESOURCE}&mi_res_id=/subscriptions/other"))?;
    assert_eq!((response.status, response.reason.as_str(), response.body.len()), (400, "Bad Request", 68));
    assert_eq!(response.field("error_description"), "Identity not found");
    Ok(())
}

#[test]
fn an_unmapped_id_may_mean_the_default_identity_with_one_warning() -> Result<()> {
    let stage = Stage::with(&[], &["--identity-map", &map(), "--unmapped-identity=default"])?;
    for id in ["one", "two"] {
        assert_eq!(client_id(&stage.proxy.token(&format!("{RESOURCE}&mi_res_id=/subscriptions/{id}"))?), DEMO);
    }
    stage.proxy.terminate()?;
    assert_eq!(stage.proxy.log.whole().matches("--identity-map does not have").count(), 1);
    Ok(())
}

#[test]
fn a_mapped_identity_is_asked_for_in_its_own_tenant() -> Result<()> {
    let map = format!(r#"{{"{OBJECT_ID}":{{"client_id":"{SECOND}","tenant_id":"elsewhere.example"}}}}"#);
    let stage = Stage::with(&[], &["--identity-map", &map])?;
    for selector in [format!("object_id={OBJECT_ID}"), format!("client_id={SECOND}")] {
        let response = stage.proxy.token(&format!("{RESOURCE}&{selector}"))?;
        // The emulator does not know that tenant.
        assert_eq!((response.status, response.json()["error_codes"][0].as_u64()), (403, Some(90_002)), "{selector}");
    }
    Ok(())
}
