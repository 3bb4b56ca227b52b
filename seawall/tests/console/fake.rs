//! Stand-ins for what a platform may not have yet: accounts, pictures, commander. They keep to the same
//! contract; where the gateway knows a route, its own service answers. The kills are real ones.
use crate::{stage::OPERATOR, support};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderValue, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use serde_json::{Value, json};
use service::Json;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use support::Control;
use uuid::Uuid;

/// How long an access token is good.
const TOKENS: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub struct Fake(Arc<Inner>);

struct Inner {
    gateway: String,
    control: Control,
    auth: bool,
    image: bool,
    ops: bool,
    world: Mutex<World>,
}

#[derive(Default)]
struct World {
    users: BTreeMap<String, (String, Value)>,
    /// Whose, and until when.
    access: HashMap<String, (String, Instant)>,
    refresh: HashMap<String, String>,
    images: HashMap<String, Bytes>,
    journal: Vec<Value>,
    requests: VecDeque<(Instant, Duration, bool)>,
}

impl Fake {
    /// Looks which routes the gateway does not have.
    pub fn for_what_is_missing(gateway: &str, control: Control) -> Self {
        let lacks = |path: &str| support::get(&format!("{gateway}{path}")).0 == 404;
        let (name, password) = OPERATOR;
        let users = [(
            name.to_owned(),
            (password.to_owned(), profile(name, "operator")),
        )];
        Self(Arc::new(Inner {
            auth: lacks("/api/auth/me"),
            image: lacks("/api/images"),
            ops: lacks("/api/ops/state"),
            gateway: gateway.to_owned(),
            control,
            world: Mutex::new(World {
                users: users.into(),
                ..World::default()
            }),
        }))
    }

    /// Counts what goes through, for the signals.
    pub fn count(&self, took: Duration, failed: bool) {
        let mut world = self.world();
        world.requests.push_back((Instant::now(), took, failed));
    }

    /// The answer, or the request back if it is for the real platform.
    pub async fn answer(&self, request: Request) -> Result<Response, Request> {
        let path = request.uri().path().to_owned();
        let rest: Vec<_> = path.trim_start_matches("/api/").split('/').collect();
        let method = request.method().as_str().to_owned();
        let user = self.user(&request);
        match (method.as_str(), rest.as_slice()) {
            (_, ["auth", ..]) if self.0.auth => Ok(self.auth(&method, &rest, user, request).await),
            (_, ["images", ..]) if self.0.image => Ok(self.images(&rest, user, request).await),
            (_, ["ops", ..]) if self.0.ops => Ok(self.ops(&rest, user, request).await),
            _ if self.0.auth => match refuse(&method, &rest, user) {
                Some(refused) => Ok(refused),
                None => Err(request),
            },
            _ => Err(request),
        }
    }

    /// The documentation names the stand-ins too.
    pub async fn amend(&self, path: &str, response: Response) -> Response {
        if path != "/api/openapi.json" {
            return response;
        }
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let mut document: Value = serde_json::from_slice(&body).expect("JSON");
        let present = [
            (self.0.auth, "/api/auth/me"),
            (self.0.ops, "/api/ops/state"),
        ];
        for (_, path) in present.into_iter().filter(|(fake, _)| *fake) {
            document["paths"][path] = json!({});
        }
        let mut response = (head.status, Json(document)).into_response();
        let policy = "content-security-policy";
        if let Some(value) = head.headers.get(policy) {
            response.headers_mut().insert(policy, value.clone());
        }
        response
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().expect("not poisoned")
    }

    /// Who sends it: nobody (None), or the profile; a token that isn't good is nobody.
    fn user(&self, request: &Request) -> Option<Value> {
        let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let world = self.world();
        let (name, until) = world.access.get(value.strip_prefix("Bearer ")?)?;
        (*until > Instant::now()).then(|| world.users[name].1.clone())
    }

