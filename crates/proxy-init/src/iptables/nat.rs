//! The `iptables` program and its two flavours, and why it may refuse.
//!
//! Both flavours have a nat table, and the kernel asks both. Whoever has put rules into one of them goes on to look there;
//! so the one with more rules is ours too, as Kubernetes' own components choose. Where there are none, it is nft's.

use std::error::Error as StdError;
use std::fs;
use std::io;

use iptables::IPTables;

use super::listing::Listing;

/// Of either flavour.
pub(super) const TABLE: &str = "nat";
/// Of the nft flavour.
const NFT: &str = "iptables-nft";
/// Of the legacy flavour.
const LEGACY: &str = "iptables-legacy";
/// Of either; the only one where a distribution knows only one flavour.
const EITHER: &str = "iptables";
/// The legacy tables that this network namespace has. To list one that it does not have would make it.
const LEGACY_TABLES: &str = "/proc/net/ip_tables_names";
/// For the lock that iptables programs share, per command. In seconds, which is longer than anybody holds it who is at
/// work. What the library would say by itself is to wait for ever.
const PATIENCE: &str = "-w 5";

/// Why iptables holds no rules of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no iptables program in PATH")]
    Absent,
    #[error("the capability NET_ADMIN is missing: add it to this container's securityContext.capabilities.add")]
    NotPermitted,
    /// That flavour speaks through a raw socket.
    #[error(
        "iptables-legacy lacks one of NET_ADMIN and NET_RAW: add both to this container's securityContext.capabilities.add"
    )]
    LegacyNotPermitted,
    #[error(
        "somebody else holds the lock of the iptables programs, and did for 5 s: see who works on the packet filter"
    )]
    Locked,
    #[error("the iptables program cannot be used: {0}")]
    Unusable(String),
    #[error("`{program} -t {TABLE} {command}` failed: {words}{}", hint(.command, .words))]
    Refused { program: &'static str, command: String, words: String },
    #[error("{cause}; what was installed could not be taken back: {residue}")]
    LeftBehind { cause: Box<Error>, residue: Box<Error> },
}

/// The nat table of one flavour.
pub(super) struct Nat(IPTables);

/// The nat table to write to, and the other flavour's if there are rules there too.
pub(super) fn tables() -> Result<(Nat, Option<Nat>), Error> {
    let legacy = if has_legacy_table() { sized(Nat::of(LEGACY))? } else { None };
    Ok(match (sized(Nat::of(NFT)), legacy) {
        (Ok(Some((nft, rules))), Some((legacy, more))) if more > rules => (legacy, Some(nft)),
        (Ok(Some((nft, _))), legacy) => (nft, legacy.filter(|(_, rules)| *rules > 0).map(|(legacy, _)| legacy)),
        (_, Some((legacy, _))) => (legacy, None),
        (Ok(None), None) => (Nat::of(EITHER), None),
        // What nft's flavour lacks the legacy one lacks too, and more.
        (Err(Error::NotPermitted), None) => return Err(Error::NotPermitted),
        (Err(error), None) => (sized(Nat::of(LEGACY))?.ok_or(error)?.0, None),
    })
}

fn has_legacy_table() -> bool {
    fs::read_to_string(LEGACY_TABLES).is_ok_and(|tables| tables.lines().any(|table| table == TABLE))
}

/// Whether the legacy flavour has that chain, or cannot be asked.
pub(super) fn legacy_may_have(chain: &str) -> bool {
    let asked = || Nat::of(LEGACY).run(&format!("-S {chain}"));
    has_legacy_table() && !matches!(asked(), Err(Error::Refused { .. }))
}

/// With the size of what the table holds; none where there is no such program.
fn sized(nat: Nat) -> Result<Option<(Nat, usize)>, Error> {
    match nat.list() {
        Ok(listing) => Ok(Some((nat, listing.size()))),
        Err(Error::Absent) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Nat {
    /// Without a look at its version, as the library would take one: the nft flavour does not even tell that where the
    /// kernel has no `nf_tables`.
    fn of(program: &'static str) -> Self {
        Self(IPTables { cmd: program, has_check: true, has_wait: false, is_numeric: false })
    }

    pub(super) fn program(&self) -> &'static str {
        self.0.cmd
    }

    pub(super) fn list(&self) -> Result<Listing, Error> {
        Ok(Listing::new(&self.run("-S")?))
    }

    pub(super) fn run(&self, command: &str) -> Result<String, Error> {
        let words = format!("{PATIENCE} {command}");
        let output = self.0.execute(TABLE, &words).map_err(|error| cannot_run(error.as_ref()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(refusal(self.program(), command, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn cannot_run(error: &(dyn StdError + 'static)) -> Error {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if error.downcast_ref().is_some_and(absent) { Error::Absent } else { Error::Unusable(error.to_string()) }
}

fn refusal(program: &'static str, command: &str, words: &str) -> Error {
    if words.contains("holding the xtables lock") {
        return Error::Locked;
    }
    let denied = words.contains("Permission denied") || words.contains("Operation not permitted");
    // iptables is denied its lock file where the root filesystem is not its own; that is another matter.
    if denied && !words.contains("lock") {
        let is_legacy = program == LEGACY || words.contains("(legacy)");
        return if is_legacy { Error::LegacyNotPermitted } else { Error::NotPermitted };
    }
    Error::Refused { program, command: command.to_owned(), words: words.replace('\n', " ") }
}

/// What iptables does not say.
fn hint(command: &str, words: &str) -> &'static str {
    if words.contains("lock file") {
        "; give it a place to write, such as XTABLES_LOCKFILE=/dev/shm/xtables.lock"
    } else if command.contains("--uid-owner") && words.contains("Invalid argument") {
        // `xt_owner` takes only users that exist in the pod's user namespace.
        "; is PROXY_UID (--proxy-uid) a user id that this user namespace has?"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rule_about_a_user_is_refused_with_a_hint_at_the_user_id() {
        let words = "iptables v1.8.9 (nf_tables):  RULE_APPEND failed (Invalid argument): rule in chain X";
        let refused = |command: &str| refusal(EITHER, command, words).to_string();
        assert!(refused("-A X -m owner --uid-owner 7 -j ACCEPT").contains("PROXY_UID"));
        assert!(!refused("-A X -p tcp -j REDIRECT --to-ports 8000").contains("PROXY_UID"));
    }

    #[test]
    fn the_legacy_flavour_whatever_its_name_is_also_in_want_of_a_raw_socket() {
        let words =
            "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Permission denied (you must be root)";
        assert!(refusal(EITHER, "-S", words).to_string().contains("NET_RAW"));
        assert!(refusal(LEGACY, "-S", "Permission denied").to_string().contains("NET_RAW"));
        assert!(!refusal(NFT, "-S", "Permission denied").to_string().contains("NET_RAW"));
    }

    #[test]
    fn a_lock_file_out_of_reach_is_not_a_missing_capability() {
        let words = "Fatal: can't open lock file /run/xtables.lock: Permission denied";
        assert!(matches!(refusal(EITHER, "-S", words), Error::Refused { .. }));
    }
}
