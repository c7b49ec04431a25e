//! The few fields of a pod that count here, borrowed from its JSON.
//!
//! Where a field may be absent, `null` stands for that, as it does for the API server.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Denial;
use super::annotations::Annotations;

/// A string that may have to be unescaped; serde borrows a `Cow` only where it is a field.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// As far as it counts here.
#[derive(Debug, Deserialize)]
pub struct Pod<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(super) spec: Spec<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) generate_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) annotations: Option<Annotations<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    #[serde(borrow)]
    service_account_name: Option<Text<'a>>,
    pub(super) host_network: Option<bool>,
    #[serde(borrow)]
    os: Option<Os<'a>>,
    #[serde(borrow)]
    node_selector: Option<NodeSelector<'a>>,
    #[serde(borrow)]
    init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    pub(super) volumes: Option<Vec<PodVolume<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Os<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct NodeSelector<'a> {
    #[serde(borrow, rename = "kubernetes.io/os")]
    os: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    pub(super) env: Option<Vec<Variable<'a>>>,
    #[serde(borrow)]
    pub(super) volume_mounts: Option<Vec<Mount<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Variable<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mount<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default, rename = "mountPath")]
    pub(super) path: Text<'a>,
    pub(super) read_only: Option<bool>,
    #[serde(borrow)]
    pub(super) sub_path: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) sub_path_expr: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PodVolume<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    /// Read only where it is ours.
    #[serde(borrow)]
    pub(super) projected: Option<&'a RawValue>,
}

/// One of a pod's two lists of containers, and where it stands.
pub(super) struct List<'a> {
    pub(super) path: &'static str,
    pub(super) containers: Option<&'a [Container<'a>]>,
}

impl<'a> Pod<'a> {
    /// Reads its JSON.
    ///
    /// # Errors
    /// It is no pod.
    pub fn read(pod: &'a RawValue) -> Result<Self, Denial> {
        Ok(serde_json::from_str(pod.get())?)
    }

    /// The service account that it runs as, `default` if it names none.
    pub fn service_account_name(&self) -> &str {
        let name = self.spec.service_account_name.as_ref().map_or("", |name| &*name.0);
        if name.is_empty() { "default" } else { name }
    }

    pub(super) fn init_containers(&self) -> List<'_> {
        List { path: "/spec/initContainers", containers: self.spec.init_containers.as_deref() }
    }

    pub(super) fn containers(&self) -> List<'_> {
        List { path: "/spec/containers", containers: self.spec.containers.as_deref() }
    }

    /// Whether there is a container of that name, in either list: the API server lets a name stand once in both.
    pub(super) fn has(&self, container: &str) -> bool {
        self.init_containers().position(container).or(self.containers().position(container)).is_some()
    }

    /// Whether it is for a Windows node: it says so, or it asks for one.
    pub(super) fn is_for_windows(&self) -> bool {
        let os = self.spec.os.as_ref().and_then(|os| os.name.as_ref());
        let node = self.spec.node_selector.as_ref().and_then(|selector| selector.os.as_ref());
        [os, node].into_iter().flatten().any(|os| os.0 == "windows")
    }
}

impl<'a> List<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Container<'a>> + use<'a> {
        self.containers.unwrap_or_default().iter()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|container| container.name() == name)
    }
}

impl Container<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name.0
    }

    /// Whether the variable is set, to whatever value and from wherever.
    pub(super) fn sets(&self, variable: &str) -> bool {
        self.env.iter().flatten().any(|set| set.name.0 == variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_pod_runs_as_the_service_account_it_names() {
        assert_eq!(Pod::read(raw(r#"{"spec":{"serviceAccountName":"cart"}}"#)).unwrap().service_account_name(), "cart");
    }

    #[test]
    fn a_pod_that_names_none_runs_as_default() {
        for pod in
            [r#"{"spec":{}}"#, r#"{"spec":{"serviceAccountName":""}}"#, r#"{"spec":{"serviceAccountName":null}}"#]
        {
            assert_eq!(Pod::read(raw(pod)).unwrap().service_account_name(), "default", "{pod}");
        }
    }

    #[test]
    fn what_is_no_pod_is_denied() {
        for pod in ["7", "{}", r#"{"spec":{"serviceAccountName":7}}"#] {
            assert!(Pod::read(raw(pod)).unwrap_err().0.starts_with("the pod cannot be read: "), "{pod}");
        }
    }

    #[test]
    fn a_pod_that_says_windows_or_asks_for_such_a_node_is_for_windows() {
        for (spec, is_for_windows) in [
            (r#"{"os":{"name":"windows"}}"#, true),
            (r#"{"nodeSelector":{"kubernetes.io/os":"windows"}}"#, true),
            (r#"{"os":{"name":"linux"},"nodeSelector":{"kubernetes.io/os":"linux","disk":"windows"}}"#, false),
            ("{}", false),
        ] {
            let pod = format!(r#"{{"spec":{spec}}}"#);
            assert_eq!(Pod::read(raw(&pod)).unwrap().is_for_windows(), is_for_windows, "{spec}");
        }
    }
}
