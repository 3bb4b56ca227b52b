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
    #[error("the key was used for another account")]
    KeyReused,
    #[error("the name is taken, or looks like one that is")]
    Taken,
    #[error("no account with this name and password")]
    WrongLogin,
    #[error("not the present password")]
    WrongPassword,
    #[error("no such session")]
    InvalidRefresh,
    /// Of an inside route.
    #[error("not the secret of this platform")]
    WrongSecret,
    #[error("too many attempts")]
    Limited { retry_after: u32 },
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("the account is gone")]
    Gone,
    #[error("{0}")]
    Hash(String),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Invalid(problem)
    }
}

impl Error {
    /// Label of the metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::KeyReused => "invalid",
            Self::Taken => "taken",
            Self::WrongLogin | Self::WrongPassword | Self::InvalidRefresh | Self::WrongSecret => {
                "refused"
            }
            Self::Limited { .. } => "limited",
            Self::Busy => "busy",
            Self::Gone | Self::Hash(_) | Self::Database(_) => "error",
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
                "This Idempotency-Key belongs to another account",
            ),
            Error::Taken => Self::new(
                StatusCode::CONFLICT,
                "username_taken",
                "This name is taken, or looks like one that is",
            ),
            Error::WrongLogin => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_credentials",
                "There is no account with this name and password",
            ),
            Error::WrongPassword => {
                let mut problem = Self::invalid("/current_password", "is not your password");
                problem.code = "wrong_password";
                problem
            }
            Error::InvalidRefresh => Self::new(
                StatusCode::UNAUTHORIZED,
                "invalid_refresh_token",
                "This session has ended",
            )
            .detail("log in again"),
            Error::WrongSecret | Error::Gone => Self::unauthorized(),
            Error::Limited { retry_after } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_attempts",
                "Too many attempts",
            )
            .retry_after(retry_after),
            Error::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many logins at once",
            )
            .retry_after(1),
            Error::Database(e) if db::is_unavailable(&e) => {
                Self::unavailable("the auth database", &e)
            }
            error @ (Error::Hash(_) | Error::Database(_)) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
