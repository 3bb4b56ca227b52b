//! Pods as replicas, before an API server that notes all it is asked and knows what a role may allow.
use crate::support::{Commander, Supervisor, eventually};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use chrono::{SecondsFormat, Utc};
use commander::MIGRATIONS;
use db::Db;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use service::{Json, Path, Query};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_util::task::AbortOnDropHandle;

const NAMESPACE: &str = "seawall-test";

/// An API server with the pods of one namespace.
struct Api {
    url: String,
    inner: Arc<Inner>,
    _task: AbortOnDropHandle<()>,
}

struct Inner {
    pods: Mutex<BTreeMap<String, Value>>,
    /// What watchers are told; null ends their streams.
    events: broadcast::Sender<Value>,
    asked: Mutex<Vec<String>>,
    scales: Mutex<HashMap<String, i64>>,
}

type Shared = State<Arc<Inner>>;

impl Api {
    async fn start() -> Self {
        let inner = Arc::new(Inner {
            pods: Mutex::default(),
            events: broadcast::Sender::new(100),
            asked: Mutex::default(),
            scales: Mutex::new(
                [
                    ("statefulsets/postgres".to_owned(), 1),
                    ("deployments/order".to_owned(), 3),
                ]
                .into(),
            ),
        });
        let pods = "/api/v1/namespaces/{namespace}/pods";
        let router = Router::new()
            .route(pods, get(list))
            .route(&format!("{pods}/{{name}}"), any(pod))
            .route(
                "/apis/apps/v1/namespaces/{namespace}/{kind}/{name}/scale",
                any(scale),
            )
            .fallback(anything)
            .with_state(inner.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serve = async move { axum::serve(listener, router).await.expect("serves") };
        Self {
            url,
            inner,
            _task: AbortOnDropHandle::new(tokio::spawn(serve)),
        }
    }

    fn config(&self) -> [String; 3] {
        [
            "--driver=kubernetes".to_owned(),
            format!("--kubernetes-api-url={}", self.url),
            format!("--pod-namespace={NAMESPACE}"),
        ]
    }

    fn commander(&self, db: &Db) -> Commander {
        let settings = self.config();
        let settings = settings.each_ref().map(String::as_str);
        Commander::new(db, &Supervisor::of(&[]), &settings)
    }

    /// There is such a pod now, or it has changed.
    fn set(&self, pod: Value) {
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        let old = self
            .inner
            .pods
            .lock()
            .expect("not poisoned")
            .insert(name, pod.clone());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.inner
            .events
            .send(json!({"type": kind, "object": pod}))
            .ok();
    }

    fn remove(&self, name: &str) {
        self.inner.remove(name);
    }

    /// What was asked for so far, each once: verb, resource.
    fn asked(&self) -> BTreeSet<String> {
        self.inner
            .asked
            .lock()
            .expect("not poisoned")
            .iter()
            .cloned()
            .collect()
    }
}

impl Inner {
    fn note(&self, what: String) {
        self.asked.lock().expect("not poisoned").push(what);
    }

    fn remove(&self, name: &str) -> Option<Value> {
        let pod = self.pods.lock().expect("not poisoned").remove(name)?;
        self.events
            .send(json!({"type": "DELETED", "object": pod}))
            .ok();
        Some(pod)
    }
}

async fn list(
    State(api): Shared,
    Path(namespace): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let watch = query.get("watch").is_some_and(|watch| watch == "true");
    let verb = if watch { "watch" } else { "list" };
    api.note(format!(
        "{verb} pods of {namespace} with {}",
        query["labelSelector"]
    ));
    if watch {
        let events = stream::unfold(api.events.subscribe(), async |mut events| {
            let event: Value = events.recv().await.ok().filter(|e: &Value| !e.is_null())?;
            Some((Ok::<_, std::io::Error>(format!("{event}\n")), events))
        });
        return Body::from_stream(events.boxed()).into_response();
    }
    let items: Vec<Value> = api
        .pods
        .lock()
        .expect("not poisoned")
        .values()
        .cloned()
        .collect();
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})).into_response()
}

async fn pod(
    State(api): Shared,
    method: Method,
    Path((_, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let options: Value = serde_json::from_slice(&body).unwrap_or_default();
    api.note(format!(
        "{method} pod, grace {}",
        options["gracePeriodSeconds"]
    ));
    match api.remove(&name) {
        Some(pod) if method == Method::DELETE => Json(pod).into_response(),
        _ => status(404),
    }
}

async fn scale(
    State(api): Shared,
    method: Method,
    Path((_, kind, name)): Path<(String, String, String)>,
    body: Bytes,
) -> Response {
    api.note(format!("{method} {kind}/scale"));
    let mut scales = api.scales.lock().expect("not poisoned");
    let Some(replicas) = scales.get_mut(&format!("{kind}/{name}")) else {
        return status(404);
    };
    if method == Method::PATCH {
        let patch: Value = serde_json::from_slice(&body).expect("JSON");
        *replicas = patch["spec"]["replicas"].as_i64().expect("a number");
    }
    let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": name}, "spec": {"replicas": *replicas}});
    Json(scale).into_response()
}

async fn anything(State(api): Shared, method: Method, uri: http::Uri) -> Response {
    api.note(format!("{method} {}", uri.path()));
    status(403)
}

fn status(code: u16) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "x", "message": "no", "code": code});
    (StatusCode::from_u16(code).expect("a status"), Json(body)).into_response()
}

