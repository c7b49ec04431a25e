//! `nf_tables` over nfnetlink: a transaction, of which all messages take effect or none, and a look at what is there.
//!
//! Knows the envelope only; what a table or a rule looks like is the caller's business.

use std::io::{self, ErrorKind};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

/// The subsystem that a batch is for: `NFNL_SUBSYS_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const NFTABLES: u16 = 10;

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The kernel said no; nothing has changed.
    #[error(transparent)]
    Refused(io::Error),
    /// The kernel said something that nfnetlink does not say.
    #[error("the kernel's answer to an nf_tables transaction makes no sense: {0}")]
    Nonsense(String),
}

/// A message of a transaction, and the netlink flags that it needs beside request and acknowledgement.
pub(crate) type Step = (NfTablesMessage, u16);

/// Sends the steps (of family `ip`) as one transaction.
pub(crate) fn transact(steps: Vec<Step>) -> Result<(), Error> {
    let expected = steps.len();
    let socket = send(&batch(steps)).map_err(Error::Refused)?;
    // The kernel has queued its answers before send returns; there is nothing to wait for.
    socket.set_non_blocking(true).map_err(Error::Refused)?;
    let acknowledged = acknowledgements(&socket)?;
    if acknowledged == expected {
        Ok(())
    } else {
        Err(Error::Nonsense(format!("{acknowledged} of {expected} messages acknowledged")))
    }
}

/// All that the kernel answers to a request (of family `ip`) for a list.
pub(crate) fn list(request: NfTablesMessage) -> Result<Vec<NfTablesMessage>, Error> {
    let request = message(0, NetfilterProtoFamily::IPv4, request, NLM_F_REQUEST | NLM_F_DUMP);
    let socket = send(&serialize((request, 1))).map_err(Error::Refused)?;
    let mut listed = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full().map_err(Error::Refused)?;
        for part in split(&datagram)? {
            match part.payload {
                NetlinkPayload::Done(_) => return Ok(listed),
                NetlinkPayload::InnerMessage(NetfilterMessage {
                    inner: NetfilterMessageInner::NfTables(answer),
                    ..
                }) => {
                    listed.push(answer);
                }
                NetlinkPayload::Error(error) => return Err(Error::Refused(error.to_io())),
                other => return Err(Error::Nonsense(format!("{other:?}"))),
            }
        }
    }
}

/// The messages of a datagram, each at a multiple of four bytes.
fn split(mut datagram: &[u8]) -> Result<Vec<NetlinkMessage<NetfilterMessage>>, Error> {
    let mut parts = Vec::new();
    while !datagram.is_empty() {
        let part = deserialize(datagram)?;
        let length = usize::try_from(part.header.length).map_or(0, |length| length.next_multiple_of(4)).max(4);
        datagram = datagram.get(length..).unwrap_or_default();
        parts.push(part);
    }
    Ok(parts)
}

fn send(message: &[u8]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(message, &SocketAddr::new(0, 0), 0)?;
    Ok(socket)
}

fn batch(steps: Vec<Step>) -> Vec<u8> {
    let begin = message(NFTABLES, NetfilterProtoFamily::Unspec, ControlMessage::BatchBegin, NLM_F_REQUEST);
    let end = message(NFTABLES, NetfilterProtoFamily::Unspec, ControlMessage::BatchEnd, NLM_F_REQUEST);
    let steps = steps
        .into_iter()
        .map(|(step, flags)| message(0, NetfilterProtoFamily::IPv4, step, NLM_F_REQUEST | NLM_F_ACK | flags));
    std::iter::once(begin).chain(steps).chain([end]).zip(1..).flat_map(serialize).collect()
}

fn message(
    res_id: u16,
    family: NetfilterProtoFamily,
    inner: impl Into<NetfilterMessageInner>,
    flags: u16,
) -> NetlinkMessage<NetfilterMessage> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    NetlinkMessage::new(header, NetfilterMessage::new(NetfilterHeader::new(family, 0, res_id), inner).into())
}

fn serialize((mut message, sequence): (NetlinkMessage<NetfilterMessage>, u32)) -> Vec<u8> {
    message.header.sequence_number = sequence;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn acknowledgements(socket: &Socket) -> Result<usize, Error> {
    let mut count = 0;
    loop {
        match socket.recv_from_full() {
            Ok((answer, _)) => check(&answer)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
            Err(error) => return Err(Error::Refused(error)),
        }
        count += 1;
    }
}

fn check(answer: &[u8]) -> Result<(), Error> {
    match deserialize(answer)?.payload {
        NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
        NetlinkPayload::Error(error) => Err(Error::Refused(error.to_io())),
        other => Err(Error::Nonsense(format!("{other:?}"))),
    }
}

fn deserialize(bytes: &[u8]) -> Result<NetlinkMessage<NetfilterMessage>, Error> {
    NetlinkMessage::deserialize(bytes).map_err(|error| Error::Nonsense(error.to_string()))
}
