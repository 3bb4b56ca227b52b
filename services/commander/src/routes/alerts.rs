//! The inbox of alerts: told by Alertmanager, read and acknowledged by the operator.
use super::OPERATOR;
use crate::{
    App,
    alert::{Alert, State as AlertState, Webhook},
    error::{Error, Result},
};
use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};
use serde::Deserialize;
use service::{Cursor, Json, Operator, Page, Path, Place, Problem, ProblemBody, Query};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Who knows the token, where one is asked for.
pub struct Alertmanager;

impl FromRequestParts<App> for Alertmanager {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Some(token) = &app.alert_token else {
            return Ok(Self);
        };
        let given = parts.headers.get(AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // How long it takes to compare hashes tells nothing of the token.
        let same = |given| Sha256::digest(given) == Sha256::digest(token.expose());
        match given.is_some_and(same) {
            true => Ok(Self),
            false => Err(Problem::unauthorized()),
        }
    }
}

/// For Alertmanager alone: not in the documentation, and not passed on by the gateway.
pub async fn receive(
    State(app): State<App>,
    _: Alertmanager,
    Json(webhook): Json<Webhook>,
) -> Result<StatusCode> {
    let alerts = webhook.alerts().map_err(Error::Invalid)?;
    app.store.tell(&alerts).await?;
    app.changes.send_replace(());
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct List {
    /// Items per page, 1 to 500; 50 when left out.
    limit: Option<u16>,
    /// The `next` of the page before.
    after: Option<String>,
    /// `firing` or `resolved`; all when left out.
    #[param(value_type = Option<String>)]
    state: Option<AlertState>,
}

/// What Alertmanager has told, newest first; the last 90 days.
#[utoipa::path(get, path = "/ops/alerts", tag = "ops", params(List), responses((status = 200, body = Page<Alert>)))]
pub async fn list(
    State(app): State<App>,
    _: Operator,
    Query(list): Query<List>,
) -> Result<Json<Page<Alert>>> {
    let cursor = Cursor {
        limit: list.limit,
        after: list.after,
    };
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let after = cursor.after(|text| text.parse().ok());
    let after = after.map_err(Error::Invalid)?;
    let alerts = app
        .store
        .alerts(limit as i64 + 1, after, list.state)
        .await?;
    Ok(Json(Page::new(alerts, limit, |alert| {
        let place = Place {
            created_at: alert.starts_at,
            id: alert.id,
        };
        place.to_string()
    })))
}

/// Say that you have seen an alert. The first one to say so stays.
#[utoipa::path(post, path = "/ops/alerts/{id}/acknowledge", tag = "ops", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Alert),
    (status = 404, body = ProblemBody, description = "`alert_not_found`", content_type = "application/problem+json"),
))]
pub async fn acknowledge(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<Alert>> {
    let alert = app.store.acknowledge(id, OPERATOR, db::now()).await?;
    let alert = alert.ok_or(Error::AlertNotFound)?;
    app.changes.send_replace(());
    Ok(Json(alert))
}
