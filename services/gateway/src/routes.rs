//! Every public route: those of the services behind, and the gateway's own.
use crate::{App, console, proxy, status::Status};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, get, on},
};
use service::Json;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

const GET: MethodFilter = MethodFilter::GET;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;

/// What is passed on, and to whom. A route that isn't here can't be reached from outside.
const TABLE: [(&str, MethodFilter, Peer); 15] = [
    ("/api/orders", GET.or(POST), Peer::Order),
    ("/api/orders/{id}", GET, Peer::Order),
    ("/api/orders/{id}/cancel", POST, Peer::Order),
    ("/api/products", GET, Peer::Inventory),
    ("/api/products/{id}", GET, Peer::Inventory),
    ("/api/products/{id}/stock", PUT, Peer::Inventory),
    ("/api/stock", GET, Peer::Inventory),
    ("/api/notifications", GET, Peer::Notification),
    ("/api/notifications/{id}/resend", POST, Peer::Notification),
    ("/api/job", POST, Peer::Worker),
    ("/api/jobs", GET.or(POST), Peer::Worker),
    ("/api/jobs/dead", GET, Peer::Worker),
    ("/api/jobs/dead/retry", POST, Peer::Worker),
    ("/api/jobs/{id}", GET, Peer::Worker),
    ("/api/jobs/{id}/retry", POST, Peer::Worker),
];

/// The service behind a route.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Order,
    Inventory,
    Notification,
    Worker,
}

pub fn routes(app: App) -> Router {
    let mut router = own().split_for_parts().0.merge(console::routes());
    router = router.route("/api/openapi.json", get(openapi));
    for (path, methods, peer) in TABLE {
        let pass_on = move |State(app): State<App>, request: Request| async move {
            let upstream = app.peer(peer).clone();
            proxy::forward(&app, &upstream, request).await
        };
        router = router.route(path, on(methods, pass_on));
    }
    let docs = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/api/openapi.json"));
    router.with_state(app).merge(docs)
}

fn own() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(status))
}

/// The documentation of the gateway's own routes.
pub fn own_api() -> OpenApi {
    own().split_for_parts().1
}

/// Is this method of this path, with its parameters in braces, open to the outside?
pub fn is_public(method: Method, path: &str) -> bool {
    MethodFilter::try_from(method).is_ok_and(|method| {
        TABLE
            .iter()
            .any(|(open, methods, _)| *open == path && methods.or(method) == *methods)
    })
}

/// The state of the platform: ready once every service has a ready replica.
#[utoipa::path(get, path = "/api/status", tag = "platform", responses((status = 200, body = Status)))]
async fn status(State(app): State<App>) -> Json<Status> {
    Json(app.status.get(&app).await)
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
