//! `azwi-emulator`: Entra ID and a cluster's OIDC issuer on one's own machine.
//!
//! Here is only wiring: parse, build the runtime, run, map the outcome to an exit code
//! (0 ok, 1 an address or the directory is taken, 64 bad usage or configuration, 70 internal).

mod certificates;
mod cli;
mod cloud;
mod commands;
mod config;
mod connection;
mod control;
mod counters;
mod directory;
mod discovery;
mod entra;
mod failure;
mod faults;
mod guid;
mod issuer;
mod server;
mod signing_key;
mod state_dir;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::report_usage(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    // The one crypto stack, for servers and clients alike; nobody was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::internal)?;
    match command {
        Command::Serve(args) => runtime.block_on(commands::serve::run(&args)),
        Command::Token(args) => commands::token::run(&args),
        Command::Fault(args) => runtime.block_on(commands::remote::fault(&args)),
        Command::Counters(args) => runtime.block_on(commands::remote::counters(&args)),
    }
}
