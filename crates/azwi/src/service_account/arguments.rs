//! The flags of `azwi serviceaccount`, and which phases run.

use clap::{Args, Subcommand, ValueEnum};

use crate::azure::graph::ApplicationKey;
use crate::azure::login::Login;
use crate::cluster::Connection;
use crate::names;
use crate::token_expiration;

/// What can be done, each by itself if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// The identity in Entra ID: an application, or a user-assigned managed identity
    #[value(name = "aad-application", alias = "app")]
    Identity,
    /// The Kubernetes service account
    #[value(name = "service-account", alias = "sa")]
    ServiceAccount,
    /// The federated identity credential by which the identity trusts the service account
    #[value(name = "federated-identity", alias = "fi")]
    FederatedIdentity,
    /// The role of the identity
    #[value(name = "role-assignment", alias = "ra")]
    RoleAssignment,
}

/// In the order in which they are created.
const PHASES: [Phase; 4] = [Phase::Identity, Phase::ServiceAccount, Phase::FederatedIdentity, Phase::RoleAssignment];

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of the service account
    #[arg(long, global = true, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) service_account_name: String,
    /// Its namespace
    #[arg(long, global = true, default_value = "default", value_name = "NAMESPACE")]
    pub(super) service_account_namespace: String,
    /// Issuer of the cluster's service account tokens, as it stands in them
    #[arg(long, global = true, value_name = "URL")]
    pub(super) service_account_issuer_url: Option<String>,
    /// Lifetime of the service account's tokens, 1h to 24h [default: the webhook's]
    #[arg(long, global = true, value_name = "DURATION", value_parser = token_expiration::parse)]
    pub(super) service_account_token_expiration: Option<u32>,
    /// Phases to leave out
    #[arg(long, global = true, value_enum, value_delimiter = ',', value_name = "PHASE,…")]
    skip_phases: Vec<Phase>,
    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    pub(super) dry_run: bool,
    /// How to say it
    #[arg(short, long, global = true, value_enum, default_value = "text", value_name = "FORM")]
    pub(super) output: Form,
    #[command(flatten)]
    pub(super) application: ApplicationArguments,
    #[command(flatten)]
    pub(super) managed: ManagedArguments,
    #[command(flatten)]
    pub(super) role: RoleArguments,
    #[command(flatten)]
    pub(super) connection: Connection,
    #[command(flatten)]
    pub(super) login: Login,
    #[command(subcommand)]
    only: Option<Only>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Text,
    Json,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Application")]
pub(super) struct ApplicationArguments {
    /// Name of the application [default: NAMESPACE-NAME-HASH of the issuer]
    #[arg(long, global = true, value_name = "NAME")]
    aad_application_name: Option<String>,
    /// Its client id, where it is there already
    #[arg(long, global = true, value_name = "ID")]
    aad_application_client_id: Option<String>,
    /// Its object id, where it is there already
    #[arg(long, global = true, value_name = "ID")]
    aad_application_object_id: Option<String>,
    /// Name of its service principal, which has the role [default: that of the application]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) service_principal_name: Option<String>,
    /// Object id of its service principal
    #[arg(long, global = true, value_name = "ID")]
    pub(super) service_principal_object_id: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the names of the flags")]
#[command(next_help_heading = "User-assigned managed identity, in place of an application")]
pub(super) struct ManagedArguments {
    /// Its name
    #[arg(long, global = true, value_name = "NAME", requires = "managed_identity_resource_group")]
    pub(super) managed_identity_name: Option<String>,
    /// Its resource group
    #[arg(long, global = true, value_name = "GROUP", requires = "managed_identity_name")]
    pub(super) managed_identity_resource_group: Option<String>,
    /// Create it there, such as in westeurope, if it is not there
    #[arg(long, global = true, value_name = "LOCATION", requires = "managed_identity_name")]
    pub(super) managed_identity_location: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Role")]
pub(super) struct RoleArguments {
    /// What the role is for, such as /subscriptions/ID/resourceGroups/GROUP
    #[arg(long, global = true, value_name = "SCOPE")]
    pub(super) azure_scope: Option<String>,
    /// Name of the role, such as Reader
    #[arg(long, global = true, value_name = "ROLE")]
    pub(super) azure_role: Option<String>,
    /// Of delete: id of the assignment, from its /subscriptions/ on
    #[arg(long, global = true, value_name = "ID")]
    pub(super) role_assignment_id: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Only {
    /// One phase only
    Phase {
        /// Which one
        #[arg(value_enum)]
        name: Phase,
    },
}

/// A flag is missing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag} is needed{}", .phase.map(|phase| format!(" by the phase {phase}; --skip-phases {phase} leaves it out")).unwrap_or_default())]
pub(crate) struct Missing {
    flag: &'static str,
    phase: Option<&'static str>,
}

impl Missing {
    pub(super) fn always(flag: &'static str) -> Self {
        Self { flag, phase: None }
    }

