//! `GET /metrics`: the one listener that may be reached from beyond loopback.

use std::sync::Arc;
use std::time::Duration;

use azwi_program::pages::{self, Bounds, Page, TEXT, metrics_type};
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

use super::{Metrics, exposition};
use crate::service::App;

/// Whoever comes here cannot hold up an app.
const BOUNDS: Bounds = Bounds {
    connections: 8,
    // Whoever says nothing shall not keep others away.
    head: Duration::from_secs(1),
    // Prometheus itself gives up then.
    answer: Duration::from_secs(10),
    // Twenty answers a second take next to nothing from the apps.
    pace: Duration::from_millis(50),
};

/// Serves `metrics` of `app` for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, app: Arc<App>) {
    let page = move |path: &str, headers: &HeaderMap| (path == "/metrics").then(|| page(headers, &metrics, &app));
    pages::serve(listener, BOUNDS, page).await;
}

fn page(headers: &HeaderMap, metrics: &Metrics, app: &App) -> Page {
    match exposition::render(metrics, app) {
        Ok(text) => (StatusCode::OK, metrics_type(headers), text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, String::new()),
    }
}
