//! The redirect in a pod of a service mesh, whose own init container was there first. Each mesh is also tried without the
//! redirect, to show that it would have captured what it is not to capture.

use anyhow::{Context as _, Result};
use azwi_tests::namespace::As;
use azwi_tests::packet_filter::{FLAVOURS, Filtered};
use azwi_tests::probe::{Listener, who_answers};

const METADATA: &str = "169.254.169.254:80";
const ELSEWHERE: &str = "198.51.100.7:443";

struct Mesh {
    name: &'static str,
    /// Where its own proxy takes what leaves the pod.
    outbound: &'static str,
    /// For `iptables-restore --noflush`.
    rules: &'static str,
}

/// What istio-init sets up in a pod for REDIRECT interception (`istio-iptables`, Istio 1.2x).
const ISTIO: Mesh = Mesh {
    name: "istio",
    outbound: "127.0.0.1:15001",
    rules: "\
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_REDIRECT - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
",
};

/// What Linkerd's proxy-init sets up (`linkerd2-proxy-init`, version 2).
const LINKERD: Mesh = Mesh {
    name: "linkerd",
    outbound: "127.0.0.1:4140",
    rules: "\
*nat
:PROXY_INIT_REDIRECT - [0:0]
:PROXY_INIT_OUTPUT - [0:0]
-A PROXY_INIT_REDIRECT -p tcp --match multiport --dports 4190,4191 -j RETURN -m comment --comment proxy-init/ignore-port
-A PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-port 4143 -m comment --comment proxy-init/redirect-all-incoming
-A PREROUTING -j PROXY_INIT_REDIRECT -m comment --comment proxy-init/install-proxy-init-prerouting
-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN -m comment --comment proxy-init/ignore-proxy-user-id
-A PROXY_INIT_OUTPUT -o lo -j RETURN -m comment --comment proxy-init/ignore-loopback
-A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-port 4140 -m comment --comment proxy-init/redirect-all-outgoing
-A OUTPUT -j PROXY_INIT_OUTPUT -m comment --comment proxy-init/install-proxy-init-output
COMMIT
",
};

/// A pod with the mesh's rules in a flavour of iptables, and with the mesh's proxy and ours.
fn meshed(mesh: &Mesh, flavour: &str) -> Result<(Filtered, [Listener; 1])> {
    let pod = Filtered::as_pod()?;
    pod.feed(&format!("{flavour}-restore"), "--noflush", mesh.rules)?;
    let outbound = Listener::start(&pod.namespace, As::Root, mesh.outbound, mesh.name)?;
    Ok((pod, [outbound]))
}

/// Tries every mesh in every flavour.
fn everywhere(expect: impl Fn(&Mesh, &str) -> Result<()>) -> Result<()> {
    for mesh in [ISTIO, LINKERD] {
        for flavour in FLAVOURS {
            expect(&mesh, flavour).with_context(|| format!("{} in {flavour}", mesh.name))?;
        }
    }
    Ok(())
}

#[test]
fn a_mesh_alone_captures_what_apps_ask_of_the_metadata_service() -> Result<()> {
    everywhere(|mesh, flavour| {
        let (pod, _mesh) = meshed(mesh, flavour)?;
        assert_eq!(who_answers(&pod.namespace, As::Uid(1000), METADATA)?, mesh.name);
        Ok(())
    })
}

#[test]
fn beside_a_mesh_apps_reach_the_sidecar_for_tokens_and_the_mesh_for_all_else() -> Result<()> {
    for backend in ["nftables", "iptables"] {
        everywhere(|mesh, flavour| {
            let (pod, _mesh) = meshed(mesh, flavour)?;
            pod.redirect(&[&format!("--backend={backend}")]).context(backend)?;
            let _proxy = Listener::start(&pod.namespace, As::Uid(1501), "127.0.0.1:8000", "proxy")?;
            assert_eq!(who_answers(&pod.namespace, As::Uid(1000), METADATA)?, "proxy", "{backend}");
            assert_eq!(who_answers(&pod.namespace, As::Uid(1000), ELSEWHERE)?, mesh.name, "{backend}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_mesh_s_own_rules_stay_as_they_were_and_ours_go_again() -> Result<()> {
    everywhere(|mesh, flavour| {
        let (pod, _mesh) = meshed(mesh, flavour)?;
        let before = pod.rules(flavour)?;
        let backend = pod.redirect(&["--backend=iptables"])?["backend"].clone();
        assert_eq!(backend, flavour, "the rules went where the mesh's are not");
        let (ours, others): (Vec<_>, Vec<_>) =
            pod.rules(flavour)?.into_iter().partition(|rule| rule.contains("AZWI_PROXY"));
        assert_eq!((ours.len(), &others), (6, &before));
        pod.redirect(&["--remove"])?;
        assert_eq!(pod.rules(flavour)?, before);
        Ok(())
    })
}

#[test]
fn a_mesh_that_comes_later_captures_no_requests_for_tokens_either() -> Result<()> {
    for backend in ["nftables", "iptables"] {
        let pod = Filtered::as_pod()?;
        pod.redirect(&[&format!("--backend={backend}")])?;
        pod.feed("iptables-nft-restore", "--noflush", LINKERD.rules)?;
        let _mesh = Listener::start(&pod.namespace, As::Root, LINKERD.outbound, LINKERD.name)?;
        let _proxy = Listener::start(&pod.namespace, As::Uid(1501), "127.0.0.1:8000", "proxy")?;
        assert_eq!(who_answers(&pod.namespace, As::Uid(1000), METADATA)?, "proxy", "{backend}");
    }
    Ok(())
}
