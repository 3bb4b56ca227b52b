//! One piece of work in a trace, recorded when it ends.
use crate::{Context, trace};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::time::SystemTime;

/// What kind of work it is, from the view of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Calls another service.
    Client,
    /// Puts a job into a queue.
    Producer,
    /// Works on a job from a queue.
    Consumer,
}

/// A piece of work under way. It is empty, and costs next to nothing, unless its trace is kept and exported.
///
/// Ends when it is dropped, also with a future that is given up.
#[derive(Debug, Default)]
pub struct Span(Option<Box<SpanData>>);

impl Span {
    /// The work that `context` stands for; its id is the one in the logs.
    #[must_use]
    pub fn of(context: &Context, kind: Kind, name: impl FnOnce() -> String) -> Self {
        if !context.sampled() || !trace::wanted() {
            return Self(None);
        }
        let (trace_id, span_id, parent) = context.ids();
        let now = SystemTime::now();
        Self(Some(Box::new(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace_id.to_be_bytes()),
                SpanId::from_bytes(span_id.to_be_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
            parent_span_is_remote: parent != 0 && matches!(kind, Kind::Server | Kind::Consumer),
            span_kind: match kind {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
                Kind::Producer => SpanKind::Producer,
                Kind::Consumer => SpanKind::Consumer,
            },
            name: name().into(),
            start_time: now,
            end_time: now,
            attributes: Vec::with_capacity(8),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        })))
    }

    /// A part of what this task works on.
    #[must_use]
    pub fn part(kind: Kind, name: impl FnOnce() -> String) -> Self {
        if !trace::wanted() {
            return Self(None);
        }
        let part = |context: &Context| {
            context
                .sampled()
                .then(|| Self::of(&context.child(), kind, name))
        };
        Context::with_current(part).flatten().unwrap_or_default()
    }

    /// What follows from the span of a `traceparent`.
    #[must_use]
    pub fn after(traceparent: Option<&str>, kind: Kind, name: impl FnOnce() -> String) -> Self {
        if traceparent.is_none() || !trace::wanted() {
            return Self(None);
        }
        Self::of(&Context::from_headers(traceparent, None), kind, name)
    }

    /// Is anything recorded?
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// The header that makes this the parent of what comes next.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        let context = &self.0.as_ref()?.span_context;
        Some(format!(
            "00-{}-{}-01",
            context.trace_id(),
            context.span_id()
        ))
    }

    /// Notes a fact, by a name of OpenTelemetry's semantic conventions where there is one.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.attributes.push(KeyValue::new(name, value));
        }
    }

    /// It has failed.
    pub fn fail(&mut self, why: impl Into<String>) {
        if let Some(span) = &mut self.0 {
            span.status = Status::error(why.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut span) = self.0.take() {
            span.end_time = SystemTime::now();
            trace::export(*span);
        }
    }
}
