//! One HTTP request on a connection of its own.
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{fmt, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// An answer that takes longer is a failure.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer accepted, bytes.
const LONGEST: usize = 8 << 20;

/// What came back.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Whole body.
    pub body: Bytes,
}

/// The status and the start of the body: enough to see what is wrong.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let start: String = body.chars().filter(|c| !c.is_control()).take(200).collect();
        write!(f, "answers {}: {start}", self.status)
    }
}

/// A header.
pub type Header<'a> = (HeaderName, &'a str);

/// GET `url`.
pub async fn get(url: &str, headers: &[Header<'_>]) -> anyhow::Result<Answer> {
    send(Method::GET, url, headers, &Value::Null).await
}

/// POST JSON to `url`; null is an empty body.
pub async fn post(url: &str, headers: &[Header<'_>], body: &Value) -> anyhow::Result<Answer> {
    send(Method::POST, url, headers, body).await
}

/// PUT JSON to `url`.
pub async fn put(url: &str, headers: &[Header<'_>], body: &Value) -> anyhow::Result<Answer> {
    send(Method::PUT, url, headers, body).await
}

async fn send(
    method: Method,
    url: &str,
    headers: &[Header<'_>],
    body: &Value,
) -> anyhow::Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
    ensure!(
        uri.scheme_str() == Some("http"),
        "{url} does not start with http://"
    );
    let authority = uri.authority().context("no host")?.clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority.as_str());
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let text = match body {
        Value::Null => String::new(),
        body => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string()
        }
    };
    let request = request.body(Full::new(Bytes::from(text)))?;
    let port = authority.port_u16().unwrap_or(80);
    let answer = timeout(LIMIT, exchange(authority.host(), port, request)).await;
    answer
        .with_context(|| format!("no answer within {} s", LIMIT.as_secs()))
        .flatten()
        .with_context(|| url.to_owned())
}

async fn exchange(host: &str, port: u16, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect((host, port)).await?;
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Its errors reach the request, too.
    tokio::spawn(connection);
    let answer = client.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    Ok(Answer { status, body })
}
