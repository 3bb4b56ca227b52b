//! The routes of the auth service.
use crate::{
    App,
    error::{Error, Result},
    login, register,
    register::Register,
    session::Refreshed,
    user::{Change, User},
};
use axum::{
    Router,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL},
    },
    routing::{get, post},
};
use contracts::auth::{Jwks, Profile, PublicProfile, Tokens};
use serde::Deserialize;
use service::{
    Account, ClientAddress, Cursor, IdempotencyKey, Json, Page, Place, ProblemBody, Query,
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Tokens must not stay in caches (RFC 6749 section 5.1).
const NO_STORE: [(HeaderName, HeaderValue); 1] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
/// Shorter than a key is published before it signs.
const JWKS_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

type Secret<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(register_account))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(me, change_me))
        .routes(routes!(users))
        .routes(routes!(jwks))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        // For the owner of the platform's secrets only; the gateway doesn't pass it on.
        .route("/auth/token", post(operator_token))
        .with_state(app)
}

/// Makes an account.
#[utoipa::path(post, path = "/auth/register", tag = "accounts", request_body = Register,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 201, body = Profile),
        (status = 409, body = ProblemBody, description = "`username_taken`", content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, description = "A field is not valid", content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, description = "Try again after `Retry-After` seconds", content_type = "application/problem+json"),
    ))]
async fn register_account(
    State(app): State<App>,
    IdempotencyKey(key): IdempotencyKey,
    Json(new): Json<Register>,
) -> Result<(StatusCode, Json<Profile>)> {
    let registered = register::register(&app, key.as_deref(), new).await;
    app.metrics.count("register", &registered);
    Ok((StatusCode::CREATED, Json(registered?.view())))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[schema(example = "ada")]
    username: String,
    password: String,
}

/// Starts a session.
#[utoipa::path(post, path = "/auth/login", tag = "accounts", request_body = Login, responses(
    (status = 200, body = Tokens),
    (status = 401, body = ProblemBody, description = "`invalid_credentials`, whether or not there is such an account", content_type = "application/problem+json"),
    (status = 429, body = ProblemBody, description = "`too_many_attempts`; try again after `Retry-After` seconds", content_type = "application/problem+json"),
))]
async fn log_in(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    Json(login): Json<Login>,
) -> Result<Secret<Tokens>> {
    let Login { username, password } = login;
    let tokens = login::log_in(&app, &username, password, address).await;
    app.metrics.count("login", &tokens);
    Ok((NO_STORE, Json(tokens?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: String,
}

/// The next tokens of a session. The refresh token is good for one use; within 10 s a repeat gets the
/// same answer, later it ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "accounts", request_body = Refresh, responses(
    (status = 200, body = Tokens),
    (status = 401, body = ProblemBody, description = "`invalid_refresh_token`", content_type = "application/problem+json"),
))]
async fn refresh(
    State(app): State<App>,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<Secret<Tokens>> {
    let tokens = match app.sessions.refresh(&refresh_token).await {
        Ok(Refreshed::Next(user, token)) => Ok(login::tokens(&app, &user, token)),
        Ok(Refreshed::Reused) => {
            app.metrics.reuse_detected.inc();
            tracing::warn!("a used refresh token came again; its session was ended");
            Err(Error::InvalidRefresh)
        }
        Err(error) => Err(error),
    };
    app.metrics.count("refresh", &tokens);
    Ok((NO_STORE, Json(tokens?)))
}

/// Ends a session. Its access tokens are good until they expire.
#[utoipa::path(post, path = "/auth/logout", tag = "accounts", request_body = Refresh, responses(
    (status = 204, description = "It is over, also if it was before"),
))]
async fn log_out(
    State(app): State<App>,
    Json(Refresh { refresh_token }): Json<Refresh>,
) -> Result<StatusCode> {
    app.sessions.end(&refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Your own account.
#[utoipa::path(get, path = "/auth/me", tag = "accounts", responses((status = 200, body = Profile)))]
async fn me(State(app): State<App>, Account(id): Account) -> Result<Json<Profile>> {
    let user = app.store.by_id(id).await?.ok_or(Error::Gone)?;
    Ok(Json(user.view()))
}

/// Changes your own account. A new password needs the present one and ends all sessions.
#[utoipa::path(patch, path = "/auth/me", tag = "accounts", request_body = Change, responses(
    (status = 200, body = Profile),
    (status = 422, body = ProblemBody, description = "A field is not valid, or `wrong_password`", content_type = "application/problem+json"),
))]
async fn change_me(
    State(app): State<App>,
    Account(id): Account,
    ClientAddress(address): ClientAddress,
    Json(change): Json<Change>,
) -> Result<Json<Profile>> {
    change.validate()?;
    let password = match &change.password {
        None => None,
        Some(password) => {
            let hashed = register::new_password(&app, id, &change, password, address).await;
            app.metrics.count("password", &hashed);
            Some(hashed?)
        }
    };
    let changed = app
        .store
        .change(id, &change, password.as_deref(), db::now());
    let user = changed.await?.ok_or(Error::Gone)?;
    Ok(Json(user.view()))
}

/// People, newest first.
#[utoipa::path(get, path = "/auth/users", tag = "accounts", params(Cursor), responses((status = 200, body = Page<PublicProfile>)))]
async fn users(
    State(app): State<App>,
    _: Account,
    Query(cursor): Query<Cursor>,
) -> Result<Json<Page<PublicProfile>>> {
    let limit = cursor.limit()?;
    let after = cursor.after(|text| text.parse().ok())?;
    let users = app.store.users(limit as i64 + 1, after).await?;
    let page = Page::new(users, limit, |u: &User| {
        Place {
            created_at: u.created_at,
            id: u.id,
        }
        .to_string()
    });
    let items = page.items.into_iter().map(User::public).collect();
    let next = page.next;
    Ok(Json(Page { items, next }))
}

/// The keys that access tokens are signed with (RFC 7517).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts", responses((status = 200, body = Jwks)))]
async fn jwks(State(app): State<App>) -> ([(HeaderName, HeaderValue); 1], Json<Jwks>) {
    ([(CACHE_CONTROL, JWKS_CACHE)], Json(app.keys.jwks()))
}

/// An operator's access token for whoever owns the platform's secrets, such as `seawall doctor`.
async fn operator_token(State(app): State<App>, headers: HeaderMap) -> Result<Secret<Tokens>> {
    let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given = given.and_then(|text| text.strip_prefix("Bearer "));
    let tokens = match given {
        Some(secret) if app.owner.is(secret) => register::operator(&app).await,
        _ => Err(Error::WrongSecret),
    };
    // Without a session behind it: the secret gives the next one.
    let tokens = tokens.map(|user| login::tokens(&app, &user, String::new()));
    app.metrics.count("token", &tokens);
    Ok((NO_STORE, Json(tokens?)))
}