    async fn auth(
        &self,
        method: &str,
        rest: &[&str],
        user: Option<Value>,
        request: Request,
    ) -> Response {
        let body = read(request).await;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match (method, rest, user) {
            ("POST", ["auth", "register"], _) => self.register(&text("username"), text("password")),
            ("POST", ["auth", "login"], _) => {
                let known = self
                    .world()
                    .users
                    .get(&text("username"))
                    .map(|(p, _)| p.clone());
                match known {
                    Some(password) if password == text("password") => {
                        self.tokens(&text("username"))
                    }
                    _ => problem(
                        401,
                        "invalid_credentials",
                        "There is no account with this name and password",
                    ),
                }
            }
            ("POST", ["auth", "refresh"], _) => {
                let owner = self.world().refresh.remove(&text("refresh_token"));
                match owner {
                    Some(name) => self.tokens(&name),
                    None => problem(401, "invalid_refresh_token", "This session has ended"),
                }
            }
            ("POST", ["auth", "logout"], _) => {
                self.world().refresh.remove(&text("refresh_token"));
                StatusCode::NO_CONTENT.into_response()
            }
            (_, _, None) => unauthorized(),
            ("GET", ["auth", "me"], Some(me)) => Json(me).into_response(),
            ("PATCH", ["auth", "me"], Some(me)) => self.change(&me, &body),
            ("GET", ["auth", "users"], _) => {
                let users: Vec<_> = self
                    .world()
                    .users
                    .values()
                    .map(|(_, p)| p.clone())
                    .collect();
                Json(json!({"items": users, "next": null})).into_response()
            }
            _ => problem(404, "not_found", "There is nothing here"),
        }
    }

    fn register(&self, name: &str, password: String) -> Response {
        let mut world = self.world();
        if name.len() < 3 {
            return invalid("/username", "must be 3 to 32 characters");
        }
        if world.users.contains_key(name) {
            return problem(
                409,
                "username_taken",
                "This name is taken, or looks like one that is",
            );
        }
        let profile = profile(name, "user");
        world
            .users
            .insert(name.to_owned(), (password, profile.clone()));
        (StatusCode::CREATED, Json(profile)).into_response()
    }

    fn tokens(&self, name: &str) -> Response {
        let (access, refresh) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
        let mut world = self.world();
        let until = Instant::now() + TOKENS;
        world
            .access
            .insert(access.clone(), (name.to_owned(), until));
        world.refresh.insert(refresh.clone(), name.to_owned());
        Json(json!({"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": TOKENS.as_secs()}))
            .into_response()
    }

    fn change(&self, me: &Value, change: &Value) -> Response {
        if change["display_name"]
            .as_str()
            .is_some_and(|name| name.trim() != name)
        {
            let detail = "must be 1 to 64 visible characters, without blanks at the ends";
            return invalid("/display_name", detail);
        }
        let mut world = self.world();
        let (password, profile) = world
            .users
            .get_mut(me["username"].as_str().expect("a name"))
            .expect("a user");
        if let Some(new) = change["password"].as_str() {
            if change["current_password"] != **password {
                return invalid("/current_password", "is not your password");
            }
            new.clone_into(password);
        }
        for field in ["display_name", "email", "avatar"] {
            if let Some(value) = change.get(field) {
                profile[field] = value.clone();
            }
        }
        Json(profile.clone()).into_response()
    }

    async fn images(&self, rest: &[&str], user: Option<Value>, request: Request) -> Response {
        if let ["images", id, ..] = rest {
            let image = self.world().images.get(*id).cloned();
            return match image {
                Some(image) => ([("content-type", "image/png")], image).into_response(),
                None => problem(404, "not_found", "There is nothing here"),
            };
        }
        if user.is_none() {
            return unauthorized();
        }
        let form = read(request).await;
        let find = |what: &[u8]| form.windows(what.len()).position(|w| w == what);
        // One part: its head ends with an empty line, its content before the last boundary.
        let end = form.windows(4).rposition(|w| w == b"\r\n--");
        match (find(b"\r\n\r\n"), end) {
            (Some(begin), Some(end)) => self.keep(form.slice(begin + 4..end)),
            _ => problem(422, "invalid_form", "The form has no file"),
        }
    }

