//! Keeps the Secret, the `caBundle` and what is served in step.
//!
//! Whatever changes, the same is done: read the Secret, renew it if need be, see that API servers trust its authority, and
//! only then serve with its certificate. What another replica wrote first is taken as it is.

use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};

use super::authority::{Wanted, wanted};
use super::ca_bundle::Trust;
use super::material::Material;
use super::served::{Served, Unusable};
use super::{CONFIGURATION, SECRET, SERVICE, ca_bundle, pem};
use crate::failure::{chain, of_cluster};
use crate::readiness::{Condition, Readiness};

/// How often to look when nothing seems to change: days matter, not minutes.
const ROUND: Duration = Duration::from_hours(1);
/// Between two looks at least, in case somebody else insists on another `caBundle`.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a failure: at first, and at most.
const RETRIES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long API servers take at most to learn of a new authority.
const SETTLING: Duration = Duration::from_secs(10);
/// How long the authority before ours is trusted after we have gone over to ours: other replicas do so when they see it.
const LINGERING: Duration = Duration::from_mins(1);
/// How often somebody else may be faster.
const MAX_CONFLICTS: usize = 10;

/// Why they are not in step.
#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error("the API server: {}", of_cluster(.0))]
    Cluster(#[from] kube::Error),
    #[error("a certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("the API server does not answer in time")]
    Slow,
    #[error("others were faster each time")]
    Conflicts,
}

/// Does that for one replica.
pub(crate) struct Keeper {
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<DynamicObject>,
    namespace: String,
    dns_name: String,
    clock: fn() -> OffsetDateTime,
    served: Arc<Served>,
    /// Whose certificate is served.
    serving: Option<Serving>,
}

struct Serving {
    /// The authority, as the Secret has it.
    ca: String,
    since: Instant,
}

impl Keeper {
    /// For a webhook in `namespace` that serves with `served`.
    pub(crate) fn new(client: Client, namespace: &str, served: Arc<Served>, clock: fn() -> OffsetDateTime) -> Self {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            configurations: Api::all_with(client.clone(), &kind),
            client,
            namespace: namespace.to_owned(),
            dns_name: format!("{SERVICE}.{namespace}.svc"),
            clock,
            served,
            serving: None,
        }
    }

    /// Goes on for as long as it is polled.
    pub(crate) async fn run(mut self, readiness: &Readiness) {
        let mut changes = pin!(self.changes());
        let mut retry = RETRIES.0;
        loop {
            let wait = match self.look(readiness).await {
                Ok(()) => {
                    retry = RETRIES.0;
                    if self.lingers() { LINGERING } else { ROUND }
                }
                Err(error) => {
                    tracing::error!(%error, "the certificate cannot be looked after for now");
                    let wait = retry;
                    retry = RETRIES.1.min(retry * 2);
                    wait
                }
            };
            sleep(PAUSE).await;
            // Whatever it is, it is looked at; if there is nothing more to hear, time will do.
            let _ = timeout(wait, changes.next()).await;
        }
    }

    /// That the Secret or the webhook configuration has changed.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &self.namespace);
        let configurations = Api::<PartialObjectMeta<MutatingWebhookConfiguration>>::all(self.client.clone());
        let secrets = watcher::watch_object(secrets, SECRET).default_backoff().filter_map(|event| told(SECRET, event));
        let configurations = watcher::watch_object(configurations, CONFIGURATION)
            .default_backoff()
            .filter_map(|event| told(CONFIGURATION, event));
        stream::select(secrets, configurations)
    }

    async fn look(&mut self, readiness: &Readiness) -> Result<(), KeeperError> {
        let material = timeout(PATIENCE, self.agree()).await.map_err(|_| KeeperError::Slow)??;
        readiness.meet(Condition::CaBundle);
        let is_new = self.serving.as_ref().is_none_or(|serving| serving.ca != material.ca);
        if is_new && self.serving.is_some() {
            sleep(SETTLING).await;
        }
        self.served.serve(material.certificate.as_bytes(), material.key.as_bytes())?;
        if is_new {
            self.serving = Some(Serving { ca: material.ca, since: Instant::now() });
        }
        readiness.meet(Condition::Certificate);
        Ok(())
    }

    /// What all replicas serve with, once API servers have been told to trust it.
    async fn agree(&self) -> Result<Material, KeeperError> {
        let material = self.material().await?;
        self.tell(&self.trust(&material.ca)).await?;
        Ok(material)
    }

    async fn material(&self) -> Result<Material, KeeperError> {
        for _ in 0..MAX_CONFLICTS {
            let secret = self.secrets.get_opt(SECRET).await?;
            let current = secret.as_ref().and_then(|secret| Material::read(secret.data.as_ref()?));
            let new = match wanted(current, &self.dns_name, (self.clock)())? {
                Wanted::Kept(material) => return Ok(material),
                Wanted::New(material) => material,
            };
            if was_first(self.write(secret, &new).await)? {
                tracing::info!(secret = SECRET, "made a new certificate");
                return Ok(new);
            }
        }
        Err(KeeperError::Conflicts)
    }

    /// Fails with a conflict if the Secret is another one than `secret` meanwhile.
    async fn write(&self, secret: Option<Secret>, material: &Material) -> Result<Secret, kube::Error> {
        let is_new = secret.is_none();
        let mut secret = secret.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
            ..Secret::default()
        });
        material.write(secret.data.get_or_insert_default());
        if is_new {
            self.secrets.create(&PostParams::default(), &secret).await
        } else {
            self.secrets.replace(SECRET, &PostParams::default(), &secret).await
        }
    }

    /// Whom API servers should trust: `ca`, and until all replicas have gone over to it whoever is served with now.
    fn trust(&self, ca: &str) -> Trust {
        match &self.serving {
            Some(serving) if serving.ca != ca => Trust::AtLeast(pem::with_first_of(ca, &serving.ca)),
            Some(_) if !self.lingers() => Trust::Only(ca.to_owned()),
            _ => Trust::AtLeast(ca.to_owned()),
        }
    }

    /// Whether somebody may still serve with the authority before ours.
    fn lingers(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| serving.since.elapsed() < LINGERING)
    }

    /// Lets API servers do so.
    async fn tell(&self, trust: &Trust) -> Result<(), KeeperError> {
        for _ in 0..MAX_CONFLICTS {
            let mut configuration = self.configurations.get(CONFIGURATION).await?;
            if !ca_bundle::set(&mut configuration.data, trust) {
                return Ok(());
            }
            let replaced = self.configurations.replace(CONFIGURATION, &PostParams::default(), &configuration).await;
            if was_first(replaced)? {
                tracing::info!(configuration = CONFIGURATION, "set the caBundle");
                return Ok(());
            }
        }
        Err(KeeperError::Conflicts)
    }
}

