//! Each invariant, broken on purpose, turns the audit red; and nothing else does.
use super::{
    evidence::{Buyer, Evidence, Mails, Status, StoredOrder},
    findings::{
        Findings,
        Invariant::{self, I1, I2, I4, I5, I6, I7},
    },
    judge::audit,
};
use crate::load::{
    ledger::{Acknowledged, Fate, Id, Ledger},
    plan::Key,
    shop::Stock,
};

const RUN: u32 = 0xbeef;
const PRODUCTS: [&str; 2] = ["A", "B"];

/// Ten orders by turns of A and B, acknowledged, stored and mailed. Number 9 is cancelled.
fn healthy() -> (Evidence, Ledger) {
    let mut evidence = Evidence::default();
    let mut ledger = Ledger::new(RUN, 20);
    for n in 0..10 {
        let product = evidence.catalogue.place(PRODUCTS[n as usize % 2]);
        let order = StoredOrder {
            product,
            quantity: 1,
            total_minor: 500,
            currency: *b"EUR",
            status: if n == 9 {
                Status::Cancelled
            } else {
                Status::Confirmed
            },
            buyer: Buyer::Bench(Key { run: RUN, n }),
        };
        let ack = Acknowledged {
            id: id(n),
            product,
            quantity: 1,
            total_minor: 500,
            currency: *b"EUR",
        };
        ledger.record(n, Fate::Ok(ack));
        evidence.orders.insert(id(n), order);
        evidence.mails.insert(
            id(n),
            Mails {
                confirmed: 1,
                cancelled: u32::from(n == 9),
            },
        );
    }
    evidence.stock = [stock("A", 5), stock("B", 4)].into();
    (evidence, ledger)
}

fn id(n: u32) -> Id {
    u128::from(n + 1).to_be_bytes()
}

fn stock(id: &str, sold: i64) -> Stock {
    Stock {
        product_id: id.into(),
        stocked: 100,
        available: 100 - sold,
        held: 0,
        sold,
    }
}

/// Audits a healthy shop after `harm` was done to it, and tells what is violated how often.
fn violated(harm: impl FnOnce(&mut Evidence, &mut Ledger)) -> Vec<(Invariant, u64)> {
    let (mut evidence, mut ledger) = healthy();
    harm(&mut evidence, &mut ledger);
    summary(&audit(&evidence, Some(&ledger)))
}

fn summary(findings: &Findings) -> Vec<(Invariant, u64)> {
    let bad = findings.checks.iter().filter(|check| check.violations > 0);
    let bad: Vec<_> = bad
        .map(|check| (check.invariant, check.violations))
        .collect();
    assert_eq!(findings.is_clean(), bad.is_empty());
    bad
}

#[test]
fn a_healthy_shop_is_clean_and_everything_was_looked_at() {
    let (evidence, ledger) = healthy();
    let findings = audit(&evidence, Some(&ledger));
    assert_eq!(findings.first, []);
    assert!(
        findings.checks.iter().all(|check| check.checked > 0),
        "{:?}",
        findings.checks
    );
    let invariants: Vec<_> = findings
        .checks
        .iter()
        .map(|check| check.invariant)
        .collect();
    assert_eq!(invariants, [I1, I2, I4, I5, I6, I7]);
    assert_eq!(
        (findings.orders, findings.confirmed, findings.cancelled),
        (10, 9, 1)
    );
}

#[test]
fn a_lost_order_is_found() {
    let lost = violated(|evidence, _| {
        evidence.orders.remove(&id(3));
        evidence.mails.remove(&id(3));
    });
    assert_eq!(
        lost,
        [(I1, 1), (I5, 1)],
        "its stock is sold and nobody ordered it"
    );
}

#[test]
fn an_order_stored_otherwise_than_acknowledged_is_found() {
    let harms: [fn(&mut StoredOrder); 4] = [
        |order| order.total_minor = 501,
        |order| order.currency = *b"USD",
        |order| order.buyer = Buyer::Bench(Key { run: RUN, n: 15 }),
        |order| order.buyer = Buyer::Bench(Key { run: 1, n: 3 }),
    ];
    for harm in harms {
        let found = violated(|evidence, _| harm(evidence.orders.get_mut(&id(3)).expect("stored")));
        assert_eq!(found, [(I5, 1)]);
    }
    let quantity =
        violated(|evidence, _| evidence.orders.get_mut(&id(3)).expect("stored").quantity = 2);
    assert_eq!(quantity, [(I1, 1), (I5, 1)]);
    let pending = violated(|evidence, _| {
        evidence.orders.get_mut(&id(3)).expect("stored").status = Status::Other;
    });
    assert_eq!(
        pending,
        [(I1, 1), (I5, 1), (I7, 1)],
        "a settled order is confirmed or cancelled"
    );
}

#[test]
fn stock_that_does_not_add_up_is_found() {
    assert_eq!(
        violated(|e, _| e.stock[0].available -= 1),
        [(I1, 1)],
        "vanished"
    );
    assert_eq!(
        violated(|e, _| e.stock[0].sold += 1),
        [(I1, 2)],
        "sold to nobody"
    );
    let held = violated(|evidence, _| {
        evidence.stock[0].held = 1;
        evidence.stock[0].available -= 1;
    });
    assert_eq!(held, [(I4, 1)], "held for ever");
    assert_eq!(
        violated(|e, _| drop(e.stock.remove(1))),
        [(I1, 1)],
        "orders without a stock"
    );
    let overflow = violated(|e, _| e.stock[0].available = i64::MAX);
    assert_eq!(overflow, [(I1, 1)]);
}

