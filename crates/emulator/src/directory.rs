//! What the configuration named, and what Graph and Resource Manager have made of it since. What is created is seen
//! late where that is wanted: replication is counted in looks, not in time, so that no test waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::config::{Application, Config, Tenant};
use crate::faults::Api;

pub(crate) struct Directory {
    /// Replaced as a whole: who works on one sees it unchanged to the end.
    config: Mutex<Arc<Config>>,
    /// How many looks of whom will still miss an object.
    unseen: Mutex<HashMap<(Api, Uuid), u32>>,
}

impl Directory {
    pub(crate) fn new(config: Config) -> Self {
        Self { config: Mutex::new(Arc::new(config)), unseen: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.config))
    }

    /// What the token endpoint sees of this client.
    pub(crate) fn seen_by_token_endpoint(&self, client_id: Option<&str>) -> Arc<Config> {
        let config = self.now();
        let client_id = client_id.and_then(|id| Uuid::try_parse(id).ok());
        if lock(&self.unseen).is_empty() {
            return config;
        }
        let mut config = Config::clone(&config);
        let asked_for = |application: &Application| Some(application.client_id) == client_id;
        for tenant in &mut config.tenants {
            tenant
                .applications
                .retain(|application| !asked_for(application) || self.sees(Api::Token, application.object_id));
            for application in tenant.applications.iter_mut().filter(|application| asked_for(application)) {
                application.credentials.retain(|credential| self.sees(Api::Token, credential.id));
            }
        }
        Arc::new(config)
    }

    /// All or nothing: a change that fails changes nothing.
    pub(crate) fn change<T, E>(&self, id: Uuid, change: impl FnOnce(&mut Tenant) -> Result<T, E>) -> Result<T, E>
    where
        E: From<UnknownTenant>,
    {
        let mut current = lock(&self.config);
        let mut config = Config::clone(&current);
        let tenant = config.tenants.iter_mut().find(|tenant| tenant.id == id).ok_or(UnknownTenant)?;
        let changed = change(tenant)?;
        *current = Arc::new(config);
        Ok(changed)
    }

    /// Each API misses the object in its next `looks` looks.
    pub(crate) fn hide(&self, object: Uuid, looks: u32) {
        if looks > 0 {
            let entries = [Api::Token, Api::Graph, Api::Arm].map(|api| ((api, object), looks));
            lock(&self.unseen).extend(entries);
        }
    }

    /// A look; one that misses brings the object nearer.
    pub(crate) fn sees(&self, api: Api, object: Uuid) -> bool {
        let mut unseen = lock(&self.unseen);
        let Some(looks) = unseen.get_mut(&(api, object)) else { return true };
        *looks -= 1;
        if *looks == 0 {
            unseen.remove(&(api, object));
        }
        false
    }
}

/// Of a token that this emulator issued under another configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownTenant;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_CONFIG;

    fn directory() -> (Directory, Uuid) {
        let config = Config::parse(DEFAULT_CONFIG).unwrap();
        let tenant = config.tenants[0].id;
        (Directory::new(config), tenant)
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let (directory, tenant) = directory();
        let outcome = directory.change(tenant, |tenant| -> Result<(), UnknownTenant> {
            tenant.applications.clear();
            Err(UnknownTenant)
        });
        assert_eq!(outcome, Err(UnknownTenant));
        assert!(!directory.now().tenants[0].applications.is_empty());
    }

    #[test]
    fn each_api_misses_a_hidden_object_as_often_as_wanted() {
        let (directory, _) = directory();
        let object = Uuid::new_v4();
        directory.hide(object, 2);
        let looks: Vec<_> = (0..3).map(|_| directory.sees(Api::Graph, object)).collect();
        assert_eq!(looks, [false, false, true]);
        assert!(!directory.sees(Api::Arm, object));
    }
}
