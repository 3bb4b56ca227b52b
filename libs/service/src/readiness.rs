//! Is this process able to do its work? Only its own dependencies count, never its peers.
use crate::{Faults, faults::Kind};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

type Check =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// A dependency that takes longer to answer counts as away.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);

/// Named checks, and whether the process is draining.
#[derive(Clone)]
pub struct Readiness {
    /// Tells this process from the one before it at the same address.
    started_at: DateTime<Utc>,
    checks: Vec<(&'static str, Check)>,
    draining: Arc<AtomicBool>,
    faults: Faults,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            started_at: Utc::now(),
            checks: Vec::new(),
            draining: Arc::default(),
            faults: Faults::default(),
        }
    }
}

impl Readiness {
    /// Adds a check, e.g. `("database", ping)`.
    pub fn check<F>(&mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.checks
            .push((name, Arc::new(move || Box::pin(check()))));
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// 200 or 503, with the state of each check by name.
    pub(crate) async fn answer(&self) -> Response {
        let checks = self.checks.iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(CHECK_TIMEOUT, check()).await;
            let state = match outcome {
                Ok(Ok(())) => "ok",
                Ok(Err(error)) => {
                    tracing::debug!(check = name, error = %error, "readiness check failed");
                    "failed"
                }
                Err(_) => "timeout",
            };
            ((*name).to_owned(), state)
        });
        let mut checks = futures::future::join_all(checks).await;
        if self.faults.is_active(Kind::Unready) {
            checks.push(("fault".to_owned(), "failed"));
        }
        let ready = !self.draining() && checks.iter().all(|(_, state)| *state == "ok");
        let state = match (ready, self.draining()) {
            (true, _) => "ready",
            (false, true) => "draining",
            (false, false) => "not_ready",
        };
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let checks: serde_json::Map<_, _> =
            checks.into_iter().map(|(n, s)| (n, s.into())).collect();
        (
            status,
            axum::Json(json!({"status": state, "checks": checks, "started_at": self.started_at})),
        )
            .into_response()
    }
}
