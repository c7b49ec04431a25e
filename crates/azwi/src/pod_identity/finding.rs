//! What there is to know about a workload beyond what changes, in types and in sentences.

use serde::Serialize;
use thiserror::Error;

use super::plan::WorkloadId;

/// Why an `AzureIdentity` cannot be migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Unusable {
    /// Neither of the three that there are.
    #[error(
        "its type is {value}; there are 0 (user-assigned identity), 1 (service principal) and 2 (the same with a certificate)"
    )]
    Type {
        /// As JSON.
        value: String,
    },
    /// Pods would be given tokens of several tenants at once.
    #[error(
        "it has {count} auxiliary tenants, and the metadata service answers with one token: give its code a credential of its own, or an identity for each tenant"
    )]
    AuxiliaryTenants {
        /// Of them.
        count: usize,
    },
    /// Federated identity credentials live on it, and nobody could tell where.
    #[error("its resourceID {value:?} is not that of a user-assigned managed identity")]
    ResourceId {
        /// As written.
        value: String,
    },
    /// Entra could not be asked as it.
    #[error("its clientID {value:?} is not a GUID")]
    ClientId {
        /// As written.
        value: String,
    },
    /// Entra could not be asked in it.
    #[error("its tenantID {value:?} is neither a GUID nor a domain name")]
    TenantId {
        /// As written.
        value: String,
    },
    /// Nobody could let it trust a service account.
    #[error("Azure has no identity with its clientID {client_id}, or does not show it to you")]
    NotInAzure {
        /// In Kubernetes.
        client_id: String,
    },
    /// The managed identity was deleted and made again.
    #[error(
        "its clientID is {client_id}, but what has this resourceID in Azure now is {now}: correct the AzureIdentity and see that its roles were given to the new one"
    )]
    AnotherClient {
        /// In Kubernetes.
        client_id: String,
        /// In Azure.
        now: String,
    },
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Worth knowing; nothing to do.
    Note,
    /// The workload has its files, and a person must do or decide something.
    Decide,
    /// The workload cannot be migrated so: a person must change something first.
    Stop,
}

