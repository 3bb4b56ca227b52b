//! Whole runs against a shop in memory.
use super::fake_shop::{FakeShop, Faults};
use crate::bench::{Args, findings::Invariant, measure, publish, report::Report, table::Table};
use clap::Parser;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

async fn run(shop: &FakeShop, options: &str) -> Report {
    let line = format!(
        "bench --settle 1s --settle-holds 1ms {options} --url {} --data /nonexistent",
        shop.url
    );
    let cli = Cli::try_parse_from(line.split_whitespace()).expect("valid options");
    measure(&cli.args).await.expect("a report")
}

/// A closed loop of 300 orders.
async fn orders(faults: Faults) -> Report {
    let shop = FakeShop::start(0, faults).await;
    run(&shop, "--orders 300 --concurrency 8 --seed 7").await
}

fn violated(report: &Report) -> Vec<Invariant> {
    let audit = report.audit.as_ref().expect("audited");
    let bad = audit.checks.iter().filter(|check| check.violations > 0);
    bad.map(|check| check.invariant).collect()
}

#[tokio::test]
async fn a_good_shop_passes() {
    let shop = FakeShop::start(10, Faults::default()).await;
    let report = run(&shop, "--orders 300 --warmup 50 --concurrency 8 --mix 0.5").await;
    assert_eq!(report.faults(), [""; 0]);
    let [phase] = &report.phases[..] else {
        panic!("one phase, not {}", report.phases.len());
    };
    let figures = &phase.figures;
    assert_eq!(
        (figures.orders.ok, figures.sold_out),
        (300, 0),
        "the stock was topped up"
    );
    let reads = figures.reads.as_ref().expect("half of the requests").ok;
    assert!((200..400).contains(&reads), "{reads} reads");
    assert!(
        figures.orders.latency_ms.p50 > 0.2,
        "{:?}",
        figures.orders.latency_ms
    );
    assert_eq!(figures.timeline.iter().map(|s| s.ok).sum::<u64>(), 300);
    let audit = report.audit.as_ref().expect("audited");
    assert_eq!(
        (audit.orders, shop.orders()),
        (350, 350),
        "all pages were read"
    );
    assert!(
        Table(&report).to_string().ends_with("PASS\n"),
        "{}",
        Table(&report)
    );
}

#[tokio::test]
async fn broken_connections_and_503_are_retried_once_with_the_same_key() {
    let report = orders(Faults {
        close_every: 10,
        busy_every: 7,
        ..Faults::default()
    })
    .await;
    let orders = &report.phases[0].figures.orders;
    assert!(
        orders.retried_by_cause["connection closed"] > 10,
        "{orders:?}"
    );
    assert!(orders.retried_by_cause["status 503"] > 10, "{orders:?}");
    assert_eq!(violated(&report), []);
    let ledger = report.audit.and_then(|audit| audit.ledger).expect("kept");
    assert_eq!((ledger.ok + ledger.info, ledger.fail), (300, 0));
    assert_eq!(ledger.ok, orders.ok);
}

#[tokio::test]
async fn a_forgotten_key_is_found_as_two_orders() {
    let report = orders(Faults {
        forget_every: 50,
        ..Faults::default()
    })
    .await;
    assert_eq!(violated(&report), [Invariant::I6]);
    assert!(!report.faults().is_empty());
}

#[tokio::test]
async fn a_lost_order_is_found() {
    let report = orders(Faults {
        lose_every: 100,
        ..Faults::default()
    })
    .await;
    assert_eq!(violated(&report), [Invariant::I1, Invariant::I5]);
    assert!(
        Table(&report).to_string().contains("FAIL"),
        "{}",
        Table(&report)
    );
}

#[tokio::test]
async fn a_broken_shop_fails_by_cause() {
    let report = orders(Faults {
        broken: true,
        ..Faults::default()
    })
    .await;
    let orders = &report.phases[0].figures.orders;
    assert_eq!(
        (orders.failed, orders.failed_by_cause["status 500"]),
        (300, 300)
    );
    assert_eq!(orders.retried, 0, "only a 503 says that nothing happened");
    assert_eq!(report.faults(), ["300 requests failed"]);
}

#[tokio::test]
async fn sold_out_is_no_failure() {
    let shop = FakeShop::start(40, Faults::default()).await;
    let report = run(&shop, "--orders 100 --product P2 --no-restock").await;
    let figures = &report.phases[0].figures;
    assert_eq!((figures.orders.ok, figures.sold_out), (40, 60));
    assert_eq!(report.faults(), [""; 0]);
}

#[tokio::test]
async fn mails_on_their_way_are_waited_for() {
    let mail_delay = Duration::from_millis(300);
    let report = orders(Faults {
        mail_delay,
        ..Faults::default()
    })
    .await;
    assert_eq!(report.faults(), [""; 0]);
    let mail_delay = Duration::from_secs(60);
    let report = orders(Faults {
        mail_delay,
        ..Faults::default()
    })
    .await;
    assert_eq!(violated(&report), [Invariant::I7], "but not for ever");
}

