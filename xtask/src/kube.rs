//! Makes the programs of a cluster, of the versions that `tests/kube-apiserver` names, in `target/kube/` and
//! `target/helm/`: those of the ecosystem, for they are what users have. Beside them, in `target/crds/`, what others define.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cargo::{cargo, root, target_directory};
use crate::clients::{self, versions};
use crate::language::Line;

const GO: Line = &["go", "version"];
/// Which versions there are.
const MODULE: &str = "tests/kube-apiserver";
const MISSING: &str = "needs Go 1.25 or newer: https://go.dev/doc/install";

/// Nobody debugs them, and what a debugger needs takes an eighth of the time.
const FLAGS: &str = "-gcflags=all=-dwarf=false";

/// One line: what several need is compiled once, and one is linked while another is compiled. Without what the linker's
/// flags say, the API server does not know its own version, and says none.
const CLUSTER: &[Line] = &[
    &[
        "env",
        "CGO_ENABLED=0",
        "nice",
        "go",
        "build",
        "-trimpath",
        FLAGS,
        "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 \
         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
        "-o",
        "./",
        "go.etcd.io/etcd/server/v3",
        "k8s.io/kubernetes/cmd/kubectl",
        "k8s.io/kubernetes/cmd/kube-apiserver",
    ],
    &["mv", "server", "etcd"],
];

/// It, too, takes a cluster that it cannot ask for one of this version.
const HELM: &[Line] = &[&[
    "env",
    "CGO_ENABLED=0",
    "nice",
    "go",
    "build",
    "-trimpath",
    FLAGS,
    "-ldflags=-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
     -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35",
    "-o",
    "./",
    "helm.sh/helm/v3/cmd/helm",
]];

const KINDS: &[Line] = &[&["sh", "fetch.sh"]];

/// What `KUBEBUILDER_ASSETS` must have.
const ASSETS: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// The error is one line: what is missing and what to type.
pub(crate) fn check() -> Result<(), String> {
    tools().map(drop)
}

/// Installs all there is to install, unless it is there already; the programs of `KUBEBUILDER_ASSETS` are taken as they are.
pub(crate) fn install() -> Result<(), String> {
    install_helm()?;
    build("crds", "tests/crds", KINDS)?;
    match given() {
        Some(directory) => look_for_assets(&directory),
        None => build("kube", MODULE, CLUSTER),
    }
}

/// Where one is missing, tests would take another in its place, or fail one by one.
fn look_for_assets(directory: &Path) -> Result<(), String> {
    match ASSETS.into_iter().find(|name| !directory.is_absolute() || !directory.join(name).is_file()) {
        None => Ok(()),
        Some(name) => Err(format!(
            "KUBEBUILDER_ASSETS is {}: it must be an absolute path, and there must be {name}",
            directory.display()
        )),
    }
}

/// Makes everything anew that is made of the chart.
pub(crate) fn chart() -> ExitCode {
    match install_helm().and_then(|()| cargo(&["run", "--quiet", "-p", "azwi-tests", "--bin", "chart"])) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn install_helm() -> Result<(), String> {
    build("helm", MODULE, HELM)
}

fn build(name: &str, source: &str, lines: &[Line]) -> Result<(), String> {
    clients::install_in(&target_directory()?.join(name), &root().join(source), &tools()?, lines)
}

fn tools() -> Result<String, String> {
    versions(&[GO]).ok_or_else(|| MISSING.to_owned())
}

/// It is by this variable that the ecosystem's tools find their API server.
#[expect(clippy::disallowed_methods, reason = "the ecosystem's convention is this variable")]
fn given() -> Option<PathBuf> {
    env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_assets_lack_is_told_by_name() {
        let told = look_for_assets(Path::new("/nowhere")).unwrap_err();
        assert!(told.contains("/nowhere") && told.contains("etcd"), "{told}");
    }
}
