//! The managed-identity half of the Azure Instance Metadata Service (IMDS) as pure functions:
//! a request line and headers become a [`Request`] or a [`Rejection`]; a token or a [`Failure`]
//! becomes the exact bytes that IMDS clients accept.
//!
//! It refuses to do I/O, to read a clock and to decide which identity answers. JSON is rendered
//! by hand because key order, quoting and line breaks are part of what shipped clients parse.

mod failure;
mod guid;
mod identity_info;
mod json;
mod path;
mod query;
mod rejection;
mod request;
mod response;
mod selector;
mod token_body;

pub use failure::{EntraDetails, Failure, FailureStatus, RetryAfter};
pub use identity_info::identity_info;
pub use rejection::Rejection;
pub use request::{MetadataHeader, Policy, Request, TokenRequest, parse};
pub use response::{json, json_in};
pub use selector::Selector;
pub use token_body::{TokenAnswer, TokenBody};
