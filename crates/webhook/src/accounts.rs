//! Service accounts: what their annotations say, from memory where it can be and from the API server where it must.

mod annotations;
mod fetch;
mod lookup;
mod object;
mod store;
mod watch;

pub(crate) use self::fetch::{Cluster, Source};
pub(crate) use self::lookup::{Accounts, LookupError, Origin};
pub(crate) use self::store::Store;
pub(crate) use self::watch::follow;
