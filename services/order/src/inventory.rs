//! Client of the inventory service.
use crate::error::{Error, Result};
use axum::http::Method;
use client::{Call, Replay, Upstream};
use contracts::reservation::{Reservation, Reserve};

#[derive(Clone)]
pub struct Inventory(Upstream);

/// Inventory's answer to a reserve.
#[derive(Debug)]
pub enum Reserved {
    Yes(Reservation),
    /// The id is taken: its stock was given back already, or it was asked for with another content.
    Taken,
}

impl Inventory {
    pub fn new(upstream: Upstream) -> Self {
        Self(upstream)
    }

    /// Sets stock aside; the same order id again is the same reservation, so a retry is safe.
    pub async fn reserve(&self, reserve: &Reserve) -> Result<Reserved> {
        let call = Call::to(Method::POST, "/reservations")?
            .json(reserve)?
            .replay(Replay::Safe);
        let error = match self.0.json(call).await {
            Ok(reservation) => return Ok(Reserved::Yes(reservation)),
            Err(error) => error,
        };
        match error.rejection().map(|r| r.code.as_str()) {
            Some("sold_out") => Err(Error::SoldOut),
            Some("product_not_found") => Err(Error::NoSuchProduct),
            Some("reservation_released" | "reservation_mismatch") => Ok(Reserved::Taken),
            _ => Err(error.into()),
        }
    }
}
