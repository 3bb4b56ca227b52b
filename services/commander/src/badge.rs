//! Commander's own way through the front door: an operator's token, by the secret that all services share.
use crate::{
    config::Config,
    drill::site::Site,
    load::shop::{Login, Token},
};
use anyhow::Context as _;
use client::{Call, Replay, Upstream, Urls};
use http::{HeaderValue, Method, header::AUTHORIZATION};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
}

/// The platform as commander's drills see it.
pub fn site(config: &Config, auth: Upstream) -> Site {
    let first = |urls: &Urls| {
        let urls = urls.to_string();
        urls.split(',').next().unwrap_or_default().to_owned()
    };
    Site {
        url: first(&config.gateway_urls),
        login: login(auth, secret(&config.service)),
        prometheus: config.prometheus_url.as_ref().map(first),
        alertmanager: config.alertmanager_url.as_ref().map(first),
    }
}

/// Well known in development, as everywhere.
fn secret(config: &service::Config) -> Option<String> {
    let given = config.identity_secret.as_ref();
    let given = given.or(config.identity_secret_file.as_ref());
    let development = config.app_env == service::AppEnv::Development;
    let text = given.map(service::Secret::expose);
    text.or(development.then_some("development"))
        .map(str::to_owned)
}

fn login(auth: Upstream, secret: Option<String>) -> Login {
    Arc::new(move || -> Token {
        let (auth, secret) = (auth.clone(), secret.clone());
        Box::pin(async move {
            let secret = secret.context("IDENTITY_SECRET must be set")?;
            let secret = HeaderValue::try_from(format!("Bearer {secret}"))?;
            // Each gives another token of the same worth.
            let call = Call::to(Method::POST, "/auth/token")?
                .header(AUTHORIZATION, secret)
                .replay(Replay::Safe);
            let tokens: Tokens = auth
                .json(call)
                .await
                .context("asking for an operator's token")?;
            Ok(tokens.access_token)
        })
    })
}
