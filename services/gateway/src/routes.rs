//! Every public route: those of the services behind, and the gateway's own.
use crate::{App, console, live, proxy, status::Status};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, get, on},
};
use service::{Identity, Json, Problem, ProblemBody};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

const DELETE: Method = Method::DELETE;
const GET: Method = Method::GET;
const PATCH: Method = Method::PATCH;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;

/// The route whose bodies may be larger than others.
pub const UPLOADS: &str = "/api/images";

/// What is passed on, to whom, and who may have it. A route that isn't here can't be reached from outside.
pub const TABLE: [(Method, &str, Peer, Access); 54] = [
    (GET, "/api/orders", Peer::Order, Access::User),
    (POST, "/api/orders", Peer::Order, Access::Anyone),
    (GET, "/api/orders/{id}", Peer::Order, Access::Anyone),
    (POST, "/api/orders/{id}/cancel", Peer::Order, Access::User),
    (GET, "/api/products", Peer::Inventory, Access::Anyone),
    (GET, "/api/products/{id}", Peer::Inventory, Access::Anyone),
    (PUT, "/api/products/{id}", Peer::Inventory, Access::Operator),
    (
        PUT,
        "/api/products/{id}/stock",
        Peer::Inventory,
        Access::Operator,
    ),
    (GET, "/api/stock", Peer::Inventory, Access::Operator),
    (GET, "/api/notifications", Peer::Notification, Access::User),
    (
        POST,
        "/api/notifications/{id}/resend",
        Peer::Notification,
        Access::Operator,
    ),
    (POST, "/api/auth/register", Peer::Auth, Access::Anyone),
    (POST, "/api/auth/login", Peer::Auth, Access::Anyone),
    (POST, "/api/auth/refresh", Peer::Auth, Access::Anyone),
    (POST, "/api/auth/logout", Peer::Auth, Access::Anyone),
    (GET, "/api/auth/me", Peer::Auth, Access::User),
    (PATCH, "/api/auth/me", Peer::Auth, Access::User),
    (GET, "/api/auth/users", Peer::Auth, Access::User),
    (GET, JWKS, Peer::Auth, Access::Anyone),
    (POST, UPLOADS, Peer::Uploads, Access::User),
    (GET, "/api/images/{id}", Peer::Image, Access::Anyone),
    (GET, "/api/images/{id}/{size}", Peer::Image, Access::Anyone),
    (POST, "/api/job", Peer::Worker, Access::Operator),
    (GET, "/api/jobs", Peer::Worker, Access::Operator),
    (POST, "/api/jobs", Peer::Worker, Access::Operator),
    (GET, "/api/jobs/dead", Peer::Worker, Access::Operator),
    (POST, "/api/jobs/dead/retry", Peer::Worker, Access::Operator),
    (GET, "/api/jobs/{id}", Peer::Worker, Access::Operator),
    (POST, "/api/jobs/{id}/retry", Peer::Worker, Access::Operator),
    (GET, "/api/ops/state", Peer::Commander, Access::Operator),
    (GET, "/api/ops/journal", Peer::Commander, Access::Operator),
    (POST, "/api/ops/kill", Peer::Commander, Access::Operator),
    (GET, FAULTS, Peer::Commander, Access::Operator),
    (POST, FAULTS, Peer::Commander, Access::Operator),
    (DELETE, FAULTS, Peer::Commander, Access::Operator),
    (
        DELETE,
        "/api/ops/faults/{id}",
        Peer::Commander,
        Access::Operator,
    ),
    (POST, "/api/ops/outages", Peer::Commander, Access::Operator),
    (GET, "/api/ops/load", Peer::Commander, Access::Operator),
    (POST, "/api/ops/load", Peer::Commander, Access::Operator),
    (DELETE, "/api/ops/load", Peer::Commander, Access::Operator),
    (GET, "/api/ops/drills", Peer::Commander, Access::Operator),
    (
        GET,
        "/api/ops/drills/runs",
        Peer::Commander,
        Access::Operator,
    ),
    (
        POST,
        "/api/ops/drills/runs",
        Peer::Commander,
        Access::Operator,
    ),
    (
        GET,
        "/api/ops/drills/runs/{id}",
        Peer::Commander,
        Access::Operator,
    ),
    (
        GET,
        "/api/ops/drills/runs/{id}/report",
        Peer::Commander,
        Access::Operator,
    ),
    (
        POST,
        "/api/ops/drills/restore",
        Peer::Commander,
        Access::Operator,
    ),
    (
        POST,
        "/api/ops/drills/{name}/run",
        Peer::Commander,
        Access::Operator,
    ),
    (
        POST,
        "/api/ops/drills/{name}/break",
        Peer::Commander,
        Access::Operator,
    ),
    (
        GET,
        "/api/ops/drills/{name}/hint",
        Peer::Commander,
        Access::Operator,
    ),
    (
        POST,
        "/api/ops/drills/{name}/verify",
        Peer::Commander,
        Access::Operator,
    ),
    (POST, "/api/ops/rollout", Peer::Commander, Access::Operator),
    (POST, "/api/ops/scale", Peer::Commander, Access::Operator),
    (GET, "/api/ops/alerts", Peer::Commander, Access::Operator),
    (
        POST,
        "/api/ops/alerts/{id}/acknowledge",
        Peer::Commander,
        Access::Operator,
    ),
];

