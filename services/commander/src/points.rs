//! The fault points of the replicas, on their ops listeners.
use crate::{
    error::{Error, Result},
    replica::{Replica, State},
};
use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use client::Call;
use futures::future::join_all;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use service::{Config, faults::Spec};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// A replica that takes longer may be slow on purpose.
const PATIENCE: Duration = Duration::from_secs(3);
/// Who only looks doesn't wait so long.
const LOOK: Duration = Duration::from_millis(300);
/// However many ask, the replicas are asked this often at most.
const FRESH: Duration = Duration::from_millis(900);

/// What was seen, and when.
type Seen = (Instant, Vec<Value>);

/// Reaches them with the token that opens them all.
#[derive(Clone)]
pub struct Points {
    /// None where nothing may be broken.
    authorization: Option<HeaderValue>,
    seen: Arc<Mutex<Option<Seen>>>,
}

impl Points {
    pub fn new(config: &Config) -> Self {
        let token = config.chaos_token().filter(|_| config.chaos());
        let authorization = token.and_then(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Self {
            authorization,
            seen: Arc::default(),
        }
    }

    pub fn are_open(&self) -> bool {
        self.authorization.is_some()
    }

    /// Begins a fault; gives it as it is shown.
    pub async fn begin(&self, replica: &Replica, spec: &Spec) -> Result<Value> {
        let body = serde_json::to_vec(spec).map_err(|e| Error::Away(e.into()))?;
        let answer = self.ask(replica, Method::POST, "/faults", body.into(), PATIENCE);
        let answer = answer.await?;
        self.seen.lock().await.take();
        let fault: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        match answer.status() {
            StatusCode::CREATED => Ok(of(replica, fault)),
            StatusCode::UNPROCESSABLE_ENTITY if fault["type"] == "fault_not_available" => {
                Err(Error::FaultNotAvailable)
            }
            status => Err(Error::Away(refused(replica, status, &fault))),
        }
    }

    /// All faults that are active at these replicas now; those of whoever doesn't answer are left out.
    pub async fn list(&self, replicas: &[Replica]) -> Vec<Value> {
        if !self.are_open() {
            return Vec::new();
        }
        let asked = running(replicas).map(|replica| self.list_one(replica));
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// The same as it is now, or was a moment ago.
    pub async fn seen(&self, replicas: &[Replica]) -> Vec<Value> {
        let mut seen = self.seen.lock().await;
        if let Some((at, items)) = &*seen
            && at.elapsed() < FRESH
        {
            return items.clone();
        }
        let items = self.list(replicas).await;
        *seen = Some((Instant::now(), items.clone()));
        items
    }

    async fn list_one(&self, replica: &Replica) -> Vec<Value> {
        let answer = self.ask(replica, Method::GET, "/faults", Bytes::new(), LOOK);
        let Ok(answer) = answer.await else {
            return Vec::new();
        };
        let mut page: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let items = page["items"].as_array_mut().map(std::mem::take);
        let items = items.unwrap_or_default().into_iter();
        items.map(|fault| of(replica, fault)).collect()
    }

    /// Ends one fault of a replica; false when it isn't there.
    pub async fn end(&self, replica: &Replica, id: Uuid) -> Result<bool> {
        self.delete(replica, &format!("/faults/{id}")).await
    }

    /// Ends all faults of these replicas.
    pub async fn end_all(&self, replicas: &[Replica]) -> Result<()> {
        let asked = running(replicas).map(|replica| self.delete(replica, "/faults"));
        let ended: Result<Vec<_>> = join_all(asked).await.into_iter().collect();
        ended.map(drop)
    }

    async fn delete(&self, replica: &Replica, path: &str) -> Result<bool> {
        let answer = self.ask(replica, Method::DELETE, path, Bytes::new(), PATIENCE);
        let answer = answer.await?;
        self.seen.lock().await.take();
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(Error::Away(refused(replica, status, &Value::Null))),
        }
    }

    async fn ask(
        &self,
        replica: &Replica,
        method: Method,
        path: &str,
        body: Bytes,
        time: Duration,
    ) -> Result<Response<Bytes>> {
        let authorization = self.authorization.clone().ok_or(Error::Disabled)?;
        let name = &replica.name;
        let asked = async {
            let address: SocketAddr = replica.ops.parse()?;
            let mut call = Call::to(method, path)?.header(AUTHORIZATION, authorization);
            call.body = body;
            let json = HeaderValue::from_static("application/json");
            let call = call.header(CONTENT_TYPE, json);
            anyhow::Ok(client::once(address, call, time).await?)
        };
        let answer = asked
            .await
            .with_context(|| format!("{name} can't be asked"));
        answer.map_err(Error::Away)
    }
}

/// Those that could answer.
fn running(replicas: &[Replica]) -> impl Iterator<Item = &Replica> {
    replicas.iter().filter(|r| r.state != State::Down)
}

/// A fault with where it is.
fn of(replica: &Replica, mut fault: Value) -> Value {
    fault["replica"] = replica.name.as_str().into();
    fault["service"] = replica.service.as_str().into();
    fault
}

fn refused(replica: &Replica, status: StatusCode, problem: &Value) -> anyhow::Error {
    let (name, code) = (
        &replica.name,
        problem["type"].as_str().unwrap_or("no problem"),
    );
    anyhow!("{name} refuses: {status}, {code}")
}
