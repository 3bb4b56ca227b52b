//! The platform's API as a run uses it before and after its load: products, stock, lists.
use super::client::{Connection, Peers};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt::Write as _, ops::ControlFlow, pin::Pin, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a call is repeated while the platform is not able to answer it.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
/// The most a list gives per page.
const PAGE: u32 = 500;

/// One product's pieces, from one snapshot of all products.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Stock {
    pub product_id: String,
    /// Ever put into stock.
    pub stocked: i64,
    pub available: i64,
    /// Reserved for orders under way.
    pub held: i64,
    pub sold: i64,
}

/// What a list answers.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// Gets an operator's access token.
pub type Login = Arc<dyn Fn() -> Token + Send + Sync>;
/// On its way.
pub type Token = Pin<Box<dyn Future<Output = anyhow::Result<String>> + Send>>;

/// Calls the gateway, and logs in as operator when it has to.
pub struct Shop {
    connection: Connection,
    login: Login,
    token: Option<HeaderValue>,
}

impl Shop {
    pub async fn open(url: &str, login: Login) -> anyhow::Result<Self> {
        let peers = Peers::resolve(&[url]).await?;
        Ok(Self {
            connection: Connection::new(peers, 0, PATIENCE),
            login,
            token: None,
        })
    }

    /// Ids of all products, in the order of the list.
    pub async fn products(&mut self) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Product {
            id: String,
        }
        let mut ids = Vec::new();
        self.each("/api/products", |product: Product| ids.push(product.id))
            .await?;
        Ok(ids)
    }

    pub async fn stock(&mut self) -> anyhow::Result<Vec<Stock>> {
        #[derive(Deserialize)]
        struct Snapshot {
            items: Vec<Stock>,
        }
        let body = self.call(Method::GET, "/api/stock", None).await?;
        let snapshot: Snapshot = serde_json::from_slice(&body).context("reading the stock")?;
        Ok(snapshot.items)
    }

    /// Puts one more product on the shelf, the `n`-th of the shop. Gives its id.
    pub async fn add_product(&mut self, n: usize) -> anyhow::Result<String> {
        let id = format!("PROD-{n:03}");
        let path = format!("/api/products/{id}");
        let body = json!({ "name": format!("Signal flag no. {n}"), "price_minor": 1900, "currency": "EUR" });
        self.call(Method::PUT, &path, Some(&body)).await?;
        Ok(id)
    }

    pub async fn set_available(&mut self, product: &str, pieces: u64) -> anyhow::Result<()> {
        let path = format!("/api/products/{product}/stock");
        let body = json!({ "available": pieces });
        self.call(Method::PUT, &path, Some(&body)).await.map(drop)
    }

    /// Hands every item of a list to `take`.
    pub async fn each<T: DeserializeOwned>(
        &mut self,
        path: &str,
        mut take: impl FnMut(T),
    ) -> anyhow::Result<()> {
        let take = |item| {
            take(item);
            ControlFlow::Continue(())
        };
        self.walk(path, take).await
    }

    /// Hands the items of a list to `take`, page by page, until it breaks off.
    pub async fn walk<T: DeserializeOwned>(
        &mut self,
        path: &str,
        mut take: impl FnMut(T) -> ControlFlow<()>,
    ) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let body = self
                .call(Method::GET, &format!("{path}?limit={PAGE}{after}"), None)
                .await?;
            let page: Page<T> =
                serde_json::from_slice(&body).with_context(|| format!("reading {path}"))?;
            if page.items.into_iter().try_for_each(&mut take).is_break() {
                return Ok(());
            }
            match page.next {
                Some(next) => after = format!("&after={}", encode(&next)),
                None => return Ok(()),
            }
        }
    }

    /// The header that calls carry, once one of them needed it.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.token.clone()
    }

    /// POST with an idempotency key, once; status and body.
    pub async fn post(
        &mut self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        if self.token.is_none() {
            self.log_in().await?;
        }
        let mut fresh_token = false;
        loop {
            let mut request = self.request(&Method::POST, path, Some(body))?;
            let key = HeaderValue::try_from(key)?;
            request.headers_mut().insert("idempotency-key", key);
            let reply = self.connection.send(request).await;
            let reply = reply.map_err(|broken| anyhow::anyhow!("POST {path}: {broken}"))?;
            if reply.status == StatusCode::UNAUTHORIZED && !fresh_token {
                self.log_in().await?;
                fresh_token = true;
                continue;
            }
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            return Ok((reply.status, text));
        }
    }

    /// Whether this token opens a path.
    pub async fn opens(&mut self, path: &str, token: &str) -> anyhow::Result<bool> {
        let mut request = self.request(&Method::GET, path, None)?;
        let token = HeaderValue::try_from(format!("Bearer {token}"))?;
        request.headers_mut().insert(AUTHORIZATION, token);
        let reply = self.connection.send(request).await;
        let reply = reply.map_err(|broken| anyhow::anyhow!("GET {path}: {broken}"))?;
        Ok(reply.status.is_success())
    }

    /// Makes a call that may safely be repeated.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let deadline = Instant::now() + PATIENCE;
        let mut fresh_token = false;
        loop {
            let request = self.request(&method, path, body)?;
            let failure = match self.connection.send(request).await {
                Ok(reply) if reply.status.is_success() => return Ok(reply.body),
                Ok(reply) if reply.status == StatusCode::UNAUTHORIZED && !fresh_token => {
                    self.log_in()
                        .await
                        .with_context(|| format!("{method} {path}"))?;
                    fresh_token = true;
                    continue;
                }
                Ok(reply) => {
                    let text = String::from_utf8_lossy(&reply.body);
                    let failure =
                        format!("{method} {path}: status {} {text}", reply.status.as_u16());
                    let passing = reply.status.is_server_error()
                        || reply.status == StatusCode::TOO_MANY_REQUESTS;
                    if !passing {
                        bail!(failure);
                    }
                    failure
                }
                Err(broken) => format!("{method} {path}: {broken}"),
            };
            if Instant::now() >= deadline {
                bail!("{failure}; is the platform up?");
            }
            sleep(PAUSE).await;
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.connection.host());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let Some(body) = body else {
            return Ok(request.body(Full::default())?);
        };
        let request = request.header(CONTENT_TYPE, "application/json");
        Ok(request.body(body.to_string().into())?)
    }

    async fn log_in(&mut self) -> anyhow::Result<()> {
        let token = (self.login)().await?;
        self.token = Some(format!("Bearer {token}").try_into()?);
        Ok(())
    }
}

/// Percent-encodes a query value (RFC 3986 section 2).
fn encode(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => write!(encoded, "%{byte:02X}").expect("strings take any text"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_cursor_survives_the_query_string() {
        assert_eq!(
            encode("2026-11-21T10:00:00+01:00/a_b~1"),
            "2026-11-21T10%3A00%3A00%2B01%3A00%2Fa_b~1"
        );
    }
}
