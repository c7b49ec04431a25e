//! The play: each step happens before the next is told.

use crate::narrator::Narrator;
use crate::{shell, steps};

/// Plays it all; `keep` leaves it running behind a shell at the end.
///
/// # Errors
/// Says which step failed and why.
pub(crate) fn play(keep: bool) -> anyhow::Result<()> {
    let mut narrator = Narrator::new(no_color());
    narrator.title("An app written for managed identity gets its token in a pod, unmodified");
    let cast = narrator.step("A stage of its own", steps::stage)?;
    let entra = narrator.step("Entra ID and a cluster", |tell| steps::entra(tell, &cast))?;
    narrator.step("The pod's service account token", |tell| steps::service_account_token(tell, &cast, &entra))?;
    narrator.step("The redirect", |tell| steps::redirect(tell, &cast))?;
    let sidecar = narrator.step("The sidecar", |tell| steps::sidecar(tell, &cast, &entra))?;
    let claims = narrator.step("The unmodified app", |tell| steps::unmodified_app(tell, &cast, &entra))?;
    narrator.step("The same without an SDK", |tell| steps::plain_http(tell, &cast))?;
    narrator.step("Who is not redirected", |tell| steps::exemption(tell, &cast))?;
    narrator.step("A refusal", |tell| steps::refusal(tell, &cast, &sidecar))?;
    narrator.step("An outage", |tell| steps::outage(tell, &cast, &entra, &claims))?;
    narrator.title("\nAll of this has happened.");
    if keep { shell::open(&narrator, &cast, &entra) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "the demo has no configuration but this wish of its reader")]
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