/// A ready pod of a service, started now.
fn ready(service: &str, name: &str) -> Value {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}"),
            "labels": {"app.kubernetes.io/part-of": "seawall", "app.kubernetes.io/name": service, "topology.kubernetes.io/zone": "eu-1a"},
        },
        "spec": {"containers": [{"name": "proxy"}, {"name": service, "ports": [
            {"name": "ops", "containerPort": 9091}, {"name": "http", "containerPort": 5000}]}]},
        "status": {
            "phase": "Running", "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "proxy", "image": "", "imageID": "", "ready": true, "restartCount": 9, "state": {"running": {"startedAt": now}}},
                {"name": service, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": now}}}],
        },
    })
}

fn starting(service: &str, name: &str) -> Value {
    let mut pod = ready(service, name);
    pod["status"]["conditions"][0]["status"] = "False".into();
    pod
}

async fn shown(commander: &Commander) -> Value {
    let state = commander.get("/ops/state").await.expect(200);
    assert_eq!(state["environment"], "kubernetes");
    let services = state["services"].as_array().expect("services").clone();
    let replicas = services
        .iter()
        .flat_map(|s| s["replicas"].as_array().expect("replicas").clone());
    replicas
        .map(|r| {
            json!([
                r["name"],
                r["state"],
                r["restarts"],
                r["address"],
                r["zone"]
            ])
        })
        .collect()
}

#[tokio::test]
async fn pods_show_as_replicas() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let api = Api::start().await;
        api.set(ready("order", "order-a"));
        let mut pending = starting("order", "order-b");
        pending["status"] = json!({"phase": "Pending"});
        pending["metadata"]["labels"].as_object_mut().expect("labels").remove("topology.kubernetes.io/zone");
        api.set(pending);
        let mut leaving = ready("worker", "worker-a");
        leaving["metadata"]["deletionTimestamp"] = "2026-11-21T18:00:00Z".into();
        api.set(leaving);
        let mut crashing = starting("worker", "worker-b");
        crashing["status"]["containerStatuses"][1]["restartCount"] = 4.into();
        crashing["status"]["containerStatuses"][1]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        api.set(crashing);
        // The database is no replica of a service.
        let mut postgres = ready("postgres", "postgres-0");
        postgres["spec"]["containers"][1]["ports"] = json!([{"name": "postgres", "containerPort": 5432}]);
        api.set(postgres);
        let commander = api.commander(&db);
        assert_eq!(
            shown(&commander).await,
            json!([
                ["order-a", "ready", 0, "10.0.0.7:5000", "eu-1a"],
                ["order-b", "starting", 0, "", "unknown"],
                ["worker-a", "draining", 0, "10.0.0.7:5000", "eu-1a"],
                ["worker-b", "down", 4, "10.0.0.7:5000", "eu-1a"],
            ])
        );
        // Changes come by themselves, also after a stream has ended.
        eventually("it watches", async || api.asked().iter().any(|a| a.starts_with("watch"))).await;
        api.set(ready("order", "order-b"));
        eventually("order-b is ready", async || shown(&commander).await[1][1] == "ready").await;
        api.inner.events.send(Value::Null).ok();
        api.remove("order-a");
        eventually("order-a is gone", async || shown(&commander).await[0][0] == "order-b").await;
        let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "message": "too old", "code": 410}});
        api.inner.events.send(gone).ok();
        api.set(ready("order", "order-c"));
        eventually("order-c is there", async || shown(&commander).await[1][0] == "order-c").await;
    })
    .await;
}