    fn keep(&self, image: Bytes) -> Response {
        if !image.starts_with(b"\x89PNG") {
            return problem(415, "not_a_picture", "Only JPEG, PNG and WebP are taken");
        }
        let id = Uuid::now_v7().simple().to_string();
        self.world().images.insert(id.clone(), image);
        let url = format!("/api/images/{id}");
        let small = json!({"256": format!("{url}/256"), "800": format!("{url}/800")});
        let stored = json!({"id": id, "width": 1, "height": 1, "url": url, "renditions": small});
        (StatusCode::CREATED, Json(stored)).into_response()
    }

    async fn ops(&self, rest: &[&str], user: Option<Value>, request: Request) -> Response {
        if let Some(refused) = operator_only(user) {
            return refused;
        }
        match rest {
            ["ops", "state"] => Json(self.state()).into_response(),
            ["ops", "journal"] => {
                Json(json!({"items": self.journal(0), "next": null})).into_response()
            }
            ["ops", "live"] => self.live(),
            ["ops", "kill"] => {
                let body = read(request).await;
                self.kill(&serde_json::from_slice(&body).unwrap_or_default())
            }
            _ => problem(404, "not_found", "There is nothing here"),
        }
    }

    /// Newest first, without the oldest `skip`.
    fn journal(&self, skip: usize) -> Vec<Value> {
        self.world()
            .journal
            .iter()
            .skip(skip)
            .rev()
            .cloned()
            .collect()
    }

    fn state(&self) -> Value {
        let mut services: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for replica in self.0.control.list() {
            let name = replica["name"].as_str().expect("a name").to_owned();
            let state = replica["state"].as_str();
            let state = state
                .filter(|s| ["ready", "starting", "draining"].contains(s))
                .unwrap_or("down");
            services.entry(replica["service"].as_str().expect("a service").to_owned()).or_default().push(json!({
                "name": name, "state": state, "started_at": replica["started_at"], "restarts": replica["restarts"],
                "address": replica["api"].as_str().unwrap_or_default().trim_start_matches("http://"), "killable": true,
            }));
        }
        let services: Vec<_> = services
            .into_iter()
            .map(|(name, replicas)| json!({"name": name, "replicas": replicas}))
            .collect();
        let (_, status) = support::get(&format!("{}/api/status", self.0.gateway));
        let queues = status["queues"].as_object().cloned().unwrap_or_default();
        let queues: Vec<_> = queues
            .into_iter()
            .map(|(name, mut queue)| {
                queue["name"] = name.into();
                queue
            })
            .collect();
        json!({
            "environment": "local", "version": "0.1.0", "at": Utc::now(), "services": services,
            "signals": self.signals(), "queues": queues, "faults": [], "load": null,
        })
    }

    fn signals(&self) -> Value {
        let window = Duration::from_secs(10);
        let mut world = self.world();
        while world
            .requests
            .front()
            .is_some_and(|(at, ..)| at.elapsed() > window)
        {
            world.requests.pop_front();
        }
        let mut took: Vec<_> = world
            .requests
            .iter()
            .map(|(_, took, _)| took.as_secs_f64() * 1000.0)
            .collect();
        took.sort_by(f64::total_cmp);
        let quantile = |q: usize| took.get(took.len().saturating_sub(1) * q / 100);
        let failed = world.requests.iter().filter(|(.., failed)| *failed).count();
        json!({
            "window_seconds": 10, "requests_per_second": took.len() as f64 / 10.0,
            "error_ratio": failed as f64 / took.len().max(1) as f64,
            "p50_ms": quantile(50), "p95_ms": quantile(95), "p99_ms": quantile(99),
            "in_flight": 1, "saturation": 0.01,
        })
    }

