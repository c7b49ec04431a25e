//! The stage that black-box tests and the demo play on: built binaries, run for real.
//!
//! Nothing here links a product crate: what it shows is what a user would see.

pub mod api_server;
pub mod binaries;
pub mod chart;
pub mod clients;
pub mod cluster;
pub mod emulator;
pub mod http;
pub mod jwt;
pub mod kernel;
pub mod landlock;
pub mod log;
pub mod lone_webhook;
pub mod metrics;
pub mod namespace;
pub mod packet_filter;
pub mod pod;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod proxy_init;
pub mod relay;
pub mod resources;
pub mod stage;
pub mod tls_server;
pub mod webhook;
