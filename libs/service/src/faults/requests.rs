//! What faults do to requests of the API.
use super::{Faults, Inner, Kind, Spec};
use crate::Problem;
use axum::http::{Method, StatusCode};
use rand::RngExt as _;
use std::time::Duration;
use uuid::Uuid;

impl Faults {
    /// Does to a request what is to be done; an error answers it.
    ///
    /// # Errors
    /// The answer to give.
    pub(crate) async fn act(&self, method: &Method, route: &str) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let mut error = None;
        for (id, spec) in inner.on(method, route) {
            match spec.fault {
                Kind::Latency => inner.wait(id, latency(&spec)).await,
                Kind::Hang => {
                    inner
                        .wait(id, Duration::from_secs(spec.seconds.into()))
                        .await
                }
                Kind::Error => error = error.or(Some(answer(&spec))),
                _ => {}
            }
        }
        error.map_or(Ok(()), Err)
    }
}

impl Inner {
    /// The faults that hit this request.
    fn on(&self, method: &Method, route: &str) -> Vec<(Uuid, Spec)> {
        let mut random = rand::rng();
        let mut hits = |spec: &Spec| {
            let is = |wanted: &Option<String>, given: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted == given)
            };
            spec.fault.is_on_requests()
                && is(&spec.method, method.as_str())
                && is(&spec.route, route)
                && random.random_range(0..100) < spec.percent.unwrap_or(100)
        };
        let present = self.present();
        let hit = present.iter().filter(|a| hits(&a.spec));
        hit.map(|a| (a.id, a.spec.clone())).collect()
    }
}

fn latency(spec: &Spec) -> Duration {
    let jitter = rand::rng().random_range(0..=spec.jitter_ms.unwrap_or(0));
    Duration::from_millis(u64::from(spec.latency_ms.unwrap_or(0)) + u64::from(jitter))
}

fn answer(spec: &Spec) -> Problem {
    let status = spec.status.and_then(|s| u16::try_from(s).ok());
    let status = status.and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    Problem::new(status, "fault_injected", "This fails on purpose")
}
