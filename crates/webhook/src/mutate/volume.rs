//! The volume with the service account token, and how containers mount it.
//!
//! A pod that was copied from a mutated one keeps that one's volume under the other pod's name: two cannot be mounted at
//! the same path.

use std::borrow::Cow;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use azwi_conventions::volume::{MOUNT_PATH, NAME_PREFIX};
use serde::Serialize;

use super::patch::Patch;
use super::pod::{Metadata, Mount, Pod, PodVolume};
use super::projection::Projected;
use super::request::Request;
use super::{Denial, Settings};

/// Bytes of the digest that fit into a name of 63 characters, the longest (RFC 1123).
const DIGEST: usize = (63 - NAME_PREFIX.len()) / 2;

/// The volume with the token: where it is, or where it is to be.
pub(super) struct Volume<'a> {
    name: Cow<'a, str>,
    there: Option<(usize, &'a PodVolume<'a>)>,
    /// Whether the pod has volumes at all.
    others: bool,
}

#[derive(Serialize)]
struct NewVolume<'a> {
    name: &'a str,
    projected: Projected<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewMount<'a> {
    name: &'a str,
    mount_path: &'static str,
    read_only: bool,
}

impl<'a> Volume<'a> {
    pub(super) fn of(pod: &'a Pod<'a>) -> Self {
        let own = name_for(&pod.metadata);
        let volumes = pod.spec.volumes.as_deref();
        let of = |wanted: &dyn Fn(&PodVolume<'_>) -> bool| {
            volumes.unwrap_or_default().iter().enumerate().find(|(_, volume)| wanted(volume))
        };
        let there = of(&|volume| volume.name.0 == own)
            .or_else(|| of(&|volume| is_reserved(&volume.name.0) && volume.projected.is_some()));
        let name = there.map_or(Cow::Owned(own), |(_, volume)| Cow::Borrowed(&*volume.name.0));
        Self { name, there, others: volumes.is_some() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds it, or puts what it is to hold in the place of what it holds.
    ///
    /// # Errors
    /// The settings' label selector is none, or the patch becomes too large.
    pub(super) fn project(&self, request: &Request<'_>, settings: &Settings, patch: &mut Patch) -> Result<(), Denial> {
        const PATH: &str = "/spec/volumes";
        let volume = NewVolume { name: &self.name, projected: Projected::new(request, settings)? };
        match self.there {
            None => patch.append(PATH, self.others, &[volume]),
            Some((_, there)) if holds(there, &volume.projected) => Ok(()),
            Some((index, _)) => patch.replace(format_args!("{PATH}/{index}"), &volume),
        }
    }
}

fn holds(volume: &PodVolume<'_>, wanted: &Projected<'_>) -> bool {
    let projected = volume.projected.and_then(|projected| serde_json::from_str::<Projected<'_>>(projected.get()).ok());
    projected.is_some_and(|projected| projected == *wanted)
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(NAME_PREFIX)
}

/// As azure-workload-identity's webhook names it, so that a pod that one has mutated is known again.
fn name_for(metadata: &Metadata<'_>) -> String {
    let name = metadata.name.as_ref().filter(|name| !name.0.is_empty());
    let pod = name.map_or_else(
        || format!("{} (prefix)", metadata.generate_name.as_ref().map_or("", |prefix| &prefix.0)).into(),
        |name| Cow::Borrowed(&*name.0),
    );
    let mut volume = String::from(NAME_PREFIX);
    for byte in digest(&SHA256, pod.as_bytes()).as_ref().iter().take(DIGEST) {
        // Cannot fail: a string takes everything.
        let _ = write!(volume, "{byte:02x}");
    }
    volume
}

impl<'a> NewMount<'a> {
    pub(super) fn of(volume: &'a str) -> Self {
        Self { name: volume, mount_path: MOUNT_PATH, read_only: true }
    }
}

/// Where a container mounts the volume.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing is to be done: it does, or has something of its own at the path.
    Settled,
    /// In the wrong way, at this index.
    At(usize),
    Nowhere,
}

pub(super) fn place_of_mount(mounts: &[Mount<'_>], volume: &str) -> Place {
    let at_path = mounts.iter().position(|mount| mount.path.0.trim_end_matches('/') == MOUNT_PATH);
    let of_volume = || mounts.iter().position(|mount| mount.name.0 == volume);
    match at_path.and_then(|index| Some((index, mounts.get(index)?))) {
        Some((_, mount)) if !is_reserved(&mount.name.0) || is_good(mount, volume) => Place::Settled,
        Some((index, _)) => Place::At(index),
        None => of_volume().map_or(Place::Nowhere, Place::At),
    }
}

fn is_good(mount: &Mount<'_>, volume: &str) -> bool {
    let parts = [&mount.sub_path, &mount.sub_path_expr];
    let is_whole = parts.into_iter().flatten().all(|part| part.0.is_empty());
    mount.name.0 == volume && mount.read_only == Some(true) && is_whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "azure-workload-identity-reserved-a";

    fn name(metadata: &str) -> String {
        name_for(&serde_json::from_str(metadata).unwrap())
    }

    fn place(mounts: &str) -> Place {
        place_of_mount(&serde_json::from_str::<Vec<Mount<'_>>>(mounts).unwrap(), OURS)
    }

    #[test]
    fn the_name_is_the_prefix_and_a_digest_of_the_pods_name_in_63_characters() {
        // printf cart | sha256sum
        let cart = "azure-workload-identity-reserved-1c42ddc0285b9c25135be3bf345e6a";
        assert_eq!(name(r#"{"name":"cart","generateName":"other-"}"#), cart);
    }

    #[test]
    fn a_pod_without_a_name_yet_is_named_by_its_prefix() {
        // printf 'cart- (prefix)' | sha256sum
        let cart = "azure-workload-identity-reserved-fc2b14c48c31f74cf0aafd10da5d36";
        assert_eq!(name(r#"{"generateName":"cart-"}"#), cart);
        assert_eq!(name(r#"{"name":"","generateName":"cart-"}"#), cart);
    }

    #[test]
    fn the_mount_belongs_read_only_and_whole_at_its_path() {
        let mount = |more: &str| format!(r#"[{{"name":"{OURS}","mountPath":"/var/run/secrets/azure/wi"{more}}}]"#);
        assert_eq!(place("[]"), Place::Nowhere);
        assert_eq!(place(&mount(r#","readOnly":true"#)), Place::Settled);
        assert_eq!(place(&mount(r#","readOnly":true,"subPath":"""#)), Place::Settled);
        assert_eq!(place(&mount("")), Place::At(0));
        assert_eq!(place(&mount(r#","readOnly":true,"subPath":"token""#)), Place::At(0));
    }

    #[test]
    fn a_mount_of_the_volume_elsewhere_is_moved() {
        let mounts = format!(r#"[{{"name":"data","mountPath":"/data"}},{{"name":"{OURS}","mountPath":"/elsewhere"}}]"#);
        assert_eq!(place(&mounts), Place::At(1));
    }

    #[test]
    fn a_mount_of_another_pods_volume_that_is_not_here_is_replaced() {
        let mounts = r#"[{"name":"azure-workload-identity-reserved-b","mountPath":"/var/run/secrets/azure/wi"}]"#;
        assert_eq!(place(mounts), Place::At(0));
    }

    #[test]
    fn what_somebody_mounts_at_the_path_by_hand_stays() {
        for path in ["/var/run/secrets/azure/wi", "/var/run/secrets/azure/wi/"] {
            assert_eq!(place(&format!(r#"[{{"name":"mine","mountPath":"{path}"}}]"#)), Place::Settled);
        }
    }
}
