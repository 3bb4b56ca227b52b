//! What an order is: validation, its id, its states. No IO here.
use chrono::{DateTime, Utc};
use contracts::{event::Event, event::Kind, order, reservation::Reservation};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use service::Problem;
use sha2::Sha256;
use uuid::Uuid;

/// Most pieces in one order.
pub const MAX_QUANTITY: i64 = 1000;

/// What a customer sends.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    #[schema(example = "PROD-001", max_length = 64)]
    pub product_id: String,
    #[schema(example = 2, minimum = 1, maximum = 1000)]
    pub quantity: i64,
    #[schema(example = "a@example.com", max_length = 254)]
    pub email: String,
}

/// Where an order stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub enum Status {
    Confirmed,
    Cancelled,
    /// A tombstone: the hold for this id ran out before an order came, so none may come any more.
    Expired,
}

/// An order as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Order {
    pub id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub email: String,
    pub status: Status,
    pub total_minor: i64,
    pub currency: String,
    pub created_at: DateTime<Utc>,
    /// Who bought, if it was somebody with an account.
    pub user_id: Option<Uuid>,
}

impl NewOrder {
    /// # Errors
    /// 422 that names the field.
    pub fn validate(&self) -> Result<(), Problem> {
        let product = &self.product_id;
        if !(1..=64).contains(&product.len())
            || !product
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(Problem::invalid(
                "/product_id",
                "must be 1 to 64 letters, digits and hyphens",
            ));
        }
        if !(1..=MAX_QUANTITY).contains(&self.quantity) {
            return Err(Problem::invalid(
                "/quantity",
                format!("must be 1 to {MAX_QUANTITY}"),
            ));
        }
        if !contracts::is_email(&self.email) {
            return Err(Problem::invalid(
                "/email",
                "must be an address like name@example.com",
            ));
        }
        Ok(())
    }
}

/// The order id that belongs to an idempotency key of somebody. The same key gives the same id on every
/// replica; without the secret it can't be guessed (UUID version 8, RFC 9562 section 5.8).
pub fn id_for(secret: &[u8], user_id: Option<Uuid>, key: &str) -> Uuid {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(b"POST /orders\0");
    if let Some(user_id) = user_id {
        // A key holds no control characters, so nobody's key can be another's.
        mac.update(user_id.as_bytes());
        mac.update(b"\0");
    }
    mac.update(key.as_bytes());
    let digest = mac.finalize().into_bytes();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

impl Order {
    /// A confirmed order for reserved stock; `None` when the total leaves the range of money.
    pub fn confirmed(
        new: NewOrder,
        reservation: &Reservation,
        user_id: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        Some(Self {
            id: reservation.order_id,
            product_id: new.product_id,
            quantity: new.quantity,
            email: new.email,
            status: Status::Confirmed,
            total_minor: reservation.unit_price_minor.checked_mul(new.quantity)?,
            currency: reservation.currency.clone(),
            created_at: now,
            user_id,
        })
    }

    /// Does this order say what the customer now sends under the same key?
    pub fn answers(&self, new: &NewOrder) -> bool {
        (&self.product_id, self.quantity, &self.email)
            == (&new.product_id, new.quantity, &new.email)
    }

    /// As others see it; `None` for a tombstone.
    pub fn view(self) -> Option<order::Order> {
        let status = match self.status {
            Status::Confirmed => order::Status::Confirmed,
            Status::Cancelled => order::Status::Cancelled,
            Status::Expired => return None,
        };
        Some(order::Order {
            id: self.id,
            product_id: self.product_id,
            quantity: self.quantity,
            email: self.email,
            status,
            total_minor: self.total_minor,
            currency: self.currency,
            created_at: self.created_at,
        })
    }

    /// What to tell the others about its present state.
    pub fn event(&self) -> Option<Event> {
        let order = self.clone().view()?;
        let kind = match order.status {
            order::Status::Confirmed => Kind::OrderConfirmed,
            order::Status::Cancelled => Kind::OrderCancelled,
        };
        Some(Event {
            id: Uuid::now_v7(),
            kind,
            order,
            user_id: self.user_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_key_its_owner_and_the_secret() {
        let (one, two) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        assert_eq!(id_for(b"s", None, "k"), id_for(b"s", None, "k"));
        assert_eq!(id_for(b"s", one, "k"), id_for(b"s", one, "k"));
        let other = [
            id_for(b"s", None, "l"),
            id_for(b"t", None, "k"),
            id_for(b"s", one, "k"),
            id_for(b"s", two, "k"),
        ];
        assert!(!other.contains(&id_for(b"s", None, "k")));
        assert_ne!(other[2], other[3]);
        assert_eq!(other[2].get_version_num(), 8);
    }
}