/// Whether a write went through; `false` if somebody else was faster.
fn was_first<T>(result: Result<T, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

fn told<T>(name: &str, event: Result<T, watcher::Error>) -> Ready<Option<()>> {
    if let Err(error) = event {
        tracing::warn!(name, error = %chain(&error), "cannot be watched for now");
        return ready(None);
    }
    ready(Some(()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::Duration as Days;

    use super::*;
    use crate::fake_api::FakeApi;

    const SECRET_PATH: &str = "/api/v1/namespaces/demo/secrets/azure-wi-webhook-server-cert";
    const CONFIGURATION_PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/\
                                      azure-wi-webhook-mutating-webhook-configuration";

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Days::days(20_000)
    }

    /// When the first authority has to go.
    fn later() -> OffsetDateTime {
        now() + Days::days(3300)
    }

    fn cluster() -> FakeApi {
        let api = FakeApi::default();
        let webhook = json!({ "name": "mutation.azure-workload-identity.io", "futureField": 1, "clientConfig": {} });
        api.put(
            CONFIGURATION_PATH,
            json!({ "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration", "metadata": { "name": CONFIGURATION }, "webhooks": [webhook] }),
        );
        api
    }

    fn keeper(api: &FakeApi, clock: fn() -> OffsetDateTime) -> Keeper {
        Keeper::new(api.client(), "demo", Arc::default(), clock)
    }

    fn ca_in_secret(api: &FakeApi) -> Value {
        api.get(SECRET_PATH)["data"]["ca.crt"].clone()
    }

    fn ca_bundle(api: &FakeApi) -> Value {
        api.get(CONFIGURATION_PATH)["webhooks"][0]["clientConfig"]["caBundle"].clone()
    }

    fn decoded(base64: &Value) -> String {
        let bytes = serde_json::from_value::<k8s_openapi::ByteString>(base64.clone()).unwrap();
        String::from_utf8(bytes.0).unwrap()
    }

    fn serves_what_is_in_the_secret(keeper: &Keeper, api: &FakeApi) -> bool {
        let secret: Secret = serde_json::from_value(api.get(SECRET_PATH)).unwrap();
        let material = Material::read(secret.data.as_ref().unwrap()).unwrap();
        !keeper.served.serve(material.certificate.as_bytes(), material.key.as_bytes()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_not_there_is_created_and_one_that_is_empty_is_filled() {
        for empty in [None, Some(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": SECRET } }))] {
            let api = cluster();
            if let Some(secret) = empty {
                api.put(SECRET_PATH, secret);
            }
            let mut keeper = keeper(&api, now);
            keeper.look(&Readiness::default()).await.unwrap();
            assert!(serves_what_is_in_the_secret(&keeper, &api));
            assert_eq!(ca_in_secret(&api), ca_bundle(&api));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_that_start_at_once_agree() {
        let api = cluster();
        let mut keepers: Vec<_> = (0..5).map(|_| keeper(&api, now)).collect();
        let readiness = Readiness::default();
        let looks = futures_util::future::join_all(keepers.iter_mut().map(|keeper| keeper.look(&readiness))).await;
        assert!(looks.iter().all(Result::is_ok), "{looks:?}");
        assert!(keepers.iter().all(|keeper| serves_what_is_in_the_secret(keeper, &api)));
        assert_eq!(ca_in_secret(&api), ca_bundle(&api));
        assert!(api.conflicts() > 0, "nobody was in anybody's way");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_good_is_not_written_again() {
        let api = cluster();
        keeper(&api, now).look(&Readiness::default()).await.unwrap();
        let (secret, configuration) = (api.get(SECRET_PATH), api.get(CONFIGURATION_PATH));
        keeper(&api, now).look(&Readiness::default()).await.unwrap();
        assert_eq!((api.get(SECRET_PATH), api.get(CONFIGURATION_PATH)), (secret, configuration));
    }

    #[tokio::test(start_paused = true)]
    async fn fields_that_this_build_does_not_know_stay_in_the_webhook_configuration() {
        let api = cluster();
        keeper(&api, now).look(&Readiness::default()).await.unwrap();
        assert_eq!(api.get(CONFIGURATION_PATH)["webhooks"][0]["futureField"], 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_of_a_new_authority_is_served_when_api_servers_have_had_time_to_learn_of_it() {
        let api = cluster();
        let mut keeper = keeper(&api, now);
        keeper.look(&Readiness::default()).await.unwrap();
        let (first, started) = (ca_bundle(&api), Instant::now());
        keeper.clock = later;
        keeper.look(&Readiness::default()).await.unwrap();
        assert!(ca_bundle(&api) != first && serves_what_is_in_the_secret(&keeper, &api));
        assert!(started.elapsed() >= SETTLING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_loses_its_content_leaves_what_is_served_trusted_until_all_have_gone_over() {
        let api = cluster();
        let (mut keeper, readiness) = (keeper(&api, now), Readiness::default());
        keeper.look(&readiness).await.unwrap();
        let first = decoded(&ca_bundle(&api));
        api.put(SECRET_PATH, json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": SECRET } }));
        keeper.look(&readiness).await.unwrap();
        assert!(pem::are_in(&first, &decoded(&ca_bundle(&api))));
        tokio::time::advance(LINGERING).await;
        keeper.look(&readiness).await.unwrap();
        assert_eq!(ca_in_secret(&api), ca_bundle(&api));
        assert!(!pem::are_in(&first, &decoded(&ca_bundle(&api))));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_served_that_api_servers_would_not_trust() {
        let api = FakeApi::default();
        let (mut keeper, readiness) = (keeper(&api, now), Readiness::default());
        let error = keeper.look(&readiness).await.unwrap_err();
        assert!(error.to_string().contains("not found"), "{error}");
        assert_eq!((keeper.served.expires(), readiness.reasons().len()), (None, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ca_bundle_that_somebody_removes_comes_back() {
        let api = cluster();
        let (keeper, readiness) = (keeper(&api, now), Readiness::default());
        let mut running = Box::pin(keeper.run(&readiness));
        assert!(timeout(ROUND / 2, &mut running).await.is_err());
        let mut configuration = api.get(CONFIGURATION_PATH);
        configuration["webhooks"][0]["clientConfig"] = json!({});
        api.put(CONFIGURATION_PATH, configuration);
        assert!(timeout(ROUND, &mut running).await.is_err());
        assert_eq!(ca_in_secret(&api), ca_bundle(&api));
    }
}
