//! Holds what is stored of a schedule against the invariants of the order flow and against what its
//! buyers were told. No IO.
use super::{
    buyer::{End, History, Order, Run},
    evidence::{Evidence, OrderRow},
};
use queue::Stats;
use std::collections::HashMap;
use uuid::Uuid;

/// Everything that is wrong, each with the invariant's name in front.
pub fn audit(run: &Run, evidence: &Evidence) -> Vec<String> {
    let history = run.history();
    let mut wrong = history.wrong.clone();
    stock(evidence, &mut wrong);
    reservations(evidence, &mut wrong);
    mails(evidence, &mut wrong);
    acknowledged(&history, evidence, &mut wrong);
    one_order_each(run, &history, evidence, &mut wrong);
    cancelled(&history, evidence, &mut wrong);
    for event in &evidence.outbox {
        wrong.push(format!("I8: an event was never acknowledged: {event}"));
    }
    wrong
}

/// What went into the queues has come out of them, done or dead; and something has.
pub fn queues(all: &[(&str, Stats)]) -> Vec<String> {
    let under_way = |stats: &Stats| stats.waiting + stats.running + stats.retrying;
    let left = all.iter().filter(|(_, stats)| under_way(stats) > 0);
    let mut wrong: Vec<String> = left
        .map(|(name, stats)| format!("I10: {name} has not come to its end: {stats:?}"))
        .collect();
    if all.iter().all(|(_, stats)| stats.done + stats.dead == 0) {
        wrong.push("I10: nothing has ever passed through the queues".to_owned());
    }
    wrong
}

fn stock(evidence: &Evidence, wrong: &mut Vec<String>) {
    for product in &evidence.products {
        let id = &product.id;
        let pieces = |state: &str| -> i64 {
            let rows = evidence.reservations.iter();
            rows.filter(|r| r.product_id == *id && r.state == state)
                .map(|r| r.quantity)
                .sum()
        };
        let (held, sold) = (pieces("held"), pieces("sold"));
        if product.stocked != product.available + held + sold {
            let (stocked, available) = (product.stocked, product.available);
            wrong.push(format!("I1: {id}: {stocked} stocked, but {available} available, {held} held and {sold} sold"));
        }
        let confirmed = evidence.orders.iter();
        let ordered: i64 = confirmed
            .filter(|o| o.product_id == *id && o.status == "confirmed")
            .map(|o| o.quantity)
            .sum();
        if ordered != sold {
            wrong.push(format!(
                "I1: {id}: {sold} sold, but confirmed orders are for {ordered}"
            ));
        }
        if product.available < 0 || product.stocked < 0 || sold > product.stocked {
            wrong.push(format!("I2: oversold: {product:?}, {sold} sold"));
        }
    }
}

fn reservations(evidence: &Evidence, wrong: &mut Vec<String>) {
    let orders: HashMap<Uuid, &OrderRow> = evidence.orders.iter().map(|o| (o.id, o)).collect();
    let mut seen = HashMap::new();
    for r in &evidence.reservations {
        *seen.entry((r.order_id, &r.product_id)).or_insert(0) += 1;
        let status = orders
            .get(&r.order_id)
            .map_or("none", |o| o.status.as_str());
        let legal = match status {
            "confirmed" => r.state == "sold",
            _ => r.state == "released",
        };
        if !legal {
            wrong.push(format!(
                "I4: {} is {}, its order {status}",
                r.order_id, r.state
            ));
        }
    }
    for ((order, _), count) in seen {
        if count > 1 {
            wrong.push(format!("I4: order {order} has {count} reservations"));
        }
    }
}

