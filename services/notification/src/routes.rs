//! The routes of the notification service.
use crate::{
    App,
    error::{Error, Result},
    notification,
};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use contracts::notification::{Notification, Status};
use serde::Deserialize;
use service::{Cursor, Json, Operator, Page, Path, Place, ProblemBody, Query, Scope};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(resend))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        .with_state(app)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct List {
    /// Items per page, 1 to 500; 50 when left out.
    limit: Option<u16>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Only those in this state.
    status: Option<Status>,
}

/// The mails about your orders, newest first; all of them for an operator.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(List), responses((status = 200, body = Page<Notification>)))]
async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(List {
        limit,
        after,
        status,
    }): Query<List>,
) -> Result<Json<Page<Notification>>> {
    let cursor = Cursor { limit, after };
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let after = cursor
        .after(|text| text.parse().ok())
        .map_err(Error::Invalid)?;
    let status = status.map(|status| match status {
        Status::Pending => notification::PENDING,
        Status::Sent => notification::SENT,
        Status::Dead => notification::DEAD,
    });
    let rows = app
        .store
        .list(limit as i64 + 1, after, status, scope.owner())
        .await?;
    let items = rows
        .into_iter()
        .map(notification::Notification::view)
        .collect();
    Ok(Json(Page::new(items, limit, |n: &Notification| {
        Place {
            created_at: n.created_at,
            id: n.id,
        }
        .to_string()
    })))
}

/// Sends a mail again, under the same Message-ID.
#[utoipa::path(post, path = "/notifications/{id}/resend", tag = "notifications", params(("id" = Uuid, Path)), responses(
    (status = 202, body = Notification, description = "It will be sent"),
    (status = 404, body = ProblemBody, description = "`notification_not_found`", content_type = "application/problem+json"),
))]
async fn resend(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<Notification>)> {
    let mut found = app
        .store
        .resend(id, db::now())
        .await?
        .ok_or(Error::NotFound)?;
    if app.mailer.is_none() {
        // The mailbox takes it at once.
        app.store.sent(id, 0).await?;
        notification::SENT.clone_into(&mut found.status);
        app.metrics.count("sent", 1);
    } else {
        app.due.notify_one();
    }
    Ok((StatusCode::ACCEPTED, Json(found.view())))
}
