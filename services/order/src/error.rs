//! Everything that can go wrong with an order, and what the caller is told.
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use service::Problem;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid order")]
    Invalid(Problem),
    #[error("the key was used for another order")]
    KeyReused,
    #[error("no such order")]
    NotFound,
    #[error("no such product")]
    NoSuchProduct,
    #[error("sold out")]
    SoldOut,
    #[error("the hold expired before the order was recorded")]
    Expired,
    #[error("the total is out of range")]
    TotalOutOfRange,
    #[error("inventory: {0}")]
    Inventory(#[from] client::Error),
    #[error("database: {0}")]
    Database(Arc<sqlx::Error>),
    #[error("the batch was lost")]
    Batch(#[from] db::Refused),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl Error {
    /// Label of the metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::TotalOutOfRange | Self::NoSuchProduct => "invalid",
            Self::KeyReused => "key_reused",
            Self::NotFound => "not_found",
            Self::SoldOut => "sold_out",
            Self::Expired => "expired",
            Self::Inventory(_) | Self::Database(_) | Self::Batch(_) => "error",
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problem) => problem,
            Error::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key belongs to another order",
            ),
            Error::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "order_not_found",
                "There is no such order",
            ),
            Error::NoSuchProduct => {
                let mut problem = Self::invalid("/product_id", "there is no such product");
                problem.code = "product_not_found";
                problem
            }
            Error::SoldOut => Self::new(
                StatusCode::CONFLICT,
                "sold_out",
                "Not enough pieces are left",
            ),
            Error::Expired => Self::new(
                StatusCode::CONFLICT,
                "order_expired",
                "This order took too long to arrive",
            )
            .detail("nothing was bought; order again with a new Idempotency-Key"),
            Error::TotalOutOfRange => Self::invalid("/quantity", "the total is out of range"),
            Error::Inventory(e) => Self::unavailable("inventory", &e),
            Error::Database(e) if db::is_full(&e) => Self::storage_full("the order database", &*e),
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable("the order database", &*e)
            }
            Error::Database(e) => Self::internal(&*e),
            Error::Batch(e) => Self::internal(&e),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
