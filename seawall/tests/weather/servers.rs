//! What the tests share: a platform on a Postgres and a Redis of its own, load on it, and someone who
//! watches what its users see.
use crate::support::{Platform, Sandbox, eventually, exchange};
use db::testing::PostgresServer;
use queue::testing::RedisServer;
use serde_json::{Value, json};
use std::{
    future::Future,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Holds without an order end soon, so that an audit needn't wait for minutes.
pub const SOON: [(&str, &str); 2] = [("HOLD_SECONDS", "10"), ("SWEEP_SCHEDULE", "*/5 * * * * *")];

/// Waits until no other test runs a platform.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A platform on real servers; fields are dropped in this order.
pub struct Shop {
    pub platform: Platform,
    pub postgres: PostgresServer,
    pub redis: RedisServer,
    pids: Vec<u32>,
    _alone: MutexGuard<'static, ()>,
}

impl Shop {
    pub fn open() -> Self {
        let alone = alone();
        let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
        let mut env = vec![("REDIS_URL".to_owned(), redis.url())];
        env.extend(SOON.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for database in ["order", "inventory", "notification", "auth"] {
            wait(postgres.execute(&format!("CREATE DATABASE \"{database}\"")));
            let variable = format!("{}_DATABASE_URL", database.to_uppercase());
            env.push((variable, postgres.url(database)));
        }
        let env: Vec<_> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let platform = Platform::start_in(Sandbox::new(), &env);
        let pids = platform.control().pids();
        Self {
            platform,
            postgres,
            redis,
            pids,
            _alone: alone,
        }
    }

    /// Panics if a process has died since the start.
    pub fn expect_no_restart(&self) {
        let pids = self.platform.control().pids();
        assert_eq!(pids, self.pids, "{}", self.platform.output());
    }

    /// Pieces that are sold or set aside.
    pub fn taken(&self) -> i64 {
        let (_, stock) = self.platform.call("GET", "/api/stock", &Value::Null);
        let items = stock["items"].as_array().cloned().unwrap_or_default();
        let count = |item: &Value| Some(item["sold"].as_i64()? + item["held"].as_i64()?);
        items.iter().filter_map(count).sum()
    }
}

/// Runs a future from a test that has no runtime.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// A `seawall bench` that runs.
pub struct Load {
    bench: Child,
    report: PathBuf,
}

impl Load {
    pub fn start(platform: &Platform, args: &str) -> Self {
        let report = platform.data().join("report.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.arg("bench").args(["--url", &platform.url()]);
        command.arg("--data").arg(platform.data());
        command.arg("--json").arg(&report).args(["--settle", "60s"]);
        command.args(args.split(' ')).stdout(Stdio::null());
        let bench = command.spawn().expect("the bench starts");
        Self { bench, report }
    }

    /// Its report, once it has ended and its audit has found nothing.
    pub fn end(mut self) -> Value {
        self.bench.wait().expect("our own child");
        let report = std::fs::read_to_string(&self.report).expect("a report");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let audit = &report["audit"];
        println!("orders: {}", report["phases"][0]["orders"]);
        println!("audit: {audit}");
        assert_eq!(audit["violations"], 0, "{audit} {}", report["audit_error"]);
        report
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.bench.kill().ok();
        self.bench.wait().ok();
    }
}

/// What a user got.
#[derive(Clone, Debug)]
pub struct Answer {
    pub asked: Instant,
    pub took: Duration,
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    /// Panics unless this is a refusal as it should be.
    pub fn expect_refused(&self, codes: &[(u16, &str)]) {
        let code = (self.status, self.body["type"].as_str().unwrap_or_default());
        assert!(codes.contains(&code), "{self:?}");
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        assert!(
            self.status != 503 || self.head.contains("retry-after:"),
            "{self:?}"
        );
    }
}

/// A user who orders a piece and looks at a product, ten times a second.
pub struct Watch {
    orders: Arc<Mutex<Vec<Answer>>>,
    reads: Arc<Mutex<Vec<Answer>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub fn start(platform: &Platform) -> Self {
        let mut watch = Self {
            orders: Arc::default(),
            reads: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let url = platform.url();
        let order = json!({"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"});
        let order = order.to_string();
        let product = format!("{url}/api/products/PROD-001");
        watch.spawn(watch.orders.clone(), move || {
            exchange("POST", &format!("{url}/api/orders"), &[], &order)
        });
        watch.spawn(watch.reads.clone(), move || {
            exchange("GET", &product, &[], "")
        });
        watch
    }

    fn spawn(
        &mut self,
        seen: Arc<Mutex<Vec<Answer>>>,
        ask: impl Fn() -> (u16, String, String) + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let (status, head, body) = ask();
                seen.lock().expect("not poisoned").push(Answer {
                    asked,
                    took: asked.elapsed(),
                    status,
                    head,
                    body: serde_json::from_str(&body).unwrap_or_default(),
                });
                sleep(Duration::from_millis(100).saturating_sub(asked.elapsed()));
            }
        }));
    }

    /// Waits for a good order that was asked for after `since`; how long that took.
    pub fn next_order(&self, since: Instant) -> Duration {
        eventually("an order is taken", || {
            let orders = self.orders.lock().expect("not poisoned");
            let good = |a: &&Answer| a.asked > since && a.status == 201;
            let good = orders.iter().find(good)?;
            Some(good.asked + good.took - since)
        })
    }

    /// What was asked for between these times: orders, and reads of products.
    pub fn end(self, from: Instant, to: Instant) -> (Vec<Answer>, Vec<Answer>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an answer to every request");
        }
        let between = |all: &Mutex<Vec<Answer>>| {
            let all = all.lock().expect("not poisoned");
            let inside = |a: &&Answer| a.asked >= from && a.asked + a.took <= to;
            all.iter().filter(inside).cloned().collect()
        };
        (between(&self.orders), between(&self.reads))
    }
}

/// Panics unless answers came within a second; one in a hundred may meet this machine's own trouble.
pub fn expect_prompt(answers: &[Answer]) {
    let mut took: Vec<_> = answers.iter().map(|a| a.took).collect();
    took.sort_unstable();
    println!(
        "{} answers, median {:?}, slowest {:?}",
        took.len(),
        took.get(took.len() / 2),
        took.last()
    );
    let late = took.iter().filter(|t| **t > Duration::from_secs(1)).count();
    assert!(took.len() >= 20, "only {} answers", took.len());
    assert!(
        late * 100 <= took.len(),
        "{late} of {} late: {took:?}",
        took.len()
    );
}
