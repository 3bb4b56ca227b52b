//! Everything that can go wrong here, and what the caller is told.
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use service::Problem;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid request")]
    Invalid(Problem),
    #[error("no such product")]
    NoSuchProduct,
    #[error("sold out")]
    SoldOut,
    #[error("the reservation was given back")]
    Released,
    #[error("the order id is reserved for something else")]
    Mismatch,
    #[error("order: {0}")]
    Order(Arc<client::Error>),
    #[error("database: {0}")]
    Database(Arc<sqlx::Error>),
    #[error("the batch was lost")]
    Batch,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        Self::Order(Arc::new(error))
    }
}

impl From<db::Refused> for Error {
    fn from(_: db::Refused) -> Self {
        Self::Batch
    }
}

impl Error {
    /// Label of the metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::NoSuchProduct => "invalid",
            Self::SoldOut => "sold_out",
            Self::Released | Self::Mismatch => "refused",
            Self::Order(_) | Self::Database(_) | Self::Batch => "error",
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problem) => problem,
            Error::NoSuchProduct => Self::new(
                StatusCode::NOT_FOUND,
                "product_not_found",
                "There is no such product",
            ),
            Error::SoldOut => Self::new(
                StatusCode::CONFLICT,
                "sold_out",
                "Not enough pieces are left",
            ),
            Error::Released => Self::new(
                StatusCode::CONFLICT,
                "reservation_released",
                "This reservation was given back",
            ),
            Error::Mismatch => Self::new(
                StatusCode::CONFLICT,
                "reservation_mismatch",
                "This order id is reserved for something else",
            ),
            Error::Order(e) => Self::unavailable("order", &*e),
            Error::Database(e) if db::is_full(&e) => {
                Self::storage_full("the inventory database", &*e)
            }
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable("the inventory database", &*e)
            }
            Error::Database(e) => Self::internal(&*e),
            Error::Batch => Self::internal(&error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
