//! What is known of the cluster's service accounts: annotations of those that have any of ours, and that the others are
//! there, in nine bytes each.
//!
//! Fed by the watch; while the API server is away it stays as it is.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher::Event;

use super::annotations;
use super::object::Object;
use crate::mutate::ServiceAccount;

/// What is known of one.
pub(super) enum Known {
    /// Its annotations.
    Annotated(Arc<ServiceAccount>),
    /// It had none of ours when it was last seen.
    Plain,
    /// It has not been seen.
    Unseen,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Store {
    /// Keys of plain ones by this are enough to know them again.
    hasher: RandomState,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    current: Seen,
    /// Those of a list that is not complete yet.
    listed: Seen,
}

#[derive(Default)]
struct Seen {
    annotated: HashMap<Box<str>, Arc<ServiceAccount>>,
    plain: HashSet<u64>,
}

/// No name holds a slash, so this is no other account's.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Store {
    /// That has seen one account.
    #[cfg(test)]
    pub(crate) fn knowing(namespace: &str, name: &str, account: ServiceAccount) -> Self {
        let store = Self::default();
        store.tables().current.annotated.insert(key(namespace, name).into_boxed_str(), Arc::new(account));
        store
    }

    /// What is known of the account of that [`key`].
    pub(super) fn get(&self, key: &str) -> Known {
        let tables = self.tables();
        match tables.current.annotated.get(key) {
            Some(account) => Known::Annotated(Arc::clone(account)),
            None if tables.current.plain.contains(&self.hasher.hash_one(key)) => Known::Plain,
            None => Known::Unseen,
        }
    }

    /// How many have annotations of ours.
    pub(crate) fn annotated(&self) -> usize {
        self.tables().current.annotated.len()
    }

    /// Takes note of what the watch saw; whether it has now seen all.
    pub(super) fn observe(&self, event: Event<Object>) -> bool {
        let mut tables = self.tables();
        match event {
            Event::Init => tables.listed = Seen::default(),
            Event::InitApply(object) => self.see(&mut tables.listed, object),
            Event::InitDone => {
                tables.current = mem::take(&mut tables.listed);
                return true;
            }
            Event::Apply(object) => self.see(&mut tables.current, object),
            Event::Delete(object) => self.forget(&mut tables.current, &key_of(&object)),
        }
        false
    }

    fn see(&self, seen: &mut Seen, object: Object) {
        let key = key_of(&object);
        self.forget(seen, &key);
        match annotations::of_ours(object.0.annotations.unwrap_or_default()) {
            Some(account) => drop(seen.annotated.insert(key.into_boxed_str(), Arc::new(account))),
            None => drop(seen.plain.insert(self.hasher.hash_one(key.as_str()))),
        }
    }

    fn forget(&self, seen: &mut Seen, key: &str) {
        seen.annotated.remove(key);
        seen.plain.remove(&self.hasher.hash_one(key));
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(object: &Object) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    key(&part(&object.0.namespace), &part(&object.0.name))
}

#[cfg(test)]
pub(super) mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    pub(in crate::accounts) fn object(name: &str, client_id: Option<&str>) -> Object {
        let annotation = |id: &str| ("azure.workload.identity/client-id".to_owned(), id.to_owned());
        Object(ObjectMeta {
            namespace: Some("demo".to_owned()),
            name: Some(name.to_owned()),
            annotations: client_id.map(|id| [annotation(id)].into()),
            ..ObjectMeta::default()
        })
    }

    fn client_id(store: &Store, name: &str) -> Option<String> {
        match store.get(&key("demo", name)) {
            Known::Annotated(account) => account.client_id.as_deref().map(str::to_owned),
            Known::Plain => Some("plain".to_owned()),
            Known::Unseen => None,
        }
    }

    #[test]
    fn a_list_takes_effect_when_it_is_complete() {
        let store = Store::default();
        store.observe(Event::Apply(object("old", Some("1"))));
        assert!(!store.observe(Event::Init));
        store.observe(Event::InitApply(object("cart", Some("2"))));
        assert_eq!([client_id(&store, "old").as_deref(), client_id(&store, "cart").as_deref()], [Some("1"), None]);
        assert!(store.observe(Event::InitDone));
        assert_eq!([client_id(&store, "old").as_deref(), client_id(&store, "cart").as_deref()], [None, Some("2")]);
    }

    #[test]
    fn the_last_word_on_an_account_counts() {
        let store = Store::default();
        for (seen, wanted) in [(Some("1"), "1"), (Some("2"), "2"), (None, "plain"), (Some("3"), "3")] {
            store.observe(Event::Apply(object("cart", seen)));
            assert_eq!(client_id(&store, "cart").as_deref(), Some(wanted));
        }
        store.observe(Event::Delete(object("cart", Some("3"))));
        assert_eq!(client_id(&store, "cart"), None);
        assert_eq!(store.annotated(), 0);
    }

    #[test]
    fn an_account_that_was_deleted_without_annotations_is_unseen_too() {
        let store = Store::default();
        store.observe(Event::Apply(object("plain", None)));
        store.observe(Event::Delete(object("plain", None)));
        assert_eq!(client_id(&store, "plain"), None);
    }
}
