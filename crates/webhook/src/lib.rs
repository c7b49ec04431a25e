//! The admission webhook: gives pods what they need for workload identity.

pub mod mutate;
