//! The redirect as rules of the `iptables` program, in the flavour that this network namespace holds rules of already, for
//! kernels without `nf_tables` and for people who look for it in `iptables -t nat -S`:
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
//!
//! The program is run once for each command. So the chains are filled first and the jump to them comes last, and where
//! they are there already, what is new comes in before what is old goes: connections do not pass by meanwhile. They can
//! for a moment only where somebody's rule has come before our jump, and the jump moves to the head again.

mod listing;
mod nat;

use crate::backend::Held;
use crate::nftables;
use crate::plan::Plan;
use listing::Listing;
pub(crate) use nat::Error;
use nat::{Nat, tables};

const OUTPUT: &str = "AZWI_PROXY_OUTPUT";
const REDIRECT: &str = "AZWI_PROXY_REDIRECT";

/// Puts the plan's rules in place of any of ours, and says which program shows them and what was there before. After an
/// error nothing that it has begun is left, unless the error says so.
pub(crate) fn apply(plan: Plan) -> Result<(&'static str, Held), Error> {
    let (nat, other) = tables()?;
    let listing = nat.list()?;
    let before = compare(&listing, plan);
    let done = install(&nat, &listing, plan).and_then(|()| other.iter().try_for_each(clear));
    done.map_err(|cause| if before == Held::Plan { cause } else { undo(&nat, cause) })?;
    Ok((nat.program(), before))
}

fn undo(nat: &Nat, cause: Error) -> Error {
    match clear(nat) {
        Ok(()) => cause,
        Err(residue) => Error::LeftBehind { cause: Box::new(cause), residue: Box::new(residue) },
    }
}

/// Whether there are rules of ours, or nobody can tell. Quick, however many rules of others there are.
pub(crate) fn may_hold_ours() -> bool {
    nftables::has_rules(nat::TABLE, OUTPUT) || nat::legacy_may_have(OUTPUT)
}

/// Removes our chains and the jumps to them, if there are any.
pub(crate) fn remove() -> Result<(), Error> {
    let (nat, other) = tables()?;
    clear(&nat)?;
    other.iter().try_for_each(clear)
}

/// What there is of ours, and which program shows it.
pub(crate) fn held(plan: Plan) -> Result<(Held, &'static str), Error> {
    let (nat, _) = tables()?;
    Ok((compare(&nat.list()?, plan), nat.program()))
}

fn compare(listing: &Listing, plan: Plan) -> Held {
    match listing.ours() {
        ours if ours.is_empty() => Held::Nothing,
        ours if ours == Rules::of(plan).listed() && listing.first("OUTPUT") == ours.first().copied() => Held::Plan,
        _ => Held::Other,
    }
}

/// What could be typed to have the same from scratch, in this order.
pub(crate) fn commands(plan: Plan) -> Vec<String> {
    let Rules { jump, output, redirect } = Rules::of(plan);
    let fill = |chain, rules: &[String]| {
        let rules = rules.iter().map(|rule| format!("-A {chain} {rule}")).collect::<Vec<_>>();
        [vec![format!("-N {chain}")], rules].concat()
    };
    let mut commands = [fill(REDIRECT, &redirect), fill(OUTPUT, &output)].concat();
    commands.push(format!("-I OUTPUT 1 {jump}"));
    commands.iter().map(|command| format!("iptables -t nat {command}")).collect()
}

/// The plan's rules without their chains' names, as `iptables -S` writes them.
struct Rules {
    /// Of the built-in chain OUTPUT.
    jump: String,
    output: [String; 2],
    redirect: [String; 1],
}

impl Rules {
    fn of(Plan { metadata, proxy_port, proxy_uid }: Plan) -> Self {
        let (ip, port) = (metadata.ip(), metadata.port());
        Self {
            jump: format!("-d {ip}/32 -p tcp -m tcp --dport {port} -j {OUTPUT}"),
            output: [format!("-m owner --uid-owner {proxy_uid} -j ACCEPT"), format!("-j {REDIRECT}")],
            redirect: [format!("-p tcp -j REDIRECT --to-ports {proxy_port}")],
        }
    }

    /// With their chains' names.
    fn listed(&self) -> Vec<String> {
        let jump = std::iter::once(format!("OUTPUT {}", self.jump));
        let output = self.output.iter().map(|rule| format!("{OUTPUT} {rule}"));
        jump.chain(output).chain(self.redirect.iter().map(|rule| format!("{REDIRECT} {rule}"))).collect()
    }
}

fn install(nat: &Nat, listing: &Listing, plan: Plan) -> Result<(), Error> {
    let rules = Rules::of(plan);
    for chain in [REDIRECT, OUTPUT] {
        if !listing.has(chain) {
            nat.run(&format!("-N {chain}"))?;
        }
    }
    replace(nat, listing, REDIRECT, &rules.redirect)?;
    replace(nat, listing, OUTPUT, &rules.output)?;
    lead_there(nat, listing, &rules.jump)
}

/// The new rules come in at the head of the chain, which is ours alone, and the old ones, now behind them, go.
fn replace(nat: &Nat, listing: &Listing, chain: &str, rules: &[String]) -> Result<(), Error> {
    let old = listing.rules(chain);
    if old == rules {
        return Ok(());
    }
    for (position, rule) in (1..).zip(rules) {
        nat.run(&format!("-I {chain} {position} {rule}"))?;
    }
    old.iter().try_for_each(|_| nat.run(&format!("-D {chain} {}", rules.len() + 1)).map(drop))
}

/// One jump, at the head of OUTPUT. Others are deleted by what they say, never by their number, which somebody else may
/// change meanwhile; so the very same jump in a worse place must go before it can come in.
fn lead_there(nat: &Nat, listing: &Listing, jump: &str) -> Result<(), Error> {
    let wanted = format!("OUTPUT {jump}");
    let (same, other): (Vec<_>, Vec<_>) = listing.jumps().into_iter().partition(|old| *old == wanted);
    let delete = |jumps: Vec<&str>| jumps.into_iter().try_for_each(|old| nat.run(&format!("-D {old}")).map(drop));
    if same.len() != 1 || listing.first("OUTPUT") != Some(&wanted) {
        delete(same)?;
        nat.run(&format!("-I OUTPUT 1 {jump}"))?;
    }
    delete(other)
}

fn clear(nat: &Nat) -> Result<(), Error> {
    nat.list()?.clearance().iter().try_for_each(|command| nat.run(command).map(drop))
}
