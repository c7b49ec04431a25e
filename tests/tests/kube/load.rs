//! Pods that are created while something happens.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use azwi_tests::cluster::Cluster;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::workload::{CLIENT_ID, account, container, has_mount, pod};

/// So many are created at once.
const WRITERS: usize = 8;

/// So many are created when it has happened what they are created meanwhile for.
const AFTERWARDS: usize = 50;

/// So often a pod is tried again; only what never works meets it.
const TRIES: usize = 100;

/// Longer than a busy machine takes for a part of them; only an end of all progress meets it.
const PATIENCE: Duration = Duration::from_mins(2);

/// Labelled pods in a namespace of their own.
pub(crate) struct Load<'a> {
    cluster: &'a Cluster,
    count: AtomicUsize,
    next: AtomicUsize,
    done: Mutex<usize>,
    more_done: Condvar,
}

impl<'a> Load<'a> {
    pub(crate) fn new(cluster: &'a Cluster, count: usize) -> Result<Self> {
        cluster.namespace("load")?;
        cluster.create(&account("load", "app", &json!({ "client-id": CLIENT_ID })))?;
        Ok(Self {
            cluster,
            count: count.into(),
            next: AtomicUsize::new(0),
            done: Mutex::default(),
            more_done: Condvar::new(),
        })
    }

    /// As many as are created while something happens, and some more when it has happened.
    pub(crate) fn endless(cluster: &'a Cluster) -> Result<Self> {
        Self::new(cluster, usize::MAX)
    }

    /// Creates all of them while `meanwhile` runs; an error if one was refused, or has no identity.
    pub(crate) fn run(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        let refusals = self.insist(meanwhile)?;
        let count = self.next.load(Ordering::Relaxed);
        ensure!(refusals.is_empty(), "{} of {count} refused: {:?}", refusals.len(), refusals.first());
        Ok(())
    }

    /// The same, but what is refused is tried again, as controllers do; returns what was said.
    pub(crate) fn insist(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(|| self.write())).collect();
            let meanwhile = meanwhile();
            if self.count.load(Ordering::Relaxed) == usize::MAX {
                self.count.store(self.next.load(Ordering::Relaxed) + AFTERWARDS, Ordering::Relaxed);
            }
            let mut refusals = Vec::new();
            for writer in writers {
                refusals.extend(writer.join().map_err(|_| anyhow!("a writer panicked"))??);
            }
            meanwhile.map(|()| refusals)
        })
    }

    /// Returns once so many have been tried.
    pub(crate) fn wait_for(&self, wanted: usize) -> Result<()> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.more_done.wait_timeout_while(done, PATIENCE, |done| *done < wanted);
        let (done, _) = result.unwrap_or_else(PoisonError::into_inner);
        ensure!(*done >= wanted, "{done} of {wanted} pods within {PATIENCE:?}");
        Ok(())
    }

    /// What one writer was refused with.
    fn write(&self) -> Result<Vec<String>> {
        let client = client(self.cluster)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut refusals = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count.load(Ordering::Relaxed) {
                return Ok(refusals);
            }
            refusals.extend(runtime.block_on(self.create_at_last(&client, number))?);
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.more_done.notify_all();
        }
    }

    /// What it was refused with before.
    async fn create_at_last(&self, client: &Client, number: usize) -> Result<Vec<String>> {
        let mut refusals = Vec::new();
        while let Err(refusal) = self.create(client, number).await {
            refusals.push(refusal.to_string());
            ensure!(refusals.len() < TRIES, "{refusal}, {TRIES} times");
        }
        Ok(refusals)
    }

    async fn create(&self, client: &Client, number: usize) -> Result<()> {
        let url = format!("{}/api/v1/namespaces/load/pods", self.cluster.url());
        let body = pod("load", &format!("web-{number}"), &json!({})).to_string();
        let request = client.post(url).bearer_auth(self.cluster.token()).header("content-type", "application/json");
        let response = request.body(body).send().await?;
        let status = response.status();
        let answer: Value = serde_json::from_slice(&response.bytes().await?)?;
        ensure!(status.is_success(), "web-{number}: {status}: {}", answer["message"]);
        ensure!(has_mount(container(&answer, "app")), "web-{number} was created without its identity");
        Ok(())
    }
}

fn client(cluster: &Cluster) -> Result<Client> {
    // Tests of one process share the provider: another may have been faster.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let ca = Certificate::from_pem_bundle(&fs::read(cluster.ca_file())?)?;
    Ok(Client::builder().no_proxy().tls_certs_only(ca).build()?)
}
