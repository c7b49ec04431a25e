//! The mutation as an API server has it: what it sends, what it gets back, and what it makes of that.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper that panics is a failed test")]

mod golden;
mod pods;
mod properties;
mod stage;
mod table;
