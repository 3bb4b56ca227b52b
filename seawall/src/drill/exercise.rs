//! Break, hint, verify, restore: an exercise for people, which commander holds so that it outlives
//! this command.
use super::args::{Break, Platform, Reporting, Verify};
use anyhow::{Context as _, ensure};
use commander::{drill::ops::Ops, load::plan::draw_seed};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Longest time that a repair takes.
const REPAIR: Duration = Duration::from_secs(30);

/// The drill of the exercise that runs, whatever its name.
const PRESENT: &str = "present";

async fn post(platform: &Platform, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut ops = Ops::open(&platform.site()).await?;
    let key = Uuid::now_v7().to_string();
    let (status, text) = ops.post(path, body, &key).await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    ensure!(status.is_success(), "{}", problem(status, &answer));
    Ok(answer)
}

fn problem(status: StatusCode, answer: &Value) -> String {
    let part = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    format!("{} {}: {}", status.as_u16(), part("title"), part("detail"))
}

pub async fn begin(args: &Break) -> anyhow::Result<ExitCode> {
    let name = args.name.as_deref().unwrap_or("any");
    let seed = args.seed.unwrap_or_else(draw_seed);
    let body = json!({ "seed": seed, "hidden": args.hidden });
    let path = format!("/api/ops/drills/{name}/break");
    let run = post(&args.platform, &path, &body).await?;
    println!("seed {seed}");
    println!("{}", run["story"].as_str().unwrap_or_default().trim());
    println!("\n`seawall drill hint`, `seawall drill verify --answer …`, `seawall drill restore`");
    Ok(ExitCode::SUCCESS)
}

pub async fn hint(platform: &Platform) -> anyhow::Result<ExitCode> {
    let mut ops = Ops::open(&platform.site()).await?;
    let hint: Value = ops.get(&format!("/api/ops/drills/{PRESENT}/hint")).await?;
    let hint = (&hint["number"], &hint["of"], hint["hint"].as_str());
    println!("{} of {}: {}", hint.0, hint.1, hint.2.unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}

pub async fn verify(args: &Verify) -> anyhow::Result<ExitCode> {
    let path = format!("/api/ops/drills/{PRESENT}/verify");
    let body = json!({ "answer": args.answer });
    let found = post(&args.platform, &path, &body).await?;
    println!("{}", found["question"].as_str().unwrap_or_default());
    println!("answer: {}", found["answer"].as_str().unwrap_or_default());
    let healthy = found["healthy"] == true;
    println!(
        "platform: {}",
        if healthy { "healthy" } else { "not healthy" }
    );
    for reason in found["reasons"].as_array().into_iter().flatten() {
        println!("  {}", reason.as_str().unwrap_or_default());
    }
    if let Some(name) = found["drill"].as_str() {
        println!("it is {name}");
    }
    Ok(ExitCode::from(u8::from(found["solved"] != true)))
}

pub async fn restore(platform: &Platform) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let restore = async || post(platform, "/api/ops/drills/restore", &json!({})).await;
    let ended = restore().await?;
    let mut done = ended["done"] == true;
    while !done {
        ensure!(began.elapsed() < REPAIR, "the repair has not ended yet");
        done = restore().await?["done"] == true;
    }
    match ended["drill"].as_str() {
        Some(name) => println!("restored; it was {name}"),
        None => println!("restored; no exercise was under way"),
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn report(args: &Reporting) -> anyhow::Result<ExitCode> {
    let mut ops = Ops::open(&args.platform.site()).await?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => {
            let runs: Value = ops.get("/api/ops/drills/runs").await?;
            let last = runs["items"][0]["id"].as_str();
            last.context("no drill has been run")?.to_owned()
        }
    };
    let path = format!("/api/ops/drills/runs/{id}/report");
    let text = ops.shop().call(Method::GET, &path, None).await?;
    println!("{}", String::from_utf8_lossy(&text));
    Ok(ExitCode::SUCCESS)
}
