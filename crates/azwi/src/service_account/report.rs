//! What was found and done, a line each for people, or one JSON object for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::arguments::{Arguments, Form, Phase};

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It was there, and as it should be.
    Exists,
    Created,
    Updated,
    Deleted,
    /// It was not there to be deleted.
    Absent,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    phase: &'static str,
    what: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    dry_run: bool,
    steps: &'a [Step],
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Tells while things are done.
pub(super) struct Report<'a, W> {
    out: &'a mut W,
    form: Form,
    dry_run: bool,
    steps: Vec<Step>,
}

impl<'a, W: Write> Report<'a, W> {
    pub(super) fn new(arguments: &Arguments, out: &'a mut W) -> Self {
        Self { out, form: arguments.output, dry_run: arguments.dry_run, steps: Vec::new() }
    }

    /// Tells of one thing. Where nothing is to be done, what is told is what would have been.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub(super) fn tell(
        &mut self,
        phase: Phase,
        (what, name): (&'static str, &str),
        id: Option<&str>,
        outcome: Outcome,
    ) -> io::Result<()> {
        let step = Step { phase: phase.name(), what, name: name.to_owned(), id: id.map(str::to_owned), outcome };
        if self.form == Form::Text {
            let id = id.map(|id| format!(" ({id})")).unwrap_or_default();
            writeln!(self.out, "{:<18}  {:<14}  {what} {name}{id}", step.phase, self.word(outcome))?;
            self.out.flush()?;
        }
        self.steps.push(step);
        Ok(())
    }

    fn word(&self, outcome: Outcome) -> &'static str {
        match (outcome, self.dry_run) {
            (Outcome::Exists, _) => "exists",
            (Outcome::Absent, _) => "is not there",
            (Outcome::Created, false) => "created",
            (Outcome::Updated, false) => "updated",
            (Outcome::Deleted, false) => "deleted",
            (Outcome::Created, true) => "would create",
            (Outcome::Updated, true) => "would update",
            (Outcome::Deleted, true) => "would delete",
        }
    }

    /// Ends with the command to type next, if there is one.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub(super) fn finish(self, next: Option<String>) -> io::Result<()> {
        match self.form {
            Form::Json => {
                let document = Document { dry_run: self.dry_run, steps: &self.steps, next };
                let text = serde_json::to_string_pretty(&document).map_err(io::Error::other)?;
                writeln!(self.out, "{text}")
            }
            Form::Text => match next {
                Some(next) => writeln!(self.out, "\nNext, let a workload run as it:\n  {next}"),
                None if self.dry_run => writeln!(self.out, "\nNothing was done."),
                None => Ok(()),
            },
        }
    }
}
