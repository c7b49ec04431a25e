//! The annotations of a pod's service account.
//!
//! From memory where they are there. Otherwise the API server is asked, once for all who wait, and again for a moment if
//! it knows no such account: a pod and its service account may have been created together. An account that was seen
//! without annotations is asked for too, since they may have been added just now; if the API server cannot be asked, it
//! still has none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::Store;
use super::fetch::Source;
use super::store::{Known, key};
use crate::mutate::ServiceAccount;
use crate::names;

/// How many accounts are asked for at once; further ones wait for their turn.
const MAX_FETCHES: usize = 16;
/// How many may wait for that, with or without somebody who waits for them: as many as there can be reviews.
const MAX_WAITING: usize = 512;
/// Pauses between tries.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800)];

/// Why there are no annotations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// There is no such account.
    #[error("service account {0} not found")]
    NotFound(String),
    /// It is not known whether there is.
    #[error("service account {0} cannot be read: {1}")]
    Unavailable(String, String),
}

/// Where the annotations came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// They were known.
    Memory,
    /// The API server was asked.
    Cluster,
}

type Fetched = Result<Arc<ServiceAccount>, LookupError>;
type Fetch = Shared<BoxFuture<'static, Fetched>>;

/// All service accounts.
pub(crate) struct Accounts<S> {
    store: Arc<Store>,
    fetches: Arc<Fetches<S>>,
}

/// What is being asked for.
struct Fetches<S> {
    source: S,
    turns: Semaphore,
    by_key: Mutex<HashMap<String, Fetch>>,
}

impl<S: Source> Accounts<S> {
    /// Those in `store`, and beyond them those at `source`.
    pub(crate) fn new(store: Arc<Store>, source: S) -> Self {
        let fetches = Fetches { source, turns: Semaphore::new(MAX_FETCHES), by_key: Mutex::default() };
        Self { store, fetches: Arc::new(fetches) }
    }

    /// Finds one until `deadline`.
    ///
    /// # Errors
    /// If there is none, or that cannot be told in time.
    pub(crate) async fn find(
        &self,
        namespace: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<(Arc<ServiceAccount>, Origin), LookupError> {
        let key = key(namespace, name);
        let is_plain = match self.store.get(&key) {
            Known::Annotated(account) => return Ok((account, Origin::Memory)),
            Known::Plain => true,
            Known::Unseen => false,
        };
        if !names::is_label(namespace) || !names::is_subdomain(name) {
            return Err(LookupError::NotFound(key));
        }
        let unavailable = |why: &str| Err(LookupError::Unavailable(key.clone(), why.to_owned()));
        let fetched = match self.fetches.join(namespace, name, &key) {
            None => unavailable("too many service accounts are being asked for"),
            Some(fetch) => timeout_at(deadline, fetch)
                .await
                .unwrap_or_else(|_| unavailable("the API server does not answer in time")),
        };
        match fetched {
            Err(LookupError::Unavailable(..)) if is_plain => Ok((Arc::default(), Origin::Memory)),
            fetched => fetched.map(|account| (account, Origin::Cluster)),
        }
    }
}

impl<S: Source> Fetches<S> {
    /// The fetch of that account: the one under way, or a new one if there is room. It goes on if nobody waits for it any
    /// longer.
    fn join(self: &Arc<Self>, namespace: &str, name: &str, key: &str) -> Option<Fetch> {
        let mut by_key = self.by_key();
        let is_full = by_key.len() >= MAX_WAITING;
        match by_key.entry(key.to_owned()) {
            Entry::Occupied(fetch) => Some(fetch.get().clone()),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => {
                let task = tokio::spawn(Arc::clone(self).run(namespace.to_owned(), name.to_owned(), key.to_owned()));
                let key = key.to_owned();
                let lost = move |_| Err(LookupError::Unavailable(key, "given up".to_owned()));
                Some(place.insert(task.map(|end| end.unwrap_or_else(lost)).boxed().shared()).clone())
            }
        }
    }

    async fn run(self: Arc<Self>, namespace: String, name: String, key: String) -> Fetched {
        let fetched = self.try_for_a_moment(&namespace, &name, &key).await;
        self.by_key().remove(&key);
        fetched
    }

    async fn try_for_a_moment(&self, namespace: &str, name: &str, key: &str) -> Fetched {
        let mut pauses = PAUSES.into_iter();
        loop {
            let failure = match self.fetch(namespace, name).await {
                Ok(Some(account)) => return Ok(Arc::new(account)),
                Ok(None) => LookupError::NotFound(key.to_owned()),
                Err(why) => LookupError::Unavailable(key.to_owned(), why),
            };
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => return Err(failure),
            }
        }
    }

