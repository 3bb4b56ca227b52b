//! The one file in an uploaded form (`multipart/form-data`, RFC 7578). Names and types that the client
//! gives are not looked at.
use crate::error::{Error, Result};
use axum::{
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;
use contracts::image::MAX_BYTES;
use futures::stream;
use http_body_util::BodyExt as _;
use multer::{Constraints, Multipart, SizeLimit};
use service::Problem;
use std::convert::Infallible;

const FIELD: &str = "file";

/// The content of the field `file`.
pub struct File(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for File {
    type Rejection = Error;
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(refused)?;
        // `layers` has read the body already, within its limits of size and time.
        let body = request.into_body().collect().await;
        let body = body.map_err(|e| Error::Ours(e.to_string()))?.to_bytes();
        read(body, boundary).await.map(Self)
    }
}

async fn read(body: Bytes, boundary: String) -> Result<Bytes> {
    let limits = SizeLimit::new().per_field(MAX_BYTES as u64);
    let body = stream::iter([Ok::<_, Infallible>(body)]);
    let constraints = Constraints::new().size_limit(limits);
    let mut form = Multipart::with_constraints(body, boundary, constraints);
    let other = || {
        Error::Form(Problem::invalid(
            "",
            "must be one file, in a field named file",
        ))
    };
    let field = form.next_field().await.map_err(refused)?;
    let field = field
        .filter(|f| f.name() == Some(FIELD))
        .ok_or_else(other)?;
    let file = field.bytes().await.map_err(refused)?;
    match form.next_field().await.map_err(refused)? {
        Some(_) => Err(other()),
        None => Ok(file),
    }
}

fn refused(error: multer::Error) -> Error {
    Error::Form(match error {
        multer::Error::NoMultipart
        | multer::Error::NoBoundary
        | multer::Error::DecodeContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_multipart",
            "The body must be multipart/form-data",
        ),
        multer::Error::FieldSizeExceeded { .. } => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The file is too large",
        )
        .detail(format!("at most {MAX_BYTES} bytes are accepted")),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_multipart",
            "The form can't be read",
        ),
    })
}
