//! What the death, hanging or closing of a replica costs the caller: nothing, where replay is safe.

use crate::support::{Peer, Replica, Script, cut, eventually, ok, status};
use client::{Call, Error, Replay, Settings, Upstream};
use futures::future::join_all;
use http::Method;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

fn get() -> Call {
    Call::to(Method::GET, "/things").unwrap()
}

fn post() -> Call {
    Call::to(Method::POST, "/things")
        .unwrap()
        .json(&"one")
        .unwrap()
}

/// A working replica, slow enough that calls are in flight on it at any time.
async fn busy_replica() -> Replica {
    Replica::start(Script::Answer(
        200,
        None,
        "fine".into(),
        Duration::from_millis(5),
    ))
    .await
}

/// A slow machine is no failure of the replica.
fn patient() -> Settings {
    Settings {
        call_try_timeout: Duration::from_secs(20),
        call_deadline: Duration::from_secs(60),
        ..Settings::default()
    }
}

/// Callers that never pause; all stop at the first failure.
struct Load {
    callers: JoinSet<Result<(), String>>,
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn start(upstream: &Upstream, callers: usize, call: fn() -> Call) -> Self {
        let mut load = Self {
            callers: JoinSet::new(),
            done: Arc::default(),
            stop: Arc::default(),
        };
        for _ in 0..callers {
            let (upstream, done, stop) = (upstream.clone(), load.done.clone(), load.stop.clone());
            load.callers.spawn(async move {
                while !stop.load(SeqCst) {
                    let answer = upstream.send(call()).await;
                    if !answer.as_ref().is_ok_and(|a| a.status() == 200) {
                        stop.store(true, SeqCst);
                        return Err(format!("{answer:?}"));
                    }
                    done.fetch_add(1, SeqCst);
                }
                Ok(())
            });
        }
        load
    }

    async fn more(&self, calls: usize) {
        let target = self.done.load(SeqCst) + calls;
        eventually("more calls", || {
            self.done.load(SeqCst) >= target || self.stop.load(SeqCst)
        })
        .await;
    }

    async fn finish(self) {
        self.stop.store(true, SeqCst);
        for result in self.callers.join_all().await {
            assert_eq!(result, Ok(()));
        }
    }
}

async fn kills_are_hidden() {
    let (mut first, mut second) = (busy_replica().await, busy_replica().await);
    let peer = Peer::new(&[&first, &second], patient());
    let load = Load::start(&peer.upstream, 64, get);
    for _ in 0..3 {
        load.more(300).await;
        first.kill().await;
        load.more(300).await;
        first.restart().await;
        // The other one goes before the breaker of this one looked again.
        load.more(20).await;
        second.kill().await;
        load.more(300).await;
        second.restart().await;
        let before = second.calls();
        eventually("the replaced replica is used again", || {
            second.calls() > before
        })
        .await;
    }
    load.finish().await;
    assert!(
        peer.retries() > 0.0,
        "nothing was in flight on the killed replicas"
    );
    assert_eq!(peer.outcomes("unavailable") + peer.outcomes("broken"), 0.0);
}

