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
    #[error("no such service")]
    NoSuchService,
    #[error("a rollout is on its way")]
    RollingOut,
    #[error("no such alert")]
    AlertNotFound,
    #[error("the last ready replica")]
    LastReplica,
    #[error("a replacement is on its way")]
    Busy,
    #[error("{0}")]
    Occupied(&'static str),
    #[error("no such drill")]
    NoDrill,
    #[error("no such run")]
    NoRun,
    #[error("no exercise")]
    NoExercise,
    #[error("drill: {0:#}")]
    Drill(anyhow::Error),
    #[error("not available here")]
    NotAvailableHere,
    #[error("no replica is ready")]
    NotReady,
    #[error("no such fault")]
    NoFault,
    #[error("no fault of this kind there")]
    FaultNotAvailable,
    #[error("{0:#}")]
    Away(anyhow::Error),
    #[error("cluster: {0:#}")]
    #[cfg(feature = "kubernetes")]
    ClusterAway(anyhow::Error),
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
            Error::NoSuchService => refuse(
                StatusCode::NOT_FOUND,
                "service_not_found",
                "There is no such service",
                "GET /api/ops/state names them all",
            ),
            Error::RollingOut => refuse(
                StatusCode::CONFLICT,
                "busy",
                "A rollout is on its way",
                "there is one at a time",
            )
            .retry_after(1),
            Error::AlertNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "alert_not_found",
                "There is no such alert",
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
            Error::Occupied(by) => {
                refuse(StatusCode::CONFLICT, "busy", "Another one is under way", by).retry_after(5)
            }
            Error::NoDrill => refuse(
                StatusCode::NOT_FOUND,
                "drill_not_found",
                "There is no such drill",
                "GET /api/ops/drills names them all",
            ),
            Error::NoRun => refuse(
                StatusCode::NOT_FOUND,
                "run_not_found",
                "There is no such run",
                "GET /api/ops/drills/runs names the last ones",
            ),
            Error::NoExercise => refuse(
                StatusCode::CONFLICT,
                "no_exercise",
                "No exercise is under way",
                "POST /api/ops/drills/any/break begins one",
            ),
            Error::Drill(e) => Self::unavailable("the platform", e.as_ref()),
            Error::NotAvailableHere => refuse(
                StatusCode::NOT_IMPLEMENTED,
                "not_available_here",
                "This can't be done here",
                "this environment has no way to do it yet",
            ),
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
            #[cfg(feature = "kubernetes")]
            Error::ClusterAway(e) => Self::unavailable("the cluster's API", e.as_ref()),
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
