//! `azwi jwks`: the document of keys that an issuer publishes, as kube-apiserver serves it under `/openid/v1/jwks`.
//!
//! Of a private key only the public half ever gets out of the parser, so that nothing else can be published.

mod key;
mod pem;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::output::{OutputError, write_file};
use key::Jwk;
use pem::PemError;

const EXAMPLES: &str = "\
Examples:
  # The keys of a cluster that signs with sa.key, and will be signing with another
  azwi jwks --public-keys sa.pub,next.pub --output-file jwks.json

  # A node of a kubeadm cluster has it; the private key does as well
  azwi jwks --public-keys /etc/kubernetes/pki/sa.pub";

/// The flags of the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// PEM files with RSA or EC keys, private or public, or certificates
    #[arg(long, required = true, value_delimiter = ',', value_name = "FILE,…")]
    public_keys: Vec<PathBuf>,
    /// Write there instead of to stdout
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwksError {
    #[error("--public-keys: {0}")]
    Key(#[from] PemError),
    #[error("--output-file: {0}")]
    Output(#[from] OutputError),
    #[error("stdout: {0}")]
    Stdout(#[from] io::Error),
}

#[derive(Serialize)]
struct Document {
    keys: Vec<Jwk>,
}

/// Runs the command.
///
/// # Errors
/// A file has no key or one that no cluster can sign with, or the document cannot be written.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), JwksError> {
    let mut keys: Vec<Jwk> = Vec::new();
    for path in &arguments.public_keys {
        for jwk in pem::read(path)? {
            if !keys.contains(&jwk) {
                keys.push(jwk);
            }
        }
    }
    let mut document = serde_json::to_string_pretty(&Document { keys }).map_err(io::Error::other)?;
    document.push('\n');
    match &arguments.output_file {
        Some(path) => Ok(write_file(path, document.as_bytes())?),
        None => Ok(out.write_all(document.as_bytes())?),
    }
}
