//! Operating the platform through its front door: seeing it, breaking it, seeing it heal.
mod support;

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};
use support::{Platform, Sandbox, eventually};

/// Longer than any kill takes to heal on a slow machine.
const LIMIT: Duration = Duration::from_secs(30);

/// One who watches `/api/ops/live`.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    fn of(platform: &Platform) -> Self {
        let url = platform.url();
        let host = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("connect");
        stream.set_read_timeout(Some(LIMIT)).expect("timeout");
        let who = platform.operator();
        write!(
            stream,
            "GET /api/ops/live HTTP/1.1\r\nhost: {host}\r\nauthorization: {who}\r\n\r\n"
        )
        .expect("sent");
        Self(BufReader::new(stream))
    }

    /// The next event; none when the stream has ended. An event is never split into chunks.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut kind = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(name) = line.strip_prefix("event: ") {
                name.trim_end().clone_into(&mut kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((kind, serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// Reads on until `found` likes an event; panics with `what` after a limit.
    fn until(&mut self, what: &str, mut found: impl FnMut(&str, &Value) -> bool) -> Value {
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let (kind, data) = self.next().expect("the stream goes on");
            if found(&kind, &data) {
                return data;
            }
        }
        panic!("in vain: {what}");
    }
}

fn replica<'a>(state: &'a Value, name: &str) -> &'a Value {
    let services = state["services"].as_array().expect("services");
    let mut replicas = services.iter().flat_map(|service| {
        let replicas = service["replicas"].as_array();
        replicas.expect("replicas")
    });
    replicas.find(|r| r["name"] == name).expect(name)
}

fn kill(platform: &Platform, target: Value) -> Value {
    let (status, entry) = platform.call("POST", "/api/ops/kill", &target);
    assert_eq!(status, 202, "{entry}");
    entry
}

/// The entry of the journal, once it is over.
fn healed(platform: &Platform, id: &Value) -> Value {
    eventually("an entry that is done", || {
        let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
        let mut items = journal["items"].as_array()?.iter();
        items
            .find(|e| e["id"] == *id && e["outcome"] == "done")
            .cloned()
    })
}

#[test]
fn a_kill_and_its_healing_show_live() {
    let platform = Platform::start();
    let mut viewer = Viewer::of(&platform);
    let first = viewer.until("a state", |kind, _| kind == "state");
    assert_eq!(first["environment"], "local");
    assert_eq!(replica(&first, "order-1")["killable"], true, "{first}");
    let entry = kill(&platform, json!({"replica": "order-1"}));
    let (mut told, mut down) = (false, false);
    viewer.until("order-1 is back", |kind, data| match kind {
        "journal" => {
            told |= data["id"] == entry["id"];
            false
        }
        _ => {
            let order = replica(data, "order-1");
            down |= order["state"] != "ready";
            down && order["state"] == "ready" && order["restarts"] == 1
        }
    });
    viewer.until("the journal says so", |kind, data| {
        kind == "journal" && data["id"] == entry["id"] && data["outcome"] == "done"
    });
    let done = healed(&platform, &entry["id"]);
    let took = done["recovered_ms"].as_i64().expect("a time");
    assert!((1..30_000).contains(&took), "{done}");
    // Nobody waits for a viewer at the end.
    let began = Instant::now();
    platform.stop();
    while viewer.next().is_some() {}
    assert!(began.elapsed() < LIMIT);
}

/// Whichever replica of commander gets the request: the gateway asks the other one, which finds it done.
#[test]
fn commander_and_gateways_can_be_killed_too() {
    let platform = Platform::start();
    for name in ["commander-1", "commander-2"] {
        let entry = kill(&platform, json!({"replica": name}));
        assert_eq!(entry["target"], name);
        healed(&platform, &entry["id"]);
    }
    let list = platform.control().list();
    let restarts: u64 = list.iter().filter_map(|r| r["restarts"].as_u64()).sum();
    assert_eq!(restarts, 2, "{list:?}");
    let old = platform.control().pid("gateway-1");
    // Its answer may be lost with it.
    platform.control().kill("gateway-1", "KILL");
    platform.control().wait_for_successor("gateway-1", old);
    eventually("its death is noted", || {
        let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
        let items = journal["items"].as_array()?.clone();
        let noted = items.into_iter().find(|e| e["target"] == "gateway-1")?;
        assert_eq!(
            (&noted["who"], &noted["action"]),
            (&json!("supervisor"), &json!("died"))
        );
        (noted["outcome"] == "done").then_some(())
    });
}

#[test]
fn without_chaos_the_platform_shows_and_nothing_dies() {
    let platform = Platform::start_with(Sandbox::new(), &["--no-chaos"], &[]);
    let (status, problem) = platform.call("POST", "/api/ops/kill", &json!({}));
    assert_eq!((status, &problem["type"]), (403, &json!("chaos_disabled")));
    let (status, state) = platform.call("GET", "/api/ops/state", &Value::Null);
    assert_eq!(
        (status, &replica(&state, "order-1")["killable"]),
        (200, &json!(false))
    );
    let list = platform.control().list();
    assert!(list.iter().all(|r| r["restarts"] == 0), "{list:?}");
}
