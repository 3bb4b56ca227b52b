//! Sales of one day by product.
use super::Outcome;
use crate::{App, clock};
use anyhow::anyhow;
use chrono::Utc;
use contracts::{job::Report, order::Sales};
use queue::Failure;
use serde_json::json;

pub async fn run(app: &App, report: Report) -> Outcome {
    let day = match report.day.as_deref() {
        Some(text) => {
            clock::parse_day(text).ok_or_else(|| Failure::Drop(anyhow!("{text} is not a date")))?
        }
        None => clock::today(Utc::now(), app.tz),
    };
    let (from, to) = clock::bounds(day, app.tz);
    let time = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let sales: Sales = app
        .orders
        .get(&format!("/sales?from={}&to={}", time(from), time(to)))
        .await?;
    Ok(json!({"day": day.to_string(), "sales": sales.items}))
}
