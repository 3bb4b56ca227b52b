//! The routes of the image service.
use crate::{
    App, answer,
    error::{Error, Result},
    form::File,
    picture::{Id, Picture, Size},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use contracts::image::{self, Image};
use service::{Account, Json, Path, ProblemBody};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The route of uploads, whose bodies are larger than others.
pub const UPLOADS: &str = "/images";

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(full))
        .routes(routes!(rendition))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        .with_state(app)
}

#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it documents the form")]
struct Form {
    /// A JPEG, PNG or WebP of at most 5 MiB, 8,000 pixels on a side and 40 megapixels.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Stores a picture and its renditions. The same picture again is the same object.
#[utoipa::path(post, path = "/images", tag = "images",
    request_body(content = Form, content_type = "multipart/form-data"), responses(
    (status = 201, body = Image),
    (status = 401, body = ProblemBody, description = "Nobody is logged in", content_type = "application/problem+json"),
    (status = 413, body = ProblemBody, description = "More than 5 MiB", content_type = "application/problem+json"),
    (status = 415, body = ProblemBody, description = "`not_multipart`, `not_a_picture`", content_type = "application/problem+json"),
    (status = 422, body = ProblemBody, description = "`broken_image`, `image_too_large`, `animated_image`, or the form has other fields", content_type = "application/problem+json"),
    (status = 503, body = ProblemBody, description = "Too many uploads at once", content_type = "application/problem+json"),
))]
async fn upload(State(app): State<App>, _: Account, file: Result<File>) -> Result<Response> {
    let stored = async { keep(&app, file?).await };
    let stored = stored.await;
    let outcome = match &stored {
        Ok((_, false)) => "stored",
        Ok((_, true)) => "known",
        Err(error) => error.label(),
    };
    app.metrics.uploaded(outcome);
    let (picture, known) = stored?;
    let mut response = (StatusCode::CREATED, Json(view(&picture))).into_response();
    if known {
        let name = HeaderName::from_static("idempotent-replayed");
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Also tells whether it was there before.
async fn keep(app: &App, File(bytes): File) -> Result<(Picture, bool)> {
    let (picture, took) = app.darkroom.develop(bytes).await?;
    app.metrics.processing.observe(took.as_secs_f64());
    let known = app.store.has(picture.id).await?;
    if !known {
        app.store.put(&picture).await?;
    }
    Ok((picture, known))
}

fn view(picture: &Picture) -> Image {
    let id = picture.id.to_string();
    let url = image::url(&id);
    let rendition = |size: Size| (size.name().to_owned(), format!("{url}/{}", size.name()));
    Image {
        width: picture.width,
        height: picture.height,
        content_type: "image/jpeg".to_owned(),
        bytes: picture.full.len() as u64,
        renditions: Size::RENDITIONS.map(rendition).into(),
        url,
        id,
    }
}

/// A picture, without its metadata.
#[utoipa::path(get, path = "/images/{id}", tag = "images", params(("id" = String, Path)), responses(
    (status = 200, description = "The picture", content_type = "image/jpeg"),
    (status = 404, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn full(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let id = Id::parse(&id).ok_or(Error::NoSuchPicture)?;
    answer::answer(&app.shelf, id, Size::Full, &headers).await
}

/// The picture within a square of 256 or 800 pixels.
#[utoipa::path(get, path = "/images/{id}/{size}", tag = "images",
    params(("id" = String, Path), ("size" = String, Path, description = "256 or 800")), responses(
    (status = 200, description = "The picture", content_type = "image/jpeg"),
    (status = 404, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn rendition(
    State(app): State<App>,
    Path((id, size)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let id = Id::parse(&id).ok_or(Error::NoSuchPicture)?;
    let size = Size::rendition(&size).ok_or(Error::NoSuchPicture)?;
    answer::answer(&app.shelf, id, size, &headers).await
}
