//! One order as one trace: from the front door through the outbox and the queue to those who work on it.
mod support;

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::SpanKind, status::StatusCode as Code},
};
use prost::Message as _;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    thread,
};
use support::{Platform, Sandbox, eventually};
use tokio::net::TcpListener;

/// A span, and the attributes of the process it is from.
#[derive(Clone, Debug)]
struct Told {
    span: Span,
    process: BTreeMap<String, String>,
}

impl Told {
    fn service(&self) -> &str {
        &self.process["service.name"]
    }

    /// `gateway: POST /api/orders (Server)`
    fn title(&self) -> String {
        let kind = SpanKind::try_from(self.span.kind).expect("a kind");
        let kind = kind
            .as_str_name()
            .trim_start_matches("SPAN_KIND_")
            .to_lowercase();
        format!("{}: {} ({kind})", self.service(), self.span.name)
    }

    fn attribute(&self, name: &str) -> Option<String> {
        attributes(&self.span.attributes).remove(name)
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |kv: &KeyValue| {
        let value = kv.value.as_ref().and_then(|value| value.value.as_ref());
        (kv.key.clone(), value.map(text).unwrap_or_default())
    };
    list.iter().map(pair).collect()
}

/// What Tempo or Jaeger would be, as far as it has to be: takes traces, and keeps them.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Told>>>);

impl Collector {
    /// Listens on a runtime of its own, and gives the URL.
    fn start(&self) -> String {
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(self.clone());
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address"))
                    .expect("awaited");
                axum::serve(listener, router).await.expect("serves");
            });
        });
        format!("http://{}", told.recv().expect("it listens"))
    }

    fn spans(&self) -> Vec<Told> {
        self.0.lock().expect("not poisoned").clone()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    for resource in request.resource_spans {
        let process = attributes(&resource.resource.unwrap_or_default().attributes);
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        let told = spans.map(|span| Told {
            span,
            process: process.clone(),
        });
        collector.0.lock().expect("not poisoned").extend(told);
    }
    StatusCode::OK
}

/// The trace that holds a span of this title, once so many of its spans are there, and the parent of each.
fn whole(collector: &Collector, title: &str, spans: usize) -> Vec<Told> {
    eventually("a whole trace", || {
        let all = collector.spans();
        let root = all.iter().find(|told| told.title() == title)?;
        let id = root.span.trace_id.clone();
        let trace: Vec<_> = all
            .iter()
            .filter(|t| t.span.trace_id == id)
            .cloned()
            .collect();
        let parents = trace
            .iter()
            .all(|t| t.span.parent_span_id.is_empty() || parent(&trace, t).is_some());
        (trace.len() >= spans && parents).then_some(trace)
    })
}

fn parent<'a>(trace: &'a [Told], of: &Told) -> Option<&'a Told> {
    let mut spans = trace.iter();
    spans.find(|t| t.span.span_id == of.span.parent_span_id)
}

/// The tree, a line for each span, children below their parent by title.
fn draw(trace: &[Told], parent: &[u8], depth: usize, out: &mut String) {
    let mut children: Vec<_> = trace
        .iter()
        .filter(|t| t.span.parent_span_id == parent)
        .collect();
    children.sort_by_key(|told| told.title());
    for child in children {
        writeln!(out, "{}{}", "  ".repeat(depth), child.title()).expect("a String takes all");
        draw(trace, &child.span.span_id, depth + 1, out);
    }
}

const ORDER: &str = "\
gateway: POST /api/orders (server)
  gateway: POST order (client)
    order: POST /orders (server)
      order: POST inventory (client)
        inventory: POST /reservations (server)
      order: send events-inventory (producer)
        inventory: process events-inventory (consumer)
          inventory: POST order (client)
            order: POST /outbox/acknowledge (server)
      order: send events-notification (producer)
        notification: process events-notification (consumer)
          notification: POST order (client)
            order: POST /outbox/acknowledge (server)
";

#[test]
fn an_order_is_one_trace() {
    let collector = Collector::default();
    let url = collector.start();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let platform = Platform::start_in(Sandbox::new(), &env);
    let order = json!({"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"});
    let (status, order) = platform.call_as(None, "POST", "/api/orders", &order);
    assert_eq!(status, 201, "{order}");
    let trace = whole(
        &collector,
        "gateway: POST /api/orders (server)",
        ORDER.lines().count(),
    );
    let mut drawn = String::new();
    draw(&trace, &[], 0, &mut drawn);
    assert_eq!(drawn, ORDER);

    for told in &trace {
        let title = told.title();
        let process = &told.process;
        assert_eq!(process["deployment.environment"], "development", "{title}");
        assert_eq!(process["service.version"], telemetry::VERSION, "{title}");
        let replica = process["service.instance.id"]
            .rsplit_once('-')
            .expect("a replica");
        assert_eq!(replica.0, told.service(), "{title}");
        assert!(
            told.span.start_time_unix_nano <= told.span.end_time_unix_nano,
            "{title}"
        );
        let failed = told
            .span
            .status
            .as_ref()
            .is_some_and(|s| s.code == Code::Error as i32);
        assert!(!failed, "{title} has failed");
        // A part begins after the whole.
        if let Some(parent) = parent(&trace, told) {
            assert!(
                parent.span.start_time_unix_nano <= told.span.start_time_unix_nano,
                "{title}"
            );
        }
    }
    let root = trace
        .iter()
        .find(|t| t.span.parent_span_id.is_empty())
        .expect("a root");
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/orders"),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(root.attribute(name).as_deref(), Some(value));
    }
    // The same request everywhere, as in the logs.
    let request = root.attribute("request_id").expect("an id");
    let ids = trace.iter().filter_map(|t| t.attribute("request_id"));
    assert!(ids.collect::<Vec<_>>().iter().all(|id| *id == request));
}

#[test]
fn a_job_is_in_the_trace_of_its_request_and_a_failure_shows() {
    let collector = Collector::default();
    let url = collector.start();
    // What the caller decides counts, against the sampler's own opinion.
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ];
    let platform = Platform::start_in(Sandbox::new(), &env);
    let job = json!({"kind": "fail", "payload": {}, "max_attempts": 1});
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", platform.operator()),
        ("traceparent", parent),
    ];
    let (status, job) = support::post(&format!("{}/api/job", platform.url()), &headers, &job);
    assert_eq!(status, 202, "{job}");
    let worked = eventually("the job's span", || {
        let mut all = collector.spans().into_iter();
        all.find(|told| told.title() == "worker: process jobs (consumer)")
    });
    let code = worked.span.status.as_ref().expect("a status").code;
    assert_eq!(code, Code::Error as i32);
    assert_eq!(worked.attribute("job.kind").as_deref(), Some("fail"));
    eventually("the root", || {
        let mut all = collector.spans().into_iter();
        all.find(|told| told.title() == "gateway: POST /api/job (server)")
    });
    // Nothing but that: the login, and all that runs by itself, was not asked for.
    for told in collector.spans() {
        let id: String = told
            .span
            .trace_id
            .iter()
            .fold(String::new(), |mut id, byte| {
                write!(id, "{byte:02x}").expect("a String takes all");
                id
            });
        assert_eq!(id, "4bf92f3577b34da6a3ce929d0e0e4736", "{}", told.title());
    }
}
