//! Chooses a backend, applies the plan through it and has it verified; takes it back if it is not.

use crate::backend::{Backend, Held};
use crate::config::{Choice, Config};
#[cfg(feature = "iptables")]
use crate::iptables;
use crate::plan::Plan;
use crate::verify::{self, Exemption, Witness};
use crate::{netlink, nftables, pod};

/// Why there is no redirect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Nftables(#[from] nftables::Error),
    #[cfg(feature = "iptables")]
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    #[cfg(feature = "iptables")]
    #[error("{0}, and there is no iptables program in PATH to fall back on")]
    NoBackend(nftables::Error),
    #[error(transparent)]
    Pod(#[from] pod::Error),
    #[error("there are no rules of azwi-proxy-init in this network namespace")]
    Nothing,
    #[error("{0} holds rules of azwi-proxy-init that are not those of these settings")]
    Other(&'static str),
    #[error(transparent)]
    Unverified(#[from] verify::Error),
    #[error("{cause}; what was installed could not be taken back: {residue}")]
    LeftBehind { cause: Box<Error>, residue: Box<Error> },
}

impl Error {
    /// Whether the fault is ours rather than the pod's.
    pub(crate) fn is_internal(&self) -> bool {
        matches!(self, Self::Nftables(nftables::Error::Netlink(netlink::Error::Nonsense(_))))
    }
}

/// A redirect that is in force, and how the exemption from it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) backend: Backend,
    pub(crate) exemption: Exemption,
}

/// Returns with the redirect in force and verified, or without any.
pub(crate) fn redirect(config: Config) -> Result<Verified, Error> {
    refuse_node(config)?;
    pod::require_route(config.plan.metadata)?;
    // Before the rules, so that a port that is taken changes nothing.
    let witness = Witness::find(config.plan.proxy_port)?;
    let stood = stands(config);
    let backend = apply(config)?;
    prove(backend, witness, config.plan).map_err(|cause| {
        // What this run has not installed it does not take away: the app would reach the node's identity.
        if stood { cause } else { take_back(backend, cause) }
    })
}

/// Whether the plan's rules are there already.
fn stands(Config { plan, choice, .. }: Config) -> bool {
    match choice {
        Choice::Nftables | Choice::Auto => matches!(nftables::held(plan), Ok(Held::Plan)),
        #[cfg(feature = "iptables")]
        Choice::Iptables => matches!(iptables::held(plan), Ok((Held::Plan, _))),
    }
}

/// Whether the redirect is in force. Changes nothing.
pub(crate) fn verify(config: Config) -> Result<Verified, Error> {
    pod::require_route(config.plan.metadata)?;
    let backend = holder(config)?;
    prove(backend, Witness::find(config.plan.proxy_port)?, config.plan)
}

/// Takes back all that a run has installed, whatever its settings were.
pub(crate) fn remove(config: Config) -> Result<(), Error> {
    refuse_node(config)?;
    match config.choice {
        Choice::Nftables => Ok(nftables::remove()?),
        #[cfg(feature = "iptables")]
        Choice::Iptables => Ok(iptables::remove()?),
        Choice::Auto => remove_all(),
    }
}

fn refuse_node(config: Config) -> Result<(), Error> {
    if config.allow_host_network { Ok(()) } else { Ok(pod::refuse_node()?) }
}

/// The rules as they are read back, then the redirect as it is met by a connection.
fn prove(backend: Backend, witness: Witness, plan: Plan) -> Result<Verified, Error> {
    match held_by(backend, plan)? {
        Held::Plan => Ok(Verified { backend, exemption: witness.verify(plan)? }),
        Held::Nothing => Err(Error::Nothing),
        Held::Other => Err(Error::Other(backend.name())),
    }
}

fn held_by(backend: Backend, plan: Plan) -> Result<Held, Error> {
    match backend {
        Backend::Nftables => Ok(nftables::held(plan)?),
        #[cfg(feature = "iptables")]
        Backend::Iptables(_) => Ok(iptables::held(plan)?.0),
    }
}

fn take_back(backend: Backend, cause: Error) -> Error {
    let removed = match backend {
        Backend::Nftables => nftables::remove().map_err(Error::from),
        #[cfg(feature = "iptables")]
        Backend::Iptables(_) => iptables::remove().map_err(Error::from),
    };
    match removed {
        Ok(()) => cause,
        Err(residue) => Error::LeftBehind { cause: Box::new(cause), residue: Box::new(residue) },
    }
}

fn apply(Config { plan, choice, .. }: Config) -> Result<Backend, Error> {
    match choice {
        Choice::Nftables => apply_nftables(plan),
        #[cfg(feature = "iptables")]
        Choice::Iptables => apply_iptables(plan),
        Choice::Auto => apply_nftables(plan).or_else(|error| fall_back(plan, error)),
    }
}

fn apply_nftables(plan: Plan) -> Result<Backend, Error> {
    nftables::apply(plan)?;
    Ok(Backend::Nftables)
}

#[cfg(feature = "iptables")]
fn apply_iptables(plan: Plan) -> Result<Backend, Error> {
    let program = iptables::apply(plan)?;
    // A table that a run of the other backend left would win over these rules. Where there is none to remove, or no
    // nf_tables at all, nothing wins; the verification has the last word.
    drop(nftables::remove());
    Ok(Backend::Iptables(program))
}

/// Whatever keeps the kernel from taking the table is a reason to try iptables (before Linux 4.18 `nf_tables` does not go
/// together with iptables' nat), but for a missing capability, which is missing there too.
#[cfg(feature = "iptables")]
fn fall_back(plan: Plan, error: Error) -> Result<Backend, Error> {
    match error {
        Error::Nftables(nftables::Error::NotPermitted) => Err(error),
        Error::Nftables(refused) => match apply_iptables(plan) {
            Err(Error::Iptables(iptables::Error::Absent)) => Err(Error::NoBackend(refused)),
            other => other,
        },
        other => Err(other),
    }
}

#[cfg(not(feature = "iptables"))]
fn fall_back(_plan: Plan, error: Error) -> Result<Backend, Error> {
    Err(error)
}

/// Whose rules are there. With a choice it is that one, whether they are or not.
fn holder(Config { plan, choice, .. }: Config) -> Result<Backend, Error> {
    match choice {
        Choice::Nftables => Ok(Backend::Nftables),
        #[cfg(feature = "iptables")]
        Choice::Iptables => Ok(Backend::Iptables(iptables::held(plan)?.1)),
        Choice::Auto => match nftables::held(plan) {
            Ok(Held::Nothing) | Err(nftables::Error::Unsupported(_)) => holder_but_nftables(plan),
            Ok(_) => Ok(Backend::Nftables),
            Err(error) => Err(error.into()),
        },
    }
}

#[cfg(feature = "iptables")]
fn holder_but_nftables(plan: Plan) -> Result<Backend, Error> {
    match iptables::held(plan) {
        Ok((_, program)) => Ok(Backend::Iptables(program)),
        Err(iptables::Error::Absent) => Err(Error::Nothing),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(feature = "iptables"))]
fn holder_but_nftables(_plan: Plan) -> Result<Backend, Error> {
    Err(Error::Nothing)
}

/// What is not there, be it rules, the kernel's `nf_tables` or the program, need not be removed.
fn remove_all() -> Result<(), Error> {
    match nftables::remove() {
        Ok(()) | Err(nftables::Error::Unsupported(_)) => {}
        Err(error) => return Err(error.into()),
    }
    #[cfg(feature = "iptables")]
    match iptables::remove() {
        Ok(()) | Err(iptables::Error::Absent) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
