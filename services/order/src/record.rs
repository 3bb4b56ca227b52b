//! Records orders in batches: all that arrive during one commit share the next.
use crate::{
    error::{Error, Result},
    order::Order,
    relay::Outbox,
    store::{Entry, Store},
};
use db::Batcher;
use sabotage::Bug;
use std::collections::HashSet;
use uuid::Uuid;

/// Orders in one transaction, and transactions at once.
const BATCH: usize = 64;
const PARALLEL: usize = 1;

/// True for a new order, false when its id is taken.
type Outcome = Result<bool>;

#[derive(Clone)]
pub struct Recorder(Batcher<(Order, Entry), Outcome>);

impl Recorder {
    pub fn new(store: Store, outbox: Outbox) -> Self {
        Self(Batcher::spawn(BATCH, PARALLEL, move |orders| {
            record(store.clone(), outbox.clone(), orders)
        }))
    }

    /// Writes the order and its events; the events are on their way when this returns.
    pub async fn submit(&self, order: Order) -> Result<Outcome, db::Refused> {
        let entry = Entry::of(&order).expect("a new order is confirmed");
        self.0.submit((order, entry)).await
    }
}

async fn record(store: Store, outbox: Outbox, orders: Vec<(Order, Entry)>) -> Vec<Outcome> {
    let due = outbox.due();
    if sabotage::has(Bug::EnqueueBeforeCommit) {
        outbox.hand_over(orders.iter().map(|(_, entry)| entry.clone()).collect());
    }
    match db::again(|| store.insert(&orders, due)).await {
        Ok(new) => finish(&outbox, orders, new),
        // One order the database refuses must not take the others with it.
        Err(error) if orders.len() > 1 && !db::is_unavailable(&error) => {
            let mut outcomes = Vec::with_capacity(orders.len());
            for order in orders {
                let alone = vec![order];
                outcomes.push(match store.insert(&alone, due).await {
                    Ok(new) => Ok(finish(&outbox, alone, new)
                        .iter()
                        .any(|o| matches!(o, Ok(true)))),
                    Err(error) => Err(error.into()),
                });
            }
            outcomes
        }
        Err(error) => {
            let error = std::sync::Arc::new(error);
            orders
                .iter()
                .map(|_| Err(Error::Database(error.clone())))
                .collect()
        }
    }
}

fn finish(outbox: &Outbox, orders: Vec<(Order, Entry)>, mut new: HashSet<Uuid>) -> Vec<Outcome> {
    let mut fresh = Vec::new();
    let mut outcomes = Vec::with_capacity(orders.len());
    for (order, entry) in orders {
        // Removing makes a second one with this id in the same batch a replay.
        let is_new = new.remove(&order.id);
        if is_new {
            fresh.push(entry);
        }
        outcomes.push(Ok(is_new));
    }
    outbox.hand_over(fresh);
    outcomes
}
