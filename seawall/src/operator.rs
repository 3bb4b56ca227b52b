//! An operator's access token, for the commands that look after a platform.
use crate::{http, services};
use ::http::header::AUTHORIZATION;
use anyhow::{Context as _, bail, ensure};
use control::{Client, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{env, fs, path::Path};

/// Logs in with the password where there is one. Else, by the right of whoever may read the data
/// folder's secrets, asks a replica of auth, at the address that the supervisor tells.
///
/// # Errors
/// When neither leads to a token.
pub async fn token(url: &str, data: &Path, password: Option<&str>) -> anyhow::Result<String> {
    match password.filter(|password| !password.is_empty()) {
        Some(password) => log_in(url, password).await,
        None => owned(data).await,
    }
}

async fn log_in(url: &str, password: &str) -> anyhow::Result<String> {
    let login = json!({ "username": "operator", "password": password });
    let answer = http::post(&format!("{url}/api/auth/login"), &[], &login).await;
    read(answer.context("logging in")?).context("logging in as operator")
}

async fn owned(data: &Path) -> anyhow::Result<String> {
    let needs =
        "needs the operator: set OPERATOR_PASSWORD, or give the platform's folder with --data";
    let secret = secret(data).context(needs)?;
    let header = (AUTHORIZATION, &*format!("Bearer {secret}"));
    let replicas = Client::of(data).list().await.context(needs)?;
    let ready = |r: &control::Replica| r.service == services::ACCOUNTS && r.state == State::Ready;
    let mut last = None;
    for replica in replicas.into_iter().filter(ready) {
        let path = format!("{}/auth/token", replica.api);
        match http::post(&path, std::slice::from_ref(&header), &Value::Null).await {
            Ok(answer) => return read(answer).context("asking for an operator's token"),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error.context("asking for an operator's token")),
        None => bail!("no replica of auth is ready"),
    }
}

/// What the platform's processes share, as `seawall up` got or made it.
fn secret(data: &Path) -> anyhow::Result<String> {
    if let Some(secret) = env::var_os("IDENTITY_SECRET") {
        return secret
            .into_string()
            .ok()
            .context("IDENTITY_SECRET is not text");
    }
    let file = env::var_os("IDENTITY_SECRET_FILE");
    let file = file.map_or_else(|| data.join("secrets/identity"), Into::into);
    let text =
        fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
    Ok(text.trim().to_owned())
}

fn read(answer: http::Answer) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Tokens {
        access_token: String,
    }
    ensure!(answer.status == 200, "{answer}");
    let tokens: Tokens = serde_json::from_slice(&answer.body).context("reading the tokens")?;
    Ok(tokens.access_token)
}
