//! What travels with a request through every process: its id, its trace, its deadline.
use crate::sampler;
use std::{future::Future, sync::Arc};
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Context;
}

/// The identity of the request (or job) being worked on. Cheap to clone.
///
/// Inside [`Context::scope`] every log line and every outgoing call carries it.
#[derive(Clone, Debug)]
pub struct Context {
    request_id: Arc<str>,
    trace_id: u128,
    span_id: u64,
    /// The caller's span; 0 where nobody called.
    parent: u64,
    sampled: bool,
    deadline: Option<Instant>,
}

impl Context {
    /// A new request that nobody sent us: new id, new trace.
    #[must_use]
    pub fn root() -> Self {
        Self::from_headers(None, None)
    }

    /// Continues the caller's trace in a span of its own. What is missing or malformed is made anew,
    /// so that a stranger's header can't reach the logs unchecked.
    #[must_use]
    pub fn from_headers(traceparent: Option<&str>, request_id: Option<&str>) -> Self {
        let caller = traceparent.and_then(parse_traceparent);
        let (trace_id, parent) = match caller {
            Some((trace_id, parent, _)) => (trace_id, parent),
            None => (rand::random::<u128>().max(1), 0),
        };
        let sampled = sampler::decide(trace_id, caller.map(|(.., sampled)| sampled));
        let request_id = match request_id.filter(|id| valid_request_id(id)) {
            Some(id) => id.into(),
            None => uuid::Uuid::now_v7().to_string().into(),
        };
        Self {
            request_id,
            trace_id,
            span_id: rand::random::<u64>().max(1),
            parent,
            sampled,
            deadline: None,
        }
    }

    /// A part of this, as a span of its own.
    pub(crate) fn child(&self) -> Self {
        Self {
            span_id: rand::random::<u64>().max(1),
            parent: self.span_id,
            ..self.clone()
        }
    }

    /// Trace, span and parent, 0 for none.
    pub(crate) fn ids(&self) -> (u128, u64, u64) {
        (self.trace_id, self.span_id, self.parent)
    }

    /// The context of the task that is running, if it runs in a [`Context::scope`].
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `read` on the current context without cloning it.
    pub(crate) fn with_current<T>(read: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(read).ok()
    }

    /// Runs a future as part of this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// 16 lower-case hex digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Is this trace kept: because its first caller asked for it, or the sampler decided so?
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.sampled
    }

    /// The header to send on, with this span as the parent (W3C Trace Context, version 00).
    #[must_use]
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.sampled);
        format!(
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }

    /// When the caller stops waiting; work that can't be done by then need not start.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets a deadline; it only ever moves closer.
    #[must_use]
    pub fn with_deadline(mut self, at: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(at, |old| old.min(at)));
        self
    }
}

/// Request ids end up in logs and headers: 1 to 64 letters, digits and hyphens.
fn valid_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Trace id, span id and sampled flag of a `traceparent` header, if it is valid:
/// <https://www.w3.org/TR/trace-context/#traceparent-header>.
fn parse_traceparent(header: &str) -> Option<(u128, u64, bool)> {
    let mut parts = header.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let well_formed = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let extended = parts.next().is_some();
    if !well_formed || version == "ff" || (version == "00" && extended) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace, span, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn continues_a_valid_trace_in_a_new_span() {
        let context = Context::from_headers(Some(VALID), Some("req-1"));
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(context.span_id(), "00f067aa0ba902b7");
        assert!(context.traceparent().ends_with("-01"));
        assert_eq!(context.request_id(), "req-1");
    }

    #[test]
    fn replaces_what_is_malformed() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in [
            "",
            "junk",
            zero,
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &format!("{VALID}-x"),
        ] {
            assert!(parse_traceparent(bad).is_none(), "{bad}");
        }
        for bad in ["", "a b", "a\r\nb", &"x".repeat(65)] {
            let context = Context::from_headers(None, Some(bad));
            assert_ne!(context.request_id(), bad);
        }
    }

    #[test]
    fn deadlines_only_shrink() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(9));
        let context = Context::root().with_deadline(soon).with_deadline(late);
        assert_eq!(context.deadline(), Some(soon));
    }
}
