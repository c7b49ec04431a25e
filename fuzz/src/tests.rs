//! The corpus, and mutations of it that are the same at every run.

use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs};

use fastrand::Rng;

/// Inputs made of the corpus, for each target.
const MUTATIONS: usize = 20_000;
/// Longest input.
const LONGEST: usize = 4096;
/// What parsers stumble over.
const PIECES: [&str; 24] = [
    "%",
    "%2f",
    "%00",
    "%zz",
    "\\",
    "/../",
    "//",
    ";",
    "&",
    "=",
    "+",
    "?",
    "#",
    "\u{0}",
    "\u{2028}",
    "é",
    "\"",
    "\\u0000",
    "null",
    "[]",
    "{}",
    "-1",
    "18446744073709551616",
    "1e999",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One to four changes of one of `seeds`.
fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut data = random.choice(seeds).unwrap().clone();
    for _ in 0..random.u8(1..=4) {
        mutate(&mut data, seeds, random);
    }
    data.truncate(LONGEST);
    data
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Rng) {
    let (from, to) = (random.usize(0..=data.len()), random.usize(0..=data.len()));
    let range = from.min(to)..from.max(to);
    match random.u8(0..6) {
        0 => data.extend_from_within(range),
        1 => drop(data.drain(range)),
        2 => drop(data.splice(range, random.choice(PIECES).unwrap().bytes())),
        3 => drop(data.splice(from..from, random.choice(PIECES).unwrap().bytes())),
        4 => drop(data.splice(from.., random.choice(seeds).unwrap().iter().copied())),
        _ => data.iter_mut().skip(from).take(1).for_each(|byte| *byte ^= 1 << random.u8(0..8)),
    }
}

fn run(target: &str, check: impl Fn(&[u8]) + RefUnwindSafe) {
    let seeds = corpus(target);
    assert!(seeds.len() >= 12, "the corpus of {target} is poor: {}", seeds.len());
    let mut random = Rng::with_seed(1);
    let mutations: Vec<_> = (0..MUTATIONS).map(|_| mutated(&seeds, &mut random)).collect();
    for data in seeds.iter().chain(&mutations) {
        assert!(catch_unwind(|| check(data)).is_ok(), "{target} fails on \"{}\"", data.escape_ascii());
    }
}

#[test]
fn no_request_breaks_a_promise() {
    run("request", crate::request::check);
}

#[test]
fn no_query_breaks_a_promise() {
    run("query", crate::query::check);
}

#[test]
fn no_token_of_entras_breaks_a_promise() {
    run("token", crate::token::check);
}

#[test]
fn no_refusal_of_entras_breaks_a_promise() {
    run("refusal", crate::refusal::check);
}

#[test]
fn no_jwt_breaks_a_promise() {
    run("jwt", crate::jwt::check);
}

#[test]
fn no_identity_map_breaks_a_promise() {
    run("identity_map", crate::identity_map::check);
}

#[test]
fn no_review_breaks_a_promise() {
    run("review", crate::review::check);
}
