//! Accounts, logins and tokens.
mod attempts;
mod config;
mod error;
mod housekeeping;
mod keys;
mod login;
mod metrics;
mod password;
mod register;
mod routes;
mod session;
mod store;
mod token;
mod user;

pub use config::Config;

use db::Db;
use keys::Keys;
use metrics::Metrics;
use password::Hasher;
use prometheus_client::registry::Registry;
use ring::hmac;
use service::{Background, Faults, IdentityKey, Server, Shutdown, faults::Kind};
use session::Sessions;
use store::Store;

/// The schema of this service's database.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What handlers share.
#[derive(Clone)]
pub struct App {
    store: Store,
    hasher: Hasher,
    sessions: Sessions,
    keys: Keys,
    /// Derives what must not be guessed.
    secret: hmac::Key,
    /// Knows the secret of whoever owns the platform.
    owner: IdentityKey,
    /// Of an access token, seconds.
    expires_in: u32,
    faults: Faults,
    metrics: Metrics,
}

impl App {
    /// The app, once there are signing keys and an operator.
    ///
    /// # Errors
    /// When a setting is wrong or missing, or the database is away.
    pub async fn new(config: &Config, db: Db, registry: &mut Registry) -> anyhow::Result<Self> {
        db.register(registry);
        let store = Store::new(db);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &config.key_secret()?);
        let (age, token) = (config.signing_key(), config.access_token());
        let tokens = hmac::sign(&secret, b"refresh tokens");
        let tokens = hmac::Key::new(hmac::HMAC_SHA256, tokens.as_ref());
        let owner = config.service.identity_key();
        let app = Self {
            hasher: Hasher::new(config.hashing())?,
            sessions: Sessions::new(store.clone(), tokens, config.session()),
            keys: Keys::open(store.clone(), &secret, age, token).await?,
            owner: owner.ok_or_else(|| anyhow::anyhow!("IDENTITY_SECRET must be set"))?,
            secret,
            expires_in: config.access_token_seconds,
            faults: Faults::default(),
            metrics: Metrics::register(registry),
            store,
        };
        register::ensure_operator(&app, config.operator_password()).await?;
        Ok(app)
    }

    /// The app with keys that may be withdrawn on purpose.
    #[must_use]
    pub fn breaking(self, faults: Faults) -> Self {
        faults.offer(Kind::ExpiredKey);
        Self { faults, ..self }
    }
}

/// The API of this service.
pub fn router(app: App, config: &Config, registry: &mut Registry) -> axum::Router {
    service::layers(routes::routes(app), &config.service, registry)
}

/// The background tasks of this service.
#[must_use]
pub fn background(app: &App) -> Background {
    let mut background = Background::default();
    background.spawn("keys", |stop| app.keys.clone().run(stop));
    background.spawn("housekeeping", |stop| {
        housekeeping::run(app.store.clone(), stop)
    });
    background
}

/// Runs the service until shutdown.
///
/// # Errors
/// When a setting is wrong, or the database or the addresses can't be had.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    config.key_secret()?;
    let faults = Faults::new(&config.service);
    let db = Db::open(&config.db, "auth", &MIGRATIONS).await?;
    let db = db.behind(&faults.database());
    let mut registry = telemetry::registry();
    let app = App::new(&config, db.clone(), &mut registry).await?;
    let app = app.breaking(faults.clone());
    let router = router(app.clone(), &config, &mut registry);
    let background = background(&app);
    Server::new(config.listen, config.service, registry)
        .faults(faults)
        .check("database", move || {
            let store = app.store.clone();
            async move { Ok(store.ping().await?) }
        })
        .background(background)
        .serve(router, shutdown)
        .await?;
    db.close().await;
    Ok(())
}
