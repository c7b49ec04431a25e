//! `azwi podidentity detect`: writes what a migration consists of, and changes nothing.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::azure::login;

use super::error::Error;
use super::output;
use super::plan::{Outcome, Plan};
use super::source::Source;

const EXAMPLES: &str = "\
Examples:
  # Of one namespace: read plan/report.md then
  azwi podidentity detect --namespace shop --output-dir plan

  # Of all, with what Azure knows of the identities, as whoever `az login` made you
  azwi podidentity detect --all-namespaces --output-dir plan --azure";

/// What is to be said to detect.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, mut_args(login::only_with("azure")))]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Folder for the files
    #[arg(short, long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Overwrite files that somebody changed, or that were there before
    #[arg(long)]
    overwrite: bool,
    /// Read objects from files, as kubectl get --output yaml prints them, in place of a cluster
    #[arg(long, value_name = "FILE,…", value_delimiter = ',', conflicts_with_all = ["namespace", "all_namespaces"])]
    from: Vec<PathBuf>,
}

/// Reads, plans, writes.
///
/// # Errors
/// What could not be read or written.
pub async fn run(
    arguments: &Arguments,
    lookup: &dyn Fn(&str) -> Option<String>,
    out: &mut impl Write,
) -> Result<(), Error> {
    let azure = arguments.source.azure(lookup).await?;
    let plan = if arguments.from.is_empty() {
        arguments.source.of_cluster(&arguments.source.connection.connect().await?, azure.as_ref()).await?.0
    } else {
        arguments.source.of_files(&arguments.from, azure.as_ref()).await?
    };
    output::write(&arguments.output_dir, &plan.files()?, arguments.overwrite)?;
    tell(&plan, out)?;
    writeln!(out, "Read {}", arguments.output_dir.join("report.md").display())?;
    Ok(())
}

/// A line for each workload.
pub(super) fn tell(plan: &Plan, out: &mut impl Write) -> Result<(), Error> {
    if plan.workloads.is_empty() {
        writeln!(out, "No workload has identities of pod identity here.")?;
    }
    for workload in &plan.workloads {
        writeln!(out, "{}: {}: {}", workload.id.namespace, workload.id, words(workload.outcome()))?;
    }
    Ok(())
}

/// What becomes of a workload, in words.
pub(super) fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ready => "ready",
        Outcome::Review => "needs a person",
        Outcome::ByHand => "to be changed by hand",
        Outcome::Stopped => "cannot be migrated so",
        Outcome::Unchanged => "nothing to change",
    }
}
