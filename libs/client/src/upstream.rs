//! A service that this one calls, and the course of a call through its tries.
use crate::{
    Call, Error, Metrics, Replay, Settings, Urls,
    balance::{self, Tried},
    breaker::{Fault, Verdict},
    budget::Budget,
    connection::Failure,
    endpoint::Lease,
    headers,
    metrics::{Outcome, UpstreamMetrics},
    resolve::{Directory, Endpoints},
    retry::{self, Retry, TryResult},
};
use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Response};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use telemetry::{Context, Kind, Span};
use tokio::time::{self, Instant};

/// Longest time a replica's wish to be left alone is respected.
const LONGEST_SHEDDING: Duration = Duration::from_secs(5);
/// What an [`Error::Unavailable`] asks for at least.
const SHORTEST_RETRY_AFTER: Duration = Duration::from_millis(100);

/// The replicas of one service, as one thing to call. Make one per peer; clones share everything.
#[derive(Clone)]
pub struct Upstream(Arc<Inner>);

struct Inner {
    name: &'static str,
    settings: Settings,
    directory: Arc<Directory>,
    budget: Budget,
    metrics: UpstreamMetrics,
}

impl Upstream {
    /// Calls the replicas at `urls`; `name` labels the metrics. Opens no connection yet.
    #[must_use]
    pub fn new(name: &'static str, urls: &Urls, settings: Settings, metrics: &Metrics) -> Self {
        let directory = Directory::new(name, urls, settings.clone());
        let states: Weak<Directory> = Arc::downgrade(&directory);
        metrics.watch(states);
        let (percent, reserve) = (settings.call_retry_percent, settings.call_retry_reserve);
        Self(Arc::new(Inner {
            name,
            directory,
            budget: Budget::new(percent, reserve, Instant::now()),
            metrics: metrics.of(name),
            settings,
        }))
    }

    /// The name given to [`Upstream::new`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Sends a call and returns the answer, whatever its status; 502, 503 and 504 only after the
    /// retries that are safe and within the budget.
    ///
    /// Takes trace, request id and deadline from [`Context::current`]. Dropping the future cancels
    /// the call and closes its connection.
    ///
    /// # Errors
    /// When there is no answer to return.
    pub async fn send(&self, mut call: Call) -> Result<Response<Bytes>, Error> {
        let started = Instant::now();
        let context = Context::current();
        headers::prepare(&mut call.headers, context.as_ref());
        let mut deadline = started + self.0.settings.call_deadline;
        if let Some(outer) = context.and_then(|c| c.deadline()) {
            deadline = deadline.min(outer);
        }
        let result = self.0.try_until(&call, started, deadline).await;
        self.0.metrics.request(outcome(&result)).inc();
        self.0
            .metrics
            .duration
            .observe(started.elapsed().as_secs_f64());
        result
    }

    /// `GET`s `path` from every replica once: no retry, no breaker, whatever state it is in. For
    /// pages that show how each of them is.
    pub async fn probe_all(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Vec<(String, Result<Response<Bytes>, Error>)> {
        let inner = &self.0;
        let now = Instant::now();
        let endpoints = inner.endpoints(now, now + timeout).await;
        let context = Context::current();
        let (endpoints, context) = (&endpoints, context.as_ref());
        join_all(endpoints.iter().map(|endpoint| async move {
            let answer = async {
                let mut call = Call::to(Method::GET, path)?;
                headers::prepare(&mut call.headers, context);
                let request = headers::request(&call, &endpoint.authority, timeout);
                let result = time::timeout(timeout, endpoint.pool.exchange(request)).await;
                let result = result.unwrap_or(Err(Failure::TimedOut));
                result.map_err(|failure| inner.error(failure, endpoints))
            };
            (endpoint.address.to_string(), answer.await)
        }))
        .await
    }
}

impl Inner {
    /// Waits for a look-up only when there is no endpoint yet.
    async fn endpoints(&self, now: Instant, until: Instant) -> Endpoints {
        let known = self.directory.current(now);
        if !known.is_empty() {
            return known;
        }
        let first = time::timeout_at(until, self.directory.first()).await;
        first.unwrap_or(known)
    }

