//! Everything that can go wrong here, and what the caller is told.
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use service::Problem;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid request")]
    Invalid(Problem),
    #[error("no such notification")]
    NotFound,
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problem) => problem,
            Error::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "notification_not_found",
                "There is no such notification",
            ),
            Error::Database(e) if db::is_full(&e) => {
                Self::storage_full("the notification database", &e)
            }
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable("the notification database", &e)
            }
            Error::Database(e) => Self::internal(&e),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
