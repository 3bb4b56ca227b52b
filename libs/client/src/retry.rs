//! Whether and how a try that did not succeed is followed by another.
use crate::{Replay, budget::Reason, connection::Failure};
use bytes::Bytes;
use http::{Response, StatusCode, header::RETRY_AFTER};
use rand::RngExt as _;
use std::{ops::RangeInclusive, time::Duration};

/// What one try came to.
pub(crate) type TryResult = Result<Response<Bytes>, Failure>;

/// How the next try may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// What it is charged for; `None` is free.
    pub(crate) reason: Option<Reason>,
    /// May the same endpoint be asked again when there is no other?
    pub(crate) same_endpoint: bool,
}

impl Retry {
    /// After an answer or a silence the upstream is given time; a dead connection needs none.
    pub(crate) fn pause(self, retries: u32) -> Duration {
        match self.reason {
            Some(Reason::Trouble) => backoff(retries),
            Some(Reason::Broken) | None => Duration::ZERO,
        }
    }
}

/// What to do after a try; `None` hands its result to the caller.
pub(crate) fn after(tried: &TryResult, replay: Replay) -> Option<Retry> {
    if sabotage::has(sabotage::Bug::RetriesOff) {
        return None;
    }
    let safe = replay == Replay::Safe;
    let retry = |reason, same_endpoint| {
        Some(Retry {
            reason,
            same_endpoint,
        })
    };
    match tried {
        Err(Failure::Connect(_) | Failure::Unsent) => retry(None, false),
        Err(Failure::Broken { .. }) if safe => retry(Some(Reason::Broken), true),
        Err(Failure::TimedOut) if safe => retry(Some(Reason::Trouble), true),
        Ok(response) if safe && is_transient(response.status()) => {
            retry(Some(Reason::Trouble), shed_for(response).is_none())
        }
        Ok(_) | Err(_) => None,
    }
}

/// Answers of a server, or a proxy before it, that could not serve just now.
fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long a shedding upstream asks to be left alone.
pub(crate) fn shed_for(response: &Response<Bytes>) -> Option<Duration> {
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => retry_after(response),
        _ => None,
    }
}

/// The answer's `Retry-After`; a date counts as one second.
pub(crate) fn retry_after(response: &Response<Bytes>) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    let seconds = value.to_str().ok().and_then(|v| v.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1)))
}

/// The pause before the nth retry, with full jitter: many callers must not come back in step.
fn backoff(retry: u32) -> Duration {
    Duration::from_millis(rand::rng().random_range(range(retry)))
}

fn range(retry: u32) -> RangeInclusive<u64> {
    let widest = 25_u64.saturating_mul(4_u64.saturating_pow(retry));
    25..=widest.clamp(25, 250)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> TryResult {
        let mut builder = Response::builder().status(status);
        if let Some(value) = retry_after {
            builder = builder.header(RETRY_AFTER, value);
        }
        Ok(builder.body(Bytes::new()).expect("a valid response"))
    }

    #[test]
    fn answers_are_retried_only_when_safe_and_transient() {
        for status in [502, 503, 504] {
            assert!(after(&answer(status, None), Replay::Safe).is_some());
            assert_eq!(after(&answer(status, None), Replay::OnlyIfUnsent), None);
        }
        for status in [200, 301, 400, 404, 409, 422, 429, 500, 501] {
            assert_eq!(after(&answer(status, None), Replay::Safe), None, "{status}");
        }
    }

    #[test]
    fn what_was_not_sent_moves_on_for_free_even_when_unsafe() {
        let refused = Err(Failure::Connect(
            std::io::ErrorKind::ConnectionRefused.into(),
        ));
        let retry = after(&refused, Replay::OnlyIfUnsent).expect("a retry");
        assert_eq!((retry.reason, retry.pause(1)), (None, Duration::ZERO));
        assert_eq!(after(&Err(Failure::TimedOut), Replay::OnlyIfUnsent), None);
    }

    #[test]
    fn a_shedding_replica_is_not_asked_again() {
        let retry = after(&answer(503, Some("1")), Replay::Safe).expect("a retry");
        assert!(!retry.same_endpoint);
        let response = answer(503, Some("7")).expect("an answer");
        assert_eq!(shed_for(&response), Some(Duration::from_secs(7)));
    }

    #[test]
    fn pauses_stay_between_25_and_250_ms() {
        assert_eq!(
            [range(1), range(2), range(9)],
            [25..=100, 25..=250, 25..=250]
        );
    }
}
