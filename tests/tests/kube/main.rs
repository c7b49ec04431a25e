//! The webhook and its chart with a real API server: what users see of them.
//!
//! No pod runs here, for there is no kubelet; the webhook runs beside the cluster, with the arguments, the environment and
//! the rights that its Deployment would give it.

#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks is null, and a failed index is a failed test")]

mod annotations;
mod asker;
mod assets;
mod certificates;
mod chain;
mod chart;
mod denials;
mod doctor;
mod golden;
mod jwks;
mod load;
mod outage;
mod pod_identity;
mod pods;
mod readme;
mod reinvocation;
mod release;
mod requests;
mod reviews;
mod service_account;
mod upgrade;
mod values;
mod workload;
