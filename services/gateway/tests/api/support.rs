//! A gateway under test, and stand-ins for the services behind it.
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::HeaderMap,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use clap::Parser as _;
use gateway::{App, Config};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, json};
use service::{
    Background, Json, Shutdown,
    testing::{Answer, call, call_with},
};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::{net::TcpListener, task::JoinHandle};

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";
pub const SERVICES: [&str; 7] = [
    "order",
    "inventory",
    "notification",
    "auth",
    "image",
    "worker",
    "commander",
];
pub const ID: &str = "018f0000-0000-7000-8000-000000000000";

/// All that is passed on: method, path, and the service it is for.
pub const PUBLIC: [(&str, &str, &str); 54] = [
    ("GET", "/api/orders", "order"),
    ("POST", "/api/orders", "order"),
    ("GET", "/api/orders/{id}", "order"),
    ("POST", "/api/orders/{id}/cancel", "order"),
    ("GET", "/api/products", "inventory"),
    ("GET", "/api/products/{id}", "inventory"),
    ("PUT", "/api/products/{id}", "inventory"),
    ("PUT", "/api/products/{id}/stock", "inventory"),
    ("GET", "/api/stock", "inventory"),
    ("GET", "/api/notifications", "notification"),
    ("POST", "/api/notifications/{id}/resend", "notification"),
    ("POST", "/api/auth/register", "auth"),
    ("POST", "/api/auth/login", "auth"),
    ("POST", "/api/auth/refresh", "auth"),
    ("POST", "/api/auth/logout", "auth"),
    ("GET", "/api/auth/me", "auth"),
    ("PATCH", "/api/auth/me", "auth"),
    ("GET", "/api/auth/users", "auth"),
    ("GET", "/api/.well-known/jwks.json", "auth"),
    ("POST", "/api/images", "image"),
    ("GET", "/api/images/{id}", "image"),
    ("GET", "/api/images/{id}/{size}", "image"),
    ("POST", "/api/job", "worker"),
    ("GET", "/api/jobs", "worker"),
    ("POST", "/api/jobs", "worker"),
    ("GET", "/api/jobs/dead", "worker"),
    ("POST", "/api/jobs/dead/retry", "worker"),
    ("GET", "/api/jobs/{id}", "worker"),
    ("POST", "/api/jobs/{id}/retry", "worker"),
    ("GET", "/api/ops/state", "commander"),
    ("GET", "/api/ops/journal", "commander"),
    ("POST", "/api/ops/kill", "commander"),
    ("GET", "/api/ops/faults", "commander"),
    ("POST", "/api/ops/faults", "commander"),
    ("DELETE", "/api/ops/faults", "commander"),
    ("DELETE", "/api/ops/faults/{id}", "commander"),
    ("POST", "/api/ops/outages", "commander"),
    ("POST", "/api/ops/rollout", "commander"),
    ("POST", "/api/ops/scale", "commander"),
    ("GET", "/api/ops/load", "commander"),
    ("POST", "/api/ops/load", "commander"),
    ("DELETE", "/api/ops/load", "commander"),
    ("GET", "/api/ops/drills", "commander"),
    ("GET", "/api/ops/drills/runs", "commander"),
    ("POST", "/api/ops/drills/runs", "commander"),
    ("GET", "/api/ops/drills/runs/{id}", "commander"),
    ("GET", "/api/ops/drills/runs/{id}/report", "commander"),
    ("POST", "/api/ops/drills/restore", "commander"),
    ("POST", "/api/ops/drills/{name}/run", "commander"),
    ("POST", "/api/ops/drills/{name}/break", "commander"),
    ("GET", "/api/ops/drills/{name}/hint", "commander"),
    ("POST", "/api/ops/drills/{name}/verify", "commander"),
    ("GET", "/api/ops/alerts", "commander"),
    ("POST", "/api/ops/alerts/{id}/acknowledge", "commander"),
];

