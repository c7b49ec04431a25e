//! What the containers of a pod get: variables and the mount of the token's volume, each where it is not there already.

use std::fmt::Arguments;
use std::iter;

use azwi_conventions::{container, env};
use serde::Serialize;

use super::Denial;
use super::patch::Patch;
use super::pod::{Container, List, Mount, Pod};
use super::request::Request;
use super::variables::{Variable, Variables};
use super::volume::{self, NewMount, Place};

/// What there is to get.
pub(super) struct Outfit<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) variables: &'a Variables<'a>,
    /// Name of the volume with the token.
    pub(super) volume: &'a str,
}

/// The same for a container that is to be added.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fittings<'a> {
    pub(super) env: Vec<Variable<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volume_mounts: Vec<NewMount<'a>>,
}

impl<'a> Outfit<'a> {
    /// Completes the containers that are there.
    ///
    /// # Errors
    /// The patch becomes too large.
    pub(super) fn give_to_all(&self, pod: &Pod<'_>, patch: &mut Patch) -> Result<(), Denial> {
        [pod.init_containers(), pod.containers()].iter().try_for_each(|list| self.give_to_list(list, patch))
    }

    fn give_to_list(&self, list: &List<'_>, patch: &mut Patch) -> Result<(), Denial> {
        for (index, container) in list.iter().enumerate() {
            if self.request.skips(container.name()) {
                continue;
            }
            let variables: Vec<_> = self.missing_variables(container).collect();
            patch.append(format_args!("{}/{index}/env", list.path), container.env.is_some(), &variables)?;
            if self.is_federated(container.name()) {
                let mounts = container.volume_mounts.as_deref();
                self.mount(patch, mounts, format_args!("{}/{index}/volumeMounts", list.path))?;
            }
        }
        Ok(())
    }

    fn missing_variables(&self, container: &Container<'_>) -> impl Iterator<Item = Variable<'a>> {
        let federation = self.is_federated(container.name()).then(|| self.variables.missing_in(container));
        let pointer = self.pointer(container.name()).filter(|pointer| !container.sets(pointer.name));
        federation.into_iter().flatten().chain(pointer)
    }

    fn mount(&self, patch: &mut Patch, mounts: Option<&[Mount<'_>]>, at: Arguments<'_>) -> Result<(), Denial> {
        let ours = NewMount::of(self.volume);
        match volume::place_of_mount(mounts.unwrap_or_default(), self.volume) {
            Place::Settled => Ok(()),
            Place::At(index) => patch.replace(format_args!("{at}/{index}"), &ours),
            Place::Nowhere => patch.append(at, mounts.is_some(), &[ours]),
        }
    }

    /// What a container that is to be added gets, behind the variables that it has of itself.
    pub(super) fn fittings(&self, name: &str, own: impl IntoIterator<Item = Variable<'a>>) -> Fittings<'a> {
        let is_federated = self.is_federated(name) && (name == container::PROXY || !self.request.skips(name));
        let federation = is_federated.then(|| self.variables.iter()).into_iter().flatten();
        let mount = is_federated.then(|| NewMount::of(self.volume));
        Fittings { env: own.into_iter().chain(federation).collect(), volume_mounts: mount.into_iter().collect() }
    }

    /// Whether a container exchanges tokens itself.
    fn is_federated(&self, name: &str) -> bool {
        let only_the_proxy = self.request.sidecar.as_ref().is_some_and(|sidecar| sidecar.is_only_one_federated);
        !only_the_proxy || name == container::PROXY
    }

    /// Tells an app of the sidecar where nothing redirects it.
    fn pointer(&self, name: &str) -> Option<Variable<'a>> {
        let sidecar = self.request.sidecar.as_ref()?;
        let is_ours = name == container::PROXY || name == container::PROXY_INIT;
        let value = sidecar.address.as_deref().filter(|_| !is_ours)?;
        Some(Variable { name: env::AZURE_POD_IDENTITY_AUTHORITY_HOST, value })
    }

    /// Whether some container exchanges tokens without a client id of its own.
    pub(super) fn leaves_clients_open(&self, pod: &Pod<'_>) -> bool {
        let adds_proxy = self.request.sidecar.is_some() && !pod.has(container::PROXY);
        let open = |container: &Container<'_>| {
            let name = container.name();
            name != container::PROXY_INIT
                && !self.request.skips(name)
                && self.is_federated(name)
                && !container.sets(env::AZURE_CLIENT_ID)
        };
        iter::chain(pod.init_containers().iter(), pod.containers().iter()).any(open) || adds_proxy
    }
}
