//! `azwi-bench` measures the sidecar as it ships and holds it to its limits. `cargo xtask bench` builds what it needs.
//!
//! Only built programs are measured, from outside, as apps and the kernel see them. On a machine that does other things
//! at the same time only the ratios mean something.

mod cold;
mod cores;
mod hits;
mod load;
mod memory;
mod proc;
mod report;
mod stage;
mod start;
mod statistics;
mod wrk;

use std::env;
use std::process::ExitCode;

use anyhow::bail;

use crate::cores::Cores;
use crate::report::{Form, Row};
use crate::stage::Stage;

const USAGE: &str = "usage: azwi-bench [--quick] [--output text|markdown|json]";
/// The same as `EX_USAGE` of sysexits.h.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Ok(options) = Options::parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(BAD_USAGE);
    };
    match measure(if options.quick { &QUICK } else { &FULL }) {
        Ok(rows) => {
            print!("{}", report::render(options.form, &machine(), &rows));
            if report::all_passed(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("azwi-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
struct Options {
    quick: bool,
    form: Form,
}

impl Options {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self { quick: false, form: Form::Text };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match (word, word.strip_prefix("--output=")) {
                ("--quick", _) => options.quick = true,
                ("--output", _) => options.form = form(words.next())?,
                (_, Some(name)) => options.form = form(Some(name))?,
                _ => bail!("{word:?} is not known"),
            }
        }
        Ok(options)
    }
}

fn form(name: Option<&str>) -> anyhow::Result<Form> {
    match name {
        Some("text") => Ok(Form::Text),
        Some("markdown") => Ok(Form::Markdown),
        Some("json") => Ok(Form::Json),
        other => bail!("no output is named {other:?}"),
    }
}

/// How often and how long each figure is measured.
struct Effort {
    hits: hits::Effort,
    starts: usize,
    cold: usize,
}

const FULL: Effort = Effort { hits: hits::Effort { rounds: 11, requests: 100_000 }, starts: 41, cold: 21 };
const QUICK: Effort = Effort { hits: hits::Effort { rounds: 3, requests: 50_000 }, starts: 21, cold: 5 };

fn measure(effort: &Effort) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::new(Cores::take()?)?;
    eprintln!("memory, with 1,001 tokens one after another …");
    let memory = memory::measure(&stage)?;
    eprintln!("{} starts …", effort.starts);
    let starts = start::measure(&stage, effort.starts)?;
    eprintln!("cold requests, {} rounds …", effort.cold);
    let cold = cold::measure(&stage, effort.cold)?;
    eprintln!("cached hits:");
    let hits = hits::measure(&stage, effort.hits)?;
    Ok([hits, cold, starts, memory, vec![memory::program()?]].concat())
}

/// What the numbers depend on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let models: Vec<&str> = cpus.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let model = models.first().map_or("", |model| model.trim_start_matches([' ', '\t', ':']));
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    format!("{model}, {} cores, Linux {}, load {load}", models.len(), read("/proc/sys/kernel/osrelease").trim())
}