#[test]
fn overselling_is_found() {
    let oversold = violated(|evidence, _| {
        evidence.stock[0] = Stock {
            stocked: 4,
            available: -1,
            ..stock("A", 5)
        };
    });
    assert_eq!(oversold, [(I2, 1)]);
}

#[test]
fn two_orders_for_a_key_are_found_in_this_run_and_in_earlier_ones() {
    let twice = |evidence: &mut Evidence| {
        let copy = evidence.orders[&id(3)].clone();
        evidence.orders.insert(id(90), copy);
        evidence.mails.insert(
            id(90),
            Mails {
                confirmed: 1,
                cancelled: 0,
            },
        );
        evidence.stock[1] = stock("B", 5);
    };
    assert_eq!(violated(|evidence, _| twice(evidence)), [(I6, 1)]);
    let (mut evidence, _) = healthy();
    twice(&mut evidence);
    assert_eq!(
        summary(&audit(&evidence, None)),
        [(I6, 1)],
        "by its address alone"
    );
}

#[test]
fn one_order_given_to_two_buyers_is_found() {
    let shared = violated(|evidence, ledger| {
        let Some(Fate::Ok(ack)) = ledger.fate(Key { run: RUN, n: 3 }) else {
            panic!("acknowledged");
        };
        ledger.record(11, Fate::Ok(ack));
        evidence.orders.get_mut(&id(3)).expect("stored").buyer = Buyer::Other;
    });
    assert_eq!(shared, [(I6, 1)]);
}

#[test]
fn an_unknown_request_may_have_an_order_or_none_but_a_refused_one_has_none() {
    assert_eq!(
        violated(|_, ledger| ledger.record(12, Fate::Info)),
        [],
        "none"
    );
    assert_eq!(
        violated(|_, ledger| ledger.record(3, Fate::Info)),
        [],
        "one"
    );
    assert_eq!(
        violated(|_, ledger| ledger.record(12, Fate::Fail)),
        [],
        "refused, none"
    );
    assert_eq!(
        violated(|_, ledger| ledger.record(3, Fate::Fail)),
        [(I6, 1)],
        "refused, one"
    );
    assert_eq!(
        violated(|_, ledger| ledger.record(9, Fate::Fail)),
        [],
        "refused, a placeholder"
    );
}

#[test]
fn masked_addresses_still_show_more_orders_than_requests() {
    let mask = |evidence: &mut Evidence| {
        evidence
            .orders
            .values_mut()
            .for_each(|order| order.buyer = Buyer::Masked);
    };
    assert_eq!(violated(|evidence, _| mask(evidence)), []);
    let extra = |evidence: &mut Evidence| {
        mask(evidence);
        let copy = evidence.orders[&id(3)].clone();
        evidence.orders.insert(id(90), copy);
        evidence.mails.insert(
            id(90),
            Mails {
                confirmed: 1,
                cancelled: 0,
            },
        );
        evidence.stock[1] = stock("B", 5);
    };
    assert_eq!(violated(|evidence, _| extra(evidence)), [(I6, 1)]);
    let explained = violated(|evidence, ledger| {
        extra(evidence);
        ledger.record(12, Fate::Info);
    });
    assert_eq!(explained, []);
}

#[test]
fn lost_doubled_and_stray_mails_are_found() {
    let set = |n, confirmed, cancelled| {
        move |evidence: &mut Evidence, _: &mut Ledger| {
            evidence.mails.insert(
                id(n),
                Mails {
                    confirmed,
                    cancelled,
                },
            );
        }
    };
    assert_eq!(violated(set(3, 0, 0)), [(I7, 1)], "lost");
    assert_eq!(violated(set(3, 2, 0)), [(I7, 1)], "doubled");
    assert_eq!(
        violated(set(3, 1, 1)),
        [(I7, 1)],
        "cancellation of a confirmed order"
    );
    assert_eq!(violated(set(9, 1, 0)), [(I7, 1)], "cancellation lost");
    assert_eq!(violated(set(9, 1, 2)), [(I7, 1)], "cancellation doubled");
    assert_eq!(
        violated(set(9, 0, 0)),
        [(I7, 1)],
        "acknowledged, so it was confirmed once"
    );
    assert_eq!(violated(set(99, 1, 0)), [(I7, 1)], "of no order");
}

#[test]
fn a_placeholder_that_was_never_confirmed_needs_no_mail() {
    let (mut evidence, _) = healthy();
    let mut placeholder = evidence.orders[&id(3)].clone();
    placeholder.status = Status::Cancelled;
    placeholder.buyer = Buyer::Other;
    evidence.orders.insert(id(90), placeholder);
    assert_eq!(summary(&audit(&evidence, None)), []);
}

#[test]
fn only_the_first_violations_are_told_in_detail_but_all_are_counted() {
    let (evidence, mut ledger) = healthy();
    let lost = |n: u32| Acknowledged {
        id: id(1000 + n),
        ..ledger_entry(&ledger)
    };
    let lost: Vec<_> = (0..20).map(lost).collect();
    for (n, ack) in (0..).zip(lost) {
        ledger.record(n, Fate::Ok(ack));
    }
    let mut evidence = evidence;
    evidence.mails.clear();
    let findings = audit(&evidence, Some(&ledger));
    assert_eq!(findings.violations, 29, "20 lost orders, 9 lost mails");
    assert_eq!(findings.first.len(), 20);
}

fn ledger_entry(ledger: &Ledger) -> Acknowledged {
    ledger.acknowledged().next().expect("ten of them").1
}
