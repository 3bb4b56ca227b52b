//! The pods as they change: a list, and then what the API server tells of them.
use super::{OURS, pod};
use crate::replica::Replica;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Pod>>> + Send>>;

/// Follows the pods; what is known is shared while it lasts.
pub struct Watch {
    pods: Api<Pod>,
    known: BTreeMap<String, Replica>,
    /// None before the first list, and after an end of the stream, which is normal every few minutes.
    events: Option<Events>,
    seen: Arc<Mutex<Option<Vec<Replica>>>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.share(None);
    }
}

impl Watch {
    pub fn new(pods: Api<Pod>, seen: Arc<Mutex<Option<Vec<Replica>>>>) -> Self {
        Self {
            pods,
            known: BTreeMap::new(),
            events: None,
            seen,
        }
    }

    /// All replicas, at once and then after each change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Replica>> {
        loop {
            let Some(events) = &mut self.events else {
                self.begin().await?;
                return Ok(self.all());
            };
            match events.next().await.transpose()? {
                Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                    if let Some(replica) = pod::replica(&pod) {
                        self.known.insert(replica.name.clone(), replica);
                        return Ok(self.all());
                    }
                }
                Some(WatchEvent::Deleted(pod)) => {
                    if self
                        .known
                        .remove(&pod.metadata.name.unwrap_or_default())
                        .is_some()
                    {
                        return Ok(self.all());
                    }
                }
                Some(WatchEvent::Bookmark(_)) => {}
                // Too old to go on from, or over: begin again.
                Some(WatchEvent::Error(_)) | None => self.events = None,
            }
        }
    }

    async fn begin(&mut self) -> kube::Result<()> {
        let list = ListParams::default().labels(OURS);
        let list = self.pods.list(&list).await?;
        let version = list.metadata.resource_version.unwrap_or_default();
        let changes = WatchParams::default().labels(OURS);
        let events = self.pods.watch(&changes, &version).await?;
        let replicas = list.items.iter().filter_map(pod::replica);
        self.known = replicas.map(|r| (r.name.clone(), r)).collect();
        self.events = Some(events.boxed());
        Ok(())
    }

    fn all(&self) -> Vec<Replica> {
        let mut all: Vec<_> = self.known.values().cloned().collect();
        pod::sort(&mut all);
        self.share(Some(all.clone()));
        all
    }

    fn share(&self, replicas: Option<Vec<Replica>>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = replicas;
    }
}
