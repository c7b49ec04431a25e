//! What `azwi` does, apart from its command line.

pub mod pod_identity;
