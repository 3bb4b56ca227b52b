//! The routes of the inventory service.
use crate::{
    App,
    error::{Error, Result},
    sweep,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header::AGE},
    routing::{get, post},
};
use contracts::{
    product::{Product, Stock},
    reservation::{Reservation, Reserve, Swept},
};
use serde::Deserialize;
use service::{Cursor, Json, Page, Path, Problem, ProblemBody, Query};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(set_stock))
        .routes(routes!(stock))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        // For other services only; the gateway doesn't pass these on.
        .route("/reservations", post(reserve))
        .route("/reservations/sweep", post(sweep_now))
        .with_state(app)
}

/// Products by id.
#[utoipa::path(get, path = "/products", tag = "products", params(Cursor), responses(
    (status = 200, body = Page<Product>, description = "With `Age` and `Warning` when the database is away and this is a copy"),
))]
async fn list(
    State(app): State<App>,
    Query(cursor): Query<Cursor>,
) -> Result<(HeaderMap, Json<Page<Product>>)> {
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let asked = format!("?{limit}&{}", cursor.after.as_deref().unwrap_or(""));
    let read = app
        .store
        .products(limit as i64 + 1, cursor.after.as_deref())
        .await;
    let (headers, products) = or_copy(&app, &asked, read)?;
    Ok((headers, Json(Page::new(products, limit, |p| p.id.clone()))))
}

/// One product.
#[utoipa::path(get, path = "/products/{id}", tag = "products", params(("id" = String, Path, example = "PROD-001")), responses(
    (status = 200, body = Product),
    (status = 404, body = ProblemBody, description = "`product_not_found`", content_type = "application/problem+json"),
))]
async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<(HeaderMap, Json<Product>)> {
    check_id(&id)?;
    let read = app
        .store
        .product(&id)
        .await
        .map(|product| product.into_iter().collect());
    let (headers, products) = or_copy(&app, &id, read)?;
    let product = products.into_iter().next().ok_or(Error::NoSuchProduct)?;
    Ok((headers, Json(product)))
}

/// What was read, or the last copy while the database is away (RFC 9111: `Age`, and `Warning` 110 for old clients).
fn or_copy(
    app: &App,
    asked: &str,
    read: sqlx::Result<Vec<Product>>,
) -> Result<(HeaderMap, Vec<Product>)> {
    let mut headers = HeaderMap::new();
    match read {
        Ok(products) => {
            if !products.is_empty() {
                app.shelf.remember(asked, &products);
            }
            Ok((headers, products))
        }
        Err(error) => {
            let Some((age, products)) = app
                .shelf
                .recall(asked)
                .filter(|_| db::is_unavailable(&error))
            else {
                return Err(error.into());
            };
            headers.insert(AGE, age.as_secs().into());
            headers.insert(
                HeaderName::from_static("warning"),
                HeaderValue::from_static("110 - \"Response is Stale\""),
            );
            app.metrics.count("read", "stale", 1);
            Ok((headers, products))
        }
    }
}

/// Ids are letters, digits and hyphens; anything else can't exist.
fn check_id(id: &str) -> Result<()> {
    let ok =
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if ok {
        Ok(())
    } else {
        Err(Error::NoSuchProduct)
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SetStock {
    /// Pieces that can be bought from now on.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    available: i64,
}

/// Sets how many pieces are available.
#[utoipa::path(put, path = "/products/{id}/stock", tag = "products", params(("id" = String, Path, example = "PROD-001")),
    request_body = SetStock, responses(
    (status = 200, body = Product),
    (status = 404, body = ProblemBody, description = "`product_not_found`", content_type = "application/problem+json"),
    (status = 422, body = ProblemBody, description = "A field is not valid", content_type = "application/problem+json"),
))]
async fn set_stock(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(set): Json<SetStock>,
) -> Result<Json<Product>> {
    check_id(&id)?;
    if !(0..=1_000_000_000).contains(&set.available) {
        return Err(Error::Invalid(Problem::invalid(
            "/available",
            "must be 0 to 1000000000",
        )));
    }
    let product = app.store.set_available(&id, set.available).await?;
    app.metrics.count(
        "set_stock",
        if product.is_some() { "ok" } else { "invalid" },
        1,
    );
    product.map(Json).ok_or(Error::NoSuchProduct)
}

/// Where every piece of every product is, at one moment.
#[utoipa::path(get, path = "/stock", tag = "products", responses((status = 200, body = Page<Stock>)))]
async fn stock(State(app): State<App>) -> Result<Json<Page<Stock>>> {
    Ok(Json(Page {
        items: app.store.stock().await?,
        next: None,
    }))
}

async fn reserve(
    State(app): State<App>,
    Json(reserve): Json<Reserve>,
) -> Result<Json<Reservation>> {
    let outcome = app.reserver.reserve(reserve).await;
    app.metrics.count(
        "reserve",
        outcome.as_ref().map_or_else(Error::label, |_| "ok"),
        1,
    );
    outcome.map(|reservation| Json(reservation.view()))
}

async fn sweep_now(State(app): State<App>) -> Result<Json<Swept>> {
    sweep::sweep(&app).await.map(Json)
}
