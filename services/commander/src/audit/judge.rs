//! The loss audit: holds what is stored against the invariants of the order flow and against
//! the client's ledger. No IO.
use super::{
    evidence::{Buyer, Evidence, Mails, Status, StoredOrder},
    findings::{Checking, Counts, Findings, Invariant},
};
use crate::load::{
    ledger::{Acknowledged, Fate, Id, Ledger},
    plan::Key,
    shop::Stock,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Checks everything stored, and what this run's `ledger` knows of it.
pub fn audit(evidence: &Evidence, ledger: Option<&Ledger>) -> Findings {
    let count = |status| {
        evidence
            .orders
            .values()
            .filter(|o| o.status == status)
            .count() as u64
    };
    let mut findings = Findings {
        orders: evidence.orders.len() as u64,
        confirmed: count(Status::Confirmed),
        cancelled: count(Status::Cancelled),
        mails_by_status: evidence.mails_by_status.clone(),
        ledger: ledger.map(|ledger| {
            let (ok, fail, info) = ledger.counts();
            Counts { ok, fail, info }
        }),
        checks: Vec::new(),
        violations: 0,
        first: Vec::new(),
    };
    stock_adds_up(evidence, &mut findings);
    stock_is_not_negative(evidence, &mut findings);
    nothing_is_held(evidence, &mut findings);
    if let Some(ledger) = ledger {
        acknowledged_is_stored(evidence, ledger, &mut findings);
    }
    one_order_per_key(evidence, ledger, &mut findings);
    one_mail_per_event(evidence, ledger, &mut findings);
    findings
}

fn stock_adds_up(evidence: &Evidence, findings: &mut Findings) {
    let mut sold: HashMap<&str, i64> = HashMap::new();
    for order in evidence.orders.values() {
        if order.status == Status::Confirmed {
            *sold
                .entry(evidence.catalogue.id(order.product))
                .or_default() += i64::from(order.quantity);
        }
    }
    let rule = "stocked = available + held + sold; sold = confirmed orders";
    let mut check = findings.check(Invariant::I1, rule);
    for stock in &evidence.stock {
        let id = &stock.product_id;
        let pieces = [stock.available, stock.held, stock.sold];
        let sum = pieces.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n));
        check.expect(sum == Some(stock.stocked), || {
            let [available, held, sold] = pieces;
            format!(
                "{id}: {} stocked, but {available} available, {held} held and {sold} sold",
                stock.stocked
            )
        });
        let ordered = sold.remove(id.as_str()).unwrap_or_default();
        check.expect(ordered == stock.sold, || {
            format!(
                "{id}: {} sold, but confirmed orders are for {ordered}",
                stock.sold
            )
        });
    }
    for (id, pieces) in sold {
        check.expect(false, || {
            format!("{id:?}: {pieces} ordered, but there is no such stock")
        });
    }
}

fn stock_is_not_negative(evidence: &Evidence, findings: &mut Findings) {
    let mut check = findings.check(Invariant::I2, "no stock is negative, nothing is oversold");
    for stock in &evidence.stock {
        let lowest = stock
            .available
            .min(stock.held)
            .min(stock.sold)
            .min(stock.stocked);
        check.expect(lowest >= 0, || format!("oversold: {stock:?}"));
    }
}

fn nothing_is_held(evidence: &Evidence, findings: &mut Findings) {
    let mut check = findings.check(Invariant::I4, "nothing is held when all is settled");
    for Stock {
        product_id, held, ..
    } in &evidence.stock
    {
        check.expect(*held == 0, || format!("{product_id}: {held} still held"));
    }
}

fn acknowledged_is_stored(evidence: &Evidence, ledger: &Ledger, findings: &mut Findings) {
    let rule = "every acknowledged order is stored as acknowledged";
    let mut check = findings.check(Invariant::I5, rule);
    for (key, ack) in ledger.acknowledged() {
        let id = Uuid::from_bytes(ack.id);
        let Some(stored) = evidence.orders.get(&ack.id) else {
            check.expect(false, || {
                format!("order {id} ({key}) was acknowledged and is not stored")
            });
            continue;
        };
        let content = Acknowledged {
            id: ack.id,
            product: stored.product,
            quantity: stored.quantity,
            total_minor: stored.total_minor,
            currency: stored.currency,
        };
        let owner = match stored.buyer {
            Buyer::Bench(owner) => owner == key,
            // Addresses may be masked; then only the content can be compared.
            Buyer::Masked | Buyer::Other => true,
        };
        check.expect(content == ack && owner && stored.status != Status::Other, || {
            format!("order {id} ({key}) is stored otherwise than acknowledged: {stored:?}, not {ack:?}")
        });
    }
}

