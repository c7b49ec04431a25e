//! `azwi podidentity migrate`: takes the steps of a plan, one workload after another, each after a yes.
//!
//! Whatever it has done it finds done when it is run again. Federated identity credentials it writes only if it is to ask
//! Azure, else it takes a person's word for them. Pod identity's objects it deletes only if asked to, and only those that
//! nothing needs any more.

mod dialog;

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};

use clap::Args;

use crate::azure::identity::Azure;
use crate::azure::login;
use crate::cluster::Cluster;
use crate::names;
use crate::webhook;

use super::cleanup;
use super::commands;
use super::detect::{tell, words};
use super::error::Error;
use super::finding::Weight;
use super::live;
use super::manifest;
use super::object::Object;
use super::plan::{AccountPlan, Credential, CredentialState, IdentityPlan, Outcome, Plan, WorkloadPlan};
use super::source::Source;
use dialog::Dialog;

const EXAMPLES: &str = "\
Examples:
  # One workload after another, with the credentials that they need, as whoever `az login` made you
  azwi podidentity migrate --namespace shop --azure

  # Where somebody else has run the plan's federated-credentials.sh
  azwi podidentity migrate --namespace shop --yes

  # When all pods are replaced
  azwi podidentity migrate --namespace shop --cleanup";

/// What is to be said to migrate.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, mut_args(login::only_with("azure")))]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Take all steps without asking, but for what needs a person; without --azure this also says that the federated
    /// identity credentials are there
    #[arg(short, long)]
    yes: bool,
    /// Together with --yes: a person has read what needs one
    #[arg(long, requires = "yes")]
    reviewed: bool,
    /// Delete bindings and identities of pod identity that migrated workloads had and nothing needs any more
    #[arg(long)]
    cleanup: bool,
}

/// Plans, asks, and does.
///
/// # Errors
/// What could not be read or changed. Steps before it are taken; the same again goes on from there.
pub async fn run(
    arguments: &Arguments,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let azure = arguments.source.azure(lookup).await?;
    let cluster = arguments.source.connection.connect().await?;
    has_webhook(&cluster).await?;
    let (plan, _) = arguments.source.of_cluster(&cluster, azure.as_ref()).await?;
    tell(&plan, out)?;
    let mut dialog = Dialog { input: io::stdin().lock(), out, says_yes: arguments.yes };
    let mut migration = Migration {
        cluster: &cluster,
        azure: azure.as_ref(),
        plan: &plan,
        dialog: &mut dialog,
        accounts: BTreeSet::new(),
        credentials: BTreeSet::new(),
        has_changed: false,
    };
    if azure.is_none() && !migration.has_credentials()? {
        return Ok(());
    }
    for workload in &plan.workloads {
        migration.step(workload, arguments.yes && !arguments.reviewed).await?;
    }
    let has_changed = migration.has_changed;
    if arguments.cleanup {
        clean(arguments, &cluster, azure.as_ref(), &mut dialog).await?;
    } else if has_changed {
        writeln!(
            dialog.out,
            "\nWhen all pods are replaced: azwi podidentity migrate{}{} --cleanup",
            arguments.source.scope, arguments.source.connection
        )?;
    }
    Ok(())
}

/// Whoever may not see the configurations has to know.
async fn has_webhook(cluster: &Cluster) -> Result<(), Error> {
    match cluster.list(webhook::LIST).await {
        Ok(found) if webhook::registered(found.iter()).is_none() => Err(Error::NoWebhook),
        Err(error) if !error.is("Forbidden") => Err(error.into()),
        _ => Ok(()),
    }
}

struct Migration<'m, 'w, I, O> {
    cluster: &'m Cluster,
    /// If it is to be asked.
    azure: Option<&'m Azure>,
    plan: &'m Plan,
    dialog: &'m mut Dialog<'w, I, O>,
    /// Those that are done, by namespace and name.
    accounts: BTreeSet<(&'m str, &'m str)>,
    /// Likewise, by client id and subject.
    credentials: BTreeSet<(&'m str, &'m str)>,
    /// Of the cluster, at all.
    has_changed: bool,
}

