//! Postgres stops, crashes, or ends all connections.
use crate::{
    servers::{Load, Shop, Watch, expect_prompt, wait},
    support::{eventually, get},
};
use db::testing::PostgresServer;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(20);
/// Within this after its return orders are taken again.
const RECOVERY: Duration = Duration::from_secs(5);

#[test]
fn while_postgres_is_stopped_answers_come_fast_and_orders_go_on_after() {
    outage(PostgresServer::stop);
}

#[test]
fn when_postgres_crashes_nothing_it_had_committed_is_lost() {
    outage(PostgresServer::stop_at_once);
}

fn outage(end: fn(&mut PostgresServer)) {
    let mut shop = Shop::open();
    let url = shop.platform.url();
    // Both replicas of inventory have read the product once.
    for _ in 0..20 {
        assert_eq!(get(&format!("{url}/api/products/PROD-001")).0, 200);
    }
    let load = Load::start(&shop.platform, "--rate 30 --seconds 35");
    let watch = Watch::start(&shop.platform);
    watch.next_order(Instant::now());
    sleep(Duration::from_secs(3));

    end(&mut shop.postgres);
    let gone = Instant::now();
    for service in ["order", "inventory", "notification"] {
        let replica = shop.platform.control().replica(&format!("{service}-1"));
        let ready = format!("{}/readyz", replica["ops"].as_str().expect("a URL"));
        eventually("readiness names the database", || {
            let (status, answer) = get(&ready);
            (status == 503 && answer["checks"]["database"] != "ok").then_some(())
        });
    }
    sleep(AWAY.saturating_sub(gone.elapsed()));
    let returning = Instant::now();
    shop.postgres.run();
    let recovery = watch.next_order(Instant::now());
    println!("first order {recovery:?} after the return");
    assert!(recovery < RECOVERY, "{recovery:?}");

    let (orders, reads) = watch.end(gone, returning);
    expect_prompt(&orders);
    expect_prompt(&reads);
    for order in &orders {
        order.expect_refused(&[(503, "unavailable")]);
    }
    for read in &reads {
        let copy = read.head.contains("\nage:") && read.head.contains("\nwarning: 110");
        assert!(read.status == 200 && copy, "{read:?}");
    }
    load.end();
    shop.expect_no_restart();
}

/// As in a failover: each connection ends, idle or in use, and new ones are let in.
#[test]
fn ended_connections_are_hardly_seen() {
    let shop = Shop::open();
    let load = Load::start(&shop.platform, "--rate 40 --seconds 20 --mix 0.3");
    eventually("the load begins", || (shop.taken() > 40).then_some(()));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    for _ in 0..5 {
        wait(shop.postgres.execute(end));
        sleep(Duration::from_secs(3));
    }
    let report = load.end();
    for kind in ["orders", "reads"] {
        let requests = &report["phases"][0][kind];
        let count = |what: &str| requests[what].as_u64().expect("a count");
        let (ok, failed, retried) = (count("ok"), count("failed"), count("retried"));
        println!("{kind}: {ok} ok, {failed} failed, {retried} sent twice");
        assert!(failed * 200 <= ok + failed, "{requests}");
        // What a client without a second try would see.
        assert!(retried * 50 <= ok + failed, "{requests}");
    }
    shop.expect_no_restart();
}
