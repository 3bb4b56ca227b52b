//! Commander's API as a drill uses it: through the gateway, as an operator.
use super::{
    file::{Dependency, Mode, Scope},
    site::Site,
};
use crate::load::shop::Shop;
use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// How long a kill that is refused for the moment is asked for again.
const BUSY: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// A replica as `/ops/state` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Replica {
    pub name: String,
    #[serde(skip)]
    pub service: String,
    pub state: String,
    pub restarts: u32,
    #[serde(default)]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub zone: Option<String>,
}

impl Replica {
    pub fn is_ready(&self) -> bool {
        self.state == "ready"
    }
}

/// The platform as a whole.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub environment: String,
    pub replicas: Vec<Replica>,
    /// Faults that are active.
    pub faults: usize,
    /// Whether a load of commander's runs.
    pub load: bool,
}

/// An entry of the journal.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub id: Uuid,
    pub target: String,
    pub outcome: String,
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(default)]
    pub recovered_ms: Option<i64>,
}

/// A job as the worker shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    pub id: Uuid,
    pub state: String,
    #[serde(default)]
    pub attempts: u32,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    pub id: Value,
}

/// One way to that API; calls follow each other.
pub struct Ops(Shop);

impl Ops {
    /// # Errors
    /// When the platform's address can't be used.
    pub async fn open(site: &Site) -> anyhow::Result<Self> {
        Ok(Self(Shop::open(&site.url, site.login.clone()).await?))
    }

    /// For lists and the audit.
    pub fn shop(&mut self) -> &mut Shop {
        &mut self.0
    }

    pub async fn picture(&mut self) -> anyhow::Result<Picture> {
        #[derive(Deserialize)]
        struct State {
            environment: String,
            services: Vec<Service>,
            #[serde(default)]
            faults: Vec<Value>,
            #[serde(default)]
            load: Option<Value>,
        }
        #[derive(Deserialize)]
        struct Service {
            name: String,
            replicas: Vec<Replica>,
        }
        let state: State = self.get("/api/ops/state").await?;
        let of = |service: Service| {
            let name = service.name;
            service.replicas.into_iter().map(move |replica| Replica {
                service: name.clone(),
                ..replica
            })
        };
        Ok(Picture {
            environment: state.environment,
            replicas: state.services.into_iter().flat_map(of).collect(),
            faults: state.faults.len(),
            load: state.load.is_some(),
        })
    }

    /// Kills this replica. Waits while another kill of its service heals.
    pub async fn kill(&mut self, replica: &str) -> anyhow::Result<Entry> {
        let body = json!({ "replica": replica });
        let key = Uuid::now_v7().to_string();
        let deadline = Instant::now() + BUSY;
        loop {
            let reply = self.post("/api/ops/kill", &body, &key).await;
            match reply {
                Ok((StatusCode::CONFLICT, text)) if Instant::now() >= deadline => {
                    bail!("killing {replica}: {text}")
                }
                // Busy, or away for a moment: it has not been done, or is done under the same key.
                Ok((StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, _)) | Err(_)
                    if Instant::now() < deadline =>
                {
                    sleep(PAUSE).await;
                }
                Ok((status, text)) => {
                    ensure!(status.is_success(), "killing {replica}: {status} {text}");
                    return Ok(serde_json::from_str(&text)?);
                }
                Err(error) => return Err(error.context(format!("killing {replica}"))),
            }
        }
    }

    /// The entry once it is over; none while it isn't at the end of `patience`.
    pub async fn settled(&mut self, id: Uuid, patience: Duration) -> anyhow::Result<Option<Entry>> {
        let deadline = Instant::now() + patience;
        loop {
            let journal: Items<Entry> = self.get("/api/ops/journal?limit=100").await?;
            let entry = journal.items.into_iter().find(|entry| entry.id == id);
            let entry = entry.context("the journal does not know of it")?;
            if entry.outcome != "started" {
                return Ok(Some(entry));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(PAUSE).await;
        }
    }

    pub async fn inject(
        &mut self,
        service: &str,
        replica: Option<&str>,
        scope: Scope,
        spec: &Value,
    ) -> anyhow::Result<Vec<Fault>> {
        let mut body = json!({ "service": service, "scope": scope, "spec": spec });
        if let Some(replica) = replica {
            body["replica"] = replica.into();
        }
        self.create("/api/ops/faults", &body).await
    }

    pub async fn cut(
        &mut self,
        dependency: Dependency,
        mode: Mode,
        latency_ms: Option<u32>,
        seconds: u32,
        services: &[&str],
    ) -> anyhow::Result<Vec<Fault>> {
        let mut body = json!({
            "dependency": dependency, "mode": mode, "seconds": seconds, "services": services,
        });
        if let Some(ms) = latency_ms {
            body["latency_ms"] = ms.into();
        }
        self.create("/api/ops/outages", &body).await
    }

    async fn create(&mut self, path: &str, body: &Value) -> anyhow::Result<Vec<Fault>> {
        let key = Uuid::now_v7().to_string();
        let (status, text) = self.post(path, body, &key).await?;
        ensure!(status.is_success(), "POST {path}: {status} {text}");
        let items: Items<Fault> = serde_json::from_str(&text).context("reading faults")?;
        Ok(items.items)
    }

    /// The faults that are active.
    pub async fn faults(&mut self) -> anyhow::Result<Vec<Fault>> {
        let items: Items<Fault> = self.get("/api/ops/faults").await?;
        Ok(items.items)
    }

    /// Takes all faults back; it is fine if there is none.
    pub async fn clear(&mut self) -> anyhow::Result<()> {
        let path = "/api/ops/faults";
        let call = self.0.call(Method::DELETE, path, None);
        call.await.map(drop).context("taking the faults back")
    }

    /// The entry of the journal for a rollout that has begun.
    pub async fn roll_out(&mut self, service: &str, broken: bool) -> anyhow::Result<Entry> {
        let body = json!({ "service": service, "broken": broken });
        let key = Uuid::now_v7().to_string();
        let (status, text) = self.post("/api/ops/rollout", &body, &key).await?;
        ensure!(
            status.is_success(),
            "rolling out {service}: {status} {text}"
        );
        serde_json::from_str(&text).context("reading the rollout")
    }

    pub async fn push(&mut self, kind: &str) -> anyhow::Result<Job> {
        let body = json!({ "kind": kind, "payload": {} });
        let key = Uuid::now_v7().to_string();
        let (status, text) = self.post("/api/job", &body, &key).await?;
        ensure!(status.is_success(), "pushing a job: {status} {text}");
        serde_json::from_str(&text).context("reading the job")
    }

    pub async fn job(&mut self, id: Uuid) -> anyhow::Result<Job> {
        self.get(&format!("/api/jobs/{id}")).await
    }

    /// GET, where a moment's failure is asked about again.
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let body = self.0.call(Method::GET, path, None).await?;
        serde_json::from_slice(&body).with_context(|| format!("reading {path}"))
    }

    /// POST once; what it means when it breaks is the caller's to know.
    pub async fn post(
        &mut self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        self.0.post(path, body, key).await
    }
}