impl<'m, I: BufRead, O: Write> Migration<'m, '_, I, O> {
    /// Pods would lose their tokens without.
    fn has_credentials(&mut self) -> Result<bool, Error> {
        let is_done = |of: &WorkloadPlan| matches!(of.outcome(), Outcome::Unchanged | Outcome::Stopped);
        let script = commands::script(self.plan).filter(|_| !self.plan.workloads.iter().all(is_done));
        let Some(script) = script else { return Ok(true) };
        writeln!(self.dialog.out, "\n{script}")?;
        let is_sure = self.dialog.ask("Are these federated identity credentials there?")?;
        if !is_sure {
            writeln!(self.dialog.out, "Nothing is changed. Create them, and run this again.")?;
        }
        Ok(is_sure)
    }

    async fn step(&mut self, workload: &'m WorkloadPlan, is_alone: bool) -> Result<(), Error> {
        let outcome = workload.outcome();
        let credentials = self.missing_credentials(workload);
        if outcome == Outcome::Unchanged && credentials.is_empty() {
            return Ok(());
        }
        writeln!(self.dialog.out, "\n{} of {}: {}", workload.id, workload.id.namespace, words(outcome))?;
        for finding in workload.findings.iter().filter(|finding| finding.weight() > Weight::Note) {
            writeln!(self.dialog.out, "  - {finding}")?;
        }
        if outcome == Outcome::Stopped {
            return Ok(());
        }
        for (identity, credential) in &credentials {
            let identity = commands::describe(identity);
            writeln!(self.dialog.out, "  - federated identity credential {} of {identity}", credential.name)?;
        }
        if is_alone && !matches!(outcome, Outcome::Ready | Outcome::Unchanged) {
            writeln!(self.dialog.out, "Left as it is. When a person has read this: --yes --reviewed")?;
            return Ok(());
        }
        let can_be_applied = manifest::can_be_applied(&workload.id);
        if !self.dialog.ask(if can_be_applied { "Migrate it?" } else { "Prepare it?" })? {
            return Ok(());
        }
        self.has_changed = true;
        self.write_credentials(credentials).await?;
        self.change_account(workload).await?;
        self.change_workload(workload).await
    }

    /// Of the identities that its service account stands for, and that Azure said it lacks.
    fn missing_credentials(&self, workload: &WorkloadPlan) -> Vec<(&'m IdentityPlan, &'m Credential)> {
        let account = workload.service_account.as_ref().filter(|_| self.azure.is_some());
        let Some(subject) = account.map(|account| names::subject(&workload.id.namespace, account)) else {
            return Vec::new();
        };
        let of = |identity: &'m IdentityPlan| identity.credentials.iter().map(move |credential| (identity, credential));
        let all = self.plan.identities.iter().flat_map(of);
        let is_missing = |state| matches!(state, CredentialState::Create | CredentialState::Update);
        all.filter(|(identity, credential)| {
            let is_done = self.credentials.contains(&(identity.client_id.as_str(), credential.subject.as_str()));
            credential.subject == subject && is_missing(credential.state) && !is_done
        })
        .collect()
    }

    /// One after another, as Azure refuses to write two of one identity at once.
    async fn write_credentials(&mut self, credentials: Vec<(&'m IdentityPlan, &'m Credential)>) -> Result<(), Error> {
        let Some(azure) = self.azure else { return Ok(()) };
        for (identity, credential) in credentials {
            live::write(azure, identity, credential).await?;
            self.credentials.insert((identity.client_id.as_str(), &credential.subject));
            let verb = if credential.state == CredentialState::Update { "changed" } else { "created" };
            writeln!(self.dialog.out, "federated identity credential {} {verb}", credential.name)?;
        }
        Ok(())
    }

    async fn change_account(&mut self, workload: &WorkloadPlan) -> Result<(), Error> {
        let is_its = |account: &&AccountPlan| {
            account.namespace == workload.id.namespace && Some(&account.name) == workload.service_account.as_ref()
        };
        let Some(account) = self.plan.service_accounts.iter().find(is_its) else { return Ok(()) };
        let Some(object) = manifest::account(account) else { return Ok(()) };
        if !self.accounts.insert((&account.namespace, &account.name)) {
            return Ok(());
        }
        let list = format!("api/v1/namespaces/{}/serviceaccounts", account.namespace);
        if account.exists {
            self.cluster.patch(&format!("{list}/{}", account.name), &object).await?;
        } else {
            self.cluster.create(&list, &object).await.map(drop)?;
        }
        let verb = if account.exists { "changed" } else { "created" };
        Ok(writeln!(self.dialog.out, "serviceaccount/{} {verb}", account.name)?)
    }

    async fn change_workload(&mut self, workload: &WorkloadPlan) -> Result<(), Error> {
        match manifest::workload(workload) {
            Some(patch) if manifest::can_be_applied(&workload.id) => {
                self.cluster.patch(&commands::api_path(&workload.id), &patch).await?;
                let kind = workload.id.kind.to_ascii_lowercase();
                writeln!(self.dialog.out, "{kind}/{} changed", workload.id.name)?;
            }
            _ if workload.changes.is_empty() => {}
            _ => {
                let template = manifest::template(&workload.changes);
                writeln!(self.dialog.out, "To be done by hand, in its pod template: {template}")?;
            }
        }
        Ok(())
    }
}

/// Looks at all namespaces, for a binding may have pods in any.
async fn clean<I: BufRead, O: Write>(
    arguments: &Arguments,
    cluster: &Cluster,
    azure: Option<&Azure>,
    dialog: &mut Dialog<'_, I, O>,
) -> Result<(), Error> {
    let (plan, objects) = arguments.source.of_all_namespaces(cluster, azure).await?;
    let namespace = arguments.source.scope.namespace();
    let idle = cleanup::idle(&objects, &plan);
    let mut idle =
        idle.into_iter().filter(|object| namespace.is_none_or(|namespace| namespace == object.namespace())).peekable();
    if idle.peek().is_none() {
        writeln!(
            dialog.out,
            "\nNothing to delete: whatever pod identity has here is not migrated, or not replaced yet."
        )?;
    }
    for object in idle {
        delete(object, cluster, dialog).await?;
    }
    Ok(())
}

async fn delete<I: BufRead, O: Write>(
    object: Object<'_>,
    cluster: &Cluster,
    dialog: &mut Dialog<'_, I, O>,
) -> Result<(), Error> {
    let (kind, name) = (object.kind(), object.name());
    if dialog.ask(&format!("\nDelete {kind} {name} of {}?", object.namespace()))? {
        cluster.delete(&commands::pod_identity_path(object)).await?;
        writeln!(dialog.out, "{}/{name} deleted", kind.to_ascii_lowercase())?;
    }
    Ok(())
}
