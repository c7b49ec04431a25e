//! What is written for people is what the programs say and do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use azwi_tests::binaries::binary;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> Result<String> {
    fs::read_to_string(root().join(name)).with_context(|| name.to_owned())
}

/// What a program says of a flag or a variable: its default, empty where it says none.
type Settings = BTreeMap<String, String>;

/// What `--help` tells: flags, and variables where they are given beside a flag or under `Environment`.
fn settings_of(program: &str) -> Result<Settings> {
    let help = String::from_utf8(Command::new(binary(program)?).arg("--help").output()?.stdout)?;
    let mut settings = Settings::new();
    let options = help.split_once("Options:").context("no options")?.1;
    for option in options.split("\n      --").skip(1) {
        // A flag whose value may be left out is `--flag[=<VALUE>]`.
        let name = option.split([' ', '\n', '[']).next().unwrap_or_default();
        settings.insert(format!("--{name}"), bracketed(option, "[default: ").unwrap_or_default().to_owned());
        settings.extend(bracketed(option, "[env: ").map(|variable| (variable.to_owned(), String::new())));
    }
    let environment = help.split_once("Environment:\n").and_then(|(_, rest)| rest.split_once("\n\n"));
    for line in environment.map(|(lines, _)| lines.lines()).into_iter().flatten() {
        let names: Vec<_> =
            line.split([',', ' ']).filter(|word| !word.is_empty()).take_while(|word| is_name(word)).collect();
        let defaults = bracketed(line, "[default: ").unwrap_or_default();
        let defaults: Vec<_> = defaults.split(", ").collect();
        settings.extend(
            names
                .iter()
                .enumerate()
                .map(|(index, name)| ((*name).to_owned(), defaults.get(index).copied().unwrap_or_default().to_owned())),
        );
    }
    Ok(settings)
}

fn is_name(word: &str) -> bool {
    word.contains('_') && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn bracketed<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(']').map(|(inside, _)| inside)
}

/// What the page's section of a program tells: the first two cells of each row.
fn settings_in(page: &str, program: &str) -> Result<Settings> {
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(program));
    let rows =
        section.with_context(|| format!("no section {program}"))?.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut settings = Settings::new();
    for row in rows {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap_or_default().trim_end_matches('`').to_owned();
        let filled = cells.clone().filter(|cell| !cell.trim().is_empty()).count();
        assert!(filled >= 2, "{name} lacks an example or a meaning");
        settings.insert(name, cells.next().unwrap_or_default().trim().to_owned());
    }
    Ok(settings)
}

#[test]
fn every_setting_that_a_program_has_is_on_the_page_and_no_other() -> Result<()> {
    let pages = ["docs/configuration.md", "docs/configuration.md", "docs/operations.md"];
    for (name, program) in pages.into_iter().zip(["azwi-proxy", "azwi-proxy-init", "azwi-webhook"]) {
        let (said, written) = (settings_of(program)?, settings_in(&page(name)?, program)?);
        assert!(said.len() > 5, "{program} says {said:?}");
        // `AZURE_KUBERNETES_TOKEN_PROXY, _SNI_NAME` is short for two variables with the same beginning.
        let is_same = |said: &str, written: &str| said == written || said.starts_with('_') && written.ends_with(said);
        for (name, default) in &said {
            let row = written.iter().find(|(written, _)| is_same(name, written));
            let (_, on_page) = row.with_context(|| format!("{program}: {name} is not on the page"))?;
            assert!(default.is_empty() || default == on_page, "{program}: {name} is {default:?}, not {on_page:?}");
        }
        for name in written.keys() {
            assert!(said.keys().any(|said| is_same(said, name)), "{program}: {name} is on the page only");
        }
    }
    Ok(())
}

/// The numbers of the rows that `text` names as `row_NN_…` or `rows_NN_NN_…`.
fn rows_in(text: &str) -> BTreeSet<u8> {
    let names = text.lines().filter_map(|line| line.strip_prefix("fn row"));
    names.flat_map(|name| name.split('_').skip(1).map_while(|number| number.parse().ok())).collect()
}

#[test]
fn every_row_of_what_an_app_is_told_has_a_test_of_its_number() -> Result<()> {
    let page = page("docs/errors.md")?;
    let (_, table) = page.split_once("\n## Every answer").context("no table")?;
    let written: BTreeSet<u8> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(' ')?.0.parse().ok()).collect();
    let mut tested = BTreeSet::new();
    for file in fs::read_dir(root().join("tests/tests/errors"))? {
        tested.extend(rows_in(&fs::read_to_string(file?.path())?));
    }
    assert_eq!(written, tested);
    assert_eq!(written, (1..=23).collect());
    Ok(())
}

#[test]
fn every_code_that_the_sidecar_knows_can_be_looked_up_on_the_page() -> Result<()> {
    let page = page("docs/errors.md")?;
    let (_, codes) = page.split_once("\n## By Entra's code").context("no codes")?;
    let (codes, _) = codes.split_once("\n## ").context("no end of them")?;
    let taxonomy = fs::read_to_string(root().join("crates/entra/src/taxonomy.rs"))?;
    let rows = taxonomy.lines().filter_map(|line| line.trim().strip_prefix('(')?.split_once(", "));
    let known: Vec<_> = rows.filter_map(|(code, _)| code.replace('_', "").parse::<u64>().ok()).collect();
    assert!(known.len() > 40, "{known:?}");
    let on_page: BTreeSet<u64> =
        codes.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    for code in known {
        assert!(on_page.contains(&code), "AADSTS{code} is not on the page");
    }
    Ok(())
}

/// All of a program's source, with strings of several lines in one.
fn source(directory: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        text += &if path.is_dir() { source(&path)? } else { fs::read_to_string(&path)? };
    }
    Ok(text.split("\\\n").map(str::trim_start).collect())
}

/// What stays the same of a message whatever it is about: all but its words with digits or quotes.
fn constant_parts(message: &str) -> Vec<String> {
    let varies = |word: &str| word.contains(|c: char| c.is_ascii_digit() || c == '`' || c == '…');
    let words: Vec<_> = message.split(' ').map(|word| if varies(word) { "\n" } else { word }).collect();
    words.join(" ").split('\n').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[test]
fn every_reason_on_the_page_for_which_there_is_no_redirect_is_one_that_the_program_gives() -> Result<()> {
    let (page, source) = (page("docs/redirect.md")?, source(&root().join("crates/proxy-init/src"))?);
    let (_, table) = page.split_once("\n## When it fails").context("no table")?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| 1 | ").or(line.strip_prefix("| 70 | ")));
    let reasons: Vec<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    assert!(reasons.len() > 10, "{reasons:?}");
    for reason in reasons {
        for part in constant_parts(reason) {
            assert!(source.contains(&part), "{reason}: {part:?} is not in the source");
        }
    }
    Ok(())
}

/// Links to files, relative to the page they stand on, without what comes behind `#`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next())
}

#[test]
fn links_between_pages_lead_somewhere() -> Result<()> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    for file in fs::read_dir(root().join("docs"))? {
        pages.push(file?.path());
    }
    for page in pages.iter().filter(|page| page.is_file()) {
        let directory = page.parent().context("no directory")?;
        for link in links(&fs::read_to_string(page)?) {
            assert!(directory.join(link).exists(), "{}: {link}", page.display());
        }
    }
    Ok(())
}
