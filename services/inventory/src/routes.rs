//! The routes of the inventory service.
use crate::{
    App,
    error::{Error, Result},
    product::NewProduct,
    reservation::is_product_id,
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
use service::{Cursor, Json, Operator, Page, Path, Problem, ProblemBody, Query};
use std::{future::Future, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long the database may take to answer where there is a copy: less than callers wait for us.
const PATIENCE: Duration = Duration::from_millis(500);

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put))
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
    let after = cursor
        .after(|id| is_product_id(id).then(|| id.to_owned()))
        .map_err(Error::Invalid)?;
    let asked = format!("?{limit}&{}", after.as_deref().unwrap_or(""));
    let read = app.store.products(limit as i64 + 1, after.as_deref());
    let (headers, products) = or_copy(&app, &asked, read).await?;
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
    let read = async {
        let product = app.store.product(&id).await?;
        Ok(product.into_iter().collect())
    };
    let (headers, products) = or_copy(&app, &id, read).await?;
    let product = products.into_iter().next().ok_or(Error::NoSuchProduct)?;
    Ok((headers, Json(product)))
}

/// What was read, or the last copy while the database is away (RFC 9111: `Age`, and `Warning` 110 for old clients).
async fn or_copy(
    app: &App,
    asked: &str,
    read: impl Future<Output = sqlx::Result<Vec<Product>>>,
) -> Result<(HeaderMap, Vec<Product>)> {
    let copy = app.shelf.recall(asked);
    // A copy now beats the truth after the caller has given up.
    let patience = copy.as_ref().map_or(Duration::MAX, |_| PATIENCE);
    let read = tokio::time::timeout(patience, read).await;
    let error = match read.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(products) => {
            if !products.is_empty() {
                app.shelf.remember(asked, &products);
            }
            return Ok((HeaderMap::new(), products));
        }
        Err(error) => error,
    };
    let Some((age, products)) = copy.filter(|_| db::is_unavailable(&error)) else {
        return Err(error.into());
    };
    app.metrics.count("read", "stale", 1);
    let stale = HeaderValue::from_static("110 - \"Response is Stale\"");
    let headers = [
        (AGE, age.as_secs().into()),
        (HeaderName::from_static("warning"), stale),
    ];
    Ok((headers.into_iter().collect(), products))
}

fn check_id(id: &str) -> Result<()> {
    is_product_id(id).then_some(()).ok_or(Error::NoSuchProduct)
}

/// Adds a product, with nothing in stock, or changes what is said of it.
#[utoipa::path(put, path = "/products/{id}", tag = "products", params(("id" = String, Path, example = "PROD-006")),
    request_body = NewProduct, responses(
    (status = 200, body = Product),
    (status = 404, body = ProblemBody, description = "`product_not_found`: such an id can't exist", content_type = "application/problem+json"),
    (status = 422, body = ProblemBody, description = "A field is not valid", content_type = "application/problem+json"),
))]
async fn put(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<String>,
    Json(product): Json<NewProduct>,
) -> Result<Json<Product>> {
    check_id(&id)?;
    product.validate().map_err(Error::Invalid)?;
    let stored = app.store.put_product(&id, &product).await?;
    app.metrics.count("put_product", "ok", 1);
    Ok(Json(stored))
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
    _: Operator,
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
async fn stock(State(app): State<App>, _: Operator) -> Result<Json<Page<Stock>>> {
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
