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
    #[error("chaos is disabled")]
    Disabled,
    #[error("no such replica")]
    NotFound,
    #[error("the last ready replica")]
    LastReplica,
    #[error("a replacement is on its way")]
    Busy,
    #[error("no replica is ready")]
    NotReady,
    #[error("no such fault")]
    NoFault,
    #[error("no fault of this kind there")]
    FaultNotAvailable,
    #[error("{0:#}")]
    Away(anyhow::Error),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let refuse =
            |status, code, title, detail: &str| Self::new(status, code, title).detail(detail);
        match error {
            Error::Invalid(problem) => problem,
            Error::Disabled => refuse(
                StatusCode::FORBIDDEN,
                "chaos_disabled",
                "Nothing may be broken here",
                "CHAOS_ENABLED is off, or there is no CHAOS_TOKEN",
            ),
            Error::NotFound => refuse(
                StatusCode::NOT_FOUND,
                "replica_not_found",
                "There is no such replica",
                "GET /api/ops/state names them all",
            ),
            Error::LastReplica => refuse(
                StatusCode::CONFLICT,
                "last_replica",
                "No other replica of the service is ready",
                "force kills it all the same",
            ),
            Error::Busy => refuse(
                StatusCode::CONFLICT,
                "busy",
                "A replacement is on its way",
                "a service loses one replica at a time",
            )
            .retry_after(1),
            Error::NotReady => refuse(
                StatusCode::CONFLICT,
                "replica_not_ready",
                "No such replica is ready",
                "what isn't ready is in trouble already",
            )
            .retry_after(1),
            Error::NoFault => refuse(
                StatusCode::NOT_FOUND,
                "fault_not_found",
                "There is no such fault",
                "GET /api/ops/faults names them all",
            ),
            Error::FaultNotAvailable => refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "fault_not_available",
                "This can't break in this way",
                "the service doesn't have what is to be broken",
            ),
            Error::Away(e) => Self::unavailable("a replica or the supervisor", e.as_ref()),
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable("the journal's database", &e)
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
