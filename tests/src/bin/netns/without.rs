//! Makes the kernel look as if something were not built into it, to this process and what it runs.

use std::env;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// `NETLINK_NETFILTER` of `linux/netlink.h`.
const NETFILTER: u64 = 12;

/// No socket of netfilter's netlink, for that reason: a kernel without it gives `EPROTONOSUPPORT`. What `iptables-legacy`
/// uses stays.
pub(crate) fn nf_tables(reason: Errno) -> anyhow::Result<()> {
    let is = |argument, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    let family = u64::try_from(libc::AF_NETLINK)?;
    let rule = SeccompRule::new(vec![is(0, family)?, is(2, NETFILTER)?])?;
    let refused = SeccompAction::Errno(u32::try_from(reason as i32)?);
    let rules = [(libc::SYS_socket, vec![rule])].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, env::consts::ARCH.try_into()?)?;
    apply_filter(&BpfProgram::try_from(filter)?).context("cannot filter system calls")
}
