//! `azwi serviceaccount` with a real API server: what it makes there is what a pod gets a token by.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::cluster::Cluster;
use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, clients};
use azwi_tests::proxy::Proxy;
use serde_json::Value;
use tempfile::TempDir;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";

struct Place {
    cluster: std::sync::Arc<Cluster>,
    entra: Emulator<'static>,
}

impl Place {
    fn new(namespace: &str) -> Result<Self> {
        let cluster = Cluster::shared()?;
        cluster.namespace(namespace)?;
        let ca = cluster.ca_file();
        let entra = Emulator::start_with(None, &["--issuer-ca", ca.to_str().context("not UTF-8")?])?;
        Ok(Self { cluster, entra })
    }

    fn azwi(&self, namespace: &str, arguments: &[&str]) -> Result<Vec<Value>> {
        let url = self.entra.authority().trim_end_matches('/');
        let mut command = Command::new(binary("azwi")?);
        command.env_clear().env("SSL_CERT_FILE", self.entra.ca_file()).env("KUBECONFIG", self.cluster.kubeconfig());
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
            command.env(name, url);
        }
        command.env("AZURE_CLIENT_SECRET", OPERATOR_SECRET).arg("serviceaccount").args(arguments);
        command.args(["--auth-method=client_secret", "--azure-tenant-id", TENANT, "--client-id", clients::OPERATOR]);
        command.args(["--service-account-namespace", namespace, "--service-account-name=cart", "--output=json"]);
        command.args(["--service-account-issuer-url", &self.cluster.url(), "--skip-phases=role-assignment"]);
        let output = command.output()?;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let document: Value = serde_json::from_slice(&output.stdout)?;
        Ok(document["steps"].as_array().context("no steps")?.clone())
    }
}

fn outcomes(steps: &[Value]) -> Vec<&str> {
    steps.iter().filter_map(|step| step["outcome"].as_str()).collect()
}

#[test]
fn a_service_account_that_azwi_made_gets_tokens_until_azwi_deletes_it() -> Result<()> {
    let namespace = "azwi-serviceaccount";
    let place = Place::new(namespace)?;
    let steps = place.azwi(namespace, &["create", "--service-account-token-expiration=2h"])?;
    assert_eq!(outcomes(&steps), ["created"; 4]);
    assert_eq!(outcomes(&place.azwi(namespace, &["create"])?), ["exists"; 4]);

    let account = place.cluster.get("serviceaccount/cart", namespace)?;
    let annotation = |name: &str| account["metadata"]["annotations"][format!("azure.workload.identity/{name}")].clone();
    let client_id = steps[0]["id"].as_str().context("no client id")?;
    assert_eq!([annotation("client-id"), annotation("tenant-id")], [Value::from(client_id), Value::from(TENANT)]);
    assert_eq!(annotation("service-account-token-expiration"), "7200");

    let audience = "--audience=api://AzureADTokenExchange";
    let token = place.cluster.kubectl(&["create", "token", "cart", "--namespace", namespace, audience])?;
    let directory = TempDir::new()?;
    let file = directory.path().join("token");
    fs::write(&file, token.trim())?;
    let [file, ca] = [&file, &place.entra.ca_file()].map(|path| path.display().to_string());
    let env = [
        ("AZURE_CLIENT_ID", client_id),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_FEDERATED_TOKEN_FILE", &*file),
        ("AZURE_AUTHORITY_HOST", place.entra.authority()),
    ];
    let sidecar = Proxy::start(&env, &["--ca-file", &ca, "--propagation-grace=0"])?;
    assert_eq!(sidecar.token("resource=https://vault.azure.net")?.status, 200);

    assert_eq!(outcomes(&place.azwi(namespace, &["delete"])?), ["deleted"; 2]);
    assert_eq!(sidecar.token("resource=https://storage.azure.com")?.status, 403);
    assert_eq!(outcomes(&place.azwi(namespace, &["delete"])?), ["absent"; 2]);
    Ok(())
}
