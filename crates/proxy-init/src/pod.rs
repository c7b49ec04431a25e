//! What kind of network this is: refuses the node's own, and pods that have no way to the metadata address.
//!
//! Only looks. Nothing has been changed when it refuses.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;

/// The kernel shows it in the initial network namespace only (`net_core_table` of `net/core/sysctl_net_core.c`). To
/// compare with process 1, as is often done, tells nothing in a container, which has a process 1 of its own.
const ONLY_ON_THE_NODE: &str = "/proc/sys/net/core/netdev_budget";

/// The kernel shows it in every network namespace (`netns_core_table`, same file): without it, the absence of the other
/// tells nothing.
const EVERYWHERE: &str = "/proc/sys/net/core/somaxconn";

/// Why nothing can be redirected here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "this is the node's own network (hostNetwork: true?), where a redirect would capture what everybody on the node \
         asks of the metadata service: give the pod a network of its own, or, where pods are virtual machines, say \
         --allow-host-network"
    )]
    NodesNetwork,
    #[error(
        "cannot tell whether this is the node's own network, for {EVERYWHERE}, which every network has, is not to be seen: \
         mount /proc as container runtimes do, or, where this is no node's network for sure, say --allow-host-network"
    )]
    Unknown,
    #[error(
        "this pod has IPv6 only, and the metadata service at {0} answers on IPv4 only, so that there is nothing to \
         redirect: give the pod IPv4 too (dual stack), or let the app reach the proxy without a redirect"
    )]
    Ipv6Only(SocketAddrV4),
    #[error("this pod has no route to {0}, so that nothing can be redirected from there: {1}")]
    NoRoute(SocketAddrV4, io::Error),
}

/// Whether this is a pod's network rather than the node's.
pub(crate) fn refuse_node() -> Result<(), Error> {
    let shows = |file| Path::new(file).exists();
    match (shows(ONLY_ON_THE_NODE), shows(EVERYWHERE)) {
        (true, _) => Err(Error::NodesNetwork),
        (false, false) => Err(Error::Unknown),
        (false, true) => Ok(()),
    }
}

/// Whether a connection to the metadata address gets as far as the packet filter.
pub(crate) fn require_route(metadata: SocketAddrV4) -> Result<(), Error> {
    // For a datagram socket to connect is to look up the route; nothing is sent.
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(metadata));
    match route {
        Err(error) if error.kind() == io::ErrorKind::NetworkUnreachable => Err(without_route(metadata, error)),
        // Whatever else is wrong, the verification tells better.
        _ => Ok(()),
    }
}

fn without_route(metadata: SocketAddrV4, error: io::Error) -> Error {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    if has_route(&read("/proc/net/route")) || !has_global_address(&read("/proc/net/if_inet6")) {
        return Error::NoRoute(metadata, error);
    }
    Error::Ipv6Only(metadata)
}

/// A line for each IPv4 route below the heading.
fn has_route(table: &str) -> bool {
    table.lines().nth(1).is_some()
}

/// Each IPv6 address with its index, length of prefix, scope and flags; scope 00 is global.
fn has_global_address(table: &str) -> bool {
    table.lines().any(|line| line.split_whitespace().nth(3) == Some("00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";
    const LINK_LOCAL: &str = "fe800000000000000042acfffe110002 0b 40 20 80     eth0\n";
    const GLOBAL: &str = "fd000000000000000000000000000002 0b 40 00 80     eth0\n";

    #[test]
    fn loopback_and_link_local_addresses_do_not_make_a_pod_ipv6_only() {
        assert!(!has_global_address(&[LOOPBACK, LINK_LOCAL].concat()));
        assert!(has_global_address(&[LOOPBACK, LINK_LOCAL, GLOBAL].concat()));
    }

    #[test]
    fn the_heading_of_the_routes_is_no_route() {
        const HEADING: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        assert!(!has_route(HEADING));
        assert!(has_route(&format!("{HEADING}eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")));
    }
}
