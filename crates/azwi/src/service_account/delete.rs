//! `azwi serviceaccount delete`, in the opposite order of creation.

use std::io::Write;

use crate::azure::identity::{Azure, Identity, Wanted};

use super::arguments::{Arguments, Missing, Phase};
use super::report::{Outcome, Report};
use super::{ServiceAccountError, create, kubernetes};

/// Deletes what is there, phase by phase.
///
/// # Errors
/// Something refuses; what was deleted before is gone.
pub(super) async fn run(
    arguments: &Arguments,
    lookup: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let phases = arguments.phases();
    let azure = Azure::new(&arguments.login, lookup).await?;
    for phase in phases.iter().rev() {
        match phase {
            Phase::RoleAssignment => delete_assignment(arguments, &azure, report).await?,
            // They go with the identity.
            Phase::FederatedIdentity if phases.contains(&Phase::Identity) => {}
            Phase::FederatedIdentity => delete_trust(arguments, &azure, report).await?,
            Phase::ServiceAccount => delete_account(arguments, report).await?,
            Phase::Identity => delete_identity(arguments, &azure, report).await?,
        }
    }
    Ok(())
}

async fn delete_assignment(
    arguments: &Arguments,
    azure: &Azure,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let missing = || Missing::of("--role-assignment-id", Phase::RoleAssignment);
    let id = arguments.role.role_assignment_id.as_deref().ok_or_else(missing)?;
    let outcome = if arguments.dry_run {
        Outcome::Deleted
    } else {
        match azure.resource_manager.unassign(id).await {
            Ok(()) => Outcome::Deleted,
            Err(error) if error.is_not_found() => Outcome::Absent,
            Err(error) => return Err(error.into()),
        }
    };
    Ok(report.tell(Phase::RoleAssignment, ("role assignment", id), None, outcome)?)
}

async fn delete_trust(
    arguments: &Arguments,
    azure: &Azure,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let trust = create::trust(arguments, azure)?;
    let mut name = None;
    if let Some(identity) = azure.find(&Wanted::of(arguments)?).await? {
        name = trust.name_among(&azure.credentials(&identity).await?).map(str::to_owned);
        if let Some(name) = name.as_ref().filter(|_| !arguments.dry_run) {
            azure.delete_credential(&identity, name).await?;
        }
    }
    let outcome = if name.is_some() { Outcome::Deleted } else { Outcome::Absent };
    let what = ("federated identity credential for", trust.subject.as_str());
    Ok(report.tell(Phase::FederatedIdentity, what, name.as_deref(), outcome)?)
}

async fn delete_account(arguments: &Arguments, report: &mut Report<'_, impl Write>) -> Result<(), ServiceAccountError> {
    let (namespace, name) = (&arguments.service_account_namespace, arguments.name()?);
    let outcome = kubernetes::delete(&arguments.connection, namespace, name, arguments.dry_run).await?;
    Ok(report.tell(Phase::ServiceAccount, ("service account", &format!("{namespace}/{name}")), None, outcome)?)
}

async fn delete_identity(
    arguments: &Arguments,
    azure: &Azure,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let wanted = Wanted::of(arguments)?;
    let found = azure.find(&wanted).await?;
    match found.as_ref().filter(|_| !arguments.dry_run) {
        Some(Identity::Application(application)) => azure.graph.delete_application(&application.object_id).await?,
        Some(Identity::Managed(id, _)) => azure.resource_manager.delete_identity(id).await?,
        None => {}
    }
    let outcome = if found.is_some() { Outcome::Deleted } else { Outcome::Absent };
    Ok(report.tell(Phase::Identity, wanted.label(), found.as_ref().map(Identity::client_id), outcome)?)
}
