//! The built emulator from outside: over TLS, through its control API, and as a command.

mod command_line;
mod common;
mod faults;
mod token_endpoint;
