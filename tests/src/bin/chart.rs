//! Makes anew what is made of the chart; `cargo xtask chart` runs it.

use std::fs;

use anyhow::Context as _;
use azwi_tests::chart::{manifest, manifest_file, readme, readme_file};

fn main() -> anyhow::Result<()> {
    for (file, content) in [(readme_file(), readme()?), (manifest_file(), manifest()?)] {
        fs::create_dir_all(file.parent().context("no directory")?)?;
        fs::write(&file, content)?;
        println!("{}", file.display());
    }
    Ok(())
}
