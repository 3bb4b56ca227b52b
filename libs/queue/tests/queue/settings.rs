//! How a Redis is set up: one that loses jobs by its settings won't do, or is warned of.
use queue::{Error, Queue, testing::RedisServer};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};
use tracing::subscriber::set_default;

#[tokio::test]
async fn a_redis_that_throws_jobs_away_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
        let redis = RedisServer::with(&["--maxmemory-policy", policy]);
        let error = Queue::open(&redis.url()).await.err();
        let error = error.expect("it doesn't open");
        assert!(matches!(error, Error::Evicts { .. }), "{error}");
        assert!(error.to_string().contains(policy), "{error}");
    }
}

#[tokio::test]
async fn a_redis_that_does_not_know_us_is_refused() {
    let redis = RedisServer::with(&["--requirepass", "right"]);
    let url = |password: &str| redis.url().replacen("//", &format!("//:{password}@"), 1);
    for url in [redis.url(), url("wrong")] {
        let error = Queue::open(&url).await.err().expect("it doesn't open");
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    let queue = Queue::open(&url("right")).await.unwrap();
    queue.ping().await.unwrap();
}

#[tokio::test]
async fn a_redis_without_a_log_is_warned_of() {
    for (durable, warnings) in [("no", 1), ("yes", 0)] {
        let redis = RedisServer::with(&["--appendonly", durable]);
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let listening = set_default(subscriber);
        let queue = Queue::open(&redis.url()).await.unwrap();
        queue.ping().await.unwrap();
        drop(listening);
        let told = log.0.lock().unwrap();
        let told = String::from_utf8_lossy(&told);
        assert_eq!(told.matches("append-only").count(), warnings, "{told}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
