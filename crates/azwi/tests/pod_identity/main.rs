//! The plan of a migration: a cluster's objects in, files out.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a helper that panics is a failed test")]

mod golden;
mod properties;
