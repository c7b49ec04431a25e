//! Chooses a backend, applies the plan through it and has it verified; takes it back if it is not.

use crate::config::{Choice, Config};
#[cfg(feature = "iptables")]
use crate::iptables;
use crate::plan::Plan;
use crate::verify::{self, Witness};
use crate::{netlink, nftables};

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

/// Who holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Nftables,
    #[cfg(feature = "iptables")]
    Iptables,
}

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            #[cfg(feature = "iptables")]
            Self::Iptables => "iptables",
        }
    }

    fn remove(self) -> Result<(), Error> {
        match self {
            Self::Nftables => Ok(nftables::remove()?),
            #[cfg(feature = "iptables")]
            Self::Iptables => Ok(iptables::remove()?),
        }
    }
}

/// Returns with the redirect in force and verified, or without any.
pub(crate) fn redirect(config: Config) -> Result<Backend, Error> {
    // Before the rules, so that a port that is taken changes nothing.
    let witness = Witness::bind(config.plan.proxy_port)?;
    let backend = apply(config)?;
    match witness.verify(config.plan.metadata) {
        Ok(()) => Ok(backend),
        Err(cause) => Err(take_back(backend, cause.into())),
    }
}

fn take_back(backend: Backend, cause: Error) -> Error {
    match backend.remove() {
        Ok(()) => cause,
        Err(residue) => Error::LeftBehind { cause: Box::new(cause), residue: Box::new(residue) },
    }
}

fn apply(Config { plan, choice }: Config) -> Result<Backend, Error> {
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
    iptables::apply(plan)?;
    // A table that a run of the other backend left would win over these rules. Where there is none to remove, or no
    // nf_tables at all, nothing wins; the verification has the last word.
    drop(nftables::remove());
    Ok(Backend::Iptables)
}

/// Only a kernel without `nf_tables` is a reason to try iptables; a missing capability is missing there too.
#[cfg(feature = "iptables")]
fn fall_back(plan: Plan, error: Error) -> Result<Backend, Error> {
    let Error::Nftables(unsupported @ nftables::Error::Unsupported(_)) = error else { return Err(error) };
    match apply_iptables(plan) {
        Err(Error::Iptables(iptables::Error::Absent)) => Err(Error::NoBackend(unsupported)),
        other => other,
    }
}

#[cfg(not(feature = "iptables"))]
fn fall_back(_plan: Plan, error: Error) -> Result<Backend, Error> {
    Err(error)
}
