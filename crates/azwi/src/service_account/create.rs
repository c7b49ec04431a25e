//! `azwi serviceaccount create`.

use std::io::Write;

use crate::azure::identity::{Azure, Identity, Trust, Wanted};
use crate::names;

use super::ServiceAccountError;
use super::arguments::{Arguments, Phase};
use super::identity::Standing;
use super::kubernetes::Account;
use super::report::{Outcome, Report};

/// Makes what is missing, phase by phase.
///
/// # Errors
/// Something refuses; what was made before stays.
pub(super) async fn run(
    arguments: &Arguments,
    lookup: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let phases = arguments.phases();
    arguments.suffice_for(&phases)?;
    if phases.contains(&Phase::ServiceAccount) {
        // Rather before an identity is made than after.
        arguments.connection.connect().await?;
    }
    let azure = Azure::new(&arguments.login, lookup).await?;
    let wanted = Wanted::of(arguments)?;
    let mut identity = azure.find(&wanted).await?;
    if phases.contains(&Phase::Identity) {
        identity = ensure_identity(arguments, &azure, &wanted, identity, report).await?;
    }
    let will_be_made = arguments.dry_run && phases.contains(&Phase::Identity);
    if identity.is_none() && !will_be_made {
        let (what, name) = wanted.label();
        return Err(ServiceAccountError::NoIdentity(format!("{what} {name}")));
    }
    for phase in phases {
        match phase {
            Phase::Identity => {}
            Phase::ServiceAccount => ensure_account(arguments, &azure, identity.as_ref(), report).await?,
            Phase::FederatedIdentity => ensure_trust(arguments, &azure, identity.as_ref(), report).await?,
            Phase::RoleAssignment => ensure_role(arguments, &azure, identity.as_ref(), report).await?,
        }
    }
    Ok(())
}

