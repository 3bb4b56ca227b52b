//! The breaker and ejection as seen from outside: who is still called, and when again.

use crate::support::{Peer, Replica, Script, eventually, ok, status};
use client::{Call, Error, Settings};
use http::Method;
use std::time::Duration;
use tokio::time::Instant;

fn get() -> Call {
    Call::to(Method::GET, "/things").unwrap()
}

/// Open for long enough that a slow machine sees it open.
fn open_for(seconds: u64) -> Settings {
    Settings {
        breaker_open: Duration::from_secs(seconds),
        ..Settings::default()
    }
}

#[tokio::test]
async fn opens_stays_open_probes_and_closes() {
    let replica = Replica::start(status(500)).await;
    let peer = Peer::new(&[&replica], open_for(2));
    for _ in 0..5 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 500);
    }
    let opened = Instant::now();
    assert_eq!(peer.breaker(&replica), 2.0);
    let seen = (replica.calls(), replica.connections());
    while opened.elapsed() < Duration::from_millis(300) {
        let error = peer.upstream.send(get()).await.unwrap_err();
        let Error::Unavailable { retry_after, .. } = error else {
            panic!("{error:?}")
        };
        assert!(retry_after <= Duration::from_secs(2));
        tokio::task::yield_now().await;
    }
    assert_eq!(
        (replica.calls(), replica.connections()),
        seen,
        "an open breaker let calls through"
    );

    // Half-open: the first probe fails and opens it again.
    eventually("half-open", || peer.breaker(&replica) == 1.0).await;
    assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 500);
    assert_eq!(peer.breaker(&replica), 2.0);

    replica.play(ok());
    eventually("half-open", || peer.breaker(&replica) == 1.0).await;
    for _ in 0..3 {
        assert_eq!(peer.breaker(&replica), 1.0);
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 200);
    }
    assert_eq!(peer.breaker(&replica), 0.0);
    assert_eq!(peer.outcomes("server_error"), 6.0);
    assert_eq!(peer.outcomes("ok"), 3.0);
}

#[tokio::test]
async fn a_hanging_service_fails_fast_once_open() {
    let replicas = [
        Replica::start(Script::Hang).await,
        Replica::start(Script::Hang).await,
    ];
    let settings = Settings {
        call_try_timeout: Duration::from_millis(50),
        call_deadline: Duration::from_millis(120),
        ..Settings::default()
    };
    let peer = Peer::new(&[&replicas[0], &replicas[1]], settings);
    eventually_open(&peer, &replicas).await;
    let seen = replicas.each_ref().map(Replica::calls);
    let error = peer.upstream.send(get()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(replicas.each_ref().map(Replica::calls), seen);
}

async fn eventually_open(peer: &Peer, replicas: &[Replica]) {
    for _ in 0..30 {
        let calls = (0..4).map(|_| peer.upstream.send(get()));
        for result in futures::future::join_all(calls).await {
            assert!(
                matches!(
                    result,
                    Err(Error::Timeout { .. } | Error::Unavailable { .. })
                ),
                "{result:?}"
            );
        }
        if replicas.iter().all(|r| peer.breaker(r) == 2.0) {
            return;
        }
    }
    panic!("never open");
}

#[tokio::test]
async fn client_errors_do_not_open_it() {
    let replica = Replica::start(status(404)).await;
    let peer = Peer::new(&[&replica], Settings::default());
    for _ in 0..50 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 404);
    }
    assert_eq!(peer.breaker(&replica), 0.0);
    assert_eq!(replica.calls(), 50);
}

#[tokio::test]
async fn a_failing_replica_is_ejected_and_readmitted() {
    let bad = Replica::start(status(500)).await;
    let good = [Replica::start(ok()).await, Replica::start(ok()).await];
    let peer = Peer::new(&[&bad, &good[0], &good[1]], open_for(2));
    let mut failed = 0;
    for _ in 0..300 {
        let response = peer.upstream.send(get()).await.unwrap();
        failed += usize::from(response.status() == 500);
        if peer.breaker(&bad) == 2.0 && good.iter().all(|g| g.calls() > 20) {
            break;
        }
    }
    assert!(failed <= 6, "{failed} calls went to a failing replica");
    assert_eq!(peer.breaker(&bad), 2.0);

    bad.play(ok());
    let before = bad.calls();
    let started = Instant::now();
    while peer.breaker(&bad) != 0.0 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 200);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "never readmitted"
        );
    }
    assert!(bad.calls() >= before + 3);
}

#[tokio::test]
async fn at_most_half_is_ejected_for_its_answers() {
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(Replica::start(status(500)).await);
    }
    let all: Vec<_> = replicas.iter().collect();
    let peer = Peer::new(&all, open_for(60));
    for _ in 0..200 {
        assert_eq!(peer.upstream.send(get()).await.unwrap().status(), 500);
        let open = replicas.iter().filter(|r| peer.breaker(r) == 2.0).count();
        assert!(open <= 2, "{open} of 4 are ejected");
    }
    let open = replicas.iter().filter(|r| peer.breaker(r) == 2.0).count();
    assert_eq!(open, 2);
}

#[tokio::test]
async fn refused_connections_open_all_and_a_replacement_is_found_at_once() {
    let mut replicas = [Replica::start(ok()).await, Replica::start(ok()).await];
    let peer = Peer::new(&[&replicas[0], &replicas[1]], Settings::default());
    peer.upstream.send(get()).await.unwrap();
    for replica in &mut replicas {
        replica.kill().await;
    }
    let started = Instant::now();
    for _ in 0..20 {
        let error = peer.upstream.send(get()).await.unwrap_err();
        assert!(error.is_unsent(), "{error:?}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "failing took long"
    );
    assert!(replicas.iter().all(|r| peer.breaker(r) > 0.0));

    replicas[1].restart().await;
    for _ in 0..20 {
        peer.upstream.send(get()).await.unwrap();
    }
    eventually("closed", || peer.breaker(&replicas[1]) == 0.0).await;
}
