//! Mails, as notification shows them.
use crate::event::Kind;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for its first or next try.
    Pending,
    Sent,
    /// Given up after the last try; can be sent again by hand.
    Dead,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Notification {
    /// The id of the event it tells about.
    pub id: Uuid,
    pub order_id: Uuid,
    pub kind: Kind,
    #[schema(example = "email")]
    pub channel: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub status: Status,
    pub attempts: i64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
}