    async fn try_until(
        &self,
        call: &Call,
        started: Instant,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Error> {
        let upstream = self.name;
        if started >= deadline {
            return Err(Error::Expired { upstream });
        }
        self.budget.deposit(started);
        let endpoints = self.endpoints(started, deadline).await;
        let mut tried = Tried::default();
        let mut last = None;
        loop {
            let now = Instant::now();
            let lease = match balance::pick(&endpoints, &tried, now) {
                Some(lease) => lease,
                None if tried.start_over(now - started) => continue,
                None => break,
            };
            if last.is_some() {
                self.metrics.retries.inc();
            }
            let endpoint = lease.endpoint.clone();
            let result = self.try_once(lease, call, &endpoints, deadline).await;
            let retry = retry::after(&result, call.replay);
            let result = result.map_err(|failure| self.error(failure, &endpoints));
            let Some(retry) = retry else { return result };
            tried.add(endpoint, retry.same_endpoint);
            if !self
                .may_retry(retry, &mut tried, &endpoints, deadline)
                .await
            {
                return result;
            }
            last = Some(result);
        }
        let retry_after = retry_after(&endpoints);
        last.unwrap_or(Err(Error::Unavailable {
            upstream,
            retry_after,
        }))
    }

    async fn try_once(
        &self,
        mut lease: Lease,
        call: &Call,
        endpoints: &Endpoints,
        deadline: Instant,
    ) -> TryResult {
        let started = Instant::now();
        let until = match call.replay {
            Replay::Safe => deadline.min(started + self.settings.call_try_timeout),
            // There is no second try to leave time for.
            Replay::OnlyIfUnsent => deadline,
        };
        let endpoint = &lease.endpoint;
        let mut request = headers::request(call, &endpoint.authority, until - started);
        let mut span = self.span(call, endpoint.address);
        headers::follow(&mut request, &span);
        let result = time::timeout_at(until, endpoint.pool.exchange(request)).await;
        let mut result = result.unwrap_or(Err(Failure::TimedOut));
        conclude(&mut span, &result);
        if let Ok(response) = &mut result {
            headers::strip(response);
            if let Some(pause) = retry::shed_for(response) {
                endpoint.shed_for(pause.min(LONGEST_SHEDDING), Instant::now());
            }
        }
        if let Err(failure) = &result {
            let (upstream, endpoint) = (self.name, endpoint.address);
            tracing::debug!(upstream, %endpoint, ?failure, "try failed");
        }
        lease.verdict = self.verdict(&result, endpoints, started);
        result
    }

    /// Of one try.
    fn span(&self, call: &Call, address: SocketAddr) -> Span {
        let mut span = Span::part(Kind::Client, || format!("{} {}", call.method, self.name));
        if span.is_recorded() {
            span.set("http.request.method", call.method.to_string());
            span.set("peer.service", self.name);
            span.set("server.address", address.ip().to_string());
            span.set("server.port", i64::from(address.port()));
        }
        span
    }

    /// What a try says about the health of its endpoint.
    fn verdict(&self, result: &TryResult, endpoints: &Endpoints, started: Instant) -> Verdict {
        match result {
            Ok(response) if retry::shed_for(response).is_some() => {
                // Where others serve well, the one that sheds is in trouble; else it is the load.
                let now = Instant::now();
                match endpoints.iter().any(|e| e.is_fine(now)) {
                    true => Verdict::Bad(Fault::Answer),
                    false => Verdict::Good,
                }
            }
            Ok(response) if response.status().is_server_error() => Verdict::Bad(Fault::Answer),
            Ok(_) | Err(Failure::TooLarge | Failure::Full) => Verdict::Good,
            Err(Failure::Connect(error)) => match error.kind() {
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable => Verdict::Bad(Fault::Refused),
                ErrorKind::TimedOut => Verdict::Bad(Fault::Silent),
                ErrorKind::ConnectionReset => Verdict::Bad(Fault::Broken),
                // Out of ports or files: our own trouble.
                _ => Verdict::Unknown,
            },
            Err(Failure::Broken { stale: true, .. }) => Verdict::Unknown,
            Err(Failure::Broken { .. } | Failure::Unsent) => Verdict::Bad(Fault::Broken),
            // A caller in a hurry is no evidence.
            Err(Failure::TimedOut) => match started.elapsed() * 2 >= self.settings.call_try_timeout
            {
                true => Verdict::Bad(Fault::Silent),
                false => Verdict::Unknown,
            },
        }
    }

    /// Decides about a retry, pays for it and waits for its time.
    async fn may_retry(
        &self,
        retry: Retry,
        tried: &mut Tried,
        endpoints: &Endpoints,
        deadline: Instant,
    ) -> bool {
        let now = Instant::now();
        let Some(reason) = retry.reason else {
            return now < deadline;
        };
        tried.retries += 1;
        tried.reconsider();
        let pause = retry.pause(tried.retries);
        if tried.retries > self.settings.call_max_retries
            || now + pause >= deadline
            || !balance::has_choice(endpoints, tried, now)
        {
            return false;
        }
        if !self.budget.withdraw(reason, now) {
            self.metrics.exhausted.inc();
            return false;
        }
        if !pause.is_zero() {
            time::sleep(pause).await;
        }
        true
    }

    fn error(&self, failure: Failure, endpoints: &Endpoints) -> Error {
        let upstream = self.name;
        match failure {
            Failure::Connect(_) | Failure::Unsent => {
                let retry_after = retry_after(endpoints);
                Error::Unavailable {
                    upstream,
                    retry_after,
                }
            }
            Failure::Broken { error: source, .. } => Error::Broken { upstream, source },
            Failure::TimedOut => Error::Timeout { upstream },
            Failure::TooLarge => Error::TooLarge { upstream },
            Failure::Full => Error::Full { upstream },
        }
    }
}

fn conclude(span: &mut Span, result: &TryResult) {
    match result {
        Ok(response) => {
            let status = response.status();
            span.set("http.response.status_code", i64::from(status.as_u16()));
            // For a caller, so is what it did wrong itself.
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.to_string());
            }
        }
        Err(failure) => {
            span.set("error.type", failure.name());
            span.fail(failure.name());
        }
    }
}

/// When the first of the endpoints may be tried again.
fn retry_after(endpoints: &Endpoints) -> Duration {
    let now = Instant::now();
    let first = endpoints.iter().map(|e| e.closed_for(now)).min();
    first.unwrap_or_default().max(SHORTEST_RETRY_AFTER)
}

fn outcome(result: &Result<Response<Bytes>, Error>) -> Outcome {
    match result {
        Ok(response) if response.status().is_server_error() => Outcome::ServerError,
        Ok(response) if response.status().is_client_error() => Outcome::ClientError,
        Ok(_) => Outcome::Ok,
        Err(Error::Unavailable { .. }) => Outcome::Unavailable,
        Err(Error::Timeout { .. } | Error::Expired { .. }) => Outcome::Timeout,
        Err(Error::Broken { .. }) => Outcome::Broken,
        Err(_) => Outcome::Invalid,
    }
}
