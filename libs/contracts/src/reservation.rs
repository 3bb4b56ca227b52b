//! Stock set aside for an order.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Sets pieces aside. The same `order_id` again is the same reservation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Until `expires_at`, or until its order is known.
    Held,
    Sold,
    /// For good: a late reserve with the same id is not taken up again.
    Released,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reservation {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub unit_price_minor: i64,
    pub currency: String,
    pub state: State,
    pub expires_at: DateTime<Utc>,
}

/// What a sweep of expired holds did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Swept {
    pub sold: u64,
    pub released: u64,
}
