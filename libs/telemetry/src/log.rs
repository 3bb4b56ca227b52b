//! One JSON line per log event, and the counter of events by level.
use crate::Context;
use chrono::{SecondsFormat, Utc};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use std::{
    fmt::{self, Debug, Write as _},
    sync::LazyLock,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::Context as LayerContext,
    registry::LookupSpan,
};

/// Values longer than this are cut, so that no caller can flood the log.
const MAX_VALUE: usize = 1024;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct LevelLabel {
    level: &'static str,
}

/// Process-wide like the subscriber that feeds it. Every level exists from the start,
/// so that `increase()` sees the first error.
pub(crate) static EVENTS: LazyLock<Family<LevelLabel, Counter>> = LazyLock::new(|| {
    let events = Family::<LevelLabel, Counter>::default();
    for level in [
        Level::ERROR,
        Level::WARN,
        Level::INFO,
        Level::DEBUG,
        Level::TRACE,
    ] {
        drop(events.get_or_create(&label(level)));
    }
    events
});

fn label(level: Level) -> LevelLabel {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        _ => "trace",
    };
    LevelLabel { level }
}

/// Counts events that pass the filter.
pub(crate) struct Count;

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        EVENTS
            .get_or_create(&label(*event.metadata().level()))
            .inc();
    }
}

/// Formats an event as one line of JSON.
pub(crate) struct Json {
    pub(crate) service: &'static str,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        write!(
            out,
            r#"{{"time":"{time}","level":"{}","service":"{}","target":"{}""#,
            label(*meta.level()).level,
            self.service,
            meta.target()
        )?;
        Context::with_current(|c| {
            write!(
                out,
                r#","request_id":"{}","trace_id":"{}","span_id":"{}""#,
                c.request_id(),
                c.trace_id(),
                c.span_id()
            )
        })
        .unwrap_or(Ok(()))?;
        let mut fields = Fields {
            out: &mut out,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        out.write_str("}\n")
    }
}

/// Appends `,"name":value` for each field.
struct Fields<'a, 'w> {
    out: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn push(&mut self, field: &Field, json: &dyn fmt::Display) {
        if self.result.is_ok() {
            let name = field.name().trim_start_matches("r#");
            self.result = write!(self.out, r#","{name}":{json}"#);
        }
    }

    fn push_text(&mut self, field: &Field, text: &str) {
        let end = text.floor_char_boundary(MAX_VALUE);
        let quoted = serde_json::Value::from(&text[..end]).to_string();
        self.push(field, &quoted);
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String can't fail; a failing Debug leaves what it wrote so far.
        write!(text, "{value:?}").ok();
        self.push_text(field, &text);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field, value);
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            write!(text, ": {cause}").ok();
            source = cause.source();
        }
        self.push_text(field, &text);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, &value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, &value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, &serde_json::Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn a_hostile_value_stays_one_line_and_is_cut() {
        let memory = Memory::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(memory.clone())
            .event_format(Json { service: "test" });
        let subscriber = tracing_subscriber::registry().with(layer);
        let guard = tracing::subscriber::set_default(subscriber);
        let agent = format!("a\n\"{{}}\u{1b}[31m{}", "é".repeat(2000));
        Context::from_headers(None, Some("req-7"))
            .scope(async { tracing::info!(agent, status = 200, "request served") })
            .await;
        drop(guard);
        let text =
            String::from_utf8(memory.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["message"], "request served");
        assert_eq!(line["request_id"], "req-7");
        assert_eq!(line["status"], 200);
        assert!(line["agent"].as_str().expect("text").len() <= MAX_VALUE);
        assert!(line["trace_id"].as_str().expect("text").len() == 32);
    }
}
