//! What order tells the others, through the outbox and the queue.
use crate::order::Order;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    OrderConfirmed,
    OrderCancelled,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderConfirmed => "order_confirmed",
            Self::OrderCancelled => "order_cancelled",
        }
    }
}

/// An order changed. Delivered at least once and in any order; consumers deduplicate by `id`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub id: Uuid,
    pub kind: Kind,
    pub order: Order,
    /// Who bought, if it was somebody with an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Old replicas write events without an owner; they are in queues and tables for a while.
    #[test]
    fn an_event_without_an_owner_is_read() {
        let text = r#"{"id":"018f0000-0000-7000-8000-000000000000","kind":"order_confirmed","order":{
            "id":"018f0000-0000-7000-8000-000000000001","product_id":"PROD-001","quantity":2,
            "email":"a@example.com","status":"confirmed","total_minor":5800,"currency":"EUR",
            "created_at":"2026-11-21T12:00:00Z"}}"#;
        let event: Event = serde_json::from_str(text).expect("an event");
        assert_eq!(event.user_id, None);
        assert!(
            !serde_json::to_string(&event)
                .expect("JSON")
                .contains("user_id")
        );
    }
}