/// The command that makes use of what was created.
pub(super) fn next(arguments: &Arguments) -> Option<String> {
    let name = arguments.name().ok().filter(|_| !arguments.dry_run)?;
    let label = r#""labels":{"azure.workload.identity/use":"true"}"#;
    let patch =
        format!(r#"{{"spec":{{"template":{{"metadata":{{{label}}},"spec":{{"serviceAccountName":"{name}"}}}}}}}}"#);
    let namespace = &arguments.service_account_namespace;
    Some(format!("kubectl --namespace {namespace} patch deployment NAME --patch '{patch}'"))
}

async fn ensure_identity(
    arguments: &Arguments,
    azure: &Azure,
    wanted: &Wanted,
    found: Option<Identity>,
    report: &mut Report<'_, impl Write>,
) -> Result<Option<Identity>, ServiceAccountError> {
    let (identity, outcome) = match found {
        Some(identity) => (Some(identity), Outcome::Exists),
        None if arguments.dry_run => (None, Outcome::Created),
        None => (Some(make_identity(arguments, azure, wanted).await?), Outcome::Created),
    };
    report.tell(Phase::Identity, wanted.label(), identity.as_ref().map(Identity::client_id), outcome)?;
    if let Wanted::Application(_) = wanted {
        ensure_principal(arguments, azure, wanted, identity.as_ref(), report).await?;
    }
    Ok(identity)
}

async fn make_identity(arguments: &Arguments, azure: &Azure, wanted: &Wanted) -> Result<Identity, ServiceAccountError> {
    match wanted {
        Wanted::Application(_) => {
            let name = arguments.application_name()?;
            Ok(Identity::Application(azure.graph.create_application(&name).await?))
        }
        Wanted::Managed(id) => {
            let location = arguments.managed.managed_identity_location.as_deref();
            let location = location.ok_or_else(|| ServiceAccountError::NoLocation(wanted.label().1.to_owned()))?;
            Ok(Identity::Managed(id.clone(), azure.resource_manager.create_identity(id, location).await?))
        }
    }
}

/// Without it an application can log in nowhere.
async fn ensure_principal(
    arguments: &Arguments,
    azure: &Azure,
    wanted: &Wanted,
    identity: Option<&Identity>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let found = match identity {
        Some(identity) => azure.graph.service_principal("appId", identity.client_id()).await?,
        None => None,
    };
    let (id, outcome) = match (found, identity) {
        (Some(id), _) => (Some(id), Outcome::Exists),
        (None, Some(identity)) if !arguments.dry_run => {
            (Some(azure.graph.create_service_principal(identity.client_id()).await?), Outcome::Created)
        }
        (None, _) => (None, Outcome::Created),
    };
    Ok(report.tell(Phase::Identity, ("service principal", wanted.label().1), id.as_deref(), outcome)?)
}

async fn ensure_account(
    arguments: &Arguments,
    azure: &Azure,
    identity: Option<&Identity>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let tenant = azure.graph.0.tenant().await?;
    let account = Account {
        namespace: &arguments.service_account_namespace,
        name: arguments.name()?,
        client_id: identity.map_or("", Identity::client_id),
        tenant_id: Some(&tenant),
        token_expiration: arguments.service_account_token_expiration,
    };
    let outcome = account.ensure(&arguments.connection, arguments.dry_run).await?;
    let name = format!("{}/{}", account.namespace, account.name);
    Ok(report.tell(Phase::ServiceAccount, ("service account", &name), None, outcome)?)
}

async fn ensure_trust(
    arguments: &Arguments,
    azure: &Azure,
    identity: Option<&Identity>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let mut trust = trust(arguments, azure)?;
    let standing = match identity {
        Some(identity) => trust.standing(&azure.credentials(identity).await?, identity)?,
        None => Standing::Missing,
    };
    let outcome = match standing {
        Standing::There(name) => {
            trust.name = name;
            Outcome::Exists
        }
        Standing::OtherAudience(name) => {
            trust.name = name;
            Outcome::Updated
        }
        Standing::Missing => Outcome::Created,
    };
    match identity.filter(|_| !arguments.dry_run) {
        Some(identity) if outcome == Outcome::Created => azure.create_credential(identity, &trust).await?,
        Some(identity) if outcome == Outcome::Updated => azure.update_credential(identity, &trust).await?,
        _ => {}
    }
    let what = ("federated identity credential for", trust.subject.as_str());
    Ok(report.tell(Phase::FederatedIdentity, what, Some(&trust.name), outcome)?)
}

/// Whom the identity is to trust.
pub(super) fn trust<'a>(arguments: &'a Arguments, azure: &Azure) -> Result<Trust<'a>, ServiceAccountError> {
    let (namespace, name, issuer) = (&arguments.service_account_namespace, arguments.name()?, arguments.issuer()?);
    Ok(Trust {
        name: match arguments.managed_identity()? {
            Some(_) => names::managed_identity_credential(namespace, name, issuer),
            None => names::application_credential(namespace, name, issuer),
        },
        issuer,
        subject: names::subject(namespace, name),
        audience: azure.cloud.audience,
    })
}

async fn ensure_role(
    arguments: &Arguments,
    azure: &Azure,
    identity: Option<&Identity>,
    report: &mut Report<'_, impl Write>,
) -> Result<(), ServiceAccountError> {
    let (role, scope) = arguments.role()?;
    let no_role = || ServiceAccountError::NoRole { role: role.to_owned(), scope: scope.to_owned() };
    let definition = azure.resource_manager.role(scope, role).await?.ok_or_else(no_role)?;
    let what = format!("{role} at {scope}");
    let Some(identity) = identity else {
        return Ok(report.tell(Phase::RoleAssignment, ("role", &what), None, Outcome::Created)?);
    };
    let principal = match azure.principal(arguments, identity).await {
        Err(ServiceAccountError::NoPrincipal(_)) if arguments.dry_run => None,
        principal => Some(principal?),
    };
    let found = match &principal {
        Some(principal) => azure.resource_manager.assignment(scope, &definition, principal).await?,
        None => None,
    };
    let (id, outcome) = match (found, principal) {
        (Some(id), _) => (Some(id), Outcome::Exists),
        (None, Some(principal)) if !arguments.dry_run => {
            (Some(azure.resource_manager.assign(scope, &definition, &principal).await?), Outcome::Created)
        }
        (None, _) => (None, Outcome::Created),
    };
    Ok(report.tell(Phase::RoleAssignment, ("role", &what), id.as_deref(), outcome)?)
}