/// Something that whoever migrates a workload should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the sentence beside each says what it is")]
pub enum Finding {
    #[error("no AzureIdentityBinding has the selector {selector:?}")]
    NoBinding { selector: String },
    #[error("AzureIdentityBinding {binding} names AzureIdentity {identity}, which does not exist")]
    IdentityMissing { binding: String, identity: String },
    #[error("AzureIdentity {identity} cannot be migrated: {reason}")]
    IdentityUnusable { identity: String, reason: Unusable },
    #[error(
        "AzureIdentity {identity} has a binding for these pods, but counts only in its own namespace: they never had it"
    )]
    OutOfReach { identity: String },
    #[error("no identity is left that these pods could have")]
    NoIdentity,
    #[error(
        "it is made by {kind} {name} ({api_version}), which azwi does not know: give the pods that it makes, in its own pod template or custom resource, what stands below"
    )]
    UnknownOwner { api_version: String, kind: String, name: String },
    #[error("its pods have a controller, {kind} {name}, that is not there or may not be read")]
    OwnerMissing { kind: String, name: String },
    #[error(
        "its pods run as the service account \"default\", and azwi cannot give them another one: choose one, and run azwi again"
    )]
    DefaultAccount,
    #[error("its pods run as different service accounts: {names}")]
    SeveralAccounts { names: String },
    #[error(
        "its pods are on their nodes' network (hostNetwork), where there can be no sidecar; pod identity did not apply to them either: what they use is the node's identity"
    )]
    HostNetwork,
    #[error(
        "its pods are for Windows, where there is no sidecar: its code must use an Azure SDK that knows workload identity"
    )]
    Windows,
    #[error(
        "AzurePodIdentityException {exception} lets its pods through to the node's metadata service: they use the node's identities, which stays so when pod identity is gone"
    )]
    Excepted { exception: String },
    #[error(
        "its service account {name} is also that of {}, which has other identities, and a service account has one set for all its pods: give them different service accounts, and run azwi again",
        list(others)
    )]
    SharedAccount { name: String, others: Vec<WorkloadId> },
    #[error(
        "its service account {name} says client id {says}, and pod identity gives it {has}: decide which, and correct the other"
    )]
    OtherClient { name: String, says: String, has: String },
    #[error("the annotation {key} of its service account {name} makes no sense: {reason}")]
    BadAnnotation { name: String, key: String, reason: String },
    #[error(
        "it has {count} identities: {chosen} is what an app gets that does not say which (pod identity gave it any of them); if that is wrong, change the client id of its service account"
    )]
    SeveralIdentities { count: usize, chosen: String },
    #[error(
        "AzureIdentity {identity} is in another namespace, and is this pod's only if pod identity runs without --forceNamespaced"
    )]
    OtherNamespace { identity: String },
    #[error(
        "{identity} has {limit} federated identity credentials with those planned before this one, and can have no more: use identity bindings of AKS (azwi-rs, docs/identity-bindings.md), or fewer service accounts"
    )]
    BeyondLimit { identity: String, limit: usize },
    #[error(
        "the application {identity} has {limit} federated identity credentials with those planned before this one, and can have no more: use fewer service accounts, or a user-assigned managed identity, which can have identity bindings of AKS (azwi-rs, docs/identity-bindings.md)"
    )]
    BeyondLimitOfApplication { identity: String, limit: usize },
    #[error(
        "AzureIdentity {identity} uses {authority}: the webhook must have the cloud that it belongs to as AZURE_ENVIRONMENT"
    )]
    Authority { identity: String, authority: String },
    #[error("container {container} has the port {port}, as the sidecar would: choose another one with --proxy-port")]
    PortTaken { container: String, port: u16 },
    #[error(
        "namespace {namespace} enforces the Pod Security Standard {level:?}, which forbids NET_ADMIN and so the redirect: relax it, or set azure.workload.identity/proxy-redirect: none on the pods if their SDKs allow (azwi-rs, docs/no-redirect.md)"
    )]
    PodSecurity { namespace: String, level: String },
    #[error("a {kind} cannot be changed: delete it and create it again with the patch")]
    Recreate { kind: String },
    #[error("its pods are not replaced by themselves: delete them when the patch is there")]
    DeletePods,
    #[error("it gets a service account of its own, {name}, in place of \"default\"")]
    NewAccount { name: String },
    #[error("it gets the service account {name} in place of \"default\", to which {} {}: if it uses that, bind {name}, too", bindings.join(", "), if bindings.len() == 1 { "binds roles" } else { "bind roles" })]
    RolesOfDefault { name: String, bindings: Vec<String> },
    #[error(
        "its service account {name} is also that of {}, to which this plan gives no identity: with the federated identity credential it could get tokens, too",
        list(others)
    )]
    AlsoUsedBy { name: String, others: Vec<WorkloadId> },
    #[error("the secret {secret} of AzureIdentity {identity} is no longer needed when all its pods are migrated")]
    SecretIdle { identity: String, secret: String },
    #[error("it is managed by {manager}, which would undo the patch: put it there")]
    ManagedBy { manager: String },
    #[error(
        "it says inject-proxy-sidecar: \"{value}\", which is left as it is: its code must use an Azure SDK that knows workload identity"
    )]
    NoSidecar { value: String },
    #[error(
        "object ids are not in the identity map, for Azure was not asked about {identity}: an app that chooses by object id needs it there"
    )]
    ObjectIdUnknown { identity: String },
}

impl Finding {
    /// How much it matters.
    pub fn weight(&self) -> Weight {
        match self {
            Self::NoIdentity
            | Self::OwnerMissing { .. }
            | Self::DefaultAccount
            | Self::SeveralAccounts { .. }
            | Self::HostNetwork
            | Self::Windows
            | Self::SharedAccount { .. }
            | Self::OtherClient { .. }
            | Self::BadAnnotation { .. } => Weight::Stop,
            Self::UnknownOwner { .. }
            | Self::NoBinding { .. }
            | Self::IdentityMissing { .. }
            | Self::IdentityUnusable { .. }
            | Self::SeveralIdentities { .. }
            | Self::OtherNamespace { .. }
            | Self::BeyondLimit { .. }
            | Self::BeyondLimitOfApplication { .. }
            | Self::Authority { .. }
            | Self::PortTaken { .. }
            | Self::PodSecurity { .. }
            | Self::Recreate { .. }
            | Self::DeletePods
            | Self::RolesOfDefault { .. }
            | Self::ManagedBy { .. } => Weight::Decide,
            Self::NewAccount { .. }
            | Self::OutOfReach { .. }
            | Self::Excepted { .. }
            | Self::AlsoUsedBy { .. }
            | Self::SecretIdle { .. }
            | Self::NoSidecar { .. }
            | Self::ObjectIdUnknown { .. } => Weight::Note,
        }
    }
}

fn list(workloads: &[WorkloadId]) -> String {
    workloads.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
