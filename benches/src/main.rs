//! `azwi-bench` measures the sidecar as it ships and holds it to its limits. `cargo xtask bench` builds what it needs.
//!
//! Only built programs are measured, from outside, as apps and the kernel see them. On a machine that does other things
//! at the same time only the ratios mean something.

mod cold;
mod cores;
mod hits;
mod load;
mod memory;
mod report;
mod stage;
mod start;
mod statistics;
mod wrk;

use std::env;
use std::process::ExitCode;

use crate::cores::Cores;
use crate::report::{Form, Limit, Quantity, Row};
use crate::stage::Stage;

const USAGE: &str =
    "usage: azwi-bench quick|full text|markdown|json [ALLOCATIONS BYTES]; `cargo xtask bench` gives these";
/// The same as `EX_USAGE` of sysexits.h.
const BAD_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(task) = Task::read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(BAD_USAGE);
    };
    match measure(&task) {
        Ok(rows) => {
            print!("{}", report::render(task.form, &machine(), &rows));
            if report::all_passed(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("azwi-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for, and what has been counted before.
struct Task {
    effort: &'static Effort,
    form: Form,
    allocations: Option<[u32; 2]>,
}

impl Task {
    fn read(arguments: &[String]) -> Option<Self> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [effort, form, allocations @ ..] = words.as_slice() else { return None };
        let effort = match *effort {
            "quick" => &QUICK,
            "full" => &FULL,
            _ => return None,
        };
        let allocations = match allocations {
            [] => None,
            [times, bytes] => Some([times.parse().ok()?, bytes.parse().ok()?]),
            _ => return None,
        };
        Some(Self { effort, form: Form::named(form)?, allocations })
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

fn measure(Task { effort, allocations, .. }: &Task) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::new(Cores::take()?)?;
    eprintln!("memory, with 1,001 tokens one after another …");
    let memory = memory::measure(&stage)?;
    eprintln!("{} starts …", effort.starts);
    let starts = start::measure(&stage, effort.starts)?;
    eprintln!("cold requests, {} rounds …", effort.cold);
    let cold = cold::measure(&stage, effort.cold)?;
    eprintln!("cached hits:");
    let hits = hits::measure(&stage, effort.hits)?;
    Ok([hits, allocated(*allocations), cold, starts, memory, vec![memory::program()?]].concat())
}

/// By a test inside the sidecar, since nobody can count them from outside.
fn allocated(counted: Option<[u32; 2]>) -> Vec<Row> {
    let row = |figure, number: Option<u32>, unit| Row::maybe(figure, number.map(|n| Quantity::new(f64::from(n), unit)));
    vec![
        row("cached hit, allocations", counted.map(|[times, _]| times), "").limit(Limit::AtMost(5.0)),
        row("cached hit, allocated", counted.map(|[_, bytes]| bytes), "bytes").limit(Limit::AtMost(1023.0)),
    ]
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
