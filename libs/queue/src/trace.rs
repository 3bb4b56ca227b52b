//! What a trace shows of a job: who pushed it, and each time that it was worked on.
use crate::{Job, NewJob, claim::Outcome};
use std::borrow::Cow;
use telemetry::{Context, Kind, Span};

/// The jobs as children of the spans that push them; as they are where nothing is recorded.
pub(crate) fn pushed<'a>(queue: &str, jobs: &'a [NewJob]) -> (Cow<'a, [NewJob]>, Vec<Span>) {
    let push = |job: &NewJob| {
        let name = || format!("send {queue}");
        let mut span = Span::after(job.traceparent.as_deref(), Kind::Producer, name);
        if span.is_recorded() {
            describe(&mut span, "send", queue, &job.kind);
            span.set("messaging.message.id", job.id.to_string());
        }
        span
    };
    let spans: Vec<Span> = jobs.iter().map(push).collect();
    if !spans.iter().any(Span::is_recorded) {
        return (Cow::Borrowed(jobs), Vec::new());
    }
    let mut jobs = jobs.to_vec();
    for (job, span) in jobs.iter_mut().zip(&spans) {
        job.traceparent = span.traceparent().or(job.traceparent.take());
    }
    (Cow::Owned(jobs), spans)
}

/// One attempt at a job, in the context that it has for itself, if it has one.
pub(crate) fn worked_on(context: Option<&Context>, queue: &str, job: &Job) -> Span {
    let name = || format!("process {queue}");
    let mut span = match context {
        Some(context) => Span::of(context, Kind::Consumer, name),
        None => Span::after(job.traceparent.as_deref(), Kind::Consumer, name),
    };
    if span.is_recorded() {
        describe(&mut span, "process", queue, &job.kind);
        span.set("messaging.message.id", job.id.to_string());
        span.set("job.attempts", i64::from(job.attempts));
        if let Some(request_id) = &job.request_id {
            span.set("request_id", request_id.clone());
        }
    }
    span
}

fn describe(span: &mut Span, operation: &'static str, queue: &str, kind: &str) {
    span.set("messaging.system", "seawall");
    span.set("messaging.operation.type", operation);
    span.set("messaging.destination.name", queue.to_owned());
    span.set("job.kind", kind.to_owned());
}

pub(crate) fn conclude(span: &mut Span, outcome: &Outcome) {
    match outcome {
        Outcome::Retry { error, .. } | Outcome::Dead { error } => span.fail(error.clone()),
        Outcome::Release => span.fail("handed back"),
        _ => {}
    }
}
