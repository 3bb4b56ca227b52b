//! Which alerts fire while a drill runs, asked of Prometheus or Alertmanager once a second.
use super::{progress::Progress, site::Site};
use crate::load::client::{Connection, Peers};
use anyhow::{Context as _, ensure};
use http::{Request, header::HOST};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::task::AbortOnDropHandle;

const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// One alert, in seconds after the load began.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Firing {
    pub from: f64,
    /// Null while it fires.
    pub until: Option<f64>,
}

/// Whom to ask.
#[derive(Clone, Debug)]
enum Source {
    Prometheus(String),
    Alertmanager(String),
}

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    firing: BTreeMap<String, Firing>,
    /// Whether anybody ever answered.
    answered: bool,
}

/// Looks on in the background until dropped.
pub struct Watcher {
    seen: Arc<Mutex<Seen>>,
    _task: AbortOnDropHandle<()>,
}

impl Watcher {
    /// None where nobody can be asked.
    pub fn start(site: &Site, progress: &Progress) -> Option<Self> {
        let prometheus = site.prometheus.clone().map(Source::Prometheus);
        let source = prometheus.or(site.alertmanager.clone().map(Source::Alertmanager))?;
        let seen = Arc::<Mutex<Seen>>::default();
        let (kept, progress) = (seen.clone(), progress.clone());
        let task = tokio::spawn(async move {
            loop {
                // One that doesn't answer for a moment says nothing about alerts.
                if let Ok(names) = source.firing().await {
                    let mut seen = kept.lock().expect("nobody panics with it");
                    for line in seen.take(&names, progress.now()) {
                        progress.say(line);
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Some(Self {
            seen,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Everything that has fired; none when nobody ever answered.
    pub fn seen(&self) -> Option<BTreeMap<String, Firing>> {
        let seen = self.seen.lock().expect("nobody panics with it");
        seen.answered.then(|| seen.firing.clone())
    }
}

impl Seen {
    /// Takes in the names that fire now; what to say about it.
    fn take(&mut self, names: &BTreeSet<String>, now: f64) -> Vec<String> {
        let first = !std::mem::replace(&mut self.answered, true);
        let mut lines = Vec::new();
        for name in names {
            let open = self.firing.get(name).is_some_and(|f| f.until.is_none());
            if !open {
                let from = if first { 0.0 } else { now };
                self.firing
                    .insert(name.clone(), Firing { from, until: None });
                let before = if first { " already" } else { "" };
                lines.push(format!("alert {name} fires{before}"));
            }
        }
        for (name, firing) in &mut self.firing {
            if firing.until.is_none() && !names.contains(name) {
                firing.until = Some(now);
                lines.push(format!("alert {name} is silent again"));
            }
        }
        lines
    }
}

impl Source {
    async fn firing(&self) -> anyhow::Result<BTreeSet<String>> {
        match self {
            Self::Prometheus(url) => {
                #[derive(Deserialize)]
                struct Answer {
                    data: Data,
                }
                #[derive(Deserialize)]
                struct Data {
                    alerts: Vec<Alert>,
                }
                #[derive(Deserialize)]
                struct Alert {
                    labels: BTreeMap<String, String>,
                    state: String,
                }
                let body = get(url, "/api/v1/alerts").await?;
                let answer: Answer = serde_json::from_slice(&body)?;
                let firing = answer
                    .data
                    .alerts
                    .into_iter()
                    .filter(|a| a.state == "firing");
                Ok(firing.filter_map(|a| name(a.labels)).collect())
            }
            Self::Alertmanager(url) => {
                #[derive(Deserialize)]
                struct Alert {
                    labels: BTreeMap<String, String>,
                }
                let body = get(url, "/api/v2/alerts?active=true").await?;
                let alerts: Vec<Alert> = serde_json::from_slice(&body)?;
                Ok(alerts.into_iter().filter_map(|a| name(a.labels)).collect())
            }
        }
    }
}

/// Of an alert that means something: a heartbeat always fires.
fn name(mut labels: BTreeMap<String, String>) -> Option<String> {
    let heartbeat = labels.get("severity").is_some_and(|s| s == "none");
    labels.remove("alertname").filter(|_| !heartbeat)
}

async fn get(url: &str, path: &str) -> anyhow::Result<bytes::Bytes> {
    let peers = Peers::resolve(&[url]).await?;
    let mut connection = Connection::new(peers, 0, PATIENCE);
    let request = Request::get(path).header(HOST, connection.host());
    let request = request.body(Full::default()).context("a request")?;
    let reply = connection.send(request).await;
    let reply = reply.map_err(|broken| anyhow::anyhow!("{url}: {broken}"))?;
    ensure!(reply.status.is_success(), "{url} answers {}", reply.status);
    Ok(reply.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_fires_once_and_clears_once() {
        let mut seen = Seen::default();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        assert!(seen.take(&names(&[]), 1.0).is_empty());
        assert_eq!(
            seen.take(&names(&["APIDown"]), 5.0),
            ["alert APIDown fires"]
        );
        assert!(seen.take(&names(&["APIDown"]), 6.0).is_empty());
        assert_eq!(
            seen.take(&names(&[]), 9.0),
            ["alert APIDown is silent again"]
        );
        let expected = Firing {
            from: 5.0,
            until: Some(9.0),
        };
        assert_eq!(seen.firing["APIDown"], expected);
    }

    #[test]
    fn what_fired_before_the_drill_is_not_its_alert() {
        let mut seen = Seen::default();
        let said = seen.take(&BTreeSet::from(["DeadLetters".to_owned()]), 3.0);
        assert_eq!(said, ["alert DeadLetters fires already"]);
        assert_eq!(seen.firing["DeadLetters"].from, 0.0);
    }

    #[test]
    fn a_heartbeat_is_no_alert() {
        let labels = |severity: &str| {
            let labels = [("alertname", "Any"), ("severity", severity)];
            BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned())))
        };
        assert_eq!(name(labels("none")), None);
        assert_eq!(name(labels("warning")).as_deref(), Some("Any"));
    }
}
