//! Redis stops, hangs, crashes, or loses everything.
use crate::{
    servers::{Load, Shop},
    support::eventually,
};
use std::{thread::sleep, time::Duration};

#[test]
fn without_redis_orders_go_on_and_mails_come_later() {
    let shop = Shop::open();
    let load = Load::start(&shop.platform, "--rate 30 --seconds 45");
    eventually("the load begins", || (shop.taken() > 60).then_some(()));
    shop.redis.stop();
    sleep(Duration::from_secs(20));
    shop.redis.run();
    sleep(Duration::from_secs(5));
    // A server that hangs is worse than one that is gone.
    shop.redis.freeze();
    sleep(Duration::from_secs(10));
    shop.redis.thaw();
    let report = load.end();
    let orders = &report["phases"][0]["orders"];
    assert_eq!(orders["failed"], 0, "{orders}");
    let p99 = orders["latency_ms"]["p99"].as_f64().expect("a number");
    assert!(p99 < 1000.0, "{orders}");
    shop.expect_no_restart();
}

#[test]
fn a_redis_that_crashes_and_is_emptied_costs_no_mail() {
    const ORDERS: i64 = 5000;
    let shop = Shop::open();
    let load = Load::start(&shop.platform, &format!("--orders {ORDERS}"));
    let half_way = |share: i64| {
        // Longer than one wait on a slow machine.
        for _ in 0..4 {
            if shop.taken() >= ORDERS * share / 4 {
                break;
            }
            sleep(Duration::from_millis(500));
        }
        eventually("the load goes on", || {
            (shop.taken() >= ORDERS * share / 4).then_some(())
        });
    };
    half_way(1);
    shop.redis.kill();
    shop.redis.run();
    half_way(2);
    shop.redis.empty();
    let report = load.end();
    assert_eq!(report["phases"][0]["orders"]["failed"], 0, "{report}");
    let audit = &report["audit"];
    assert_eq!(audit["confirmed"], ORDERS, "{audit}");
    assert_eq!(audit["mails_by_status"]["sent"], ORDERS, "{audit}");
    shop.expect_no_restart();
}
