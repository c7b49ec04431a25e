//! What the programs that serve have in common, whatever they serve: how flags are written, room for connections, the
//! pages for whoever watches them, and when they end. Knows nothing of tokens and pods.

pub mod connections;
pub mod flags;
pub mod pages;

mod end;

pub use end::told_to_end;
