//! A replica of commander under test, and a stand-in for the supervisor.
use axum::Router;
use clap::Parser as _;
use commander::{App, Config};
use control::{Phase, Replica, Request, Response, Rollout, State};
use db::Db;
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, json};
use service::{
    Background,
    testing::{Answer, OPERATOR, call_as, call_with, identity},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// One replica of commander; what it does in the background ends with it.
pub struct Commander {
    router: Router,
    registry: Registry,
    _background: Background,
}

impl Commander {
    pub fn new(db: &Db, supervisor: &Supervisor, settings: &[&str]) -> Self {
        let socket = format!("--supervisor-socket={}", supervisor.socket.display());
        let gateways = format!("--gateway-ops-urls={NOWHERE}");
        let worker = format!("--worker-urls={NOWHERE}");
        let given = |flag: &str| settings.iter().any(|s| s.starts_with(flag));
        // As in development, so that the operator of these tests is one everywhere.
        let mut arguments = vec!["commander", &socket, "--identity-secret=development"];
        for default in [&gateways, &worker] {
            if !given(default.split('=').next().expect("a flag")) {
                arguments.push(default);
            }
        }
        arguments.extend(settings);
        let config = Config::try_parse_from(arguments).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, db.clone(), &mut registry).expect("drills");
        let router = commander::router(app.clone(), &config, &mut registry);
        let _background = commander::background(&app);
        Self {
            router,
            registry,
            _background,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        call_as(&self.router, OPERATOR, "GET", path, Value::Null).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        call_as(&self.router, OPERATOR, method, path, body).await
    }

    /// As somebody without an identity, with these headers.
    pub async fn tell(&self, body: &Value, headers: &[(&str, &str)]) -> Answer {
        call_with(&self.router, "POST", "/alerts", &body.to_string(), headers).await
    }

    pub async fn kill(&self, target: Value) -> Answer {
        call_as(&self.router, OPERATOR, "POST", "/ops/kill", target).await
    }

    pub async fn roll_out(&self, order: Value) -> Answer {
        call_as(&self.router, OPERATOR, "POST", "/ops/rollout", order).await
    }

    pub async fn kill_with_key(&self, target: Value, key: &str) -> Answer {
        self.post_with_key("/ops/kill", target, key).await
    }

    pub async fn post_with_key(&self, path: &str, body: Value, key: &str) -> Answer {
        let (name, who) = identity(OPERATOR);
        let headers = [("idempotency-key", key), (name, who.as_str())];
        call_with(&self.router, "POST", path, &body.to_string(), &headers).await
    }

    /// The journal, newest first.
    pub async fn journal(&self) -> Vec<Value> {
        let page = self.get("/ops/journal?limit=500").await.expect(200);
        page["items"].as_array().expect("items").clone()
    }

    /// Waits until the newest entry has this outcome.
    pub async fn until(&self, outcome: &str) -> Value {
        eventually(&format!("it is {outcome}"), async || {
            let journal = self.journal().await;
            journal.first().is_some_and(|e| e["outcome"] == outcome)
        })
        .await;
        self.journal().await.remove(0)
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}

/// A stand-in for the supervisor: what is killed stays down until a test brings it back.
pub struct Supervisor {
    pub socket: std::path::PathBuf,
    fleet: Arc<Mutex<Fleet>>,
    change: watch::Sender<()>,
    _folder: TempDir,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Fleet {
    replicas: Vec<Replica>,
    killed: Vec<String>,
    refuses: bool,
    rollout: Option<Rollout>,
}

impl Supervisor {
    /// Two ready replicas of each of these services.
    pub fn of(services: &[&str]) -> Self {
        let replicas = services.iter().flat_map(|s| [replica(s, 1), replica(s, 2)]);
        let fleet = Arc::new(Mutex::new(Fleet {
            replicas: replicas.collect(),
            ..Fleet::default()
        }));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = control::listen(folder.path()).expect("a socket");
        let (change, changes) = watch::channel(());
        let (answering, telling) = (fleet.clone(), change.clone());
        let answer = move |request| {
            let mut fleet = answering.lock().expect("not poisoned");
            match request {
                Request::List | Request::Watch => Response::List {
                    replicas: fleet.replicas.clone(),
                },
                Request::Kill { name, signal } => {
                    assert_eq!(signal, control::Signal::Kill);
                    telling.send_replace(());
                    fleet.kill(name)
                }
                Request::Rollout { id, service, .. } => {
                    fleet.rollout = Some(Rollout {
                        id,
                        service,
                        phase: Phase::Running,
                        reason: None,
                    });
                    Response::Rollout {
                        rollout: fleet.rollout.clone(),
                    }
                }
                Request::Progress => Response::Rollout {
                    rollout: fleet.rollout.clone(),
                },
            }
        };
        let server = tokio::spawn(control::serve(listener, changes, answer));
        Self {
            socket: control::socket(folder.path()),
            fleet,
            change,
            _folder: folder,
            _server: AbortOnDropHandle::new(server),
        }
    }

    /// The replicas that were killed through the socket, in order.
    pub fn killed(&self) -> Vec<String> {
        self.fleet.lock().expect("not poisoned").killed.clone()
    }

    pub fn refuse_kills(&self) {
        self.fleet.lock().expect("not poisoned").refuses = true;
    }

    /// The rollout that was asked for ends; none is known after `None`.
    pub fn end_rollout(&self, end: Option<(Phase, Option<&str>)>) {
        let mut fleet = self.fleet.lock().expect("not poisoned");
        let rollout = fleet.rollout.take();
        fleet.rollout = end.and_then(|(phase, reason)| {
            let reason = reason.map(str::to_owned);
            rollout.map(|rollout| Rollout {
                phase,
                reason,
                ..rollout
            })
        });
        self.change.send_replace(());
    }

    pub fn set(&self, name: &str, change: impl FnOnce(&mut Replica)) {
        let mut fleet = self.fleet.lock().expect("not poisoned");
        let mut replicas = fleet.replicas.iter_mut();
        change(replicas.find(|r| r.name == name).expect("a replica"));
        self.change.send_replace(());
    }

    /// It dies by itself.
    pub fn lose(&self, name: &str) {
        self.set(name, lost);
    }

    /// Its next process has started.
    pub fn start(&self, name: &str) {
        self.set(name, |replica| {
            replica.pid = Some(100 + replica.restarts);
            replica.restarts += 1;
            replica.started_at = chrono::Utc::now();
            replica.state = State::Starting;
        });
    }

    pub fn ready(&self, name: &str) {
        self.set(name, |replica| replica.state = State::Ready);
    }

    /// Its next process is ready.
    pub fn bring_back(&self, name: &str) {
        self.start(name);
        self.ready(name);
    }
}

impl Fleet {
    fn kill(&mut self, name: String) -> Response {
        let found = self.replicas.iter_mut().find(|r| r.name == name);
        match found {
            Some(replica) if !self.refuses => {
                let pid = replica.pid.unwrap_or_default();
                lost(replica);
                self.killed.push(name);
                Response::Done { ok: true, pid }
            }
            _ => Response::Refused {
                error: format!("{name} is not running at this moment"),
            },
        }
    }
}

fn lost(replica: &mut Replica) {
    replica.pid = None;
    replica.state = State::Backoff;
}

fn replica(service: &str, number: u16) -> Replica {
    Replica {
        name: format!("{service}-{number}"),
        service: service.to_owned(),
        replica: number,
        pid: Some(number.into()),
        state: State::Ready,
        restarts: 0,
        started_at: chrono::Utc::now(),
        api: format!("http://127.0.0.1:50{number}0"),
        ops: format!("http://127.0.0.1:150{number}0"),
    }
}

pub fn named(replica: &str) -> Value {
    json!({"replica": replica})
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "never came true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
