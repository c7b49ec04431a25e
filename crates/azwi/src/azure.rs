//! Azure as the commands use it: a cloud's addresses, a login, Microsoft Graph and Azure Resource Manager.

pub(crate) mod arm;
pub(crate) mod cloud;
pub(crate) mod graph;
pub(crate) mod identity;
pub(crate) mod login;
pub(crate) mod patience;
pub(crate) mod rest;
pub(crate) mod subscription;
