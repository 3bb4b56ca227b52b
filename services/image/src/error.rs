//! Everything that can go wrong here, and what the caller is told.
use crate::decode::{MAX_PIXELS, MAX_SIDE};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use service::Problem;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the form is refused")]
    Form(Problem),
    #[error("neither JPEG, PNG nor WebP")]
    NotAPicture,
    #[error("an animation")]
    Animated,
    #[error("too many pixels")]
    TooManyPixels,
    #[error("the re-encoded picture is too large")]
    TooDetailed,
    #[error("a broken picture")]
    Broken,
    #[error("no such picture")]
    NoSuchPicture,
    #[error("no time to decode the picture")]
    Busy,
    #[error("store: {0}")]
    Store(#[from] object_store::Error),
    #[error("{0}")]
    Ours(String),
}

impl Error {
    /// Label of the metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Form(_) => "invalid_form",
            Self::NotAPicture => "not_a_picture",
            Self::Animated => "animated",
            Self::TooManyPixels | Self::TooDetailed => "too_large",
            Self::Broken => "broken",
            Self::Busy => "busy",
            Self::NoSuchPicture | Self::Store(_) | Self::Ours(_) => "error",
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let refused = |code, title| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title);
        match error {
            Error::Form(problem) => problem,
            Error::NotAPicture => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_a_picture",
                "Only JPEG, PNG and WebP are taken",
            )
            .detail("what counts is the content of the file, not its name"),
            Error::Animated => refused("animated_image", "Animations are not taken"),
            Error::TooManyPixels => refused("image_too_large", "The picture has too many pixels")
                .detail(format!(
                    "at most {MAX_SIDE} pixels on a side and {MAX_PIXELS} in all are taken, fewer with \
                     transparency, of WebP, and of JPEG that is progressive or lies on its side"
                )),
            Error::TooDetailed => refused("image_too_large", "The picture has too much detail"),
            Error::Broken => refused("broken_image", "The picture can't be decoded"),
            Error::NoSuchPicture => Self::not_found(),
            Error::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too many pictures at once",
            )
            .retry_after(2),
            Error::Store(e) => Self::unavailable("the picture store", &e),
            Error::Ours(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