/// What the services have beside that.
pub const INSIDE: [(&str, &str, &str); 12] = [
    ("POST", "/api/orders/settle", "order"),
    ("POST", "/api/orders/touch", "order"),
    ("POST", "/api/outbox/acknowledge", "order"),
    ("GET", "/api/sales", "order"),
    ("DELETE", "/api/orders/{id}", "order"),
    ("POST", "/api/reservations", "inventory"),
    ("POST", "/api/reservations/sweep", "inventory"),
    ("POST", "/api/auth/token", "auth"),
    ("GET", "/api/queues", "worker"),
    ("GET", "/api/metrics", "worker"),
    ("GET", "/api/ops/changes", "commander"),
    ("POST", "/api/alerts", "commander"),
];

/// The path with its parameters filled in.
pub fn real(path: &str) -> String {
    path.replace("{id}", ID)
        .replace("{size}", "256")
        .replace("{name}", "kill-one")
}

/// One request as a service got it.
pub struct Seen {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// One replica of a service; gone when dropped.
pub struct Stub {
    pub url: String,
    seen: Log,
    task: JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// Answers as `router` does, and every other request with the service's name.
    pub async fn start(service: &'static str, router: Router) -> Self {
        let seen = Log::default();
        let router = router
            .fallback(async move || Json(json!({"service": service})))
            .layer(from_fn_with_state(seen.clone(), record));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { url, seen, task }
    }

    /// The requests it got.
    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("not poisoned")
    }
}

async fn record(State(log): State<Log>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    log.lock().expect("not poisoned").push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers.clone(),
        body: body.to_vec(),
    });
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// A gateway and one replica of each service.
pub struct Shop {
    pub gateway: Gateway,
    services: Vec<Stub>,
}

impl Shop {
    pub async fn start() -> Self {
        Self::with(|_| Router::new(), &[]).await
    }

    /// With services that have these routes, and other settings of the gateway.
    pub async fn with(routes: impl Fn(&str) -> Router, settings: &[&str]) -> Self {
        let mut services = Vec::new();
        for name in SERVICES {
            services.push(Stub::start(name, routes(name)).await);
        }
        let urls: Vec<_> = SERVICES
            .into_iter()
            .zip(services.iter().map(|s| s.url.as_str()))
            .collect();
        let gateway = Gateway::new(&urls, settings);
        Self { gateway, services }
    }

    pub fn service(&self, name: &str) -> &Stub {
        let at = SERVICES.iter().position(|s| *s == name);
        &self.services[at.expect("a service")]
    }

    /// Takes all replicas of a service away.
    pub fn stop(&mut self, name: &str) {
        let at = SERVICES.iter().position(|s| *s == name);
        self.services[at.expect("a service")].task.abort();
    }

    /// Panics when any request got through to a service.
    #[track_caller]
    pub fn expect_nothing_passed_on(&self) {
        for (name, service) in SERVICES.iter().zip(&self.services) {
            let seen = service.seen();
            let seen: Vec<_> = seen.iter().map(|s| (&s.method, &s.path)).collect();
            assert!(seen.is_empty(), "{name} got {seen:?}");
        }
    }
}

pub struct Gateway {
    pub router: Router,
    registry: Registry,
    pub shutdown: Shutdown,
    _background: Background,
}

impl Gateway {
    /// A gateway that knows these replicas of services; the other services are away.
    pub fn new(urls: &[(&str, &str)], settings: &[&str]) -> Self {
        let mut arguments = vec!["gateway".to_owned()];
        for service in SERVICES {
            let known = urls.iter().find(|(name, _)| *name == service);
            let url = known.map_or(NOWHERE, |(_, url)| url);
            arguments.push(format!("--{service}-urls={url}"));
        }
        arguments.extend(settings.iter().map(|&s| s.to_owned()));
        let config = Config::try_parse_from(arguments).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, &mut registry);
        let shutdown = Shutdown::new();
        let _background = gateway::background(&app, shutdown.clone());
        let router = gateway::router(app, &config, &mut registry);
        Self {
            router,
            registry,
            shutdown,
            _background,
        }
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        call(&self.router, method, path, body).await
    }

    pub async fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        call_with(&self.router, method, path, "{}", headers).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}
