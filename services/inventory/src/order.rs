//! Client of the order service.
use crate::error::Result;
use axum::http::Method;
use client::{Call, Replay, Upstream};
use contracts::order::{Acknowledge, Hold, Settle, Settled, Verdict};
use uuid::Uuid;

#[derive(Clone)]
pub struct Orders(Upstream);

impl Orders {
    pub fn new(upstream: Upstream) -> Self {
        Self(upstream)
    }

    /// Asks for the fate of holds; what order answers is final.
    pub async fn settle(&self, holds: Vec<Hold>) -> Result<Vec<Verdict>> {
        let call = Call::to(Method::POST, "/orders/settle")?
            .json(&Settle { holds })?
            .replay(Replay::Safe);
        let settled: Settled = self.0.json(call).await?;
        Ok(settled.orders)
    }

    /// Tells order that these events are worked in; it stops sending them.
    pub async fn acknowledge(&self, event_ids: Vec<Uuid>) -> Result<()> {
        let done = Acknowledge {
            queue: contracts::INVENTORY_EVENTS.to_owned(),
            event_ids,
        };
        let call = Call::to(Method::POST, "/outbox/acknowledge")?
            .json(&done)?
            .replay(Replay::Safe);
        Ok(self.0.json(call).await?)
    }
}
