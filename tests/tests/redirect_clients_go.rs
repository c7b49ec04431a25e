//! Go's azidentity through the real redirect.

use anyhow::Result;
use azwi_tests::clients::{Client, installed};

fn client(credential: &'static str) -> Result<Client> {
    Ok(Client { command: vec![installed("go/get-token")?.into()], credential })
}

mod go_azidentity {
    use super::{Result, client};

    azwi_tests::tests_of_every_client!(client("managed"));

    #[test]
    fn the_default_credential_finds_the_pods_identity() -> Result<()> {
        client("default")?.gets_the_default_identity()
    }

    #[test]
    fn an_unknown_identity_fails_within_five_seconds_and_is_called_so() -> Result<()> {
        client("managed")?.is_told_of_an_unknown_identity("Identity not found")
    }

    #[test]
    fn a_permanent_refusal_fails_within_five_seconds_and_shows_the_aadsts_code() -> Result<()> {
        client("managed")?.is_told_of_a_permanent_refusal("AADSTS700213")
    }

    #[test]
    fn its_own_retries_bridge_an_outage_that_the_sidecar_does_not() -> Result<()> {
        client("managed")?.bridges_a_long_outage()
    }
}
