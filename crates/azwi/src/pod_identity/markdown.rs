//! The plan for people: `report.md`.

use std::fmt::{self, Write as _};

use super::commands;
use super::detect::words;
use super::finding::Weight;
use super::manifest;
use super::plan::{
    AccountPlan, Change, CredentialState, IdentityPlan, MAX_CREDENTIALS, Outcome, Plan, Principal, WorkloadId,
    WorkloadPlan,
};

/// The whole report. It names no date, so that two of the same cluster are the same.
pub(super) fn render(plan: &Plan) -> String {
    let mut text = String::from("# From pod identity to workload identity\n");
    let written =
        [summary, steps, workloads, accounts, identities, rest].into_iter().try_for_each(|part| part(plan, &mut text));
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

fn summary(plan: &Plan, text: &mut String) -> fmt::Result {
    if plan.workloads.is_empty() {
        return writeln!(text, "\nNo workload has identities of pod identity here.");
    }
    let outcomes = plan.outcomes();
    let counts: Vec<_> = outcomes.iter().map(|(outcome, count)| format!("{count} {}", words(*outcome))).collect();
    writeln!(text, "\nWorkloads: {}.\n", counts.join(", "))?;
    writeln!(text, "| namespace | workload | outcome | identity | service account |\n|---|---|---|---|---|")?;
    for workload in &plan.workloads {
        let account = workload.service_account.as_deref().map(code).unwrap_or_default();
        let identities: Vec<_> = workload.identities.iter().map(|identity| code(identity)).collect();
        let WorkloadId { namespace, .. } = &workload.id;
        let outcome = words(workload.outcome());
        writeln!(
            text,
            "| {namespace} | {} | {outcome} | {} | {account} |",
            code(&workload.id.to_string()),
            identities.join(", ")
        )?;
    }
    Ok(())
}

/// Only what there is to do.
fn steps(plan: &Plan, text: &mut String) -> fmt::Result {
    if plan.workloads.iter().all(|workload| matches!(workload.outcome(), Outcome::Stopped | Outcome::Unchanged)) {
        return Ok(());
    }
    text.write_str(STEPS)
}

const STEPS: &str = "
## What to do

Pods keep what they have from pod identity until its objects are gone, so each step can be taken by itself and taken back.

1. Install the webhook.
2. Create the federated identity credentials: `federated-credentials.sh`.
3. Read below what needs a person.
4. For each workload: its service account first, then its patch. Whoever has the manifests in a kustomization adds the
   folder of the namespace to `components` instead.
5. When all are migrated and work: `azwi podidentity migrate --cleanup`, and then remove pod identity itself.

`azwi podidentity migrate` takes step 4, and asks before each change.
";

fn workloads(plan: &Plan, text: &mut String) -> fmt::Result {
    if !plan.workloads.is_empty() {
        writeln!(text, "\n## Workloads")?;
    }
    plan.workloads.iter().try_for_each(|of| workload(plan, of, text))
}

fn workload(plan: &Plan, of: &WorkloadPlan, text: &mut String) -> fmt::Result {
    writeln!(text, "\n### {} of {}: {}\n", code(&of.id.to_string()), of.id.namespace, words(of.outcome()))?;
    findings(of, Weight::Stop, "Cannot be migrated so", text)?;
    findings(of, Weight::Decide, "Needs a person", text)?;
    changes("Changes of its pods", &of.changes, text)?;
    findings(of, Weight::Note, "Good to know", text)?;
    if of.outcome() == Outcome::ByHand {
        let template = serde_json::to_string_pretty(&manifest::template(&of.changes)).unwrap_or_default();
        writeln!(text, "As a strategic merge patch of its pod template:\n\n```json\n{template}\n```\n")?;
    }
    apply(plan, of, text)
}

fn findings(of: &WorkloadPlan, weight: Weight, title: &str, text: &mut String) -> fmt::Result {
    let mut found = of.findings.iter().filter(|finding| finding.weight() == weight).peekable();
    if found.peek().is_some() {
        writeln!(text, "{title}:\n")?;
        found.try_for_each(|finding| writeln!(text, "- {}", plain(&finding.to_string())))?;
        writeln!(text)?;
    }
    Ok(())
}

fn changes(title: &str, changes: &[Change], text: &mut String) -> fmt::Result {
    if changes.is_empty() {
        return Ok(());
    }
    writeln!(text, "{title}:\n")?;
    for change in changes {
        match change {
            Change::Label { key, value } => writeln!(text, "- label {}", code(&format!("{key}: {value}")))?,
            Change::Annotation { key, value } => writeln!(text, "- annotation {}", code(&format!("{key}: {value}")))?,
            Change::ServiceAccountName { value } => writeln!(text, "- service account {}", code(value))?,
        }
    }
    writeln!(text)
}

fn apply(plan: &Plan, of: &WorkloadPlan, text: &mut String) -> fmt::Result {
    let is_its = |account: &&AccountPlan| {
        account.namespace == of.id.namespace && Some(&account.name) == of.service_account.as_ref()
    };
    let account = plan.service_accounts.iter().find(is_its).filter(|account| !account.changes.is_empty());
    let patch = manifest::workload(of).filter(|_| manifest::can_be_applied(&of.id)).map(|_| commands::patch(&of.id));
    let lines: Vec<_> = account.map(commands::account).into_iter().chain(patch).collect();
    if lines.is_empty() { Ok(()) } else { writeln!(text, "```sh\n{}\n```", lines.join("\n")) }
}

fn accounts(plan: &Plan, text: &mut String) -> fmt::Result {
    let mut changing = plan.service_accounts.iter().filter(|account| !account.changes.is_empty()).peekable();
    if changing.peek().is_some() {
        writeln!(text, "\n## Service accounts")?;
    }
    changing.try_for_each(|account| {
        let kind = if account.exists { "" } else { ", new" };
        writeln!(text, "\n### {} of {}{kind}\n", code(&account.name), account.namespace)?;
        changes("Changes", &account.changes, text)?;
        let secrets: Vec<_> = account.image_pull_secrets.iter().map(|name| code(name)).collect();
        if secrets.is_empty() {
            Ok(())
        } else {
            writeln!(text, "Image pull secrets, as of `default`: {}.\n", secrets.join(", "))
        }
    })
}

fn identities(plan: &Plan, text: &mut String) -> fmt::Result {
    if !plan.identities.is_empty() {
        writeln!(text, "\n## Identities")?;
    }
    plan.identities.iter().try_for_each(|of| identity(of, text))
}

fn identity(of: &IdentityPlan, text: &mut String) -> fmt::Result {
    let names: Vec<_> = of.azure_identities.iter().map(|name| code(name)).collect();
    writeln!(text, "\n### {}\n", names.join(", "))?;
    match &of.principal {
        Principal::UserAssigned(resource) => writeln!(
            text,
            "User-assigned managed identity {}, client id {}.",
            code(resource.as_str()),
            code(of.client_id.as_str())
        )?,
        Principal::Application => writeln!(text, "Application with the client id {}.", code(of.client_id.as_str()))?,
    }
    let planned = of.credentials.iter().filter(|credential| credential.state == CredentialState::Create).count();
    match of.existing {
        Some(existing) => writeln!(
            text,
            "It has {existing} federated identity credentials of {MAX_CREDENTIALS}, and gets {planned} more.\n"
        )?,
        None => writeln!(
            text,
            "It gets {planned} federated identity credentials; with those it may have already it can have {MAX_CREDENTIALS}. Azure was not asked.\n"
        )?,
    }
    writeln!(text, "| subject | federated identity credential | |\n|---|---|---|")?;
    of.credentials.iter().try_for_each(|credential| {
        writeln!(text, "| {} | {} | {} |", code(&credential.subject), code(&credential.name), state(credential.state))
    })
}

fn rest(plan: &Plan, text: &mut String) -> fmt::Result {
    if !plan.exceptions.is_empty() {
        writeln!(
            text,
            "\n## Exceptions\n\nThese pods use their nodes' identities, and go on to when pod identity is gone.\n"
        )?;
    }
    for exception in &plan.exceptions {
        let workloads: Vec<_> = exception.workloads.iter().map(|id| code(&id.to_string())).collect();
        let workloads = if workloads.is_empty() { "no pods".to_owned() } else { workloads.join(", ") };
        writeln!(
            text,
            "- AzurePodIdentityException {}: {workloads}",
            code(&format!("{}/{}", exception.namespace, exception.name))
        )?;
    }
    if !plan.unused.is_empty() {
        writeln!(text, "\n## Not used by any pod that was looked at\n")?;
    }
    for unused in &plan.unused {
        let reason =
            unused.unusable.as_ref().map(|reason| format!(": {}", plain(&reason.to_string()))).unwrap_or_default();
        writeln!(text, "- {} {}{reason}", unused.kind, code(&format!("{}/{}", unused.namespace, unused.name)))?;
    }
    if !plan.made_by_aks.is_empty() {
        let names: Vec<_> = plan.made_by_aks.iter().map(|name| code(name)).collect();
        writeln!(
            text,
            "\n## Made by AKS\n\nTo be removed with `az aks pod-identity`, not with `kubectl`: {}.",
            names.join(", ")
        )?;
    }
    Ok(())
}

fn state(state: CredentialState) -> &'static str {
    match state {
        CredentialState::Exists => "is there",
        CredentialState::Create => "to be created",
        CredentialState::Update => "is there with another audience, to be changed",
        CredentialState::BeyondLimit => "beyond the limit",
    }
}

/// As code, whatever it is: names of custom owners may be anything.
fn code(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c == '`' || c == '|' || c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{plain}`")
}

/// One line, without marks that Markdown would read as HTML.
fn plain(sentence: &str) -> String {
    sentence.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('<', "&lt;")
}
