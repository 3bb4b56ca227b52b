//! What a notification is: its states, its text, when it is tried again. No IO here.
use chrono::{DateTime, Utc};
use contracts::{
    event::{Event, Kind},
    notification::{self, Status},
};
use std::time::Duration;
use uuid::Uuid;

/// A mail to be sent or sent.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Notification {
    pub id: Uuid,
    pub order_id: Uuid,
    pub kind: String,
    pub recipient: String,
    pub product_id: String,
    pub quantity: i64,
    pub total_minor: i64,
    pub currency: String,
    pub status: String,
    pub attempts: i64,
    pub last_error: Option<String>,
    pub next_attempt_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// Who bought, if it was somebody with an account.
    pub user_id: Option<Uuid>,
}

pub const PENDING: &str = "pending";
pub const SENT: &str = "sent";
pub const DEAD: &str = "dead";

impl Notification {
    /// The notification an event asks for, not sent yet.
    pub fn pending(event: Event, now: DateTime<Utc>) -> Self {
        let order = event.order;
        Self {
            id: event.id,
            order_id: order.id,
            kind: event.kind.as_str().to_owned(),
            recipient: order.email,
            product_id: order.product_id,
            quantity: order.quantity,
            total_minor: order.total_minor,
            currency: order.currency,
            status: PENDING.to_owned(),
            attempts: 0,
            last_error: None,
            next_attempt_at: now,
            created_at: now,
            user_id: event.user_id,
        }
    }

    /// The same, delivered into the mailbox of this service.
    #[must_use]
    pub fn in_mailbox(mut self) -> Self {
        SENT.clone_into(&mut self.status);
        self.attempts = 1;
        self
    }

    fn kind(&self) -> Kind {
        if self.kind == Kind::OrderCancelled.as_str() {
            Kind::OrderCancelled
        } else {
            Kind::OrderConfirmed
        }
    }

    pub fn subject(&self) -> String {
        match self.kind() {
            Kind::OrderConfirmed => format!("Your order {} is confirmed", self.order_id),
            Kind::OrderCancelled => format!("Your order {} is cancelled", self.order_id),
        }
    }

    pub fn text(&self) -> String {
        let Self {
            quantity,
            product_id,
            ..
        } = self;
        let total = format!(
            "{}.{:02} {}",
            self.total_minor / 100,
            self.total_minor % 100,
            self.currency
        );
        match self.kind() {
            Kind::OrderConfirmed => {
                format!("Thank you. We are packing {quantity} x {product_id} for {total}.\n")
            }
            Kind::OrderCancelled => format!(
                "We have cancelled your order of {quantity} x {product_id} for {total}. You pay nothing.\n"
            ),
        }
    }

    /// The same for every delivery of this mail, so that a mail sent twice can be recognised (RFC 5322 section 3.6.4).
    pub fn message_id(&self) -> String {
        format!("<{}@seawall.example>", self.id)
    }

    pub fn view(self) -> notification::Notification {
        notification::Notification {
            subject: self.subject(),
            text: self.text(),
            kind: self.kind(),
            status: match self.status.as_str() {
                SENT => Status::Sent,
                DEAD => Status::Dead,
                _ => Status::Pending,
            },
            id: self.id,
            order_id: self.order_id,
            channel: "email".to_owned(),
            to: self.recipient,
            attempts: self.attempts,
            last_error: self.last_error,
            created_at: self.created_at,
        }
    }
}

/// Wait before the next try: exponential with full jitter, 2 s to 5 min.
pub fn backoff(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(0)
        .min(16);
    let ceiling = (Duration::from_secs(2) * (1 << doublings)).min(Duration::from_secs(300));
    ceiling.mul_f64(rand::random())
}