fn one_order_per_key(evidence: &Evidence, ledger: Option<&Ledger>, findings: &mut Findings) {
    let mut orders: HashMap<Key, u32> = HashMap::new();
    let mut confirmed = HashSet::new();
    for order in evidence.orders.values() {
        if let Buyer::Bench(key) = order.buyer {
            *orders.entry(key).or_default() += 1;
            if order.status == Status::Confirmed {
                confirmed.insert(key);
            }
        }
    }
    let rule = "one order per key; none for a refused one";
    let mut check = findings.check(Invariant::I6, rule);
    for (key, count) in &orders {
        check.expect(*count == 1, || format!("{key} has {count} orders"));
    }
    for id in &evidence.listed_twice {
        check.expect(false, || {
            format!("order {} is listed twice", Uuid::from_bytes(*id))
        });
    }
    let Some(ledger) = ledger else { return };
    for key in confirmed {
        check.expect(ledger.fate(key) != Some(Fate::Fail), || {
            format!("{key} was refused, and yet there is an order")
        });
    }
    one_key_per_order(evidence, ledger, &mut check);
}

fn one_key_per_order(evidence: &Evidence, ledger: &Ledger, check: &mut Checking) {
    let mut owners: HashMap<Id, Key> = HashMap::new();
    for (key, ack) in ledger.acknowledged() {
        let other = owners.insert(ack.id, key);
        check.expect(other.is_none(), || {
            let id = Uuid::from_bytes(ack.id);
            format!(
                "order {id} was acknowledged to {key} and to {}",
                other.expect("checked")
            )
        });
    }
    // With masked addresses an extra order can't be told from one of an unknown request, but
    // there must not be more of them than such requests.
    let nobodys = |(id, order): &(&Id, &StoredOrder)| {
        order.buyer == Buyer::Masked
            && order.status == Status::Confirmed
            && !owners.contains_key(*id)
    };
    let extra = evidence.orders.iter().filter(nobodys).count() as u64;
    let (_, _, unknown) = ledger.counts();
    check.expect(extra <= unknown, || {
        format!("{extra} orders of this run were never acknowledged, but only {unknown} requests have an unknown end")
    });
}

fn one_mail_per_event(evidence: &Evidence, ledger: Option<&Ledger>, findings: &mut Findings) {
    let acknowledged: HashSet<Id> = ledger
        .map(|l| l.acknowledged().map(|(_, ack)| ack.id).collect())
        .unwrap_or_default();
    let rule = "one mail per confirmed order, one more per cancelled one";
    let mut check = findings.check(Invariant::I7, rule);
    for (id, order) in &evidence.orders {
        let mails = evidence.mails.get(id).copied().unwrap_or_default();
        let once = Mails {
            confirmed: 1,
            cancelled: 0,
        };
        let holds = match order.status {
            Status::Confirmed => mails == once,
            // One that was never confirmed has no mails at all.
            Status::Cancelled => {
                mails
                    == Mails {
                        cancelled: 1,
                        ..once
                    }
                    || (mails == Mails::default() && !acknowledged.contains(id))
            }
            Status::Other => mails == Mails::default(),
        };
        check.expect(holds, || {
            let Mails { confirmed, cancelled } = mails;
            let (id, status) = (Uuid::from_bytes(*id), order.status);
            format!("order {id} ({status:?}) has {confirmed} order_confirmed and {cancelled} order_cancelled mails")
        });
    }
    for id in evidence
        .mails
        .keys()
        .filter(|id| !evidence.orders.contains_key(*id))
    {
        check.expect(false, || {
            format!(
                "mail for order {}, which is not stored",
                Uuid::from_bytes(*id)
            )
        });
    }
}
