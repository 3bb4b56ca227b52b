//! New accounts and new passwords.
use crate::{
    App,
    error::{Error, Result},
    login, password,
    user::{self, Change, User, Username},
};
use contracts::auth::{OPERATOR, Role};
use serde::Deserialize;
use service::Problem;
use std::net::IpAddr;
use uuid::Uuid;

/// Somebody who wants an account.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// 3 to 32 letters, digits, '.', '_' and '-', of one script.
    #[schema(example = "ada")]
    pub username: String,
    /// 8 to 1024 bytes.
    #[schema(min_length = 8, max_length = 1024)]
    pub password: String,
}

/// Makes an account; the same again for a key that has one.
pub async fn register(app: &App, key: Option<&str>, new: Register) -> Result<User> {
    let name = Username::parse(&new.username)?;
    password::check("/password", &new.password, &name.text)?;
    let id = key.map_or_else(Uuid::now_v7, |key| user::id_for(&app.secret, key));
    let taken = app.store.by_skeleton(&name.skeleton).await?;
    if let Some(taken) = taken {
        return repeat(taken, id, &name);
    }
    let user = account(app, id, &name, new.password, Role::User).await?;
    if app.store.add_user(&user, &name).await? {
        return Ok(user);
    }
    // Somebody was faster, or the key has another account.
    let taken = app.store.by_skeleton(&name.skeleton).await?;
    repeat(taken.ok_or(Error::KeyReused)?, id, &name)
}

/// The account of the same key, or a conflict.
fn repeat(taken: User, id: Uuid, name: &Username) -> Result<User> {
    match taken.id == id && taken.username == name.text {
        true => Ok(taken),
        false => Err(Error::Taken),
    }
}

async fn account(
    app: &App,
    id: Uuid,
    name: &Username,
    password: String,
    role: Role,
) -> Result<User> {
    Ok(User {
        id,
        username: name.text.clone(),
        display_name: name.text.clone(),
        email: None,
        avatar: None,
        password: app.hasher.hash(password).await?,
        role: role.as_str().to_owned(),
        created_at: db::now(),
    })
}

/// The hash of a new password, after the present one was proven.
pub async fn new_password(
    app: &App,
    id: Uuid,
    change: &Change,
    new: &str,
    address: Option<IpAddr>,
) -> Result<String> {
    let missing = || Problem::invalid("/current_password", "is needed for a new password");
    let current = change.current_password.clone().ok_or_else(missing)?;
    let user = app.store.by_id(id).await?.ok_or(Error::Gone)?;
    password::check("/password", new, &user.username)?;
    login::confirm(app, id, current, address).await?;
    app.hasher.hash(new.to_owned()).await
}

/// The account that looks after the platform.
pub async fn operator(app: &App) -> Result<User> {
    let user = app.store.by_skeleton(&user::look(OPERATOR)).await?;
    user.ok_or(Error::Gone)
}

/// Makes the operator's account at the first start. Replicas may do this at once.
///
/// # Errors
/// When the database is away or the password is refused.
pub async fn ensure_operator(app: &App, password: Option<&str>) -> anyhow::Result<()> {
    let name = Username::parse(OPERATOR).expect("a valid name");
    if app.store.by_skeleton(&name.skeleton).await?.is_some() {
        return Ok(());
    }
    let Some(password) = password else {
        tracing::warn!("there is no operator: set OPERATOR_PASSWORD and start again to make one");
        return Ok(());
    };
    if let Err(problem) = password::check("", password, &name.text) {
        let why = problem.errors.first().map_or("", |e| e.detail.as_str());
        anyhow::bail!("OPERATOR_PASSWORD {why}");
    }
    let id = Uuid::now_v7();
    let user = account(app, id, &name, password.to_owned(), Role::Operator).await?;
    if app.store.add_user(&user, &name).await? {
        tracing::info!("made the operator's account");
    }
    Ok(())
}
