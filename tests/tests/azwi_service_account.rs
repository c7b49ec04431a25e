//! `azwi serviceaccount` with Graph, Resource Manager and a token endpoint that accepts what was created there. What it
//! does in Kubernetes is seen with a real API server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;
use azwi_tests::emulator::{Emulator, OPERATOR_SECRET, SUBSCRIPTION, clients};
use azwi_tests::jwt;
use azwi_tests::proxy::Proxy;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tempfile::TempDir;

const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const SUBJECT: &str = "system:serviceaccount:shop:cart";
/// What needs no cluster and no role.
const NO_CLUSTER: [&str; 2] = ["--skip-phases", "service-account,role-assignment"];
const MANAGED: [&str; 5] = [
    "--managed-identity-name=cart",
    "--managed-identity-resource-group=shop",
    "--managed-identity-location=westeurope",
    "--subscription-id",
    SUBSCRIPTION,
];

struct Azure(Emulator<'static>);

impl Azure {
    fn new() -> Result<Self> {
        Ok(Self(Emulator::start()?))
    }

    fn azwi(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments)?.output()?)
    }

    /// As the operator.
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.anonymous(arguments)?;
        command.env("AZURE_CLIENT_SECRET", OPERATOR_SECRET);
        command.args(["--auth-method=client_secret", "--azure-tenant-id", TENANT, "--client-id", clients::OPERATOR]);
        Ok(command)
    }

    fn anonymous(&self, arguments: &[&str]) -> Result<Command> {
        let url = self.0.authority().trim_end_matches('/');
        let mut command = Command::new(binary("azwi")?);
        command.env_clear().env("SSL_CERT_FILE", self.0.ca_file());
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_GRAPH_ENDPOINT", "AZURE_RESOURCE_MANAGER_ENDPOINT"] {
            command.env(name, url);
        }
        command.arg("serviceaccount").args(arguments).arg("--service-account-namespace=shop");
        if !arguments.iter().any(|argument| argument.starts_with("--service-account-name=")) {
            command.arg("--service-account-name=cart");
        }
        command.args(["--service-account-issuer-url", self.0.issuer()]);
        Ok(command)
    }

    fn good(&self, arguments: &[&str]) -> Result<String> {
        let output = self.azwi(arguments)?;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn bad(&self, arguments: &[&str]) -> Result<String> {
        let output = self.azwi(arguments)?;
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8(output.stderr)?)
    }

    fn steps(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let document: Value = serde_json::from_str(&self.good(&[arguments, &["--output=json"]].concat())?)?;
        Ok(document.get("steps").and_then(Value::as_array).context("no steps")?.clone())
    }

    /// Status and, where there is a token, whose it is, of an app that runs as the service account.
    fn app(&self, client_id: &str) -> Result<(u16, Option<Value>)> {
        let directory = TempDir::new()?;
        let file = directory.path().join("token");
        fs::write(&file, self.0.token(SUBJECT)?)?;
        let [file, ca] = [&file, &self.0.ca_file()].map(|path| path.display().to_string());
        let env = [
            ("AZURE_CLIENT_ID", client_id),
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_FEDERATED_TOKEN_FILE", &*file),
            ("AZURE_AUTHORITY_HOST", self.0.authority()),
        ];
        let sidecar = Proxy::start(&env, &["--ca-file", &ca, "--propagation-grace=0"])?;
        let answer = sidecar.token("resource=https://vault.azure.net")?;
        let claims = (answer.status == 200).then(|| jwt::claims(&answer.field("access_token")));
        Ok((answer.status, claims.and_then(|claims| claims.get("appid").cloned())))
    }
}

fn outcomes(steps: &[Value]) -> Vec<&str> {
    steps.iter().filter_map(|step| step.get("outcome")?.as_str()).collect()
}

fn client_id(steps: &[Value]) -> Result<String> {
    let id = steps.first().and_then(|step| step.get("id")?.as_str());
    Ok(id.context("no client id")?.to_owned())
}

#[test]
fn an_app_gets_a_token_as_the_application_that_was_created_for_it() -> Result<()> {
    let azure = Azure::new()?;
    let steps = azure.steps(&[&["create"][..], &NO_CLUSTER].concat())?;
    assert_eq!(outcomes(&steps), ["created", "created", "created"]);
    let id = client_id(&steps)?;
    assert_eq!(azure.app(&id)?, (200, Some(id.into())));
    Ok(())
}

