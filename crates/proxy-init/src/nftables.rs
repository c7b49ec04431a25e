//! The redirect as an `nf_tables` table of its own, `ip azwi_proxy`, spoken to the kernel without any program.
//!
//! `nft list ruleset` shows it as
//!
//! ```text
//! table ip azwi_proxy {
//!     chain output {
//!         type nat hook output priority -101; policy accept;
//!         ip daddr 169.254.169.254 tcp dport 80 meta skuid 1501 return comment "the azwi proxy itself"
//!         ip daddr 169.254.169.254 tcp dport 80 redirect to :8000 comment "to the azwi proxy"
//!     }
//! }
//! ```
//!
//! Of several nat chains at one hook the first by priority that maps a connection wins, so this one is ahead of
//! whatever iptables (-100) holds, a service mesh's rules as well as a redirect that our other backend left. Nobody
//! else's tables are read or changed.

use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, Expressions, Hook, Immediate, InetHookNumber, Meta, MetaKey,
    NfTablesMessage, Operator, Payload, Register, RuleAttribute, RuleMessage, TableAttribute, TableMessage, Verdict,
    VerdictAttribute,
};
use nix::errno::Errno;

use crate::netlink::{self, Step, transact};
use crate::plan::Plan;

const TABLE: &str = "azwi_proxy";
const CHAIN: &str = "output";
/// Just ahead of `NF_IP_PRI_NAT_DST`, where iptables' nat table is (`linux/netfilter_ipv4.h`).
const PRIORITY: i32 = -101;

/// Why the kernel has no table of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the capability NET_ADMIN is missing: add it to this container's securityContext.capabilities.add")]
    NotPermitted,
    #[error("this kernel has no nf_tables with nat and redirect ({0})")]
    Unsupported(Errno),
    #[error("the kernel refused the nf_tables rules: {0}")]
    Refused(Errno),
    #[error(transparent)]
    Netlink(netlink::Error),
}

impl From<netlink::Error> for Error {
    fn from(error: netlink::Error) -> Self {
        let netlink::Error::Refused(refusal) = &error else { return Self::Netlink(error) };
        match Errno::from_raw(refusal.raw_os_error().unwrap_or_default()) {
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            // Without nfnetlink, without nf_tables, without IPv4 in it, without the nat chain or the redir expression.
            errno @ (Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::ENOENT) => {
                Self::Unsupported(errno)
            }
            errno => Self::Refused(errno),
        }
    }
}

/// Puts the plan's table in place of whatever table of that name there was, at once.
pub(crate) fn apply(plan: Plan) -> Result<(), Error> {
    let mut steps = replaceable();
    steps.extend([(NfTablesMessage::NewTable(table()), NLM_F_CREATE), chain(), exemption(plan), redirect(plan)]);
    Ok(transact(steps)?)
}

/// Removes the table, if there is one.
pub(crate) fn remove() -> Result<(), Error> {
    Ok(transact(replaceable())?)
}

/// Deleting what is not there would fail the transaction, creating what is there does not.
fn replaceable() -> Vec<Step> {
    vec![(NfTablesMessage::NewTable(table()), NLM_F_CREATE), (NfTablesMessage::DeleteTable(table()), 0)]
}

fn table() -> TableMessage {
    TableMessage { attributes: vec![TableAttribute::Name(TABLE.to_owned())] }
}

fn chain() -> Step {
    let hook = vec![Hook::Number(InetHookNumber::LocalOut.into()), Hook::Priority(PRIORITY.cast_unsigned())];
    let attributes = vec![
        ChainAttribute::Table(TABLE.to_owned()),
        ChainAttribute::Name(CHAIN.to_owned()),
        ChainAttribute::Type("nat".to_owned()),
        ChainAttribute::Hook(hook),
    ];
    (NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
}

/// A rule apart, so that a packet whose user the kernel cannot tell is redirected rather than let through.
fn exemption(plan: Plan) -> Step {
    let mut expressions = destination(plan);
    expressions.extend([load(MetaKey::SocketUserId), equals(plan.proxy_uid.to_ne_bytes()), ends_here()]);
    rule(expressions, "the azwi proxy itself")
}

fn redirect(plan: Plan) -> Step {
    let mut expressions = destination(plan);
    expressions.extend(redirect_to(plan.proxy_port));
    rule(expressions, "to the azwi proxy")
}

/// `ip daddr IP tcp dport PORT`: offsets of RFC 791 and RFC 9293.
fn destination(plan: Plan) -> Vec<Expressions> {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    const TCP: u8 = 6;
    vec![
        field(NETWORK, 16, 4),
        equals(plan.metadata.ip().octets()),
        load(MetaKey::L4Proto),
        equals([TCP]),
        field(TRANSPORT, 2, 2),
        equals(plan.metadata.port().to_be_bytes()),
    ]
}

/// Loads `len` bytes at `offset` of a header: `NFT_PAYLOAD_*_HEADER` of `linux/netfilter/nf_tables.h`.
fn field(header: u32, offset: u32, len: u32) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(header),
        Payload::Offset(offset),
        Payload::Len(len),
    ])
}

fn load(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(Register::Reg1), Meta::Key(key)])
}

/// The rule goes on only if what was loaded is these bytes.
fn equals(bytes: impl Into<Vec<u8>>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(Operator::Equal),
        Cmp::Data(DataAttribute::Value(bytes.into())),
    ])
}

fn ends_here() -> Expressions {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(Verdict::Return)])),
    ])
}

/// To loopback at `port`; attributes of `redir` per `linux/netfilter/nf_tables.h`.
fn redirect_to(port: u16) -> [Expressions; 2] {
    const REGISTER_OF_PORT: u16 = 1;
    const FLAGS: u16 = 3;
    const PORT_SPECIFIED: u32 = 2;
    let port = Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Reg1),
        Immediate::Data(DataAttribute::Value(port.to_be_bytes().into())),
    ]);
    let redir = Expressions::Other {
        expression_type: "redir".to_owned(),
        attributes: vec![
            DefaultNla::new(REGISTER_OF_PORT, u32::from(Register::Reg1).to_be_bytes().into()),
            DefaultNla::new(FLAGS, PORT_SPECIFIED.to_be_bytes().into()),
        ],
    };
    [port, redir]
}

fn rule(expressions: Vec<Expressions>, comment: &str) -> Step {
    let attributes = vec![
        RuleAttribute::Table(TABLE.to_owned()),
        RuleAttribute::Chain(CHAIN.to_owned()),
        RuleAttribute::Expressions(expressions.into_iter().map(Into::into).collect()),
        RuleAttribute::UserData(user_data(comment)),
    ];
    (NfTablesMessage::NewRule(RuleMessage { attributes }), NLM_F_CREATE | NLM_F_APPEND)
}

/// A comment as nft stores it: type 0, length with the closing zero, text.
fn user_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    [&[0, length], comment.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: Errno) -> Error {
        netlink::Error::Refused(errno.into()).into()
    }

    #[test]
    fn a_missing_capability_and_a_kernel_without_nf_tables_are_told_apart() {
        assert!(matches!(refused(Errno::EPERM), Error::NotPermitted));
        for errno in [Errno::EPROTONOSUPPORT, Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT, Errno::ENOENT] {
            assert!(matches!(refused(errno), Error::Unsupported(named) if named == errno));
        }
        assert!(matches!(refused(Errno::ENOMEM), Error::Refused(Errno::ENOMEM)));
    }
}
