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

mod rule;
mod script;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, InetHookNumber, NfTablesMessage, RuleAttribute, RuleMessage, TableAttribute,
    TableMessage,
};
use nix::errno::Errno;

use crate::backend::Held;
use crate::netlink::{self, Step, list, transact};
use crate::plan::Plan;
use rule::Rule;
pub(crate) use script::script;

pub(crate) const TABLE: &str = "azwi_proxy";
const CHAIN: &str = "output";
/// Just ahead of `NF_IP_PRI_NAT_DST`, where iptables' nat table is (`linux/netfilter_ipv4.h`).
const PRIORITY: i32 = -101;
/// Comments of the rules.
const EXEMPTION: &str = "the azwi proxy itself";
const REDIRECT: &str = "to the azwi proxy";

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

/// Puts the plan's table in place of whatever table of that name there was, at once, and says what there was; leaves alone
/// what is right already.
pub(crate) fn apply(plan: Plan) -> Result<Held, Error> {
    let before = held(plan)?;
    let mut steps = match before {
        Held::Plan => return Ok(before),
        // The kernel takes many milliseconds to forget a table, even one that is made in the same breath.
        Held::Nothing => Vec::new(),
        Held::Other => replaceable(),
    };
    steps.extend([(NfTablesMessage::NewTable(table()), NLM_F_CREATE), chain()]);
    steps.extend(rule::rules(plan).into_iter().map(append));
    transact(steps)?;
    Ok(before)
}

/// What the kernel says it has in our table.
pub(crate) fn held(plan: Plan) -> Result<Held, Error> {
    let rules: Vec<_> = rules(TABLE, CHAIN).map_err(unlistable)?.into_iter().filter_map(Rule::read).collect();
    Ok(match rules.as_slice() {
        [] => Held::Nothing,
        rules if rule::are(rules, plan) => Held::Plan,
        _ => Held::Other,
    })
}

/// Whether a chain has rules, which may be somebody else's.
#[cfg(feature = "iptables")]
pub(crate) fn has_rules(table: &str, chain: &str) -> bool {
    rules(table, chain).is_ok_and(|rules| !rules.is_empty())
}

/// None where there is no such chain.
fn rules(table: &str, chain: &str) -> Result<Vec<NfTablesMessage>, netlink::Error> {
    let attributes = vec![RuleAttribute::Table(table.to_owned()), RuleAttribute::Chain(chain.to_owned())];
    list(NfTablesMessage::GetRule(RuleMessage { attributes }))
}

/// nfnetlink calls a request for a subsystem that it does not have invalid, and only in a transaction unsupported.
fn unlistable(error: netlink::Error) -> Error {
    match error.into() {
        Error::Refused(Errno::EINVAL) => Error::Unsupported(Errno::EINVAL),
        error => error,
    }
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

fn append(rule: Rule) -> Step {
    let place = [RuleAttribute::Table(TABLE.to_owned()), RuleAttribute::Chain(CHAIN.to_owned())];
    let attributes = place.into_iter().chain(rule.into_attributes()).collect();
    (NfTablesMessage::NewRule(RuleMessage { attributes }), NLM_F_CREATE | NLM_F_APPEND)
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

    #[test]
    fn a_list_that_is_invalid_to_ask_for_is_one_of_a_subsystem_that_is_not_there() {
        let invalid = || netlink::Error::Refused(Errno::EINVAL.into());
        assert!(matches!(unlistable(invalid()), Error::Unsupported(Errno::EINVAL)));
        assert!(matches!(Error::from(invalid()), Error::Refused(Errno::EINVAL)));
    }
}
