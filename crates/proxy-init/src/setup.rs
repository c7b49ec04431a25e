//! Chooses a backend, applies the plan through it and has it verified; takes it back if it is not.

use crate::backend::{Backend, Held};
use crate::config::{Choice, Config};
#[cfg(feature = "iptables")]
use crate::iptables;
use crate::log::{self, Failure};
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
        let error = match self {
            Self::Nftables(error) => error,
            #[cfg(feature = "iptables")]
            Self::NoBackend(error) => error,
            _ => return false,
        };
        matches!(error, nftables::Error::Netlink(netlink::Error::Nonsense(_)))
    }
}

/// A redirect that is in force, and how the exemption from it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) backend: Backend,
    pub(crate) exemption: Exemption,
}

/// The plan's rules in the kernel, and what was there of ours before.
struct Applied {
    backend: Backend,
    before: Held,
}

/// Returns with the redirect in force and verified, or with nothing of this run left.
pub(crate) fn redirect(config: Config) -> Result<Verified, Error> {
    refuse_node(config)?;
    pod::require_route(config.plan.metadata)?;
    // Before the rules, so that a port that is taken changes nothing.
    let witness = Witness::find(config.plan.proxy_port)?;
    let Applied { backend, before } = apply(config)?;
    prove(backend, witness, config.plan).map_err(|cause| match before {
        // This run has changed nothing, and what is there may still keep a running app from the node's identity.
        Held::Plan => cause,
        Held::Nothing | Held::Other => take_back(backend, cause),
    })
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

fn apply(Config { plan, choice, .. }: Config) -> Result<Applied, Error> {
    match choice {
        Choice::Nftables => Ok(apply_nftables(plan)?),
        #[cfg(feature = "iptables")]
        Choice::Iptables => apply_iptables(plan),
        Choice::Auto => apply_nftables(plan).or_else(|error| fall_back(plan, error)),
    }
}

fn apply_nftables(plan: Plan) -> Result<Applied, nftables::Error> {
    let before = nftables::apply(plan)?;
    #[cfg(feature = "iptables")]
    clear_iptables();
    Ok(Applied { backend: Backend::Nftables, before })
}

/// Rules that a run of the other backend left would redirect a user whom these rules exempt.
#[cfg(feature = "iptables")]
fn clear_iptables() {
    if !iptables::may_hold_ours() {
        return;
    }
    // No reason to fail: these rules come first, and most likely there are none but somebody else's.
    if let Err(error) = iptables::remove() {
        warn_of_iptables(error.to_string());
    }
}

fn warn_of_iptables(error: String) {
    log::write(Failure { level: "WARN", message: "rules of iptables, if there are any, were not removed", error });
}

#[cfg(feature = "iptables")]
fn apply_iptables(plan: Plan) -> Result<Applied, Error> {
    let (program, before) = iptables::apply(plan)?;
    // A table that a run of the other backend left would win over these rules. Where there is none to remove, or no
    // nf_tables at all, nothing wins; the verification has the last word.
    drop(nftables::remove());
    Ok(Applied { backend: Backend::Iptables(program), before })
}

/// A missing capability is missing for iptables too. Whatever else the kernel says to `nf_tables`, an old one may say while
/// iptables works: some answer EBUSY where iptables has a nat table.
#[cfg(feature = "iptables")]
fn fall_back(plan: Plan, error: nftables::Error) -> Result<Applied, Error> {
    if matches!(error, nftables::Error::NotPermitted) {
        return Err(error.into());
    }
    match apply_iptables(plan) {
        Err(Error::Iptables(iptables::Error::Absent)) => Err(Error::NoBackend(error)),
        other => other,
    }
}

#[cfg(not(feature = "iptables"))]
fn fall_back(_plan: Plan, error: nftables::Error) -> Result<Applied, Error> {
    Err(error.into())
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

/// What is not there, be it rules or the kernel's `nf_tables`, need not be removed. Where nobody can look at iptables'
/// rules, the log says so.
fn remove_all() -> Result<(), Error> {
    match nftables::remove() {
        Ok(()) | Err(nftables::Error::Unsupported(_)) => {}
        Err(error) => return Err(error.into()),
    }
    #[cfg(feature = "iptables")]
    match iptables::remove() {
        Ok(()) => {}
        Err(error @ iptables::Error::Absent) => warn_of_iptables(error.to_string()),
        Err(error) => return Err(error.into()),
    }
    #[cfg(not(feature = "iptables"))]
    warn_of_iptables("this program is built without the iptables backend".to_owned());
    Ok(())
}
