//! The projected service account token: read at each exchange, waited for, and found again after a repair.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::stage::{RESOURCE, SUBJECT, Stage};

/// Asks until the answer is 200, as an app that retries does.
fn recovers(stage: &Stage) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let response = stage.token()?;
        if response.status == 200 {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "still {}: {}", response.status, response.body);
    }
}

#[test]
fn a_rotated_token_is_used_for_the_next_exchange() -> Result<()> {
    let stage = Stage::new()?;
    assert_eq!(stage.token()?.status, 200);
    stage.entra.write_token(&stage.token_file(), "system:serviceaccount:default:stranger")?;
    let response = stage.proxy.token("resource=https://vault.azure.net")?;
    assert_eq!((response.status, response.json()["error_codes"][0].as_u64()), (403, Some(700_213)));
    Ok(())
}

#[test]
fn a_symlink_that_kubelet_swaps_is_followed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let link = directory.path().join("token");
    std::os::unix::fs::symlink(directory.path().join("..data/token"), &link)?;
    let stage = Stage::with(&[("AZURE_FEDERATED_TOKEN_FILE", &link.to_string_lossy())], &[])?;
    for generation in ["..first", "..second"] {
        fs::create_dir(directory.path().join(generation))?;
        stage.entra.write_token(&directory.path().join(generation).join("token"), SUBJECT)?;
        std::os::unix::fs::symlink(generation, directory.path().join("..new"))?;
        fs::rename(directory.path().join("..new"), directory.path().join("..data"))?;
        let resource = format!("resource=https://vault.azure.net{}", if generation == "..first" { "" } else { "/" });
        assert_eq!(stage.proxy.token(&resource)?.status, 200, "{generation}");
    }
    Ok(())
}

/// The Go proxy goes on with the token it once read.
#[test]
fn whatever_is_wrong_with_the_file_an_app_that_retries_gets_its_token_once_it_is_repaired() -> Result<()> {
    // Another cluster's key, but this cluster's issuer: what a mixed-up mount looks like.
    let other = azwi_tests::emulator::Emulator::start()?;
    for wrong in ["missing", "empty", "expired", "no JWT", "of another cluster"] {
        let stage = Stage::new()?;
        let file = stage.token_file();
        match wrong {
            "missing" => fs::remove_file(&file)?,
            "empty" => fs::write(&file, "")?,
            "no JWT" => fs::write(&file, "garbage")?,
            "expired" => {
                let past = ["--expires-in", "-3600", "--not-before", "-7200"];
                stage.entra.write_token_with(&file, SUBJECT, &past)?;
            }
            _ => fs::write(&file, other.token_with(SUBJECT, &["--issuer", stage.entra.issuer()])?)?,
        }
        assert_ne!(stage.token()?.status, 200, "{wrong}");
        stage.entra.write_token(&file, SUBJECT)?;
        recovers(&stage)?;
    }
    Ok(())
}

#[test]
fn a_refusal_is_one_log_line_with_all_that_an_operator_needs() -> Result<()> {
    let stage = Stage::new()?;
    stage.entra.write_token(&stage.token_file(), "system:serviceaccount:default:stranger")?;
    let response = stage.token()?;
    let line = stage.proxy.log.wait_for(&[("message", "token exchange refused")]).context("no log line")?;
    for (field, value) in [
        ("level", "ERROR"),
        ("issuer", stage.entra.issuer()),
        ("subject", "system:serviceaccount:default:stranger"),
        ("audience", "api://AzureADTokenExchange"),
        ("client_id", azwi_tests::stage::DEMO),
        ("tenant_id", stage.entra.tenant()),
        ("resource", "https://management.azure.com/"),
        ("trace_id", &response.field("trace_id")),
        ("correlation_id", &response.field("correlation_id")),
    ] {
        assert_eq!(line[field], *value, "{field} in {line}");
    }
    assert_eq!(line["aadsts"], 700_213);
    assert!(line["description"].as_str().unwrap_or_default().starts_with("AADSTS700213:"), "{line}");
    Ok(())
}

#[test]
fn neither_the_assertion_nor_the_token_is_ever_logged() -> Result<()> {
    let mut stage = Stage::with(&[], &["--log-level=all"])?;
    let assertion = fs::read_to_string(stage.token_file())?;
    let token = stage.token()?.field("access_token");
    stage.entra.faults(r#"{"status":500}"#)?;
    stage.proxy.token("resource=https://vault.azure.net")?;
    stage.proxy.token(&format!("{RESOURCE}&client_id={}", azwi_tests::stage::ORPHAN))?;
    stage.proxy.terminate()?;
    stage.proxy.wait()?;
    let log = stage.proxy.log.whole();
    for secret in [assertion.trim(), &token] {
        // A part will do: neither the payload nor the signature may show.
        for part in secret.split('.').skip(1) {
            assert!(part.len() > 20 && !log.contains(part), "{log}");
        }
    }
    Ok(())
}
