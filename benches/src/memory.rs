//! How much memory a sidecar takes: the proportional set size of the one process there is, so its code counts in full.

use std::fs;

use anyhow::ensure;
use azwi_tests::binaries::binary;

use crate::load::Load;
use crate::proc::pss;
use crate::report::{Limit, Quantity, Row};
use crate::stage::{Stage, request, resource};

/// Beside the first.
const FURTHER_KEYS: u32 = 1000;

/// Nothing where memory may not be looked at, with a word on stderr.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let sidecar = stage.sidecar()?;
    ensure!(sidecar.ask("GET", "/readyz", &[])?.status == 200, "not ready");
    // The sidecar lets nobody else look: an ordinary user still has all other figures.
    let idle = match pss(sidecar.pid()) {
        Ok(idle) => idle,
        Err(error) => {
            eprintln!("  left out: {error:#}");
            return Ok(Vec::new());
        }
    };
    ensure!(sidecar.token(&format!("resource={}", resource(0)))?.status == 200, "no token");
    let one = pss(sidecar.pid())?;
    let further: Vec<_> = (1..).take(FURTHER_KEYS as usize).map(|number| request(&resource(number))).collect();
    Load::new(sidecar.port(), &further)?.one_after_another(further.len())?;
    let many = pss(sidecar.pid())?;
    let key = (many - one) / f64::from(FURTHER_KEYS);
    Ok(vec![
        Row::new("memory when ready (PSS)", mebibytes(idle)).limit(Limit::AtMost(3.0)),
        Row::new("memory with a token (PSS)", mebibytes(one)).limit(Limit::AtMost(5.0)),
        Row::new("memory for each further token", Quantity::new(key / 1024.0, "KiB")).limit(Limit::AtMost(4.0)),
    ])
}

/// Of the file as it ships.
pub(crate) fn program() -> anyhow::Result<Row> {
    let size = fs::metadata(binary("azwi-proxy")?)?.len();
    #[expect(clippy::cast_precision_loss, reason = "a file is smaller than 2^52 bytes")]
    let megabytes = size as f64 / 1e6;
    Ok(Row::new("size of the program", Quantity::new(megabytes, "MB")).limit(Limit::AtMost(7.0)))
}

fn mebibytes(bytes: f64) -> Quantity {
    Quantity::new(bytes / 1024.0 / 1024.0, "MiB")
}
