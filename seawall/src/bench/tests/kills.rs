//! Kills through the control socket of a supervisor that is only played.
use crate::bench::{kill, usage::Meter};
use control::{self, Client, Replica, Request, Response, Signal, State};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A supervisor of two replicas that takes 50 ms to replace one.
fn supervise(data: &std::path::Path) -> Arc<AtomicU32> {
    let kills = Arc::new(AtomicU32::new(0));
    let state = Arc::new(Mutex::new((Instant::now(), [1_000_001, 1_000_002])));
    let counter = kills.clone();
    let answer = move |request| {
        let mut state = state.lock().expect("no panic while locked");
        let away = state.0 > Instant::now();
        match request {
            Request::Kill { name, .. } => {
                assert!(!away, "{name} killed while another is away");
                counter.fetch_add(1, Ordering::Relaxed);
                let place = usize::from(name == "order-2");
                let pid = state.1[place];
                state.1[place] += 10;
                state.0 = Instant::now() + Duration::from_millis(50);
                Response::Done { ok: true, pid }
            }
            Request::List | Request::Watch => Response::List {
                replicas: [1, 2]
                    .map(|n| replica(n, state.1[usize::from(n) - 1], away))
                    .into(),
            },
            Request::Rollout { .. } | Request::Progress => Response::Rollout { rollout: None },
        }
    };
    tokio::spawn(control::serve(
        control::listen(data).expect("socket"),
        tokio::sync::watch::channel(()).1,
        answer,
    ));
    kills
}

fn replica(replica: u16, pid: u32, away: bool) -> Replica {
    Replica {
        name: format!("order-{replica}"),
        service: "order".into(),
        replica,
        pid: Some(pid),
        state: if away { State::Starting } else { State::Ready },
        restarts: 0,
        started_at: chrono::Utc::now(),
        api: String::new(),
        ops: String::new(),
    }
}

#[tokio::test]
async fn kills_come_one_at_a_time_and_replacements_are_timed() {
    let data = tempfile::tempdir().expect("temp dir");
    let killed = supervise(data.path());
    let spree = kill::Spree {
        every: Duration::from_millis(10),
        service: None,
        signal: Signal::Kill,
        seed: 7,
    };
    let stop = CancellationToken::new();
    let meter = Arc::new(Meter::new(data.path()));
    let kills = tokio::spawn(kill::run(
        Client::of(data.path()),
        spree,
        meter,
        stop.clone(),
    ));
    while killed.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    let kills = kills
        .await
        .expect("no panic")
        .expect("the supervisor answered");
    assert_eq!(kills.len(), 3);
    for kill in &kills {
        let ms = kill.replaced_ms.expect("replaced");
        assert!((50.0..1000.0).contains(&ms), "{ms} ms");
    }
}
