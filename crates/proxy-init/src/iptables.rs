//! The redirect as rules of the `iptables` program, whichever flavour `PATH` holds, for kernels without `nf_tables` and
//! for people who look for it in `iptables -t nat -S`:
//!
//! ```text
//! -A OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT
//! -A AZWI_PROXY_OUTPUT -m owner --uid-owner 1501 -j ACCEPT
//! -A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT
//! -A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000
//! ```
//!
//! The chains bear the names that azure-workload-identity gave them; what it left under these names is replaced.
//! ACCEPT is as there: it also keeps a service mesh's rules further down from capturing the proxy's own connections.
//! Other people's chains are left alone, but for the one jump at the head of OUTPUT.

use std::error::Error as StdError;
use std::io;

use iptables::IPTables;

use crate::plan::Plan;

const TABLE: &str = "nat";
const OUTPUT: &str = "AZWI_PROXY_OUTPUT";
const REDIRECT: &str = "AZWI_PROXY_REDIRECT";

/// Why iptables holds no rules of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no iptables program in PATH")]
    Absent,
    #[error("the capability NET_ADMIN is missing: add it to this container's securityContext.capabilities.add")]
    NotPermitted,
    #[error("the iptables program cannot be used: {0}")]
    Unusable(String),
    #[error("`iptables -t {TABLE} {command}` failed: {words}{}", hint(.command, .words))]
    Refused { command: String, words: String },
}

/// Puts the plan's rules in place of any of ours. After an error none of ours is left.
pub(crate) fn apply(plan: Plan) -> Result<(), Error> {
    let nat = Nat::open()?;
    nat.clear()?;
    nat.fill(plan).inspect_err(|_| {
        // The first error is the one to tell.
        drop(nat.clear());
    })
}

/// Removes our chains and the jumps to them, if there are any.
pub(crate) fn remove() -> Result<(), Error> {
    Nat::open()?.clear()
}

/// The nat table. Every command waits for the lock that iptables programs share.
struct Nat(IPTables);

impl Nat {
    fn open() -> Result<Self, Error> {
        iptables::new(false).map(Self).map_err(|error| cannot_run(error.as_ref()))
    }

    /// The jump comes last: until then the chains have no effect.
    fn fill(&self, plan: Plan) -> Result<(), Error> {
        let Plan { metadata, proxy_port, proxy_uid } = plan;
        let (ip, port) = (metadata.ip(), metadata.port());
        for command in [
            format!("-N {REDIRECT}"),
            format!("-A {REDIRECT} -p tcp -j REDIRECT --to-ports {proxy_port}"),
            format!("-N {OUTPUT}"),
            format!("-A {OUTPUT} -m owner --uid-owner {proxy_uid} -j ACCEPT"),
            format!("-A {OUTPUT} -j {REDIRECT}"),
            format!("-I OUTPUT 1 -p tcp -d {ip} --dport {port} -j {OUTPUT}"),
        ] {
            self.run(&command)?;
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), Error> {
        for command in clearance(&self.run("-S")?) {
            self.run(&command)?;
        }
        Ok(())
    }

    fn run(&self, command: &str) -> Result<String, Error> {
        let output = self.0.execute(TABLE, command).map_err(|error| cannot_run(error.as_ref()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(refusal(command, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The commands that remove what is ours from a table that `iptables -S` lists so: jumps first, since a chain that
/// something points at cannot go.
fn clearance(listing: &str) -> Vec<String> {
    let is_ours = |chain: &str| chain == OUTPUT || chain == REDIRECT;
    let is_in_ours = |rule: &str| rule.split(' ').next().is_some_and(is_ours);
    let rules = listing.lines().filter_map(|line| line.strip_prefix("-A "));
    let rules = rules.filter(|rule| is_in_ours(rule) || target(rule).as_deref().is_some_and(is_ours));
    let chains = listing.lines().filter_map(|line| line.strip_prefix("-N ")).filter(|chain| is_ours(chain));
    rules.map(|rule| format!("-D {rule}")).chain(chains.map(|chain| format!("-X {chain}"))).collect()
}

/// Where a rule sends what it matches: the word after `-j` or `-g`, but for other people's texts.
fn target(rule: &str) -> Option<String> {
    let rule = unquoted(rule);
    let mut words = rule.split(' ');
    words.find(|word| ["-j", "-g"].contains(word))?;
    words.next().map(str::to_owned)
}

/// Without what stands in quotes, such as comments; iptables puts a backslash before a quote inside.
fn unquoted(rule: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let is_outside = |letter: &char| {
        let is_quote = *letter == '"' && !escaped;
        escaped = *letter == '\\' && !escaped;
        inside ^= is_quote;
        !inside && !is_quote
    };
    rule.chars().filter(is_outside).collect()
}

fn cannot_run(error: &(dyn StdError + 'static)) -> Error {
    let absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if error.downcast_ref().is_some_and(absent) { Error::Absent } else { Error::Unusable(error.to_string()) }
}

fn refusal(command: &str, words: &str) -> Error {
    let denied = words.contains("Permission denied") || words.contains("Operation not permitted");
    // iptables is denied its lock file where the root filesystem is not its own; that is another matter.
    if denied && !words.contains("lock") {
        return Error::NotPermitted;
    }
    Error::Refused { command: command.to_owned(), words: words.replace('\n', " ") }
}

/// What iptables does not say: `xt_owner` takes only users that exist in the pod's user namespace.
fn hint(command: &str, words: &str) -> &'static str {
    if command.contains("--uid-owner") && words.contains("Invalid argument") {
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
        let refused = |command: &str| refusal(command, words).to_string();
        assert!(refused("-A X -m owner --uid-owner 7 -j ACCEPT").contains("PROXY_UID"));
        assert!(!refused("-A X -p tcp -j REDIRECT --to-ports 8000").contains("PROXY_UID"));
    }

    #[test]
    fn what_is_ours_goes_jumps_before_chains_and_nothing_else() {
        let listing = r#"
-P OUTPUT ACCEPT
-N AZWI_PROXY_OUTPUT
-N AZWI_PROXY_REDIRECT
-N ISTIO_OUTPUT
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT
-A OUTPUT -m comment --comment "by \"us\" -j" -g AZWI_PROXY_OUTPUT
-A AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT
-A AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000
"#;
        let expected = [
            "-D OUTPUT -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j AZWI_PROXY_OUTPUT",
            r#"-D OUTPUT -m comment --comment "by \"us\" -j" -g AZWI_PROXY_OUTPUT"#,
            "-D AZWI_PROXY_OUTPUT -j AZWI_PROXY_REDIRECT",
            "-D AZWI_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 8000",
            "-X AZWI_PROXY_OUTPUT",
            "-X AZWI_PROXY_REDIRECT",
        ];
        assert_eq!(clearance(listing), expected);
    }

    #[test]
    fn other_peoples_rules_may_mention_our_chains() {
        let listing = r#"
-A OUTPUT -p tcp -m comment --comment AZWI_PROXY_OUTPUT -j RETURN
-A OUTPUT -p tcp -m comment --comment "before -j AZWI_PROXY_OUTPUT comes" -j RETURN
-A OUTPUT -j LOG --log-prefix "-j AZWI_PROXY_OUTPUT "
"#;
        assert_eq!(clearance(listing), Vec::<String>::new());
    }

    #[test]
    fn a_lock_file_out_of_reach_is_not_a_missing_capability() {
        let words = "Fatal: can't open lock file /run/xtables.lock: Permission denied";
        assert!(matches!(refusal("-S", words), Error::Refused { .. }));
    }
}