#[test]
fn an_app_gets_a_token_as_the_managed_identity_that_was_created_for_it() -> Result<()> {
    let azure = Azure::new()?;
    let scope = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop");
    let role = ["create", "--skip-phases=service-account", "--azure-role=Reader", "--azure-scope", &scope];
    let steps = azure.steps(&[&role[..], &MANAGED].concat())?;
    assert_eq!(outcomes(&steps), ["created", "created", "created"]);
    let id = client_id(&steps)?;
    assert_eq!(azure.app(&id)?, (200, Some(id.into())));
    assert_eq!(outcomes(&azure.steps(&[&role[..], &MANAGED].concat())?), ["exists", "exists", "exists"]);
    Ok(())
}

#[test]
fn what_is_there_is_not_created_again() -> Result<()> {
    let azure = Azure::new()?;
    let create = [&["create"][..], &NO_CLUSTER].concat();
    let first = azure.steps(&create)?;
    let second = azure.steps(&create)?;
    assert_eq!(outcomes(&second), ["exists", "exists", "exists"]);
    assert_eq!(client_id(&first)?, client_id(&second)?);
    Ok(())
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() -> Result<()> {
    let azure = Azure::new()?;
    let create = [&["create"][..], &NO_CLUSTER].concat();
    let told = azure.good(&[&create[..], &["--dry-run"]].concat())?;
    assert_eq!(told.matches("would create").count(), 3, "{told}");
    assert!(told.ends_with("\nNothing was done.\n"), "{told}");
    assert_eq!(outcomes(&azure.steps(&create)?), ["created", "created", "created"]);
    Ok(())
}

#[test]
fn a_directory_that_does_not_know_yet_what_was_just_created_is_waited_for() -> Result<()> {
    let azure = Azure::new()?;
    azure.0.faults(r#"{"replication_lag":2}"#)?;
    let steps = azure.steps(&[&["create"][..], &NO_CLUSTER].concat())?;
    assert_eq!(outcomes(&steps), ["created", "created", "created"]);
    Ok(())
}

#[test]
fn one_phase_can_be_done_by_itself() -> Result<()> {
    let azure = Azure::new()?;
    let steps = azure.steps(&["create", "phase", "app"])?;
    assert_eq!(outcomes(&steps), ["created", "created"]);
    let id = client_id(&steps)?;
    assert_eq!(azure.app(&id)?.0, 403);
    assert_eq!(outcomes(&azure.steps(&["create", "phase", "federated-identity"])?), ["created"]);
    assert_eq!(azure.app(&id)?.0, 200);
    assert_eq!(outcomes(&azure.steps(&["delete", "phase", "fi"])?), ["deleted"]);
    assert_eq!(azure.app(&id)?.0, 403);
    Ok(())
}

#[test]
fn what_is_deleted_can_get_no_token_and_need_not_be_deleted_again() -> Result<()> {
    let azure = Azure::new()?;
    let id = client_id(&azure.steps(&[&["create"][..], &NO_CLUSTER].concat())?)?;
    let delete = [&["delete"][..], &NO_CLUSTER].concat();
    assert_eq!(outcomes(&azure.steps(&delete)?), ["deleted"]);
    assert_eq!(azure.app(&id)?.0, 403);
    assert_eq!(outcomes(&azure.steps(&delete)?), ["absent"]);
    Ok(())
}

#[test]
fn the_twenty_first_service_account_of_an_identity_is_told_of_identity_bindings() -> Result<()> {
    let azure = Azure::new()?;
    let id = client_id(&azure.steps(&["create", "phase", "app"])?)?;
    for number in 0..20 {
        let name = format!("--service-account-name=other-{number}");
        azure.good(&["create", "phase", "fi", "--aad-application-client-id", &id, &name])?;
    }
    let why = azure.bad(&["create", "phase", "fi", "--aad-application-client-id", &id])?;
    assert!(why.contains("has 20 federated identity credentials") && why.contains("identity binding"), "{why}");
    Ok(())
}

#[test]
fn a_service_that_asks_to_be_left_alone_is_left_alone_so_long() -> Result<()> {
    for api in ["graph", "arm"] {
        let azure = Azure::new()?;
        azure.0.faults(&json!({ "api": api, "status": 429, "retry_after": 1, "remaining": 1 }).to_string())?;
        let begin = Instant::now();
        let kind = if api == "arm" { &MANAGED[..] } else { &[] };
        let steps = azure.steps(&[&["create"][..], &NO_CLUSTER, kind].concat())?;
        assert!(outcomes(&steps).iter().all(|outcome| *outcome == "created"), "{steps:?}");
        assert!(begin.elapsed() >= Duration::from_secs(1), "{api}: {:?}", begin.elapsed());
    }
    Ok(())
}

#[test]
fn a_service_that_asks_to_be_left_alone_for_an_hour_is_reported() -> Result<()> {
    let azure = Azure::new()?;
    azure.0.faults(r#"{"api":"graph","status":429,"retry_after":3600}"#)?;
    let why = azure.bad(&["create", "phase", "app"])?;
    assert!(why.contains(" 429 "), "{why}");
    Ok(())
}

/// Resource Manager refuses a write while another one of the same identity is under way.
#[test]
fn several_service_accounts_can_be_given_one_managed_identity_at_the_same_time() -> Result<()> {
    let azure = Azure::new()?;
    azure.good(&[&["create", "phase", "app"][..], &MANAGED].concat())?;
    let names = [1, 2, 3, 4].map(|number| format!("--service-account-name=cart-{number}"));
    let start = |name: &String| {
        let arguments = [&["create", "phase", "fi", name][..], &MANAGED].concat();
        Ok(azure.command(&arguments)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    };
    let running = names.iter().map(start).collect::<Result<Vec<_>>>()?;
    for child in running {
        let output = child.wait_with_output()?;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for name in &names {
        let steps = azure.steps(&[&["create", "phase", "fi", name][..], &MANAGED].concat())?;
        assert_eq!(outcomes(&steps), ["exists"], "{name}");
    }
    Ok(())
}

/// An Entra ID where the operator has what `credential` says in place of a secret.
fn with_operator(credential: &Value) -> Result<Azure> {
    let mut operator = json!({
        "name": "operator", "client_id": clients::OPERATOR, "kind": "app_registration",
        "federated_identity_credentials": [],
    });
    if let (Some(operator), Some(credential)) = (operator.as_object_mut(), credential.as_object()) {
        operator.extend(credential.clone());
    }
    let config = json!({ "tenants": [{ "id": TENANT, "applications": [operator] }] });
    Ok(Azure(Emulator::start_with(Some(&config.to_string()), &[])?))
}

/// An Entra ID where the application `cart` has a credential that somebody else has made.
fn with_credential(audience: &str) -> Result<Azure> {
    let credential = json!({ "name": "by-somebody-else", "subject": SUBJECT, "audience": audience });
    let operator = json!({
        "name": "operator", "client_id": clients::OPERATOR, "kind": "app_registration", "secrets": [OPERATOR_SECRET],
        "federated_identity_credentials": [],
    });
    let cart = json!({
        "name": "cart", "client_id": clients::APP, "kind": "app_registration",
        "federated_identity_credentials": [credential],
    });
    let config = json!({ "tenants": [{ "id": TENANT, "applications": [cart, operator] }] });
    Ok(Azure(Emulator::start_with(Some(&config.to_string()), &[])?))
}

const OF_CART: [&str; 3] = ["phase", "fi", "--aad-application-name=cart"];

#[test]
fn a_credential_of_another_audience_is_updated_under_its_own_name() -> Result<()> {
    let azure = with_credential("api://other")?;
    let steps = azure.steps(&[&["create"][..], &OF_CART].concat())?;
    assert_eq!((outcomes(&steps), &steps[0]["id"]), (vec!["updated"], &json!("by-somebody-else")));
    assert_eq!(azure.app(clients::APP)?.0, 200);
    Ok(())
}

#[test]
fn a_credential_is_found_and_deleted_by_whom_it_trusts_whatever_its_name() -> Result<()> {
    let azure = with_credential("api://AzureADTokenExchange")?;
    let steps = azure.steps(&[&["create"][..], &OF_CART].concat())?;
    assert_eq!((outcomes(&steps), &steps[0]["id"]), (vec!["exists"], &json!("by-somebody-else")));
    assert_eq!(outcomes(&azure.steps(&[&["delete"][..], &OF_CART].concat())?), ["deleted"]);
    assert_eq!(outcomes(&azure.steps(&[&["delete"][..], &OF_CART].concat())?), ["absent"]);
    Ok(())
}

/// Graph lists a hundred at a time.
#[test]
fn a_list_is_read_to_its_last_page() -> Result<()> {
    let application = |number: u32| {
        let client_id = format!("88888888-8888-4888-8888-{number:012}");
        json!({ "name": "many", "client_id": client_id, "kind": "app_registration", "federated_identity_credentials": [] })
    };
    let operator = json!({
        "name": "operator", "client_id": clients::OPERATOR, "kind": "app_registration", "secrets": [OPERATOR_SECRET],
        "federated_identity_credentials": [],
    });
    let applications: Vec<_> = (0..101).map(application).chain([operator]).collect();
    let config = json!({ "tenants": [{ "id": TENANT, "applications": applications }] });
    let azure = Azure(Emulator::start_with(Some(&config.to_string()), &[])?);
    let why = azure.bad(&["create", "phase", "app", "--aad-application-name=many"])?;
    assert!(why.contains("applications of that name: 101"), "{why}");
    Ok(())
}

fn logs_in(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout)?.contains("created         application"));
    Ok(())
}

#[test]
fn whoever_has_a_certificate_logs_in_with_it() -> Result<()> {
    let directory = TempDir::new()?;
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    let certificate = CertificateParams::default().self_signed(&key)?.pem();
    fs::write(directory.path().join("operator.crt"), &certificate)?;
    fs::write(directory.path().join("operator.key"), key.serialize_pem())?;
    let azure = with_operator(&json!({ "certificates": [certificate] }))?;
    let mut command = azure.anonymous(&["create", "phase", "app", "--auth-method=client_certificate"])?;
    command.args(["--azure-tenant-id", TENANT, "--client-id", clients::OPERATOR, "--certificate-path=operator.crt"]);
    logs_in(command.arg("--private-key-path=operator.key").current_dir(directory.path()))
}

#[test]
fn whoever_gives_a_client_id_and_its_secret_logs_in_as_that() -> Result<()> {
    let azure = Azure::new()?;
    let mut command = azure.anonymous(&["create", "phase", "app", "--azure-tenant-id", TENANT])?;
    logs_in(command.args(["--client-id", clients::OPERATOR, "--client-secret", OPERATOR_SECRET]))
}

#[test]
fn the_tenant_to_log_in_to_can_be_known_by_a_subscription() -> Result<()> {
    let azure = Azure::new()?;
    let mut command = azure.anonymous(&["create", "phase", "app", "--subscription-id", SUBSCRIPTION])?;
    logs_in(command.args(["--client-id", clients::OPERATOR, "--client-secret", OPERATOR_SECRET]))
}

/// An `az` that notes what it is asked.
#[test]
fn the_azure_cli_is_asked_for_a_token_of_the_tenant_or_subscription_that_is_given() -> Result<()> {
    let azure = Azure::new()?;
    for (given, asked) in [("--azure-tenant-id", "--tenant"), ("--subscription-id", "--subscription")] {
        let directory = TempDir::new()?;
        let az = directory.path().join("az");
        fs::write(&az, format!("#!/bin/sh\necho \"$*\" > {}\nexit 1\n", directory.path().join("asked").display()))?;
        fs::set_permissions(&az, Permissions::from_mode(0o755))?;
        let mut command = azure.anonymous(&["create", "phase", "app", given, SUBSCRIPTION])?;
        command.env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()));
        assert_eq!(command.output()?.status.code(), Some(1));
        let noted = fs::read_to_string(directory.path().join("asked"))?;
        assert!(noted.contains(&format!("{asked} {SUBSCRIPTION}")), "{noted}");
    }
    Ok(())
}

#[test]
fn a_pipeline_logs_in_with_the_token_of_its_service_account() -> Result<()> {
    let azure = with_operator(&json!({ "federated_identity_credentials": [{ "subject": SUBJECT }] }))?;
    let directory = TempDir::new()?;
    let file = directory.path().join("token");
    azure.0.write_token(&file, SUBJECT)?;
    let mut command = azure.anonymous(&["create", "phase", "app", "--auth-method=workload_identity"])?;
    command.env("AZURE_FEDERATED_TOKEN_FILE", file);
    logs_in(command.env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", clients::OPERATOR))
}

#[test]
fn a_missing_flag_is_named_with_the_phase_that_needs_it() -> Result<()> {
    let azure = Azure::new()?;
    let why = azure.bad(&["create", "--skip-phases=service-account"])?;
    let wanted = "--azure-role is needed by the phase role-assignment; --skip-phases role-assignment leaves it out";
    assert!(why.contains(wanted), "{why}");
    Ok(())
}

#[test]
fn whoever_cannot_log_in_is_told_why_in_entra_s_words() -> Result<()> {
    let azure = Azure::new()?;
    let why = azure.bad(&["create", "phase", "app", "--client-secret=wrong"])?;
    assert!(why.contains("AADSTS7000215"), "{why}");
    assert!(!why.contains("wrong"), "{why}");
    Ok(())
}

#[test]
fn every_flag_is_on_the_page_of_the_command() -> Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/azwi/serviceaccount.md"))?;
    let help = Command::new(binary("azwi")?).args(["serviceaccount", "create", "--help"]).output()?;
    let help = String::from_utf8(help.stdout)?;
    let words = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
    let flags: Vec<_> = words.map(|word| word.trim_end_matches([',', ':'])).filter(|flag| *flag != "--help").collect();
    assert!(flags.len() > 20, "{flags:?}");
    for flag in flags {
        assert!(page.contains(&format!("{flag}`")) || page.contains(&format!("{flag} ")), "{flag}");
    }
    Ok(())
}
