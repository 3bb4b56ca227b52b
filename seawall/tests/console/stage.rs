//! A platform with a front before it: passes everything on, and can be told to fail.
use crate::support::{self, Control, Platform, Sandbox};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header::HOST},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Longer than anything takes on a slow, busy machine; what fails then hangs.
pub const LIMIT: Duration = Duration::from_secs(40);
pub const OPERATOR: (&str, &str) = ("operator", "a-lamp-for-every-ship");

pub struct Stage {
    pub platform: Platform,
    front: Front,
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What the front's requests share.
#[derive(Clone)]
pub struct Front(Arc<Inner>);

pub struct Inner {
    gateway: String,
    client: Client<HttpConnector, Body>,
    /// Paths that begin so are answered with 503.
    away: Mutex<Option<String>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for the pictures of the products, which the first start of all puts in their place.
fn pictures(platform: &Platform) {
    let url = platform.url();
    let (_, page) = support::get(&format!("{url}/api/products"));
    for product in page["items"].as_array().expect("products") {
        let picture = product["image"].as_str().expect("a picture");
        let picture = format!("{url}{picture}");
        support::eventually("a picture", || {
            (support::http("HEAD", &picture, &[], "").0 == 200).then_some(())
        });
    }
}

impl Stage {
    pub async fn start() -> Self {
        let env = [("OPERATOR_PASSWORD", OPERATOR.1)];
        let platform = Platform::start_in(Sandbox::new(), &env);
        let gateway = platform.url();
        pictures(&platform);
        let front = Front(Arc::new(Inner {
            gateway,
            client: Client::builder(TokioExecutor::new()).build_http(),
            away: Mutex::default(),
        }));
        let router = Router::new().fallback(answer).with_state(front.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self {
            platform,
            front,
            address,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn control(&self) -> Control {
        self.platform.control()
    }

    /// From now on paths that begin so are away; `None` brings them back.
    pub fn away(&self, path: Option<&str>) {
        *self.front.0.away.lock().expect("not poisoned") = path.map(str::to_owned);
    }

    /// Buys past the browser.
    pub fn buy(&self, product: &str, quantity: i64) -> serde_json::Value {
        let order = serde_json::json!({"product_id": product, "quantity": quantity, "email": "a@example.com"});
        let url = format!("{}/api/orders", self.platform.url());
        let (status, order) = support::post(&url, &[], &order);
        assert_eq!(status, 201, "{order}");
        order
    }
}

async fn answer(State(Front(front)): State<Front>, request: Request) -> Response {
    let path = request.uri().path();
    let away = front.away.lock().expect("not poisoned").clone();
    if away.is_some_and(|away| path.starts_with(&away)) {
        return unavailable();
    }
    pass_on(&front, request).await
}

async fn pass_on(front: &Inner, mut request: Request) -> Response {
    let target = request.uri().path_and_query().expect("a path");
    let uri: Uri = format!("{}{target}", front.gateway).parse().expect("a URI");
    *request.uri_mut() = uri;
    request.headers_mut().remove(HOST);
    match front.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn unavailable() -> Response {
    let problem = r#"{"type":"unavailable","title":"Not available right now","status":503,"detail":"inventory is not available right now","request_id":"r-503"}"#;
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, problem).into_response();
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert("retry-after", HeaderValue::from_static("2"));
    response
}
