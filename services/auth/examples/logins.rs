//! Logins a second, against the argon2 crate alone on the same cores, in turns in one run:
//!
//! `cargo run --release -p auth --example logins`
//!
//! A login here is all that a replica does for one, from the request to the answer, SQLite's commits
//! included; only the network is left out.
use argon2::{Algorithm, Argon2, Params, Version};
use auth::{App, Config, MIGRATIONS};
use axum::{Router, body::Body, http::Request};
use clap::Parser as _;
use db::Db;
use service::testing::send;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Short, and many: what else the machine does changes from second to second.
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 15;
/// Different accounts log in, as many at once as hash or wait.
const USERS: usize = 16;
const PASSWORD: &str = "correct horse battery";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let folder = std::env::temp_dir().join(format!("auth-cost-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let url = format!("sqlite:{}", folder.join("auth.db").display());
        let db = Db::open(&db::Settings::from_url(url), "auth", &MIGRATIONS).await?;
        let config = Config::try_parse_from(["auth", "--log-level=warn"])?;
        let mut registry = telemetry::registry();
        let app = App::new(&config, db.clone(), &mut registry).await?;
        let router = auth::router(app, &config, &mut registry);
        for n in 0..USERS {
            let answer = post(&router, "/auth/register", n).await;
            anyhow::ensure!(answer == 201, "registering: {answer}");
        }
        let cores = thread::available_parallelism()?.get();
        println!("{cores} cores, in turns of {} s", ROUND.as_secs());
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let (a, b) = (hashes(cores), log_in(&router).await);
            println!("argon2 alone {a:.1}/s, logins {b:.1}/s, {:.3}", b / a);
            ratios.push(b / a);
        }
        ratios.sort_by(f64::total_cmp);
        println!("median {:.3} of argon2 alone", ratios[ROUNDS / 2]);
        db.close().await;
        std::fs::remove_dir_all(folder)?;
        Ok(())
    })
}

/// Hashes a second on so many threads.
fn hashes(threads: usize) -> f64 {
    let params = Params::new(19_456, 2, 1, Some(32)).expect("valid");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (done, started) = (AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.elapsed() < ROUND {
                    let mut out = [0; 32];
                    let hashed = argon2.hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut out);
                    hashed.expect("hashed");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / started.elapsed().as_secs_f64()
}

/// Logins a second.
async fn log_in(router: &Router) -> f64 {
    let started = Instant::now();
    let one = async |n: usize| {
        let mut done = 0;
        while started.elapsed() < ROUND {
            assert_eq!(post(router, "/auth/login", n).await, 200);
            done += 1;
        }
        done
    };
    let done: u64 = futures::future::join_all((0..USERS).map(one))
        .await
        .iter()
        .sum();
    done as f64 / started.elapsed().as_secs_f64()
}

async fn post(router: &Router, path: &str, n: usize) -> u16 {
    let body = format!(r#"{{"username":"user-{n}","password":"{PASSWORD}"}}"#);
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(body));
    send(router, request.expect("valid")).await.status.as_u16()
}
