//! Faults on purpose, in a platform that runs: what users notice of them, and that they end.
mod support;

use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use support::{Platform, eventually, get, http, send};

/// One request: how long it took.
struct Sample {
    took: Duration,
}

fn begin(platform: &Platform, order: Value) -> Value {
    let (status, faults) = platform.call("POST", "/api/ops/faults", &order);
    assert_eq!(status, 201, "{faults}");
    faults
}

fn gauge(platform: &Platform, replica: &str, fault: &str) -> Option<String> {
    let ops = platform.control().replica(replica)["ops"].clone();
    let url = format!("{}/metrics", ops.as_str().expect("a URL"));
    let (_, text) = http("GET", &url, &[], "");
    let line = format!("chaos_fault_active{{fault=\"{fault}\"}} ");
    text.lines()
        .find_map(|l| l.strip_prefix(&line))
        .map(str::to_owned)
}

/// About 100 requests a second, each sent at its time whatever became of the others.
fn load(url: &str, stop: &AtomicBool) -> Vec<Sample> {
    const THREADS: u32 = 25;
    let every = Duration::from_millis(10 * u64::from(THREADS));
    let ask = |n: u32| {
        let mut samples = Vec::new();
        let mut due = Instant::now() + Duration::from_millis(10) * n;
        while !stop.load(Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = (due + every).max(Instant::now());
            let sent = Instant::now();
            let (status, _) = http("GET", &format!("{url}/api/products"), &[], "");
            // Overload of the machine is refused; that isn't what this is about.
            assert!(matches!(status, 200 | 503 | 504), "{status}");
            samples.push(Sample {
                took: sent.elapsed(),
            });
        }
        samples
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || ask(n))).collect();
        let samples = threads.into_iter().flat_map(|t| t.join().expect("samples"));
        samples.collect()
    })
}

/// The load for so long.
fn samples(platform: &Platform, time: Duration) -> Vec<Sample> {
    let (stop, url) = (AtomicBool::new(false), platform.url());
    thread::scope(|scope| {
        let load = scope.spawn(|| load(&url, &stop));
        thread::sleep(time);
        stop.store(true, Relaxed);
        load.join().expect("samples")
    })
}

