//! From AAD Pod Identity to workload identity: (objects of a cluster, what Azure says of its identities, settings) → a plan,
//! and the plan as files.
//!
//! [`plan()`] is pure: no network, no clock, and the same plan of the same cluster, byte for byte. [`output`] writes its
//! files, [`detect`] and [`migrate`] are the commands. What pods get follows the rules of pod identity's own
//! controller and agent; what is written is what azwi-webhook reads.

use std::collections::BTreeSet;
use std::io::Write;

use clap::Subcommand;
use serde_json::Value;

mod account;
mod azure;
mod case;
mod cleanup;
mod cluster;
mod commands;
pub mod detect;
mod directory;
mod error;
mod federation;
mod files;
mod finding;
mod identity;
mod identity_map;
mod installation;
mod live;
mod manifest;
mod markdown;
pub mod migrate;
mod name;
mod object;
mod obstacle;
pub mod output;
mod plan;
mod report;
mod resource_id;
mod settings;
mod source;
mod workload;

pub use error::Error;
pub use files::{Files, RenderError};
pub use finding::{Finding, Unusable, Weight};
pub use plan::{
    AccountPlan, Change, Credential, CredentialState, Exception, IdentityPlan, MAX_CREDENTIALS, Outcome, Plan,
    Principal, Unused, WorkloadId, WorkloadPlan,
};
pub use resource_id::ResourceId;
pub use settings::{Issuer, IssuerError, Settings};

use azure::Azure;
use case::Case;
use directory::Directory;
use object::Object;
use workload::Workload;

/// `azwi podidentity`.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Write what it takes to bring workloads over from pod identity: patches, service accounts, credentials, a report
    Detect(detect::Arguments),
    /// Bring workloads over from pod identity, step by step
    Migrate(migrate::Arguments),
}

/// Does what one of them is for.
///
/// # Errors
/// As [`detect::run`] and [`migrate::run`].
pub async fn run(
    command: &Command,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<(), Error> {
    match command {
        Command::Detect(arguments) => detect::run(arguments, lookup, out).await,
        Command::Migrate(arguments) => migrate::run(arguments, lookup, out).await,
    }
}

/// Plans the migration of what is among `objects`.
///
/// `objects` are Kubernetes' as JSON, or `List`s of them, each with `apiVersion` and `kind`: those of the group
/// `aadpodidentity.k8s.io`; pods and all that makes them; service accounts. Namespaces, role bindings and pod identity's own
/// pods make the plan tell more. Whatever else is there is not looked at.
///
/// `azure` are managed identities and their federated identity credentials as Resource Manager or `az` prints them, and
/// applications as Graph does. What has `federatedIdentityCredentials` in it has all of them there. Without them the plan
/// lacks object ids, and plans credentials that may be there.
pub fn plan(objects: &[Value], azure: &[Value], settings: &Settings) -> Plan {
    let (objects, azure) = (Object::all(objects), Azure::read(azure));
    let directory = Directory::read(&objects, &azure);
    let workloads = workload::collect(&objects);
    let mut cases: Vec<_> =
        workloads.iter().filter_map(|workload| Case::of(workload, &directory, &objects, settings)).collect();
    let service_accounts = account::plan(&mut cases, &workloads, &objects, settings);
    let identities = federation::plan(&mut cases, &service_accounts, &azure, settings);
    Plan {
        workloads: cases.into_iter().map(|case| case.finish(settings)).collect(),
        service_accounts,
        identities,
        exceptions: exceptions(&directory, &workloads),
        unused: unused(&directory, &workloads),
        made_by_aks: made_by_aks(&directory),
    }
}

fn exceptions(directory: &Directory<'_>, workloads: &[Workload<'_>]) -> Vec<Exception> {
    let of = |exception: Object<'_>| {
        let fits = |workload: &&Workload<'_>| directory::excepts(exception, &workload.id.namespace, &workload.labels());
        let workloads = workloads.iter().filter(fits).map(|workload| workload.id.clone()).collect();
        Exception { namespace: exception.namespace().to_owned(), name: exception.name().to_owned(), workloads }
    };
    directory.exceptions().iter().copied().map(of).collect()
}

fn unused(directory: &Directory<'_>, workloads: &[Workload<'_>]) -> Vec<Unused> {
    let selectors: BTreeSet<&str> = workloads.iter().flat_map(Workload::selectors).collect();
    let unused = directory.unused(&selectors).into_iter();
    let unused = unused.map(|(object, reason)| {
        let [kind, namespace, name] = [object.kind(), object.namespace(), object.name()].map(str::to_owned);
        Unused { kind, namespace, name, unusable: reason.cloned() }
    });
    unused.collect()
}

fn made_by_aks(directory: &Directory<'_>) -> Vec<String> {
    let objects = directory.objects().filter(|object| installation::is_of_aks(*object));
    objects.map(|object| format!("{} {}", object.kind(), directory::full_name(object))).collect()
}
