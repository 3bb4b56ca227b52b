//! Replicas as pods of a Kubernetes cluster, in commander's own namespace.
//!
//! What it asks of the API server is all that its role allows: pods `list`, `watch` and `delete`, and
//! `patch` of the `scale` of deployments and stateful sets.
mod pod;
mod watch;

pub use watch::Watch;

use crate::{
    config::Config,
    error::{Error, Result},
    replica::Replica,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Marks what belongs to the platform.
const OURS: &str = "app.kubernetes.io/part-of=seawall";

/// The pods of the platform, through the API server.
#[derive(Clone)]
pub struct Cluster {
    /// None where commander doesn't run in a cluster; the log has said why.
    client: Option<Client>,
    namespace: String,
    /// What the watch knows, while there is one.
    seen: Arc<Mutex<Option<Vec<Replica>>>>,
}

/// What runs as a StatefulSet: the database and the queue.
const STATEFUL: [&str; 2] = ["postgres", "redis"];

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.namespace)
    }
}

impl Cluster {
    /// The cluster around this pod, or the one whose API is at the URL of the settings.
    pub fn new(config: &Config) -> Self {
        let client = client(config).inspect_err(|error| {
            tracing::error!(
                error = format!("{error:#}"),
                "there is no cluster to command"
            );
        });
        let client = client.ok();
        let given = config.pod_namespace.clone();
        let own = || client.as_ref().map(|c| c.default_namespace().to_owned());
        Self {
            namespace: given.or_else(own).unwrap_or_default(),
            client,
            seen: Arc::default(),
        }
    }

    fn client(&self) -> anyhow::Result<Client> {
        let client = self.client.clone();
        client.ok_or_else(|| anyhow::anyhow!("commander has no way to the cluster's API"))
    }

    fn pods(&self) -> anyhow::Result<Api<Pod>> {
        Ok(Api::namespaced(self.client()?, &self.namespace))
    }

    /// All replicas as they are known, a service's beside each other.
    pub async fn replicas(&self) -> Result<Vec<Replica>> {
        let seen = self.seen().clone();
        match seen {
            Some(replicas) => Ok(replicas),
            None => self.list().await,
        }
    }

    /// All replicas as the API server has them now.
    pub async fn list(&self) -> Result<Vec<Replica>> {
        let pods = self.pods().map_err(Error::ClusterAway)?;
        let list = pods.list(&ListParams::default().labels(OURS)).await;
        let list = list.map_err(away)?;
        let mut replicas: Vec<_> = list.items.iter().filter_map(pod::replica).collect();
        pod::sort(&mut replicas);
        Ok(replicas)
    }

    /// Follows the pods without polling.
    pub async fn watch(&self) -> anyhow::Result<Watch> {
        Ok(Watch::new(self.pods()?, self.seen.clone()))
    }

    /// Takes a pod away at once, without the time it would have to finish.
    pub async fn kill(&self, name: &str) -> Result<()> {
        let pods = self.pods().map_err(Error::ClusterAway)?;
        let now = DeleteParams::default().grace_period(0);
        match pods.delete(name, &now).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(Error::NotFound),
            Err(error) => Err(away(error)),
        }
    }

    /// Has so many pods run of a workload: a service, the database or the queue.
    pub async fn scale(&self, workload: &str, pods: u32) -> Result<()> {
        let client = self.client().map_err(Error::ClusterAway)?;
        let namespace = &self.namespace;
        if STATEFUL.contains(&workload) {
            scale(
                Api::<StatefulSet>::namespaced(client, namespace),
                workload,
                pods,
            )
            .await
        } else {
            scale(
                Api::<Deployment>::namespaced(client, namespace),
                workload,
                pods,
            )
            .await
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Vec<Replica>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn scale<K: Clone + DeserializeOwned>(api: Api<K>, name: &str, pods: u32) -> Result<()> {
    let patch = Patch::Merge(json!({"spec": {"replicas": pods}}));
    match api.patch_scale(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Error::NoSuchService),
        Err(error) => Err(away(error)),
    }
}

fn client(config: &Config) -> anyhow::Result<Client> {
    let found = match &config.kubernetes_api_url {
        Some(url) => kube::Config::new(url.clone()),
        None => kube::Config::incluster()?,
    };
    Ok(Client::try_from(found)?)
}

fn away(error: kube::Error) -> Error {
    Error::ClusterAway(error.into())
}