fn p99<'a>(samples: impl Iterator<Item = &'a Sample>) -> Duration {
    let mut took: Vec<_> = samples.map(|s| s.took).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Requests that a replica has answered.
fn answered(platform: &Platform, replica: &str) -> u64 {
    let ops = platform.control().replica(replica)["ops"].clone();
    let (_, text) = http(
        "GET",
        &format!("{}/metrics", ops.as_str().expect("a URL")),
        &[],
        "",
    );
    let series = "http_requests_total{method=\"GET\",route=\"/products\"";
    let lines = text.lines().filter(|l| l.starts_with(series));
    let value = |line: &str| line.rsplit_once("} ")?.1.parse::<f64>().ok();
    lines.filter_map(value).map(|n| n as u64).sum()
}

/// The gateways notice which replica is slow, and go round it.
#[test]
fn a_slow_replica_is_gone_round_within_five_seconds() {
    let platform = Platform::start();
    // What this machine can do with both of them well.
    let before = p99(samples(&platform, Duration::from_secs(4)).iter());
    let spec = json!({"fault": "latency", "latency_ms": 2000, "seconds": 60});
    begin(
        &platform,
        json!({"service": "inventory", "replica": "inventory-1", "spec": spec}),
    );
    assert_eq!(
        gauge(&platform, "inventory-1", "latency").as_deref(),
        Some("1")
    );
    assert_eq!(
        gauge(&platform, "inventory-2", "latency").as_deref(),
        Some("0")
    );
    let early = samples(&platform, Duration::from_secs(5));
    let slow = |s: &Sample| s.took >= Duration::from_millis(800);
    assert!(early.iter().any(slow), "nobody met the slow replica");
    let slow_ones = answered(&platform, "inventory-1");
    let late = samples(&platform, Duration::from_secs(8));
    let met = answered(&platform, "inventory-1") - slow_ones;
    // A probe of each gateway now and then, and those that were under way.
    assert!(
        met <= 10,
        "{met} of {} went to the slow replica",
        late.len()
    );
    // A machine that is too busy for this when all is well can't tell.
    let (limit, after) = (Duration::from_millis(250), p99(late.iter()));
    let busy = before > limit / 2;
    let mut worst: Vec<_> = late.iter().map(|s| s.took.as_millis()).collect();
    worst.sort_unstable_by(|a, b| b.cmp(a));
    worst.truncate(20);
    assert!(
        after < limit || busy,
        "p99 {after:?}, {before:?} before; {met} of {} went to the slow one; worst {worst:?} ms",
        late.len()
    );
    let (status, _) = platform.call("DELETE", "/api/ops/faults", &Value::Null);
    assert_eq!(status, 204);
    assert_eq!(
        gauge(&platform, "inventory-1", "latency").as_deref(),
        Some("0")
    );
}

/// Whoever began a fault may be gone when it is over.
#[test]
fn a_fault_ends_without_commander() {
    let platform = Platform::start();
    let spec = json!({"fault": "unready", "seconds": 5});
    begin(
        &platform,
        json!({"service": "notification", "scope": "all", "spec": spec}),
    );
    let began = Instant::now();
    let control = platform.control();
    for name in ["commander-1", "commander-2"] {
        send(control.pid(name), rustix::process::Signal::KILL);
    }
    let both = ["notification-1", "notification-2"];
    let readiness = |name: &str| {
        let ops = control.replica(name)["ops"].clone();
        get(&format!("{}/readyz", ops.as_str().expect("a URL"))).0
    };
    assert_eq!(both.map(readiness), [503, 503]);
    for name in both {
        eventually("it is ready again", || {
            (readiness(name) == 200).then_some(())
        });
        assert_eq!(gauge(&platform, name, "unready").as_deref(), Some("0"));
    }
    assert!(began.elapsed() >= Duration::from_secs(4), "it ended early");
    // The journal has its end, too, by whoever came after.
    eventually("the end in the journal", || {
        let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
        let mut items = journal["items"].as_array()?.iter();
        items
            .find(|e| e["action"] == "fault" && e["outcome"] == "done")
            .map(drop)
    });
}

/// The database is away for everybody: products come from the cache, what needs it is refused at once, and
/// all is well afterwards.
#[test]
fn without_databases_answers_are_quick_and_products_are_there() {
    let platform = Platform::start();
    let products = format!("{}/api/products", platform.url());
    // Every replica has seen its shelf.
    for _ in 0..20 {
        assert_eq!(get(&products).0, 200);
    }
    let outage = json!({"dependency": "database", "mode": "stopped", "seconds": 600});
    let (status, faults) = platform.call("POST", "/api/ops/outages", &outage);
    assert_eq!(status, 201, "{faults}");
    let replicas = faults["items"].as_array().map(Vec::len);
    assert_eq!(replicas, Some(8), "{faults}");
    for (path, expected) in [("/api/products", 200), ("/api/orders", 503)] {
        let sent = Instant::now();
        let (status, answer) = platform.call("GET", path, &Value::Null);
        assert_eq!(status, expected, "{path}: {answer}");
        assert!(sent.elapsed() < Duration::from_secs(1), "{path}");
    }
    let ops = platform.control().replica("order-1")["ops"].clone();
    let ready = format!("{}/readyz", ops.as_str().expect("a URL"));
    assert_eq!(get(&ready).0, 503);
    let (status, _) = platform.call("DELETE", "/api/ops/faults", &Value::Null);
    assert_eq!(status, 204);
    eventually("orders are back", || {
        (platform.call("GET", "/api/orders", &Value::Null).0 == 200).then_some(())
    });
    assert_eq!(get(&ready).0, 200);
}

/// Tokens signed with a key that is withdrawn get nobody in; those of before go on.
#[test]
fn tokens_of_a_withdrawn_key_are_refused() {
    let platform = Platform::start();
    let ada = json!({"username": "ada", "password": "correct horse battery"});
    let (status, profile) = platform.call_as(None, "POST", "/api/auth/register", &ada);
    assert_eq!(status, 201, "{profile}");
    let login = || {
        let (status, tokens) = platform.call_as(None, "POST", "/api/auth/login", &ada);
        assert_eq!(status, 200, "{tokens}");
        format!(
            "Bearer {}",
            tokens["access_token"].as_str().expect("a token")
        )
    };
    let me = |who: &str| platform.call_as(Some(who), "GET", "/api/auth/me", &Value::Null);
    let before = login();
    let spec = json!({"fault": "expired_key", "seconds": 600});
    begin(
        &platform,
        json!({"service": "auth", "scope": "all", "spec": spec}),
    );
    let (status, problem) = me(&login());
    assert_eq!((status, &problem["type"]), (401, &json!("invalid_token")));
    assert_eq!(me(&before).0, 200);
    let order = json!({"service": "order", "spec": {"fault": "expired_key", "seconds": 5}});
    let (status, problem) = platform.call("POST", "/api/ops/faults", &order);
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("fault_not_available"))
    );
    let (status, _) = platform.call("DELETE", "/api/ops/faults", &Value::Null);
    assert_eq!(status, 204);
    assert_eq!(me(&login()).0, 200);
}

/// How containers are killed: by their own hand, and somebody else starts them again.
#[test]
fn a_crash_is_a_crash_and_needs_the_token() {
    let platform = Platform::start();
    let token = std::fs::read_to_string(platform.data().join("secrets/chaos_token"));
    let token = format!("Bearer {}", token.expect("a secret").trim());
    let control = platform.control();
    let pid = control.pid("image-2");
    let ops = control.replica("image-2")["ops"].clone();
    let url = format!("{}/faults", ops.as_str().expect("a URL"));
    let crash = json!({"fault": "crash", "seconds": 1});
    let (status, _) = support::post(&url, &[("authorization", "Bearer wrong")], &crash);
    assert_eq!(status, 401);
    let (status, fault) = support::post(&url, &[("authorization", &token)], &crash);
    assert_eq!(status, 201, "{fault}");
    control.wait_for_successor("image-2", pid);
}
