//! Client of the order service.
use axum::http::Method;
use client::{Call, Replay, Upstream};
use contracts::order::Acknowledge;
use uuid::Uuid;

#[derive(Clone)]
pub struct Orders(Upstream);

impl Orders {
    pub fn new(upstream: Upstream) -> Self {
        Self(upstream)
    }

    /// Tells order that these events are worked in; it stops sending them.
    ///
    /// # Errors
    /// When order can't be reached.
    pub async fn acknowledge(&self, event_ids: Vec<Uuid>) -> Result<(), client::Error> {
        let done = Acknowledge {
            queue: contracts::NOTIFICATION_EVENTS.to_owned(),
            event_ids,
        };
        let call = Call::to(Method::POST, "/outbox/acknowledge")?
            .json(&done)?
            .replay(Replay::Safe);
        self.0.json(call).await
    }
}
