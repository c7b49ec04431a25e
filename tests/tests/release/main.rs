//! The sidecar as it ships: optimised and static. `cargo xtask test release` builds it.

mod cost;
mod hostile;

use std::fs;

use anyhow::Result;
use azwi_tests::binaries::released;

/// What every node of a cluster keeps and every new one pulls, in bytes.
const MAX_SIZE: u64 = 7_000_000;

#[test]
fn the_sidecar_is_no_larger_than_7_megabytes() -> Result<()> {
    let size = fs::metadata(released("azwi-proxy")?)?.len();
    assert!(size <= MAX_SIZE, "{size} bytes; see what has grown with cargo-bloat");
    Ok(())
}
