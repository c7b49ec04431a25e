//! Makes the programs of a cluster, of the versions that `tests/kube-apiserver` names, in `target/kube/` and
//! `target/helm/`: those of the ecosystem, for they are what users have.

use std::env;
use std::process::ExitCode;

use crate::cargo::{cargo, root, target_directory};
use crate::clients::{self, versions};
use crate::language::Line;

const GO: Line = &["go", "version"];
const MISSING: &str = "needs Go 1.25 or newer: https://go.dev/doc/install";

/// Without what the flags say, the API server does not know its own version, and says none.
const CLUSTER: &[Line] = &[
    &["env", "CGO_ENABLED=0", "nice", "go", "build", "-trimpath", "-o", "etcd", "go.etcd.io/etcd/server/v3"],
    &["env", "CGO_ENABLED=0", "nice", "go", "build", "-trimpath", "-o", "kubectl", "k8s.io/kubernetes/cmd/kubectl"],
    &[
        "env",
        "CGO_ENABLED=0",
        "nice",
        "go",
        "build",
        "-trimpath",
        "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 \
         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
        "-o",
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
    ],
];

/// It, too, takes a cluster that it cannot ask for one of this version.
const HELM: &[Line] = &[&[
    "env",
    "CGO_ENABLED=0",
    "nice",
    "go",
    "build",
    "-trimpath",
    "-ldflags=-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
     -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35",
    "-o",
    "helm",
    "helm.sh/helm/v3/cmd/helm",
]];

/// The error is one line: what is missing and what to type.
pub(crate) fn check() -> Result<(), String> {
    tools().map(drop)
}

/// Installs all programs, unless they are there already; those of `KUBEBUILDER_ASSETS` are taken as they are.
pub(crate) fn install() -> Result<(), String> {
    install_helm()?;
    if are_given() { Ok(()) } else { build("kube", CLUSTER) }
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
    build("helm", HELM)
}

fn build(name: &str, lines: &[Line]) -> Result<(), String> {
    clients::install_in(&target_directory()?.join(name), &root().join("tests/kube-apiserver"), &tools()?, lines)
}

fn tools() -> Result<String, String> {
    versions(&[GO]).ok_or_else(|| MISSING.to_owned())
}

/// It is by this variable that the ecosystem's tools find their API server.
#[expect(clippy::disallowed_methods, reason = "the ecosystem's convention is this variable")]
fn are_given() -> bool {
    env::var_os("KUBEBUILDER_ASSETS").is_some()
}
