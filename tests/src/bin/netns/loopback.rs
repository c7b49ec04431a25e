//! Brings `lo` up and gives it the metadata address, through rtnetlink(7).
//!
//! An address on `lo` is enough for a redirection in nat OUTPUT to be seen; a route alone is not.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;

/// Where every cloud's metadata service answers (RFC 3927 link-local).
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Expects a network namespace of our own, just made.
pub(crate) fn set_up() -> anyhow::Result<()> {
    let index = if_nametoindex("lo").context("there is no lo")?;
    ask(RouteNetlinkMessage::SetLink(up(index)), 0).context("cannot bring lo up")?;
    ask(RouteNetlinkMessage::NewAddress(metadata(index)), NLM_F_CREATE | NLM_F_EXCL)
        .with_context(|| format!("cannot give lo the address {METADATA}"))
}

fn up(index: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link
}

fn metadata(index: u32) -> AddressMessage {
    let mut address = AddressMessage::default();
    address.header.family = AddressFamily::Inet;
    address.header.prefix_len = 32;
    address.header.index = index;
    address.attributes = vec![AddressAttribute::Local(METADATA.into()), AddressAttribute::Address(METADATA.into())];
    address
}

fn ask(request: RouteNetlinkMessage, flags: u16) -> anyhow::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(error.to_io().into()),
        other => bail!("unexpected answer {other:?}"),
    }
}
