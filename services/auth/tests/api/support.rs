//! A replica under test, and people who use it.
use auth::{App, Config};
use axum::Router;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Parser as _;
use contracts::auth::{Claims, Jwks, Role, TokenHeader, Tokens};
use db::{Db, with_db};
use prometheus_client::{encoding::text::encode, registry::Registry};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use service::{
    Identity, IdentityKey,
    testing::{Answer, call, call_as, call_with},
};
use std::net::IpAddr;
use uuid::Uuid;

pub const PASSWORD: &str = "correct horse battery";
/// Cheap hashes, so that tests are quick.
const CHEAP: [&str; 2] = ["--argon2-memory-kib=64", "--argon2-passes=1"];

/// One replica of auth.
pub struct Replica {
    pub router: Router,
    registry: Registry,
}

impl Replica {
    pub async fn new(db: &Db) -> Self {
        Self::with(db, &[]).await
    }

    pub async fn with(db: &Db, settings: &[&str]) -> Self {
        Self::try_with(db, settings).await.expect("a replica")
    }

    pub async fn try_with(db: &Db, settings: &[&str]) -> anyhow::Result<Self> {
        // Later ones win.
        let given = |name: &str| settings.iter().any(|s| s.starts_with(name));
        let cheap = CHEAP
            .iter()
            .filter(|s| !given(s.split('=').next().expect("a name")));
        let settings: Vec<_> = ["auth"].iter().chain(cheap).chain(settings).collect();
        let config = Config::try_parse_from(settings).expect("valid settings");
        let mut registry = telemetry::registry();
        let app = App::new(&config, db.clone(), &mut registry).await?;
        let router = auth::router(app, &config, &mut registry);
        Ok(Self { router, registry })
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        call(&self.router, "POST", path, body).await
    }

    pub async fn get(&self, who: Identity, path: &str) -> Answer {
        call_as(&self.router, who, "GET", path, Value::Null).await
    }

    pub async fn change(&self, who: Identity, change: Value) -> Answer {
        call_as(&self.router, who, "PATCH", "/auth/me", change).await
    }

    pub async fn register(&self, username: &str) -> Identity {
        let new = json!({"username": username, "password": PASSWORD});
        let profile = self.post("/auth/register", new).await.expect(201);
        let id = profile["id"].as_str().and_then(|id| id.parse().ok());
        Identity::User(id.expect("an id"))
    }

    pub async fn try_login(&self, username: &str, password: &str) -> Answer {
        let login = json!({"username": username, "password": password});
        self.post("/auth/login", login).await
    }

    /// The same from an address.
    pub async fn try_login_from(&self, address: &str, username: &str, password: &str) -> Answer {
        let login = json!({"username": username, "password": password}).to_string();
        let key = IdentityKey::new(b"development");
        let address: IpAddr = address.parse().expect("an address");
        let address = key.client_address(address, db::now());
        let address = [("x-client-address", address.to_str().expect("ASCII"))];
        call_with(&self.router, "POST", "/auth/login", &login, &address).await
    }

    pub async fn login(&self, username: &str) -> Tokens {
        let tokens = self.try_login(username, PASSWORD).await.expect(200);
        serde_json::from_value(tokens).expect("tokens")
    }

    pub async fn try_refresh(&self, token: &str) -> Answer {
        self.post("/auth/refresh", json!({"refresh_token": token}))
            .await
    }

    pub async fn refresh(&self, token: &str) -> Tokens {
        // A busy machine's database may be behind; a repeat is safe.
        let mut answer = self.try_refresh(token).await;
        for _ in 0..50 {
            if answer.status != 503 {
                break;
            }
            answer = self.try_refresh(token).await;
        }
        serde_json::from_value(answer.expect(200)).expect("tokens")
    }

    pub async fn jwks(&self) -> Jwks {
        let jwks = self
            .get(Identity::Anonymous, "/.well-known/jwks.json")
            .await;
        serde_json::from_value(jwks.expect(200)).expect("keys")
    }

    /// Of a counter with these labels; 0 when there is none.
    pub fn count(&self, name: &str, labels: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics encode");
        let line = format!("{name}{labels} ");
        let value = text.lines().find_map(|l| l.strip_prefix(&line));
        value.map_or(0, |v| v.parse().expect("a number"))
    }

    pub fn logins(&self, outcome: &str) -> u64 {
        let labels = format!(r#"{{action="login",outcome="{outcome}"}}"#);
        self.count("auth_attempts_total", &labels)
    }
}

/// The claims of a token that one of these keys has signed.
pub fn read(token: &str, jwks: &Jwks) -> (TokenHeader, Claims) {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let header: TokenHeader = serde_json::from_slice(&decode(header)).expect("a header");
    let key = jwks.keys.iter().find(|key| key.kid == header.kid);
    let key = decode(&key.expect("a published key").x);
    let key = UnparsedPublicKey::new(&ED25519, key);
    let good = key.verify(signed.as_bytes(), &decode(signature));
    good.expect("a good signature");
    (
        header,
        serde_json::from_slice(&decode(claims)).expect("claims"),
    )
}

pub fn id(who: Identity) -> Uuid {
    who.user_id().expect("an account")
}

pub fn role(profile: &Value) -> Role {
    serde_json::from_value(profile["role"].clone()).expect("a role")
}

/// Makes something happen that takes days.
pub async fn sql(db: &Db, statement: &'static str) {
    with_db!(&db.writer, |pool| sqlx::query(statement)
        .execute(pool)
        .await
        .map(drop))
    .expect("a valid statement");
}

/// One text from the database.
pub async fn text(db: &Db, query: &'static str) -> String {
    with_db!(&db.reader, |pool| sqlx::query_scalar(query)
        .fetch_one(pool)
        .await)
    .expect("one row")
}
