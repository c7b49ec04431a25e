//! What to type, the same in a Unix shell and in PowerShell: between double quotes stands nothing that either reads.

use super::object::Object;
use super::plan::{AccountPlan, Credential, CredentialState, IdentityPlan, Plan, Principal, WorkloadId};

/// Folder of what applications' credentials are made of; no namespace has a dot.
const APPLICATIONS: &str = "federated-credentials.d";

/// Where the patch of a workload is.
pub(super) fn workload_path(id: &WorkloadId) -> String {
    format!("{}/{}-{}.yaml", id.namespace, id.kind.to_ascii_lowercase(), id.name)
}

/// Where a service account is.
pub(super) fn account_path(account: &AccountPlan) -> String {
    format!("{}/serviceaccount-{}.yaml", account.namespace, account.name)
}

/// Where what Graph is told of an application's credential is.
pub(super) fn credential_path(identity: &IdentityPlan, credential: &Credential) -> String {
    let account = credential.subject.trim_start_matches("system:serviceaccount:").replace(':', ".");
    format!("{APPLICATIONS}/{}.{account}.json", identity.client_id)
}

/// Where Kubernetes has a workload of a kind of its own.
pub(super) fn api_path(id: &WorkloadId) -> String {
    let root = if id.api_version.contains('/') { "apis" } else { "api" };
    let plural = id.kind.to_ascii_lowercase();
    format!("{root}/{}/namespaces/{}/{plural}s/{}", id.api_version, id.namespace, id.name)
}

/// Where it has a custom resource of pod identity.
pub(super) fn pod_identity_path(object: Object<'_>) -> String {
    let plural = if object.kind() == "AzureIdentity" { "azureidentities" } else { "azureidentitybindings" };
    format!("apis/{}/namespaces/{}/{plural}/{}", object.api_version(), object.namespace(), object.name())
}

pub(super) fn patch(id: &WorkloadId) -> String {
    let kind = id.kind.to_ascii_lowercase();
    format!("kubectl patch --namespace {} {kind} {} --patch-file {}", id.namespace, id.name, workload_path(id))
}

/// A new one is created, and one that is there keeps what it has.
pub(super) fn account(account: &AccountPlan) -> String {
    let path = account_path(account);
    if account.exists {
        format!("kubectl patch --namespace {} serviceaccount {} --patch-file {path}", account.namespace, account.name)
    } else {
        format!("kubectl apply --filename {path}")
    }
}

/// Creates a credential, or changes the one of its name.
pub(super) fn credential(identity: &IdentityPlan, credential: &Credential) -> String {
    let is_there = credential.state == CredentialState::Update;
    let verb = if is_there { "update" } else { "create" };
    match &identity.principal {
        Principal::Application => {
            let path = credential_path(identity, credential);
            let which =
                if is_there { format!(" --federated-credential-id \"{}\"", credential.name) } else { String::new() };
            format!("az ad app federated-credential {verb} --id {}{which} --parameters {path}", identity.client_id)
        }
        Principal::UserAssigned(resource) => {
            let [subscription, group, name] = resource.parts();
            let [audience] = &credential.audiences;
            format!(
                "az identity federated-credential {verb} --subscription \"{subscription}\" --resource-group \"{group}\" \
                 --identity-name \"{name}\" --name \"{}\" --issuer \"{}\" --subject \"{}\" --audiences \"{audience}\"",
                credential.name, credential.issuer, credential.subject
            )
        }
    }
}

/// A script of all credentials that there are not yet; `None` if there are all.
pub(super) fn script(plan: &Plan) -> Option<String> {
    let missing = |identity: &IdentityPlan| {
        let lines: String = identity.credentials.iter().filter_map(|of| line(identity, of)).collect();
        (!lines.is_empty()).then(|| format!("\n# {}\n{lines}", describe(identity)))
    };
    let identities: String = plan.identities.iter().filter_map(missing).collect();
    (!identities.is_empty()).then(|| format!("{HEAD}{identities}"))
}

const HEAD: &str = "\
# Federated identity credentials that the service accounts need. Run it with `sh -e`, or paste it into PowerShell.
# One after another: Azure refuses to write two of one identity at once.
";

fn line(identity: &IdentityPlan, of: &Credential) -> Option<String> {
    match of.state {
        CredentialState::Exists => None,
        CredentialState::Create | CredentialState::Update => Some(format!("{}\n", credential(identity, of))),
        CredentialState::BeyondLimit => Some(format!("# beyond the limit: {}\n", credential(identity, of))),
    }
}

/// Which identity, for people.
pub(super) fn describe(identity: &IdentityPlan) -> String {
    match &identity.principal {
        Principal::UserAssigned(resource) => resource.to_string(),
        Principal::Application => format!("application {}", identity.client_id),
    }
}
