//! The command line: sets workload identity up, brings workloads over from AAD Pod Identity, and explains failures.
//!
//! It runs on the machine of whoever runs a cluster, be that Linux, macOS or Windows: nothing in it is of Unix alone. It
//! speaks to Kubernetes as kubectl does, and never prints a secret or a token that nobody asked for.

mod aadsts;
mod azure;
mod cli;
pub mod cluster;
mod doctor;
mod hash;
mod jwks;
mod jwt;
mod names;
mod output;
pub mod pod_identity;
mod service_account;
mod token;
mod token_expiration;
mod webhook;

pub use cli::main;