#[tokio::test]
async fn a_killed_pod_is_replaced_by_one_of_another_name() {
    db::testing::each(&MIGRATIONS, async |db| {
        let api = Api::start().await;
        for name in ["order-a", "order-b"] {
            let mut old = ready("order", name);
            old["status"]["containerStatuses"][1]["state"]["running"]["startedAt"] =
                "2026-11-21T10:00:00Z".into();
            api.set(old);
        }
        api.set(ready("worker", "worker-a"));
        let commander = api.commander(&db);
        eventually("it watches", async || {
            api.asked().iter().any(|a| a.starts_with("watch"))
        })
        .await;
        commander
            .kill(json!({"replica": "worker-a"}))
            .await
            .expect_problem(409, "last_replica");
        commander
            .kill(json!({"replica": "order-x"}))
            .await
            .expect_problem(404, "replica_not_found");
        let entry = commander
            .kill(json!({"replica": "order-a"}))
            .await
            .expect(202);
        assert_eq!(entry["target"], "order-a");
        // The other one was there before: it replaces nobody.
        api.set(starting("order", "order-c"));
        eventually("order-c is seen", async || {
            shown(&commander).await[1][0] == "order-c"
        })
        .await;
        assert_eq!(commander.journal().await[0]["outcome"], "started");
        // Another replica of commander takes the journal up.
        let next = api.commander(&db);
        drop(commander);
        api.set(ready("order", "order-c"));
        let done = next.until("done").await;
        assert_eq!(
            (&done["id"], &done["target"]),
            (&entry["id"], &json!("order-a"))
        );
        assert!(done["recovered_ms"].is_i64(), "{done}");
        // One that dies inside its pod is a death, and back in the same pod.
        let mut again = ready("order", "order-b");
        again["status"]["containerStatuses"][1]["restartCount"] = 1.into();
        api.set(again);
        eventually("a death", async || {
            let journal = next.journal().await;
            journal.len() == 2 && journal[0]["outcome"] == "done"
        })
        .await;
        assert_eq!(next.journal().await[0]["action"], "died");
        // One that leaves, as in a rolling update, has not died.
        let mut leaving = ready("order", "order-c");
        leaving["metadata"]["deletionTimestamp"] = "2026-11-21T18:00:00Z".into();
        api.set(leaving);
        api.remove("order-c");
        api.set(ready("order", "order-d"));
        eventually("order-d is seen", async || {
            shown(&next).await[1][0] == "order-d"
        })
        .await;
        assert_eq!(next.journal().await.len(), 2);
        let selector = "pods of seawall-test with app.kubernetes.io/part-of=seawall";
        let allowed = [
            "DELETE pod, grace 0".to_owned(),
            format!("list {selector}"),
            format!("watch {selector}"),
        ];
        assert_eq!(api.asked(), allowed.into());
    })
    .await;
}

#[tokio::test]
async fn workloads_are_scaled_by_their_scale_alone() {
    db::testing::each(&MIGRATIONS, async |db| {
        let api = Api::start().await;
        let commander = api.commander(&db);
        let scale = async |body| commander.call("POST", "/ops/scale", body).await;
        let stopped = scale(json!({"workload": "postgres", "pods": 0})).await;
        let stopped = stopped.expect(202);
        assert_eq!(
            (&stopped["action"], &stopped["target"], &stopped["detail"]),
            (&json!("scale"), &json!("postgres"), &json!("to 0 pods"))
        );
        let order = json!({"workload": "order", "pods": 5});
        let first = commander.post_with_key("/ops/scale", order.clone(), "k");
        let first = first.await.expect(202);
        let again = commander.post_with_key("/ops/scale", order, "k").await;
        assert_eq!(again.expect(202)["id"], first["id"]);
        let refused = [
            ("commander", 0, 404, "service_not_found"),
            ("../order", 0, 404, "service_not_found"),
            ("image", 1, 404, "service_not_found"),
            ("order", 51, 422, "invalid_field"),
        ];
        for (workload, pods, status, code) in refused {
            let answer = scale(json!({"workload": workload, "pods": pods})).await;
            answer.expect_problem(status, code);
        }
        let scales = api.inner.scales.lock().expect("not poisoned").clone();
        assert_eq!(
            (scales["statefulsets/postgres"], scales["deployments/order"]),
            (0, 5)
        );
        let asked = api.asked();
        let asked: Vec<_> = asked.iter().filter(|a| a.contains("scale")).collect();
        assert_eq!(
            asked,
            ["PATCH deployments/scale", "PATCH statefulsets/scale"]
        );
        // The one that the cluster doesn't have.
        let journal = commander.journal().await;
        assert_eq!(
            (journal.len(), &journal[0]["outcome"]),
            (3, &json!("failed"))
        );
        let local = Commander::new(&db, &Supervisor::of(&["order"]), &[]);
        let answer = local.call(
            "POST",
            "/ops/scale",
            json!({"workload": "order", "pods": 1}),
        );
        answer.await.expect_problem(501, "not_available_here");
    })
    .await;
}

/// Stopped with the rest of the database, it can't be noted; what heals is done all the same.
#[tokio::test]
async fn a_stopped_database_is_scaled_back_without_the_journal() {
    db::testing::postgres(&MIGRATIONS, async |db| {
        let api = Api::start().await;
        let commander = api.commander(&db);
        db.close().await;
        let scale = async |pods| {
            let order = json!({"workload": "postgres", "pods": pods});
            commander.call("POST", "/ops/scale", order).await
        };
        scale(0).await.expect_problem(503, "unavailable");
        scale(2).await.expect(202);
        let scales = api.inner.scales.lock().expect("not poisoned").clone();
        assert_eq!(scales["statefulsets/postgres"], 2);
    })
    .await;
}

/// Where the role lacks a right, or there is no cluster, that is said, and nothing is done.
#[tokio::test]
async fn without_a_cluster_the_journal_can_be_read() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let supervisor = Supervisor::of(&[]);
        let nowhere = [
            "--driver=kubernetes",
            "--kubernetes-api-url=http://127.0.0.1:1",
        ];
        for settings in [&nowhere[..], &nowhere[..1]] {
            let commander = Commander::new(&db, &supervisor, settings);
            commander
                .get("/ops/state")
                .await
                .expect_problem(503, "unavailable");
            commander
                .kill(json!({}))
                .await
                .expect_problem(503, "unavailable");
            assert!(commander.journal().await.is_empty());
        }
    })
    .await;
}
