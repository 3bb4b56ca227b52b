//! Everything that can go wrong with a request here, and what the caller is told.
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
    #[error("the key belongs to another job")]
    KeyReused,
    #[error("no such job")]
    NotFound,
    #[error(transparent)]
    Queue(#[from] queue::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(problem) => problem,
            Error::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This Idempotency-Key belongs to another job",
            ),
            Error::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                "job_not_found",
                "There is no such job",
            ),
            Error::Queue(queue::Error::Cursor) => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_query",
                "The query string is not valid",
            )
            .detail("after is not a cursor of this list"),
            Error::Queue(e) => Self::unavailable("the queue", &e),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
