//! "Touch today": stamps the orders made today, in steps that leave room for others.
use super::Outcome;
use crate::{App, clock};
use axum::http::Method;
use chrono::Utc;
use client::{Call, Replay};
use contracts::{
    job::Scheduled,
    order::{Touch, Touched},
};
use serde_json::json;

const STEP: i64 = 500;

pub async fn run(app: &App, scheduled: Scheduled) -> Outcome {
    let stamp = scheduled.at.unwrap_or_else(Utc::now);
    let mut since = clock::start(clock::today(stamp, app.tz), app.tz);
    let mut total = 0;
    loop {
        let touch = Touch {
            since,
            stamp,
            limit: STEP,
        };
        let call = Call::to(Method::POST, "/orders/touch")?
            .json(&touch)?
            .replay(Replay::Safe);
        let step: Touched = app.orders.json(call).await?;
        total += step.touched;
        match step.last {
            // A full step whose last order is later than where it began: there may be more.
            Some(last) if step.touched == STEP as u64 && last > since => since = last,
            _ => return Ok(json!({"touched": total})),
        }
    }
}
