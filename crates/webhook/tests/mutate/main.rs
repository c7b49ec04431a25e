//! The mutation as an API server has it: what it sends, what it gets back, and what it makes of that.

mod golden;
mod properties;
mod stage;
mod table;
