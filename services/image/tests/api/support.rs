//! A replica under test.
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use bytes::Bytes;
use clap::Parser as _;
use image::{App, Config};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::Value;
use service::{
    Identity,
    testing::{Answer, identity, send},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tower::ServiceExt as _;
use uuid::Uuid;

const BOUNDARY: &str = "----boundary";
/// Somebody with an account.
const USER: Identity = Identity::User(Uuid::from_u128(2));

/// One replica of image, and the folder it keeps pictures in.
pub struct Replica {
    pub router: Router,
    pub folder: Arc<TempDir>,
    registry: Registry,
}

/// What came back, byte by byte.
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Replica {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::over(folder.into(), settings)
    }

    /// Another replica over the same folder.
    pub fn again(&self) -> Self {
        Self::over(self.folder.clone(), &[])
    }

    fn over(folder: Arc<TempDir>, settings: &[&str]) -> Self {
        let store = format!("--image-store-url=file://{}", folder.path().display());
        let settings = [&["image", &store], settings].concat();
        let config = Config::try_parse_from(settings).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, &mut registry).expect("a folder");
        let router = image::router(app, &config, &mut registry);
        Self {
            router,
            folder,
            registry,
        }
    }

    /// Uploads a file as browsers do.
    pub async fn upload(&self, file: &[u8]) -> Answer {
        self.post(&form(&[("file", "a.jpg", file)])).await
    }

    pub async fn post(&self, body: &[u8]) -> Answer {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.post_as(&kind, Body::from(body.to_vec())).await
    }

    pub async fn post_as(&self, kind: &str, body: Body) -> Answer {
        let (name, who) = identity(USER);
        let request = Request::post("/images").header("host", "test");
        let request = request.header(name, who).header("content-type", kind);
        let request = request.body(body);
        send(&self.router, request.expect("a request")).await
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.ask("GET", path, headers).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await;
        let (parts, body) = response.expect("routers never fail").into_parts();
        let bytes = to_bytes(body, usize::MAX).await.expect("a whole body");
        Got {
            status: parts.status,
            headers: parts.headers,
            bytes,
        }
    }

    /// The stored picture of an answer to an upload, in one of its sizes.
    pub async fn picture(&self, answer: &Value, size: &str) -> Bytes {
        let id = answer["id"].as_str().expect("an id");
        let path = format!("/images/{id}{size}");
        let got = self.get(&path, &[]).await;
        assert_eq!(got.status, 200, "{path}");
        got.bytes
    }

    /// All files in the store.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        text
    }
}

/// A form of files: name of the field, name of the file, content.
pub fn form(files: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, name, content) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: text/html\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The head of an upload over a socket.
pub fn head(length: usize) -> String {
    let (name, who) = identity(USER);
    format!(
        "POST /images HTTP/1.1\r\nHost: test\r\n{name}: {who}\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
}

/// Sends bytes over a socket of its own; gives what came back, as text.
pub fn exchange(address: SocketAddr, bytes: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a timeout");
    for part in bytes {
        // It may have heard enough before the end.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Uploads a file to a process.
pub fn upload(address: SocketAddr, file: &[u8]) -> String {
    let body = form(&[("file", "a", file)]);
    exchange(address, &[head(body.len()).as_bytes(), &body])
}