#[tokio::test]
async fn killed_replicas_cost_no_safe_call() {
    kills_are_hidden().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn killed_replicas_cost_no_safe_call_on_several_threads() {
    kills_are_hidden().await;
}

#[tokio::test]
async fn a_sent_post_is_never_sent_again() {
    let (first, second) = (Replica::start(cut()).await, Replica::start(cut()).await);
    let peer = Peer::new(&[&first, &second], Settings::default());
    let result = peer.upstream.send(post()).await;
    assert!(matches!(result, Err(Error::Broken { .. })), "{result:?}");
    assert_eq!(first.calls() + second.calls(), 1);

    for replica in [&first, &second] {
        replica.play(status(503));
    }
    let response = peer.upstream.send(post()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(first.calls() + second.calls(), 2);
}

#[tokio::test]
async fn a_keyed_post_moves_on() {
    let (first, second) = (Replica::start(cut()).await, Replica::start(ok()).await);
    let peer = Peer::new(&[&first, &second], Settings::default());
    while first.calls() == 0 {
        let response = peer
            .upstream
            .send(post().replay(Replay::Safe))
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(&second.last().3[..], b"\"one\"");
}

#[tokio::test]
async fn an_unsent_post_moves_on() {
    let (mut first, second) = (Replica::start(ok()).await, Replica::start(ok()).await);
    let peer = Peer::new(&[&first, &second], Settings::default());
    first.kill().await;
    for calls in 1..=20 {
        peer.upstream.send(post()).await.unwrap();
        assert_eq!(second.calls(), calls);
    }
}

#[tokio::test]
async fn a_replica_that_refused_a_call_may_take_it_once_it_is_back() {
    // Which one is tried first is chance; after ten rounds it has been either.
    for _ in 0..10 {
        let mut back = Replica::start(ok()).await;
        let breaks = Replica::start(Script::Cut(Duration::from_millis(50))).await;
        let peer = Peer::new(&[&back, &breaks], Settings::default());
        back.kill().await;
        let (response, ()) = tokio::join!(peer.upstream.send(get()), async {
            eventually("the other one has the call", || breaks.calls() == 1).await;
            back.restart().await;
        });
        assert_eq!(response.unwrap().status(), 200);
        assert_eq!(back.calls(), 1);
    }
}

#[tokio::test]
async fn connections_closed_while_idle_are_no_failure() {
    let mut replica = Replica::start(ok()).await;
    let peer = Peer::new(&[&replica], Settings::default());
    for round in 1..=10 {
        // Even a call that must not be replayed may follow: the closed connection is noticed first.
        peer.upstream.send(post()).await.unwrap();
        assert_eq!(replica.connections(), round);
        replica.close_connections().await;
    }
    assert_eq!(peer.retries(), 0.0);
    assert_eq!(peer.breaker(&replica), 0.0);
}

#[tokio::test]
async fn a_server_that_closes_connections_as_they_are_reused_is_not_set_aside() {
    let slow = Script::Answer(200, None, "fine".into(), Duration::from_millis(50));
    let replica = Replica::start(slow).await;
    let peer = Peer::new(&[&replica], Settings::default());
    let ten = || join_all((0..10).map(|_| peer.upstream.send(post())));
    assert!(ten().await.iter().all(Result::is_ok));
    let connections = replica.connections();
    replica.play(cut());
    let broken = |r: &Result<_, _>| matches!(r, Err(Error::Broken { .. }));
    assert!(ten().await.iter().all(broken));
    assert_eq!(replica.connections(), connections);
    assert_eq!(peer.breaker(&replica), 0.0);
}

#[tokio::test]
async fn connections_are_reused_until_idle_for_too_long() {
    let replica = Replica::start(ok()).await;
    let settings = Settings {
        call_idle_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let peer = Peer::new(&[&replica], settings);
    let started = Instant::now();
    for _ in 0..20 {
        peer.upstream.send(get()).await.unwrap();
    }
    if started.elapsed() < Duration::from_millis(200) {
        assert_eq!(replica.connections(), 1);
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    let before = replica.connections();
    peer.upstream.send(get()).await.unwrap();
    assert_eq!(replica.connections(), before + 1);
}

#[tokio::test]
async fn a_hanging_replica_costs_one_try() {
    let (first, second) = (
        Replica::start(Script::Hang).await,
        Replica::start(ok()).await,
    );
    let settings = Settings {
        call_try_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let peer = Peer::new(&[&first, &second], settings);
    while first.calls() == 0 {
        let started = Instant::now();
        let response = peer.upstream.send(get()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(started.elapsed() < Duration::from_millis(900));
    }
}

#[tokio::test]
async fn a_cancelled_call_gives_back_its_place() {
    let replica = Replica::start(Script::Hang).await;
    let settings = Settings {
        call_max_connections: 2,
        ..Settings::default()
    };
    let peer = Peer::new(&[&replica], settings);
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let upstream = peer.upstream.clone();
        calls.spawn(async move { upstream.send(get()).await });
    }
    eventually("both calls arrive", || replica.calls() == 2).await;
    let full = peer.upstream.send(get()).await;
    assert!(matches!(full, Err(Error::Unavailable { .. })), "{full:?}");
    assert_eq!(replica.connections(), 2);

    calls.shutdown().await;
    replica.play(ok());
    peer.upstream.send(get()).await.unwrap();
    assert_eq!(peer.breaker(&replica), 0.0);
}