    pub(super) fn of(flag: &'static str, phase: Phase) -> Self {
        Self { flag, phase: Some(phase.name()) }
    }
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identity => "aad-application",
            Self::ServiceAccount => "service-account",
            Self::FederatedIdentity => "federated-identity",
            Self::RoleAssignment => "role-assignment",
        }
    }
}

impl Arguments {
    /// Which are to run, in the order of creation.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let wanted = |phase: &Phase| match &self.only {
            Some(Only::Phase { name }) => name == phase,
            None => !self.skip_phases.contains(phase),
        };
        PHASES.into_iter().filter(wanted).collect()
    }

    /// # Errors
    /// It is not given.
    pub(super) fn name(&self) -> Result<&str, Missing> {
        let name = self.service_account_name.as_str();
        if name.is_empty() { Err(Missing::always("--service-account-name")) } else { Ok(name) }
    }

    /// # Errors
    /// It is not given.
    pub(super) fn issuer(&self) -> Result<&str, Missing> {
        self.service_account_issuer_url.as_deref().ok_or(Missing::always("--service-account-issuer-url"))
    }

    /// What role, and what for.
    ///
    /// # Errors
    /// One of the two is not given.
    pub(super) fn role(&self) -> Result<(&str, &str), Missing> {
        let missing = |flag| Missing::of(flag, Phase::RoleAssignment);
        let RoleArguments { azure_role, azure_scope, .. } = &self.role;
        let role = azure_role.as_deref().ok_or_else(|| missing("--azure-role"))?;
        Ok((role, azure_scope.as_deref().ok_or_else(|| missing("--azure-scope"))?))
    }

    /// Whether all is given that these phases of a creation need.
    ///
    /// # Errors
    /// What is not.
    pub(super) fn suffice_for(&self, phases: &[Phase]) -> Result<(), Missing> {
        for phase in phases {
            match phase {
                Phase::Identity => {}
                Phase::ServiceAccount => self.name().map(drop)?,
                Phase::FederatedIdentity => self.name().and(self.issuer()).map(drop)?,
                Phase::RoleAssignment => self.role().map(drop)?,
            }
        }
        Ok(())
    }

    /// By what the application is known, most exactly.
    ///
    /// # Errors
    /// Nothing tells.
    pub(super) fn application_key(&self) -> Result<ApplicationKey, Missing> {
        let ApplicationArguments { aad_application_object_id, aad_application_client_id, .. } = &self.application;
        if let Some(id) = aad_application_object_id {
            return Ok(ApplicationKey::ObjectId(id.clone()));
        }
        if let Some(id) = aad_application_client_id {
            return Ok(ApplicationKey::ClientId(id.clone()));
        }
        Ok(ApplicationKey::Name(self.application_name()?))
    }

    /// # Errors
    /// It has to be made of others that are missing.
    pub(super) fn application_name(&self) -> Result<String, Missing> {
        match &self.application.aad_application_name {
            Some(name) => Ok(name.clone()),
            None => Ok(names::application(&self.service_account_namespace, self.name()?, self.issuer()?)),
        }
    }

    /// Resource id of the managed identity, if it is one.
    ///
    /// # Errors
    /// The subscription is missing.
    pub(super) fn managed_identity(&self) -> Result<Option<String>, Missing> {
        let ManagedArguments { managed_identity_name, managed_identity_resource_group, .. } = &self.managed;
        let (Some(name), Some(group)) = (managed_identity_name, managed_identity_resource_group) else {
            return Ok(None);
        };
        let subscription = self.login.subscription_id.as_deref().ok_or(Missing::always("--subscription-id"))?;
        Ok(Some(format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        )))
    }
}
