//! The two rules as the kernel's expressions, to be sent to it and to be known again in what it lists.

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute, Meta, MetaKey, NfTablesMessage,
    Operator, Payload, Register, RuleAttribute, Verdict, VerdictAttribute,
};

use super::{EXEMPTION, REDIRECT};
use crate::plan::Plan;

/// What a rule does, and how an operator is told.
#[derive(Debug)]
pub(super) struct Rule {
    expressions: Vec<Expressions>,
    comment: &'static str,
}

/// In their order.
pub(super) fn rules(plan: Plan) -> [Rule; 2] {
    [exemption(plan), redirect(plan)]
}

/// Whether these are the plan's rules, and no others.
pub(super) fn are(listed: &[Rule], plan: Plan) -> bool {
    let planned = rules(plan);
    listed.len() == planned.len() && listed.iter().zip(&planned).all(|(listed, planned)| listed.does_as(planned))
}

impl Rule {
    /// The rule of a message that lists one. Its comment does nothing and is left out.
    pub(super) fn read(message: NfTablesMessage) -> Option<Self> {
        let NfTablesMessage::NewRule(message) = message else { return None };
        let expressions = message.attributes.into_iter().find_map(|attribute| match attribute {
            RuleAttribute::Expressions(expressions) => Some(expressions),
            _ => None,
        });
        let expressions = expressions.unwrap_or_default().into_iter().filter_map(data).collect();
        Some(Self { expressions, comment: "" })
    }

    pub(super) fn into_attributes(self) -> [RuleAttribute; 2] {
        [
            RuleAttribute::Expressions(self.expressions.into_iter().map(Into::into).collect()),
            RuleAttribute::UserData(user_data(self.comment)),
        ]
    }

    fn does_as(&self, planned: &Self) -> bool {
        let (listed, planned) = (&self.expressions, &planned.expressions);
        listed.len() == planned.len() && listed.iter().zip(planned).all(|(listed, planned)| covers(listed, planned))
    }
}

fn data(element: ListAttribute<ExpressionAttribute>) -> Option<Expressions> {
    let ListAttribute::Element(attributes) = element else { return None };
    attributes.into_iter().find_map(|attribute| match attribute {
        ExpressionAttribute::Data(expression) => Some(expression),
        _ => None,
    })
}

/// Whether `listed` says all that `planned` says: the kernel adds what follows from it, in an order of its own.
fn covers(listed: &Expressions, planned: &Expressions) -> bool {
    match (listed, planned) {
        (Expressions::Cmp(listed), Expressions::Cmp(planned)) => contains(listed, planned),
        (Expressions::Immediate(listed), Expressions::Immediate(planned)) => contains(listed, planned),
        (Expressions::Meta(listed), Expressions::Meta(planned)) => contains(listed, planned),
        (Expressions::Payload(listed), Expressions::Payload(planned)) => contains(listed, planned),
        (
            Expressions::Other { expression_type: listed_type, attributes: listed },
            Expressions::Other { expression_type, attributes: planned },
        ) => listed_type == expression_type && contains(listed, planned),
        _ => false,
    }
}

fn contains<T: PartialEq>(listed: &[T], planned: &[T]) -> bool {
    planned.iter().all(|attribute| listed.contains(attribute))
}

/// A rule apart, so that a packet whose user the kernel cannot tell is redirected rather than let through.
fn exemption(plan: Plan) -> Rule {
    let mut expressions = destination(plan);
    expressions.extend([load(MetaKey::SocketUserId), equals(plan.proxy_uid.to_ne_bytes()), ends_here()]);
    Rule { expressions, comment: EXEMPTION }
}

fn redirect(plan: Plan) -> Rule {
    let mut expressions = destination(plan);
    expressions.extend(redirect_to(plan.proxy_port));
    Rule { expressions, comment: REDIRECT }
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

/// A comment as nft stores it: type 0, length with the closing zero, text.
fn user_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    [&[0, length], comment.as_bytes(), &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        metadata: std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(169, 254, 169, 254), 80),
        proxy_port: 8000,
        proxy_uid: 1501,
    };

    #[test]
    fn rules_for_another_user_port_or_address_or_in_another_order_are_others() {
        assert!(are(&rules(PLAN), PLAN));
        let others = [
            Plan { proxy_uid: 1502, ..PLAN },
            Plan { proxy_port: 8001, ..PLAN },
            Plan { metadata: "169.254.169.254:81".parse().unwrap(), ..PLAN },
            Plan { metadata: "169.254.169.253:80".parse().unwrap(), ..PLAN },
        ];
        for other in others {
            assert!(!are(&rules(other), PLAN), "{other:?}");
        }
        let [exemption, redirect] = rules(PLAN);
        assert!(!are(&[redirect, exemption], PLAN));
    }

    #[test]
    fn a_rule_too_few_or_too_many_is_another_set_of_rules() {
        let [exemption, _] = rules(PLAN);
        assert!(!are(&[exemption], PLAN));
        let three: Vec<_> = rules(PLAN).into_iter().chain([redirect(PLAN)]).collect();
        assert!(!are(&three, PLAN));
    }
}