const FAULTS: &str = "/api/ops/faults";

/// The one path with dots (RFC 8615).
pub const JWKS: &str = "/api/.well-known/jwks.json";

/// The service behind a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Order,
    Inventory,
    Notification,
    Auth,
    Image,
    /// Image too, with more time for an answer.
    Uploads,
    Worker,
    Commander,
}

/// The least role that a route asks for. The service behind it sees to that; here it is for the
/// documentation, and for the test that tries every route in every role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Anyone,
    User,
    Operator,
}

pub fn routes(app: App) -> Router {
    let mut router = own().split_for_parts().0.merge(console::routes());
    router = router.route("/api/openapi.json", get(openapi));
    for (method, path, peer, _) in TABLE {
        let pass_on = move |State(app): State<App>, request: Request| async move {
            proxy::forward(&app, peer, request).await
        };
        let method = MethodFilter::try_from(method).expect("a method that routers know");
        router = router.route(path, on(method, pass_on));
    }
    let docs = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/api/openapi.json"));
    router.with_state(app).merge(docs)
}

fn own() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(watch))
}

/// The documentation of the gateway's own routes.
pub fn own_api() -> OpenApi {
    own().split_for_parts().1
}

/// Who may use this method of this path, with its parameters in braces; none if it isn't open to the outside.
pub fn access(method: &Method, path: &str) -> Option<Access> {
    let mut routes = TABLE.iter();
    let route = routes.find(|(open, at, ..)| open == method && *at == path);
    route.map(|(.., access)| *access)
}

/// The state of the platform: ready once every service has a ready replica.
#[utoipa::path(get, path = "/api/status", tag = "platform", responses((status = 200, body = Status)))]
async fn status(State(app): State<App>) -> Json<Status> {
    Json(app.status.get(&app).await)
}

/// The platform as it changes, as server-sent events.
///
/// `state`, what `/api/ops/state` answers: at once, at each change, and about every second.
/// `journal`: each entry of the journal that is new or has another outcome.
/// `alert`: each alert that fires, is resolved or was acknowledged.
#[utoipa::path(get, path = "/api/ops/live", tag = "ops", responses(
    (status = 200, description = "Goes on until the client hangs up, or its token is over", content_type = "text/event-stream"),
    (status = 503, body = ProblemBody, description = "`too_many_viewers`; `unavailable`", content_type = "application/problem+json"),
))]
async fn watch(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let (identity, until) = app.identities.session(&headers).await?;
    match identity {
        Identity::Operator(_) => live::stream(&app, until).await,
        Identity::User(_) => Err(Problem::forbidden()),
        Identity::Anonymous => Err(Problem::unauthorized()),
    }
}

async fn openapi(State(app): State<App>) -> Response {
    axum::Json(&*app.openapi.get(&app).await).into_response()
}

/// Headers that keep browsers from doing more with an answer than they should
/// (<https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html>).
pub async fn harden(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // Swagger UI brings its own styles along in the page.
    let policy = if docs {
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    } else {
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    };
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}
