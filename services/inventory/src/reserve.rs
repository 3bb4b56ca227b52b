//! Reserving in batches: reserves that arrive during one commit share the next, so that a product
//! everybody wants costs one row lock for many orders.
use crate::{
    error::{Error, Result},
    reservation::{self, Reservation},
    store::Store,
};
use contracts::reservation::Reserve;
use db::Batcher;
use std::{collections::HashMap, time::Duration};

/// Reserves in one transaction, and transactions at once.
const BATCH: usize = 64;
const PARALLEL: usize = 1;

#[derive(Clone)]
pub struct Reserver(Batcher<Reserve, Result<Reservation>>);

impl Reserver {
    pub fn new(store: Store, hold: Duration) -> Self {
        Self(Batcher::spawn(BATCH, PARALLEL, move |reserves| {
            run(store.clone(), hold, reserves)
        }))
    }

    /// Sets stock aside for an order.
    pub async fn reserve(&self, reserve: Reserve) -> Result<Reservation> {
        reservation::validate(&reserve)?;
        self.0.submit(reserve).await?
    }
}

async fn run(store: Store, hold: Duration, reserves: Vec<Reserve>) -> Vec<Result<Reservation>> {
    match batch(&store, hold, &reserves).await {
        Ok(outcomes) => outcomes,
        Err(error) if reserves.len() > 1 && retriable(&error) => {
            let mut outcomes = Vec::with_capacity(reserves.len());
            for reserve in &reserves {
                let alone = batch(&store, hold, std::slice::from_ref(reserve)).await;
                outcomes.push(alone.and_then(|mut one| one.pop().unwrap_or(Err(Error::Batch))));
            }
            outcomes
        }
        Err(error) => reserves.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// One reserve the database refuses must not take the others with it.
fn retriable(error: &Error) -> bool {
    matches!(error, Error::Database(e) if !db::is_unavailable(e))
}

async fn batch(
    store: &Store,
    hold: Duration,
    reserves: &[Reserve],
) -> Result<Vec<Result<Reservation>>> {
    let expires_at = db::now() + hold;
    let taken = db::again(|| store.reserve(reserves, expires_at)).await?;
    let unknown: Vec<_> = reserves
        .iter()
        .map(|r| r.order_id)
        .filter(|id| !taken.contains_key(id))
        .collect();
    // Not new and not refused: the id was there before, or the product doesn't exist.
    let before = if unknown.is_empty() {
        HashMap::new()
    } else {
        store.reservations(&unknown).await?
    };
    let outcome = |reserve: &Reserve| match taken.get(&reserve.order_id) {
        Some(Some(reservation)) => reservation.again(reserve),
        Some(None) => Err(Error::SoldOut),
        None => before
            .get(&reserve.order_id)
            .map_or(Err(Error::NoSuchProduct), |r| r.again(reserve)),
    };
    Ok(reserves.iter().map(outcome).collect())
}
