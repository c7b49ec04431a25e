//! Java's azure-identity through the real redirect.

use anyhow::Result;
use azwi_tests::clients::{Client, installed};

fn client(credential: &'static str) -> Result<Client> {
    let class_path = format!("{}:{}/*", installed("java/classes")?.display(), installed("java/lib")?.display());
    let command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &class_path, "GetToken"]
        .map(Into::into)
        .to_vec();
    Ok(Client { command, credential })
}

/// In a virtual machine that has got a token before, of another identity and for something else.
fn warm_client() -> Result<Client> {
    let mut client = client("managed")?;
    client.command.extend(["--warm-up", "https://vault.azure.net/.default"].map(Into::into));
    Ok(client)
}

mod java_azure_identity {
    use super::{Result, client, warm_client};

    azwi_tests::tests_of_every_client!(client("managed"));

    #[test]
    fn the_default_credential_finds_the_pods_identity() -> Result<()> {
        client("default")?.gets_the_default_identity()
    }

    #[test]
    fn an_unknown_identity_fails_within_five_seconds_and_its_cause_calls_it_so() -> Result<()> {
        warm_client()?.is_told_of_an_unknown_identity("Identity not found")
    }

    #[test]
    fn a_permanent_refusal_fails_within_five_seconds_and_its_cause_shows_the_aadsts_code() -> Result<()> {
        warm_client()?.is_told_of_a_permanent_refusal("AADSTS700213")
    }

    #[test]
    fn its_own_retries_bridge_an_outage_that_the_sidecar_does_not() -> Result<()> {
        client("managed")?.bridges_a_long_outage()
    }
}
