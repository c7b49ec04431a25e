//! Environment variables that only the webhook reads, as azure-workload-identity spells them.

/// The cloud, by the name that Azure's SDK for Go has for it.
pub(crate) const AZURE_ENVIRONMENT: &str = "AZURE_ENVIRONMENT";
/// The sidecar's image.
pub(crate) const PROXY_IMAGE: &str = "PROXY_IMAGE";
/// The image of the container that redirects to it.
pub(crate) const PROXY_INIT_IMAGE: &str = "PROXY_INIT_IMAGE";
/// The namespace that the webhook runs in.
pub(crate) const POD_NAMESPACE: &str = "POD_NAMESPACE";
/// A `ConfigMap` of the pod's namespace, whose `ca.crt` vouches for the token proxy.
pub(crate) const AZURE_KUBERNETES_CA_CONFIGMAP_NAME: &str = "AZURE_KUBERNETES_CA_CONFIGMAP_NAME";
/// The signer whose `ClusterTrustBundle` objects vouch for it.
pub(crate) const AZURE_KUBERNETES_CA_CTB_SIGNER_NAME: &str = "AZURE_KUBERNETES_CA_CTB_SIGNER_NAME";
/// Which of them: a label selector as JSON.
pub(crate) const AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR: &str = "AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR";
