//! The certificate that the API server checks: made and renewed here, or mounted.
//!
//! Made here, it lies in a Secret that all replicas share, and its authority in the `caBundle` of the webhook
//! configuration. There is no leader: whoever comes first writes, the others take what is there.

mod authority;
mod ca_bundle;
mod files;
mod keeper;
mod material;
mod pem;
mod served;

pub(crate) use self::files::follow;
pub(crate) use self::keeper::Keeper;
pub(crate) use self::served::Served;

/// The Secret, named as by azure-workload-identity, whose content is taken over.
const SECRET: &str = "azure-wi-webhook-server-cert";
/// The Service by which API servers reach us: the certificate is for its DNS name.
const SERVICE: &str = "azure-wi-webhook-webhook-service";
/// The `MutatingWebhookConfiguration` that says whom they trust.
const CONFIGURATION: &str = "azure-wi-webhook-mutating-webhook-configuration";
