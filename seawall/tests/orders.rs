//! Orders through the whole platform, as real processes: nothing is lost, doubled or oversold,
//! whatever dies meanwhile.
mod support;

use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use support::{Platform, Signal, eventually, get, post};

fn order(product: &str, quantity: i64) -> Value {
    json!({"product_id": product, "quantity": quantity, "email": "a@example.com"})
}

/// Runs `seawall bench` on the platform; its report, after it has found nothing wrong.
fn bench(platform: &Platform, args: &[&str]) -> Value {
    let report = platform.data().join("report.json");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.arg("bench").args(["--url", &platform.url()]);
    command.arg("--data").arg(platform.data());
    command.arg("--json").arg(&report).args(args);
    let output = command.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{args:?} failed:\n{text}\n{}",
        platform.output()
    );
    let report = std::fs::read_to_string(report).expect("a report");
    serde_json::from_str(&report).expect("JSON")
}

#[test]
fn a_purchase_is_confirmed_mailed_and_replayed_under_its_key() {
    let platform = Platform::start();
    let orders = format!("{}/api/orders", platform.url());
    let key = [("idempotency-key", "k-1")];
    let (status, first) = post(&orders, &key, &order("PROD-001", 2));
    assert_eq!(
        (status, &first["status"]),
        (201, &"confirmed".into()),
        "{first}"
    );
    assert_eq!(
        post(&orders, &key, &order("PROD-001", 2)),
        (201, first.clone())
    );
    let (status, problem) = post(&orders, &key, &order("PROD-001", 3));
    assert_eq!(
        (status, &problem["type"]),
        (422, &"idempotency_key_reused".into())
    );

    let see = |path: &str| platform.call("GET", path, &Value::Null).1;
    let mails = "/api/notifications";
    let mail = eventually("the mail", || see(mails)["items"].get(0).cloned());
    assert_eq!(mail["order_id"], first["id"]);
    assert_eq!(
        (&mail["status"], &mail["to"]),
        (&"sent".into(), &"a@example.com".into())
    );

    let id = first["id"].as_str().expect("an id");
    let cancel = format!("/api/orders/{id}/cancel");
    for _ in 0..2 {
        let (status, cancelled) = platform.call("POST", &cancel, &Value::Null);
        assert_eq!((status, &cancelled["status"]), (200, &"cancelled".into()));
    }
    eventually("the second mail", || {
        (see(mails)["items"].as_array()?.len() == 2).then_some(())
    });
    eventually("the stock is back", || {
        let stock = see("/api/stock")["items"][0].clone();
        (stock["available"] == stock["stocked"]).then_some(())
    });
}

#[test]
fn two_hundred_buyers_at_once_get_exactly_the_hundred_pieces() {
    let platform = Platform::start();
    let url = platform.url();
    let shelf = "/api/products/PROD-003/stock";
    let (status, _) = platform.call("PUT", shelf, &json!({"available": 100}));
    assert_eq!(status, 200);
    let buyers: Vec<_> = (0..200)
        .map(|_| {
            let orders = format!("{url}/api/orders");
            thread::spawn(move || post(&orders, &[], &order("PROD-003", 1)).0)
        })
        .collect();
    let answers: Vec<u16> = buyers
        .into_iter()
        .map(|b| b.join().expect("answered"))
        .collect();
    let count = |status| answers.iter().filter(|s| **s == status).count();
    assert_eq!((count(201), count(409)), (100, 100), "{answers:?}");
    let stock = get(&format!("{url}/api/products/PROD-003")).1;
    assert_eq!(stock["available"], 0);
    bench(&platform, &["--audit-only"]);
}

/// Fifty crashes of every kind of process under load. The bench exits with an error if a request
/// fails or the audit finds anything.
#[test]
fn fifty_kills_under_load_lose_nothing() {
    let platform = Platform::start();
    let mut kills = 0;
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for seed in 1.. {
        let seed = seed.to_string();
        let args = [
            "--rate",
            "60",
            "--seconds",
            "15",
            "--kill-every",
            "300ms",
            "--seed",
            &seed,
        ];
        let report = bench(&platform, &args);
        for kill in report["kills"]["kills"].as_array().expect("kills") {
            kills += 1;
            let (service, _) = kill["name"]
                .as_str()
                .and_then(|name| name.split_once('-'))
                .expect("a replica");
            *seen.entry(service.to_owned()).or_default() += 1;
        }
        if kills >= 50 {
            break;
        }
    }
    assert_eq!(seen.len(), 8, "every kind of process: {seen:?}");
}

#[test]
fn draining_one_replica_after_the_other_fails_no_request() {
    let platform = Platform::start();
    let report = bench(
        &platform,
        &[
            "--rate",
            "60",
            "--seconds",
            "15",
            "--kill-every",
            "500ms",
            "--signal",
            "TERM",
            "--seed",
            "7",
        ],
    );
    assert_eq!(report["phases"][0]["orders"]["retried"], 0, "{report}");
}

/// While the whole platform stops, whoever got a connection gets an answer; afterwards every answered
/// order is there.
#[test]
fn stopping_under_load_breaks_no_request_and_a_restart_has_all_data() {
    let mut platform = Platform::start();
    let address = platform.url().trim_start_matches("http://").to_owned();
    let stopping = Arc::new(AtomicBool::new(false));
    let buyers: Vec<_> = (0..8)
        .map(|_| {
            let (address, stopping) = (address.clone(), stopping.clone());
            thread::spawn(move || buy_until_closed(&address, &stopping))
        })
        .collect();
    let orders = format!("{}/api/orders", platform.url());
    eventually("a hundred orders", || {
        let (_, page) = platform.call("GET", "/api/orders?limit=100", &Value::Null);
        (page["items"].as_array()?.len() == 100).then_some(())
    });
    stopping.store(true, Ordering::Relaxed);
    platform.signal(Signal::TERM);
    let placed: Vec<String> = buyers
        .into_iter()
        .flat_map(|b| b.join().expect("no broken request"))
        .collect();
    assert!(platform.end().success());
    let platform = platform.restart();
    for id in &placed {
        let (status, order) = get(&format!("{orders}/{id}"));
        assert_eq!((status, order["id"].as_str()), (200, Some(id.as_str())));
    }
    bench(&platform, &["--audit-only"]);
}

/// Orders again and again, each over a connection of its own. A refused connection ends it; a
/// connection that breaks without an answer is what must not happen.
fn buy_until_closed(address: &str, stopping: &AtomicBool) -> Vec<String> {
    let mut placed = Vec::new();
    loop {
        let Ok(mut stream) = TcpStream::connect(address) else {
            assert!(
                stopping.load(Ordering::Relaxed),
                "refused while nobody stops"
            );
            return placed;
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("timeout");
        let body = order("PROD-002", 1).to_string();
        let length = body.len();
        let head = format!(
            "POST /api/orders HTTP/1.0\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut answer = String::new();
        let sent = stream.write_all(format!("{head}{body}").as_bytes());
        let read = sent.and_then(|()| stream.read_to_string(&mut answer));
        assert!(
            read.is_ok() && answer.starts_with("HTTP/1.0 201"),
            "{read:?}: {answer:?}"
        );
        let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
        let order: Value = serde_json::from_str(json).expect("JSON");
        placed.push(order["id"].as_str().expect("an id").to_owned());
    }
}
