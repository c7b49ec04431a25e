//! `azwi-bench` measures the sidecar or the webhook as it ships and holds it to its limits. `cargo xtask bench` builds what it needs.
//!
//! Only built programs are measured, from outside, as apps and the kernel see them. On a machine that does other things
//! at the same time only the ratios mean something.

mod cold;
mod contest;
mod cores;
mod hits;
mod load;
mod memory;
mod report;
mod stage;
mod start;
mod statistics;
mod webhook;
mod wrk;

use std::env;
use std::process::ExitCode;

use crate::cores::Cores;
use crate::report::{Form, Limit, Quantity, Row};
use crate::stage::Stage;

const USAGE: &str = "usage: azwi-bench sidecar|webhook quick|full text|markdown|json [ALLOCATIONS BYTES]; `cargo xtask bench` gives these";
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

/// What is measured.
enum Subject {
    Sidecar,
    Webhook,
}

/// What is asked for, and what has been counted before.
struct Task {
    subject: Subject,
    effort: &'static Effort,
    form: Form,
    allocations: Option<[u32; 2]>,
}

impl Task {
    fn read(arguments: &[String]) -> Option<Self> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let [subject, effort, form, allocations @ ..] = words.as_slice() else { return None };
        let subject = match *subject {
            "sidecar" => Subject::Sidecar,
            "webhook" => Subject::Webhook,
            _ => return None,
        };
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
        Some(Self { subject, effort, form: Form::named(form)?, allocations })
    }
}

/// How often and how long each figure is measured.
struct Effort {
    hits: contest::Effort,
    reviews: contest::Effort,
    starts: usize,
    cold: usize,
}

const FULL: Effort = Effort {
    hits: contest::Effort { rounds: 11, requests: 100_000 },
    reviews: contest::Effort { rounds: 15, requests: 20_000 },
    starts: 41,
    cold: 21,
};
const QUICK: Effort = Effort {
    hits: contest::Effort { rounds: 3, requests: 50_000 },
    reviews: contest::Effort { rounds: 5, requests: 10_000 },
    starts: 21,
    cold: 5,
};

fn measure(Task { subject, effort, allocations, .. }: &Task) -> anyhow::Result<Vec<Row>> {
    match subject {
        Subject::Sidecar => sidecar(effort, *allocations),
        Subject::Webhook => webhook::measure(effort.reviews, effort.cold, *allocations),
    }
}

fn sidecar(effort: &Effort, allocations: Option<[u32; 2]>) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::new(Cores::take()?)?;
    eprintln!("memory, with 1,001 tokens one after another …");
    let memory = memory::measure(&stage)?;
    eprintln!("{} starts …", effort.starts);
    let starts = start::measure(&stage, effort.starts)?;
    eprintln!("cold requests, {} rounds …", effort.cold);
    let cold = cold::measure(&stage, effort.cold)?;
    eprintln!("cached hits:");
    let hits = hits::measure(&stage, effort.hits)?;
    Ok([hits, allocated("cached hit", allocations, [5.0, 1023.0]), cold, starts, memory, vec![memory::program()?]]
        .concat())
}

/// By a test inside the program, since nobody can count them from outside; with limits of their number and their bytes.
fn allocated(what: &str, counted: Option<[u32; 2]>, [times, bytes]: [f64; 2]) -> Vec<Row> {
    let row = |figure: &str, number: Option<u32>, unit| {
        Row::maybe(format!("{what}, {figure}"), number.map(|n| Quantity::new(f64::from(n), unit)))
    };
    vec![
        row("allocations", counted.map(|[times, _]| times), "").limit(Limit::AtMost(times)),
        row("allocated", counted.map(|[_, bytes]| bytes), "bytes").limit(Limit::AtMost(bytes)),
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