    /// The state every second, and news of the journal.
    fn live(&self) -> Response {
        let journal = self.world().journal.len();
        let news = futures::stream::unfold(
            (self.clone(), journal, true),
            |(fake, known, first)| async move {
                if !first {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                let mut text = format!("event: state\ndata: {}\n\n", fake.state());
                let entries = fake.journal(known);
                for entry in entries.iter().rev() {
                    text += &format!("event: journal\ndata: {entry}\n\n");
                }
                let known = known + entries.len();
                Some((
                    Ok::<_, std::convert::Infallible>(text),
                    (fake, known, false),
                ))
            },
        );
        (
            [("content-type", "text/event-stream")],
            Body::from_stream(news),
        )
            .into_response()
    }

    fn kill(&self, wish: &Value) -> Response {
        let all = self.0.control.list();
        let fits = |r: &&Value| {
            (wish["replica"].is_null() || r["name"] == wish["replica"])
                && (wish["service"].is_null() || r["service"] == wish["service"])
        };
        let victim = all
            .iter()
            .filter(fits)
            .filter(|r| r["state"] == "ready")
            .max_by_key(|r| r["pid"].as_u64());
        let Some(victim) = victim else {
            return problem(404, "replica_not_found", "There is no such replica");
        };
        let others = all
            .iter()
            .filter(|r| r["service"] == victim["service"] && r["state"] == "ready")
            .count();
        if others == 1 && wish["force"] != true {
            return problem(
                409,
                "last_replica",
                "It is the last ready replica of its service",
            );
        }
        let name = victim["name"].as_str().expect("a name").to_owned();
        let old = victim["pid"]
            .as_u64()
            .and_then(|pid| pid.try_into().ok())
            .expect("a pid");
        self.0.control.kill(&name, "KILL");
        let entry = self.record("operator", "kill", &name, Value::Null);
        let fake = self.clone();
        let began = Instant::now();
        std::thread::spawn(move || {
            fake.0.control.wait_for_successor(&name, old);
            fake.record(
                "supervisor",
                "recover",
                &name,
                json!(began.elapsed().as_millis() as u64),
            );
        });
        (StatusCode::ACCEPTED, Json(entry)).into_response()
    }

    fn record(&self, who: &str, action: &str, target: &str, recovered_ms: Value) -> Value {
        let entry = json!({
            "id": Uuid::now_v7(), "at": Utc::now(), "who": who, "action": action, "target": target,
            "outcome": "done", "detail": null, "recovered_ms": recovered_ms,
        });
        self.world().journal.push(entry.clone());
        entry
    }
}

/// What a route asks for before the services ask themselves.
fn refuse(method: &str, rest: &[&str], user: Option<Value>) -> Option<Response> {
    match (method, rest) {
        ("GET", ["orders" | "notifications"]) | ("POST", ["orders", _, "cancel"]) => {
            user.is_none().then(unauthorized)
        }
        (_, ["job" | "jobs", ..]) | ("PUT", ["products", ..]) => operator_only(user),
        _ => None,
    }
}

fn operator_only(user: Option<Value>) -> Option<Response> {
    match user {
        None => Some(unauthorized()),
        Some(user) if user["role"] != "operator" => {
            Some(problem(403, "forbidden", "This is for the operator"))
        }
        Some(_) => None,
    }
}

fn profile(name: &str, role: &str) -> Value {
    json!({"id": Uuid::now_v7(), "username": name, "display_name": name, "email": null, "avatar": null, "role": role, "created_at": Utc::now()})
}

async fn read(request: Request) -> Bytes {
    to_bytes(request.into_body(), 16 << 20)
        .await
        .expect("a body")
}

fn unauthorized() -> Response {
    problem(401, "unauthorized", "Log in first")
}

fn problem(status: u16, code: &str, title: &str) -> Response {
    detailed(json!({"type": code, "title": title, "status": status, "request_id": "stand-in"}))
}

fn invalid(pointer: &str, detail: &str) -> Response {
    let errors = [json!({"pointer": pointer, "detail": detail})];
    detailed(
        json!({"type": "invalid_field", "title": "A field is not valid", "status": 422, "request_id": "stand-in", "errors": errors}),
    )
}

fn detailed(problem: Value) -> Response {
    let status = problem["status"]
        .as_u64()
        .and_then(|s| StatusCode::from_u16(s as u16).ok());
    let mut response = (status.expect("a status"), problem.to_string()).into_response();
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert("content-type", kind);
    response
}
