//! How often a service in trouble is asked again.

use crate::support::{Peer, Replica, Script, ok, status};
use client::{Call, Settings};
use futures::future::join_all;
use http::Method;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn get() -> Call {
    Call::to(Method::GET, "/things").unwrap()
}

/// A slow machine may make many calls at once and take long for each.
fn patient() -> Settings {
    Settings {
        call_try_timeout: Duration::from_secs(20),
        call_deadline: Duration::from_secs(60),
        ..Settings::default()
    }
}

fn shedding() -> Script {
    Script::Answer(
        503,
        Some(("retry-after", "1")),
        "busy".into(),
        Duration::ZERO,
    )
}

#[tokio::test]
async fn a_failing_service_gets_few_more_calls_than_asked_for() {
    let replicas = [
        Replica::start(status(503)).await,
        Replica::start(status(503)).await,
    ];
    let settings = Settings {
        call_max_connections: 600,
        ..patient()
    };
    let peer = Peer::new(&[&replicas[0], &replicas[1]], settings);
    let started = Instant::now();
    let calls = (0..600).map(|n| {
        let upstream = peer.upstream.clone();
        async move {
            sleep(Duration::from_millis(2 * n)).await;
            upstream.send(get()).await.unwrap().status()
        }
    });
    let answers = join_all(calls).await;
    assert!(
        answers.iter().all(|status| *status == 503),
        "the last answer is handed on"
    );
    let attempts = replicas.iter().map(Replica::calls).sum::<usize>() as f64;
    let bound = 1.2 * 600.0 + 10.0 * started.elapsed().as_secs_f64();
    assert!(attempts <= bound, "{attempts} attempts, {bound} allowed");
    assert!(attempts > 620.0, "{attempts} attempts: nothing was retried");
    assert_eq!(peer.retries(), attempts - 600.0);
    assert!(peer.sample("client_retry_budget_exhausted_total{upstream=\"peer\"}") > 0.0);
}

/// Calls that succeed earn retries.
async fn earn(peer: &Peer) {
    for _ in 0..50 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn one_call_is_tried_three_times_at_most() {
    let replica = Replica::start(ok()).await;
    let peer = Peer::new(&[&replica], patient());
    earn(&peer).await;
    replica.play(status(502));
    let response = peer.upstream.send(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), replica.calls()), (502, 53));
}

#[tokio::test]
async fn a_transient_answer_is_retried_elsewhere() {
    for code in [502, 503, 504] {
        let (bad, good) = (Replica::start(ok()).await, Replica::start(ok()).await);
        let peer = Peer::new(&[&bad, &good], patient());
        earn(&peer).await;
        bad.play(status(code));
        let before = bad.calls();
        while bad.calls() == before {
            assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn other_answers_are_final() {
    for code in [400, 404, 409, 429, 500] {
        let replicas = [
            Replica::start(status(code)).await,
            Replica::start(status(code)).await,
        ];
        let peer = Peer::new(&[&replicas[0], &replicas[1]], patient());
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), code);
        assert_eq!(
            replicas.iter().map(Replica::calls).sum::<usize>(),
            1,
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_shedding_service_is_not_hammered() {
    let replicas = [
        Replica::start(shedding()).await,
        Replica::start(shedding()).await,
    ];
    let peer = Peer::new(&[&replicas[0], &replicas[1]], patient());
    for _ in 0..100 {
        let response = peer.upstream.send(get()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.body()[..]),
            (503, &b"busy"[..])
        );
    }
    // Only the very first call has reason to hope that the other one is better off.
    let attempts = replicas.iter().map(Replica::calls).sum::<usize>();
    assert!(attempts <= 101, "{attempts}");
    // It is the load and not one of them: nobody is set aside.
    assert!(replicas.iter().all(|r| peer.breaker(r) == 0.0));
}

#[tokio::test]
async fn a_replica_that_sheds_alone_is_set_aside() {
    let (bad, good) = (Replica::start(ok()).await, Replica::start(ok()).await);
    let peer = Peer::new(&[&bad, &good], patient());
    earn(&peer).await;
    bad.play(shedding());
    for _ in 0..200 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 200);
        if peer.breaker(&bad) == 2.0 {
            return;
        }
    }
    panic!("it is still asked");
}
