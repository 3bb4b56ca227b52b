//! Orders, as order answers and others read them.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Confirmed,
    Cancelled,
}

/// An order as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Order {
    pub id: Uuid,
    #[schema(example = "PROD-001")]
    pub product_id: String,
    #[schema(example = 2)]
    pub quantity: i64,
    #[schema(example = "a@example.com")]
    pub email: String,
    pub status: Status,
    /// In minor units of the currency: cents for EUR.
    #[schema(example = 2580)]
    pub total_minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
    pub created_at: DateTime<Utc>,
}

/// Inventory asks order to decide about holds whose order never came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settle {
    pub holds: Vec<Hold>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
}

/// Order's word on each hold; from then on it can't change to the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settled {
    pub orders: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Verdict {
    pub order_id: Uuid,
    /// False: there is no such order and never will be, or it was cancelled.
    pub confirmed: bool,
}

/// A consumer tells order which events it has worked in for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The queue the events came through.
    pub queue: String,
    pub event_ids: Vec<Uuid>,
}

/// One step of "touch today".
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touch {
    /// Orders made at or after this moment.
    pub since: DateTime<Utc>,
    /// Stamp to write.
    pub stamp: DateTime<Utc>,
    /// At most this many in one call.
    pub limit: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touched {
    pub touched: u64,
    /// When the newest of them was made: where the next step starts.
    pub last: Option<DateTime<Utc>>,
}

/// What was sold in a stretch of time, by product.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sales {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub items: Vec<SalesLine>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SalesLine {
    pub product_id: String,
    pub orders: i64,
    pub quantity: i64,
    pub total_minor: i64,
    pub currency: String,
}
