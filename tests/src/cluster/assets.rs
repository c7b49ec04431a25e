//! Where the programs of a cluster are: in `KUBEBUILDER_ASSETS`, as the ecosystem has it, or built from
//! `tests/kube-apiserver`. Builds nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Path of `etcd`, `kube-apiserver`, `kubectl` or `helm`.
///
/// # Errors
/// If it is not there; the error says what builds it.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let caller = env::current_exe().context("cannot tell which executable this is")?;
    let places = caller.ancestors().flat_map(|directory| ["kube", "helm"].map(|place| directory.join(place)));
    let found = given(name).into_iter().chain(places.map(|place| place.join(name))).find(|path| path.is_file());
    found.with_context(|| format!("no `{name}`: `cargo xtask e2e kube` builds it"))
}

/// A directory that is made for the same tests, such as `crds`: definitions of objects of others.
///
/// # Errors
/// As [`program`].
pub fn directory_of(name: &str) -> anyhow::Result<PathBuf> {
    let caller = env::current_exe().context("cannot tell which executable this is")?;
    let found = caller.ancestors().map(|directory| directory.join(name)).find(|path| path.is_dir());
    found.with_context(|| format!("no `{name}`: `cargo xtask e2e kube` makes it"))
}

#[expect(clippy::disallowed_methods, reason = "the ecosystem's convention is this variable")]
fn given(name: &str) -> Option<PathBuf> {
    env::var_os("KUBEBUILDER_ASSETS").map(|directory| Path::new(&directory).join(name))
}
