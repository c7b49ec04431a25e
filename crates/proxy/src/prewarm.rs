//! Tokens fetched before anybody asks, so that the first request finds them in memory.
//!
//! Holds up nothing: the sidecar listens and is ready meanwhile, and what fails is a line in the log.

use std::sync::Arc;

use azwi_entra::Resource;

use crate::service::App;
use crate::slot::Slot;

/// Begins to fetch a token of the default identity for each of `resources`, all at once and for five seconds at most.
pub(crate) fn start(app: &App, resources: Vec<Resource>) {
    for resource in resources {
        match app.default_slot(&resource) {
            Ok(slot) => {
                tokio::spawn(fetch(slot, resource));
            }
            Err(reason) => report(&resource, Err(&reason)),
        }
    }
}

async fn fetch(slot: Arc<Slot>, resource: Resource) {
    let outcome = slot.prewarm().await;
    report(&resource, outcome.as_ref().map(drop).map_err(|failure| failure.description.as_str()));
}

fn report(resource: &Resource, outcome: Result<(), &str>) {
    let resource = resource.as_str();
    match outcome {
        Ok(()) => tracing::info!(resource, "prewarmed"),
        Err(error) => tracing::warn!(resource, error, "not prewarmed"),
    }
}
