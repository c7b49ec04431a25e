//! How much memory a sidecar takes: the proportional set size of the one process there is, so its code counts in full,
//! and the resident set size beside it.

use std::fs::{self, File};
use std::path::Path;

use anyhow::ensure;
use azwi_tests::binaries::binary;
use azwi_tests::kernel::Memory;
use azwi_tests::resources::resource;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::load::Load;
use crate::report::{Limit, Quantity, Row};
use crate::stage::{Stage, request};

/// Beside the first.
const FURTHER_KEYS: u32 = 1000;
/// Each with its limit in MiB, if it has one.
const STATES: [(&str, Option<f64>); 3] =
    [("when ready", Some(3.0)), ("with a token", Some(5.0)), ("with 1,001 tokens", None)];

/// Where memory may not be looked at, the rows say so, and a word on stderr tells why.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    forget(&binary("azwi-proxy")?)?;
    let sidecar = stage.sidecar()?;
    ensure!(sidecar.ask("GET", "/readyz", &[])?.status == 200, "not ready");
    // The sidecar lets nobody else look: an ordinary user still has all other figures.
    if let Err(error) = Memory::of(sidecar.pid()) {
        eprintln!("  not measured: {error:#}");
        return Ok(rows([None; 3]));
    }
    let taken = || Memory::of(sidecar.pid());
    let idle = taken()?;
    ensure!(sidecar.token(&format!("resource={}", resource(0)))?.status == 200, "no token");
    let one = taken()?;
    let further: Vec<_> = (1..).take(FURTHER_KEYS as usize).map(|number| request(&resource(number))).collect();
    Load::new(sidecar.port(), &further)?.one_after_another(further.len())?;
    Ok(rows([Some(idle), Some(one), Some(taken()?)]))
}

/// Has the program read from the disk again, as on a node: the kernel maps a file in pieces as large as it was written in,
/// and a linker writes it in one.
pub(crate) fn forget(program: &Path) -> anyhow::Result<()> {
    let file = File::open(program)?;
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

fn rows(states: [Option<Memory>; 3]) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((name, limit), memory) in STATES.into_iter().zip(states) {
        let pss = Row::maybe(format!("memory {name} (PSS)"), memory.map(|memory| mebibytes(memory.pss)));
        rows.push(match limit {
            Some(limit) => pss.limit(Limit::AtMost(limit)),
            None => pss,
        });
        rows.push(Row::maybe("the same, resident (RSS)", memory.map(|memory| mebibytes(memory.rss))));
    }
    let [_, one, many] = states;
    let key = one.zip(many).map(|(one, many)| kibibytes(many.pss.saturating_sub(one.pss)) / f64::from(FURTHER_KEYS));
    let key = key.map(|key| Quantity::new(key, "KiB"));
    rows.push(Row::maybe("memory for each further token", key).limit(Limit::AtMost(4.0)));
    rows
}

fn mebibytes(bytes: u64) -> Quantity {
    Quantity::new(kibibytes(bytes) / 1024.0, "MiB")
}

#[expect(clippy::cast_precision_loss, reason = "a process is smaller than 2^52 bytes")]
fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

/// Of the file as it ships.
pub(crate) fn program() -> anyhow::Result<Row> {
    let size = fs::metadata(binary("azwi-proxy")?)?.len();
    #[expect(clippy::cast_precision_loss, reason = "a file is smaller than 2^52 bytes")]
    let megabytes = size as f64 / 1e6;
    Ok(Row::new("size of the program", Quantity::new(megabytes, "MB")).limit(Limit::AtMost(7.0)))
}
