//! An RFC 6902 patch, written as text while it grows, and no further than any pod can.

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

use super::Denial;
use super::pod::List;

/// What the API server reads of a request at most, in bytes (`MaxRequestBodyBytes`): no pod is larger. One of many tiny
/// containers would become so, and take the webhook's memory with it.
const MAX: usize = 3 * 1024 * 1024;

/// What nearly all patches fit into, in bytes; growing to it by doubling would cost more.
const USUAL: usize = 8 * 1024;

pub(super) struct Patch(Vec<u8>);

impl Default for Patch {
    fn default() -> Self {
        Self(Vec::with_capacity(USUAL))
    }
}

impl Patch {
    /// Sets what is at `path` or, where its last part is an index or `-`, inserts before it or at the end.
    ///
    /// # Errors
    /// The patch becomes too large.
    pub(super) fn add(&mut self, path: impl Display, value: &impl Serialize) -> Result<(), Denial> {
        self.operation("add", path, value)
    }

    /// Replaces what is at `path`.
    ///
    /// # Errors
    /// The patch becomes too large.
    pub(super) fn replace(&mut self, path: impl Display, value: &impl Serialize) -> Result<(), Denial> {
        self.operation("replace", path, value)
    }

    /// Adds `items` at the end of the array at `path`, which `is_there` or has to be made.
    ///
    /// # Errors
    /// The patch becomes too large.
    pub(super) fn append<T: Serialize>(
        &mut self,
        path: impl Display,
        is_there: bool,
        items: &[T],
    ) -> Result<(), Denial> {
        if !is_there && !items.is_empty() {
            return self.add(path, &items);
        }
        items.iter().try_for_each(|item| self.add(format_args!("{path}/-"), item))
    }

    /// Inserts `items` into a list of containers, from `index` on.
    ///
    /// # Errors
    /// The patch becomes too large.
    pub(super) fn insert<T: Serialize>(&mut self, list: &List<'_>, index: usize, items: &[T]) -> Result<(), Denial> {
        if list.containers.is_none() && !items.is_empty() {
            return self.add(list.path, &items);
        }
        (index..).zip(items).try_for_each(|(index, item)| self.add(format_args!("{}/{index}", list.path), item))
    }

    fn operation(&mut self, op: &str, path: impl Display, value: &impl Serialize) -> Result<(), Denial> {
        let separator = if self.0.is_empty() { '[' } else { ',' };
        // Our paths consist of field names and indices: nothing in them is to be escaped.
        write!(self.0, r#"{separator}{{"op":"{op}","path":"{path}","value":"#)
            .and_then(|()| Ok(serde_json::to_writer(&mut self.0, value)?))
            .map_err(|error| Denial(format!("the pod cannot be patched: {error}")))?;
        self.0.push(b'}');
        if self.0.len() > MAX {
            return Err(Denial("the pod would become larger than the API server takes".to_owned()));
        }
        Ok(())
    }

    /// The patch, if anything is to change.
    pub(super) fn finish(mut self) -> Option<String> {
        self.0.push(b']');
        String::from_utf8(self.0).ok().filter(|patch| patch.len() > 1)
    }
}
