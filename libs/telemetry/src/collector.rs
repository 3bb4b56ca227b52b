//! The way to the collector: one connection for each batch, on the thread that exports.
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{HttpClient, HttpError};
use std::{io, time::Duration};
use tokio::{runtime::Runtime, time::timeout};

/// Of one export.
const LIMIT: Duration = Duration::from_secs(5);
/// Of an answer; what it says is not used but for its status.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends what it is given and waits for the answer. Never called from a task of the service: it blocks.
#[derive(Debug)]
pub(crate) struct Collector {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Runtime,
}

impl Collector {
    pub fn new() -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(LIMIT));
        // Batches are seconds apart: a kept connection would mostly be found closed.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        Ok(Self { client, runtime })
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The caller's executor is not tokio's.
        let answer = async { timeout(LIMIT, self.exchange(request)).await };
        self.runtime.block_on(answer)?
    }
}
