//! The plan as files: what is in the folder, and nothing of how it gets there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::commands::{account_path, credential_path, script, workload_path};
use super::manifest;
use super::markdown;
use super::object::group;
use super::plan::{Credential, CredentialState, Plan, Principal};
use super::report::{Report, identities};

/// Contents by path, with slashes, below the folder. No path leads out of it.
pub type Files = BTreeMap<String, String>;

/// What did not become text.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// As YAML.
    #[error("as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// As JSON.
    #[error("as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// One patch or new object, and what kustomize is told of it.
struct Manifest {
    namespace: String,
    path: String,
    object: Value,
    is_new: bool,
}

impl Plan {
    /// The files of a migration.
    ///
    /// # Errors
    /// None that a plan is known to cause.
    pub fn files(&self) -> Result<Files, RenderError> {
        let mut files = Files::new();
        let manifests = self.manifests();
        for manifest in &manifests {
            files.insert(manifest.path.clone(), yaml(&manifest.object)?);
        }
        for namespace in manifests.iter().map(|manifest| &manifest.namespace).collect::<BTreeSet<_>>() {
            let of = manifests.iter().filter(|manifest| manifest.namespace == *namespace);
            files.insert(format!("{namespace}/kustomization.yaml"), yaml(&kustomization(of))?);
        }
        self.render_credentials(&mut files)?;
        files.insert("report.json".to_owned(), json(&Report::of(self))?);
        files.insert("report.md".to_owned(), markdown::render(self));
        Ok(files)
    }

    fn manifests(&self) -> Vec<Manifest> {
        let accounts = self.service_accounts.iter().filter_map(|plan| {
            let object = manifest::account(plan)?;
            Some(Manifest { namespace: plan.namespace.clone(), path: account_path(plan), object, is_new: !plan.exists })
        });
        let workloads = self.workloads.iter().filter_map(|plan| {
            let object = manifest::workload(plan)?;
            Some(Manifest {
                namespace: plan.id.namespace.clone(),
                path: workload_path(&plan.id),
                object,
                is_new: false,
            })
        });
        accounts.chain(workloads).collect()
    }

    fn render_credentials(&self, files: &mut Files) -> Result<(), RenderError> {
        if self.identities.is_empty() {
            return Ok(());
        }
        files.insert("federated-credentials.json".to_owned(), json(&identities(self))?);
        if let Some(script) = script(self) {
            files.insert("federated-credentials.sh".to_owned(), script);
        }
        for identity in self.identities.iter().filter(|identity| matches!(identity.principal, Principal::Application)) {
            for credential in
                identity.credentials.iter().filter(|credential| credential.state != CredentialState::Exists)
            {
                files.insert(credential_path(identity, credential), json(&for_graph(credential))?);
            }
        }
        Ok(())
    }
}

/// The body of <https://learn.microsoft.com/graph/api/application-post-federatedidentitycredentials>.
fn for_graph(credential: &Credential) -> Value {
    json!({
        "audiences": credential.audiences,
        "issuer": credential.issuer,
        "name": credential.name,
        "subject": credential.subject,
    })
}

/// A component, so that whoever has the workloads in a kustomization adds one line to it.
///
/// Targets name no namespace: manifests often have none.
fn kustomization<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> Value {
    let (new, patches): (Vec<_>, Vec<_>) = manifests.partition(|manifest| manifest.is_new);
    let file = |manifest: &Manifest| manifest.path.rsplit('/').next().unwrap_or_default().to_owned();
    let patch = |manifest: &&Manifest| json!({ "path": file(manifest), "target": target(&manifest.object) });
    let patches: Vec<_> = patches.iter().map(patch).collect();
    let resources: Vec<_> = new.into_iter().map(file).collect();
    let mut component = json!({ "apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component" });
    let lists = [("patches", json!(patches)), ("resources", json!(resources))];
    if let Value::Object(component) = &mut component {
        component.extend(
            lists.into_iter().filter(|(_, list)| *list != json!([])).map(|(name, list)| (name.to_owned(), list)),
        );
    }
    component
}

/// Its name is read as a regular expression.
fn target(object: &Value) -> Value {
    let field = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (field("/kind"), field("/metadata/name").replace('.', "\\."));
    match group(field("/apiVersion")) {
        "" => json!({ "kind": kind, "name": name }),
        group => json!({ "group": group, "kind": kind, "name": name }),
    }
}

fn yaml(value: &Value) -> Result<String, RenderError> {
    let layout = serde_saphyr::ser_options! { compact_list_indent: false };
    Ok(serde_saphyr::to_string_with_options(value, layout)?)
}

fn json(value: &impl Serialize) -> Result<String, RenderError> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