#[tokio::test]
async fn holds_of_orders_that_never_came_are_waited_for_longer() {
    let held_for = Duration::from_millis(800);
    let faults = Faults {
        held_for,
        ..Faults::default()
    };
    let shop = FakeShop::start(10, faults.clone()).await;
    let report = run(&shop, "--orders 5 --settle 200ms --settle-holds 20s").await;
    assert_eq!(report.faults(), [""; 0]);
    let shop = FakeShop::start(10, faults).await;
    let report = run(&shop, "--orders 5 --settle 200ms --settle-holds 100ms").await;
    assert_eq!(violated(&report), [Invariant::I4], "but not for ever");
}

#[tokio::test]
async fn a_stall_delays_every_order_that_was_due_in_it() {
    let stall = Some((Duration::from_millis(300), Duration::from_millis(800)));
    let shop = FakeShop::start(
        0,
        Faults {
            stall,
            ..Faults::default()
        },
    )
    .await;
    let report = run(&shop, "--rate 200 --seconds 1").await;
    let figures = &report.phases[0].figures;
    assert_eq!((figures.orders.ok, figures.dropped), (200, 0));
    // A generator that waits for answers would have sent hardly any order into the stall.
    let latency = &figures.orders.latency_ms;
    assert!(latency.p90 > 150.0 && latency.max > 350.0, "{latency:?}");
    assert!(figures.max_gap_ms > 350.0, "{} ms", figures.max_gap_ms);
}

#[tokio::test]
async fn requests_that_find_no_connection_are_dropped_and_told() {
    let stall = Some((Duration::ZERO, Duration::from_millis(500)));
    let shop = FakeShop::start(
        0,
        Faults {
            stall,
            ..Faults::default()
        },
    )
    .await;
    let report = run(&shop, "--rate 200 --seconds 1 --concurrency 2").await;
    let figures = &report.phases[0].figures;
    assert!(figures.dropped > 50, "{} dropped", figures.dropped);
    assert_eq!(figures.orders.ok + figures.dropped, 200);
    assert_eq!(report.faults(), [""; 0], "a warning");
    let mut strict = report;
    strict.args.strict = true;
    assert_eq!(strict.faults().len(), 1);
}

#[tokio::test]
async fn the_operator_logs_in_where_that_is_needed() {
    let faults = Faults {
        password: Some("hunter2"),
        ..Faults::default()
    };
    let shop = FakeShop::start(100, faults).await;
    let report = run(&shop, "--orders 20 --operator-password hunter2").await;
    assert_eq!(report.faults(), [""; 0]);
    let line = format!("bench --audit-only --url {}", shop.url);
    let cli = Cli::try_parse_from(line.split_whitespace()).expect("valid");
    let refused = measure(&cli.args).await.expect_err("no password");
    assert!(
        format!("{refused:#}").contains("OPERATOR_PASSWORD"),
        "{refused:#}"
    );
}

#[tokio::test]
async fn an_audit_alone_judges_what_earlier_runs_left() {
    let shop = FakeShop::start(
        100,
        Faults {
            forget_every: 50,
            ..Faults::default()
        },
    )
    .await;
    run(&shop, "--orders 100").await;
    let report = run(&shop, "--audit-only").await;
    assert_eq!(violated(&report), [Invariant::I6]);
    assert!(report.phases.is_empty());
}

#[tokio::test]
async fn jobs_are_pushed_and_seen_done() {
    let shop = FakeShop::start(0, Faults::default()).await;
    let report = run(&shop, "jobs --jobs 250 --concurrency 3").await;
    let jobs = report.jobs.as_ref().expect("measured");
    assert_eq!((jobs.pushed, jobs.done), (250, 250));
    assert_eq!(report.faults(), [""; 0]);
}

#[tokio::test]
async fn the_json_report_holds_what_a_later_reader_needs() {
    let file = tempfile::NamedTempFile::new().expect("temp file");
    let shop = FakeShop::start(0, Faults::default()).await;
    let options = format!("--orders 10 --seed 7 --json {}", file.path().display());
    publish(&run(&shop, &options).await).expect("written");
    let json = std::fs::read(file.path()).expect("there");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(
        (&json["seed"], &json["args"]["load"]["orders"]),
        (&7.into(), &10.into())
    );
    for pointer in [
        "/version",
        "/machine/cores",
        "/machine/kernel",
        "/phases/0/orders/latency_ms/p999",
        "/phases/0/timeline/0/ok",
        "/audit/checks/0/violations",
        "/run",
    ] {
        assert!(
            json.pointer(pointer).is_some_and(|v| !v.is_null()),
            "{pointer} in {json:#}"
        );
    }
}
