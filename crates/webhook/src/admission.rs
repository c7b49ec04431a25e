//! Admission: reviews of the API server and our answers to them.
//!
//! Whatever is wrong with a review, the answer is one that the API server understands; it turns that into what the user
//! sees. Only `POST /mutate-v1-pod` is served.

#[cfg(test)]
mod allocations;
mod body;
mod deadline;
pub mod review;
mod service;

pub(crate) use self::service::Admission;
