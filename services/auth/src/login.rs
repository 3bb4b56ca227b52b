//! Logging in and proving a password: count the attempt, hash, and only then believe.
use crate::{
    App,
    attempts::Subjects,
    error::{Error, Result},
    user::{self, User, Username},
};
use contracts::auth::{AUDIENCE, Claims, ISSUER, Tokens};
use service::faults::Kind;
use std::net::IpAddr;
use uuid::Uuid;

/// The tokens of a new session.
///
/// # Errors
/// The same for a name that isn't there and a password that is wrong, after the same work.
pub async fn log_in(
    app: &App,
    username: &str,
    password: String,
    address: Option<IpAddr>,
) -> Result<Tokens> {
    let name = Username::parse(username).ok();
    let look = name.map_or_else(|| user::look(&short(username)), |name| name.skeleton);
    let subjects = Subjects::new(&look, address);
    let user = prove(app, &subjects, password, app.store.by_skeleton(&look)).await?;
    let user = user.ok_or(Error::WrongLogin)?;
    let refresh_token = app.sessions.start(user.id).await?;
    Ok(tokens(app, &user, refresh_token))
}

/// Checks the present password of somebody who is logged in already.
///
/// # Errors
/// [`Error::WrongPassword`] when it isn't.
pub async fn confirm(app: &App, id: Uuid, password: String, address: Option<IpAddr>) -> Result<()> {
    let user = app.store.by_id(id).await?.ok_or(Error::Gone)?;
    let subjects = Subjects::new(&user::look(&user.username), address);
    let proven = prove(app, &subjects, password, async { Ok(Some(user)) }).await?;
    proven.map(drop).ok_or(Error::WrongPassword)
}

/// The user, if this is the password. Every path here takes one attempt and one hash.
async fn prove(
    app: &App,
    subjects: &Subjects,
    password: String,
    user: impl Future<Output = sqlx::Result<Option<User>>>,
) -> Result<Option<User>> {
    subjects.take(&app.store).await?;
    let user = user.await?;
    let phc = user.as_ref().map(|user| user.password.as_str());
    let right = match app.hasher.verify(password.clone(), phc).await {
        Err(Error::Busy) => {
            subjects.give_back(&app.store).await?;
            return Err(Error::Busy);
        }
        verified => verified?,
    };
    let Some(user) = user.filter(|_| right) else {
        return Ok(None);
    };
    subjects.succeeded(&app.store).await?;
    if app.hasher.is_weaker(&user.password) {
        strengthen(app, &user, password).await?;
    }
    Ok(Some(user))
}

/// Hashes a proven password anew, with the parameters of today.
async fn strengthen(app: &App, user: &User, password: String) -> Result<()> {
    match app.hasher.hash(password).await {
        Ok(phc) => app.store.rehash(user.id, &user.password, &phc).await?,
        // The next login will do.
        Err(Error::Busy) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// What a client gets.
pub fn tokens(app: &App, user: &User, refresh_token: String) -> Tokens {
    let now = db::now();
    let iat = now.timestamp();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user.id,
        role: user.role().as_str().to_owned(),
        iat,
        nbf: iat,
        exp: iat + i64::from(app.expires_in),
    };
    Tokens {
        access_token: match app.faults.is_active(Kind::ExpiredKey) {
            true => app.keys.sign_withdrawn(&claims),
            false => app.keys.sign(&claims, now),
        },
        refresh_token,
        token_type: "Bearer".to_owned(),
        expires_in: app.expires_in,
    }
}

/// Enough of a text that can't be a name.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
