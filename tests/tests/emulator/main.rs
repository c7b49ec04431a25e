//! The built emulator from outside: over TLS, through its control API, and as a command.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap is a failed test, in helpers too")]

mod arm;
mod cloud;
mod command_line;
mod common;
mod faults;
mod graph;
mod handle;
mod login;
mod token_endpoint;