    async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, String> {
        let _turn = self.turns.acquire().await;
        self.source.fetch(namespace, name).await
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<String, Fetch>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::pending;

    use futures_util::future::join_all;
    use kube::runtime::watcher::Event;

    use super::super::store::tests::object;
    use super::*;

    /// What the API server says to one question after another; then it says nothing.
    #[derive(Default)]
    struct Script {
        answers: Mutex<VecDeque<Result<Option<ServiceAccount>, String>>>,
        asked: Mutex<Vec<String>>,
    }

    impl Source for Arc<Script> {
        async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<ServiceAccount>, String> {
            self.asked.lock().unwrap().push(format!("{namespace}/{name}"));
            tokio::task::yield_now().await;
            let answer = self.answers.lock().unwrap().pop_front();
            match answer {
                Some(answer) => answer,
                None => pending().await,
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "one of several answers")]
    fn found() -> Result<Option<ServiceAccount>, String> {
        Ok(Some(ServiceAccount { client_id: Some("live".into()), ..ServiceAccount::default() }))
    }

    fn accounts(
        known: &[(&str, Option<&str>)],
        answers: impl IntoIterator<Item = Result<Option<ServiceAccount>, String>>,
    ) -> (Accounts<Arc<Script>>, Arc<Script>) {
        let store = Arc::new(Store::default());
        for (name, client_id) in known {
            store.observe(Event::Apply(object(name, *client_id)));
        }
        let script = Arc::new(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() });
        (Accounts::new(store, Arc::clone(&script)), script)
    }

    async fn find(accounts: &Accounts<Arc<Script>>, name: &str) -> Result<(Option<String>, Origin), LookupError> {
        let (account, origin) = accounts.find("demo", name, Instant::now() + Duration::from_secs(9)).await?;
        Ok((account.client_id.as_deref().map(str::to_owned), origin))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_answered_without_the_api_server() {
        let (accounts, script) = accounts(&[("cart", Some("known"))], []);
        assert_eq!(find(&accounts, "cart").await, Ok((Some("known".to_owned()), Origin::Memory)));
        assert!(script.asked.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_known_is_asked_for_once_for_all_who_wait() {
        let (accounts, script) = accounts(&[], [found()]);
        let all = join_all((0..50).map(|_| find(&accounts, "cart"))).await;
        assert!(all.iter().all(|one| *one == Ok((Some("live".to_owned()), Origin::Cluster))));
        assert_eq!(*script.asked.lock().unwrap(), ["demo/cart"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_comes_a_moment_after_its_pod_is_found() {
        let (accounts, _) = accounts(&[], [Ok(None), Err("restarting".to_owned()), found()]);
        assert!(find(&accounts, "cart").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_does_not_come_is_not_found_within_two_seconds() {
        let (accounts, _) = accounts(&[], (0..5).map(|_| Ok(None)));
        let started = Instant::now();
        assert_eq!(find(&accounts, "cart").await, Err(LookupError::NotFound("demo/cart".to_owned())));
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_holds_nobody_beyond_the_deadline() {
        let (accounts, _) = accounts(&[], []);
        let error = find(&accounts, "cart").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "service account demo/cart cannot be read: the API server does not answer in time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn annotations_that_were_added_just_now_are_seen() {
        let (accounts, _) = accounts(&[("cart", None)], [found()]);
        assert_eq!(find(&accounts, "cart").await, Ok((Some("live".to_owned()), Origin::Cluster)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_without_annotations_still_has_none_while_the_api_server_is_away() {
        let (accounts, _) = accounts(&[("cart", None)], (0..5).map(|_| Err("refused".to_owned())));
        assert_eq!(find(&accounts, "cart").await, Ok((None, Origin::Memory)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_is_over_is_not_remembered() {
        let (accounts, script) = accounts(&[], [found(), found()]);
        assert!(find(&accounts, "cart").await.is_ok() && find(&accounts, "cart").await.is_ok());
        assert_eq!(script.asked.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_would_be_another_path_is_not_asked_for() {
        let (accounts, script) = accounts(&[], [found(), found()]);
        for (namespace, name) in [("demo", "../secrets/x"), ("..", "cart"), ("demo", ""), ("", "cart")] {
            let deadline = Instant::now() + Duration::from_secs(1);
            assert!(matches!(accounts.find(namespace, name, deadline).await, Err(LookupError::NotFound(_))));
        }
        assert!(script.asked.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn few_accounts_are_asked_for_at_once() {
        let (accounts, script) = accounts(&[], []);
        let names: Vec<_> = (0..100).map(|number| format!("cart-{number}")).collect();
        let _ = join_all(names.iter().map(|name| find(&accounts, name))).await;
        assert_eq!(script.asked.lock().unwrap().len(), MAX_FETCHES);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_ever_more_accounts_is_turned_away_at_once() {
        let (accounts, _script) = accounts(&[], []);
        let names: Vec<_> = (0..MAX_WAITING).map(|number| format!("cart-{number}")).collect();
        let _ = join_all(names.iter().map(|name| find(&accounts, name))).await;
        let started = Instant::now();
        let why = find(&accounts, "one-more").await.unwrap_err();
        assert!(why.to_string().ends_with("too many service accounts are being asked for"), "{why}");
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
