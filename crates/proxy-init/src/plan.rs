//! What is to be redirected where, whoever does it.

use std::net::SocketAddrV4;

/// TCP that leaves this network namespace for `metadata` goes to `proxy_port` on loopback instead, unless a process
/// of `proxy_uid` sent it: the proxy itself must still reach the real metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) metadata: SocketAddrV4,
    pub(crate) proxy_port: u16,
    pub(crate) proxy_uid: u32,
}
