//! What a reservation is: states and validation. No IO here.
use crate::error::Error;
use chrono::{DateTime, Utc};
use contracts::reservation::{self, Reserve};
use service::Problem;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub enum State {
    Held,
    Sold,
    Released,
}

/// A reservation as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Reservation {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub unit_price_minor: i64,
    pub currency: String,
    pub state: State,
    pub expires_at: DateTime<Utc>,
}

/// # Errors
/// What can't be meant, or can't exist.
pub fn validate(reserve: &Reserve) -> Result<(), Error> {
    if !is_product_id(&reserve.product_id) {
        return Err(Error::NoSuchProduct);
    }
    match reserve.quantity {
        1..=1000 => Ok(()),
        _ => Err(Error::Invalid(Problem::invalid(
            "/quantity",
            "must be 1 to 1000",
        ))),
    }
}

/// Product ids are letters, digits and hyphens; anything else can't exist.
pub fn is_product_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

impl Reservation {
    /// What a reserve gets that finds its order id taken: the same again, or a refusal.
    ///
    /// # Errors
    /// When it was given back, or is about something else.
    pub fn again(&self, reserve: &Reserve) -> Result<Self, Error> {
        if (&self.product_id, self.quantity) != (&reserve.product_id, reserve.quantity) {
            return Err(Error::Mismatch);
        }
        match self.state {
            State::Released => Err(Error::Released),
            State::Held | State::Sold => Ok(self.clone()),
        }
    }

    pub fn view(self) -> reservation::Reservation {
        reservation::Reservation {
            order_id: self.order_id,
            product_id: self.product_id,
            quantity: self.quantity,
            unit_price_minor: self.unit_price_minor,
            currency: self.currency,
            state: match self.state {
                State::Held => reservation::State::Held,
                State::Sold => reservation::State::Sold,
                State::Released => reservation::State::Released,
            },
            expires_at: self.expires_at,
        }
    }
}
