//! Rust's `azure_identity` through the real redirect.

use anyhow::Result;
use azwi_tests::binaries::binary;
use azwi_tests::clients::Client;

fn client() -> Result<Client> {
    Ok(Client { command: vec![binary("get-token")?.into()], credential: "managed" })
}

mod rust_azure_identity {
    use super::{Result, client};

    azwi_tests::tests_of_every_client!(client());

    /// It has words of its own for every 400.
    #[test]
    fn an_unknown_identity_fails_within_five_seconds_and_is_called_so() -> Result<()> {
        client()?.is_told_of_an_unknown_identity("The requested identity has not been assigned to this resource")
    }

    #[test]
    fn a_permanent_refusal_fails_within_five_seconds_and_shows_the_aadsts_code() -> Result<()> {
        client()?.is_told_of_a_permanent_refusal("AADSTS700213")
    }

    #[test]
    fn its_own_retries_bridge_an_outage_that_the_sidecar_does_not() -> Result<()> {
        client()?.bridges_a_long_outage()
    }
}