/// The mails tell an order's path through its states.
fn mails(evidence: &Evidence, wrong: &mut Vec<String>) {
    let mut mails: HashMap<Uuid, [u32; 2]> = HashMap::new();
    for mail in &evidence.mails {
        let [confirmed, cancelled] = mails.entry(mail.order_id).or_default();
        match mail.kind.as_str() {
            "order_confirmed" => *confirmed += 1,
            _ => *cancelled += 1,
        }
        if mail.status != "sent" {
            wrong.push(format!(
                "I7: a mail of {} is {}",
                mail.order_id, mail.status
            ));
        }
    }
    for order in &evidence.orders {
        let got = mails.remove(&order.id).unwrap_or_default();
        let legal = match order.status.as_str() {
            "confirmed" => got == [1, 0],
            "cancelled" => got == [1, 1],
            "expired" => got == [0, 0],
            other => {
                wrong.push(format!("I3: order {} is {other}", order.id));
                continue;
            }
        };
        if !legal {
            let [confirmed, cancelled] = got;
            let (id, status) = (order.id, &order.status);
            wrong.push(format!("I7: order {id} ({status}) has {confirmed} confirmations and {cancelled} cancellations"));
        }
    }
    for order in mails.into_keys() {
        wrong.push(format!(
            "I8: a mail about order {order}, which is not stored"
        ));
    }
}

fn acknowledged(history: &History, evidence: &Evidence, wrong: &mut Vec<String>) {
    for (n, end) in &history.placed {
        let End::Ok(Order {
            id,
            product_id,
            quantity,
            email,
            ..
        }) = end
        else {
            continue;
        };
        let stored = evidence.orders.iter().find(|o| o.id == *id);
        let same = stored.is_some_and(|o| {
            (&o.product_id, o.quantity, &o.email) == (product_id, *quantity, email)
                && o.status != "expired"
        });
        if !same {
            wrong.push(format!(
                "I5: order {n} ({id}) was acknowledged, but stored is {stored:?}"
            ));
        }
    }
}

fn one_order_each(run: &Run, history: &History, evidence: &Evidence, wrong: &mut Vec<String>) {
    for n in 0..run.schedule.orders.len() {
        let email = run.email(n);
        let stored = evidence.orders.iter();
        let stored = stored
            .filter(|o| o.email == email && o.status != "expired")
            .count();
        let ends: Vec<&End> = history
            .placed
            .iter()
            .filter(|(m, _)| *m == n)
            .map(|(_, end)| end)
            .collect();
        let mut ids: Vec<Uuid> = ends
            .iter()
            .filter_map(|end| match end {
                End::Ok(order) => Some(order.id),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if stored > 1 || ids.len() > 1 {
            wrong.push(format!(
                "I6: {stored} orders are stored for key {n}, acknowledged were {ids:?}"
            ));
        }
        // Asked for with two contents, one may be refused because the other is there.
        if stored > 0 && ends.iter().all(|end| **end == End::Fail) {
            wrong.push(format!("I6: order {n} was refused, and yet there is one"));
        }
    }
}

fn cancelled(history: &History, evidence: &Evidence, wrong: &mut Vec<String>) {
    for order in &evidence.orders {
        let mut ends = history
            .cancelled
            .iter()
            .filter(|(id, _)| *id == order.id)
            .map(|(_, end)| end);
        let wanted = ends.next();
        let certain =
            matches!(wanted, Some(End::Ok(_))) || ends.any(|end| matches!(end, End::Ok(_)));
        match order.status.as_str() {
            "cancelled" if wanted.is_none() => {
                wrong.push(format!(
                    "I3: order {} is cancelled, and nobody wanted that",
                    order.id
                ));
            }
            "confirmed" if certain => {
                wrong.push(format!(
                    "I3: the cancellation of order {} is lost",
                    order.id
                ));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_must_have_come_to_its_end() {
        let done = Stats {
            done: 3,
            ..Stats::default()
        };
        assert_eq!(
            queues(&[("jobs", done), ("events", Stats::default())]).len(),
            0
        );
        for left in [
            Stats { waiting: 1, ..done },
            Stats { running: 1, ..done },
            Stats {
                retrying: 1,
                ..done
            },
            Stats::default(),
        ] {
            assert_eq!(queues(&[("jobs", left)]).len(), 1, "{left:?}");
        }
    }
}
