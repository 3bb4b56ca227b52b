//! One synthetic order through the front door, from the click to the mail, and back again.
use super::Report;
use crate::http;
use ::http::{HeaderName, header::AUTHORIZATION};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The mail's record must be there by then.
const MAIL_LIMIT: Duration = Duration::from_secs(10);
/// Newest notifications looked through; other people's orders may come in between.
const RECENT: u32 = 100;
const PRODUCT: &str = "PROD-005";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Orders, waits for the notification, cancels; with an operator's token, since nobody owns the order.
pub async fn check(url: &str, token: &str, report: &mut Report) {
    let token = format!("Bearer {token}");
    let began = Instant::now();
    let hint = "see the logs of gateway, order and inventory";
    let placed = place(url).await;
    let id = placed.as_ref().ok().cloned();
    let took = began.elapsed().as_millis();
    let placed = placed.map(|id| format!("{id} confirmed in {took} ms"));
    report.check("synthetic order", hint, placed);
    let Some(id) = id else { return };
    let hint = "see the logs of order (it hands events on) and notification";
    report.check("its notification", hint, notified(url, &token, &id).await);
    let hint = "the order stays: cancel it later with POST /api/orders/{id}/cancel";
    report.check("its cancellation", hint, cancel(url, &token, &id).await);
}

async fn place(url: &str) -> anyhow::Result<String> {
    let key = format!("doctor-{}", Uuid::now_v7());
    let order = json!({"product_id": PRODUCT, "quantity": 1, "email": "doctor@example.com"});
    let answer = http::post(
        &format!("{url}/api/orders"),
        &[(IDEMPOTENCY_KEY, &key)],
        &order,
    )
    .await?;
    match answer.status {
        201 => {}
        409 => {
            bail!("{PRODUCT} is sold out: add stock with PUT {url}/api/products/{PRODUCT}/stock")
        }
        _ => bail!("{answer}"),
    }
    let order: Value = serde_json::from_slice(&answer.body)?;
    ensure!(order["status"] == "confirmed", "not confirmed: {order}");
    let id = order["id"].as_str().context("the order has no id")?;
    Ok(id.to_owned())
}

async fn notified(url: &str, token: &str, id: &str) -> anyhow::Result<String> {
    let began = Instant::now();
    let list = format!("{url}/api/notifications?limit={RECENT}");
    while began.elapsed() < MAIL_LIMIT {
        let answer = http::get(&list, &[(AUTHORIZATION, token)]).await?;
        ensure!(answer.status == 200, "{answer}");
        let page: Value = serde_json::from_slice(&answer.body)?;
        let mut items = page["items"].as_array().into_iter().flatten();
        if let Some(item) = items.find(|item| item["order_id"] == id) {
            let after = began.elapsed().as_millis();
            let status = item["status"].as_str().unwrap_or("there");
            return Ok(format!("{status} after {after} ms"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("none for order {id} after {} s", MAIL_LIMIT.as_secs())
}

async fn cancel(url: &str, token: &str, id: &str) -> anyhow::Result<String> {
    let path = format!("{url}/api/orders/{id}/cancel");
    let answer = http::post(&path, &[(AUTHORIZATION, token)], &Value::Null).await?;
    ensure!(answer.status == 200, "{answer}");
    let order: Value = serde_json::from_slice(&answer.body)?;
    ensure!(order["status"] == "cancelled", "not cancelled: {order}");
    Ok("cancelled".to_owned())
}
