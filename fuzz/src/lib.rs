//! What may come from outside, thrown at the parts that read it: an app's requests, Entra's answers, tokens, the
//! operator's map, an API server's reviews.
//!
//! Each module is a target: its `check` takes any bytes, and panics if what they are taken for breaks a promise. The
//! programs in `fuzz_targets` give them to libFuzzer; the tests here run the corpus and mutations of it on any toolchain.
#![expect(clippy::missing_panics_doc, reason = "that is what a target is for")]

pub mod identity_map;
pub mod jwt;
pub mod query;
pub mod refusal;
pub mod request;
pub mod review;
pub mod token;

mod answer;
mod program;
#[cfg(test)]
mod tests;

pub use program::replay;
