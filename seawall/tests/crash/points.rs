//! Every place of the crash plan once, on a real platform under load.
use crate::{
    mail::{self, Taken},
    support::{Platform, Sandbox, eventually},
};
use db::testing::PostgresServer;
use queue::testing::RedisServer;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than all crashes and their healing take on a slow machine.
const LIMIT: Duration = Duration::from_secs(150);

#[test]
fn every_crash_point_is_survived_on_sqlite() {
    survive(&[]);
}

#[test]
fn every_crash_point_is_survived_on_postgres_and_redis() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let mut env = vec![("REDIS_URL".to_owned(), redis.url())];
    for database in ["order", "inventory", "notification", "auth", "commander"] {
        let create = format!("CREATE DATABASE \"{database}\"");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime")
            .block_on(postgres.execute(&create));
        let variable = format!("{}_DATABASE_URL", database.to_uppercase());
        env.push((variable, postgres.url(database)));
    }
    let env: Vec<_> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    survive(&env);
}

fn survive(env: &[(&str, &str)]) {
    let sandbox = Sandbox::new();
    let crashes = sandbox.data().with_file_name("crashes");
    for (service, place) in sabotage::POINTS {
        let folder = crashes.join(service);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(place), "").expect("a file");
    }
    let (smtp, mails) = mail::start();
    let mut all = vec![
        (sabotage::DIR, crashes.to_str().expect("UTF-8")),
        ("SMTP_URL", &smtp),
        ("HOLD_SECONDS", "5"),
        ("SWEEP_SCHEDULE", "*/3 * * * * *"),
        ("OUTBOX_REDELIVER_SECONDS", "1"),
    ];
    all.extend(env);
    let platform = Platform::start_with(sandbox, &["--healthy-after", "1ms"], &all);
    let began = Instant::now();
    while let Some(left) = armed(&crashes) {
        assert!(began.elapsed() < LIMIT, "never passed: {left:?}");
        let mut load = load(&platform);
        while load.try_wait().expect("our own child").is_none() {
            other_work(&platform);
        }
    }
    eventually("all are back", || {
        let list = platform.control().list();
        list.iter().all(|r| r["state"] == "ready").then_some(())
    });
    let list = platform.control().list();
    let deaths: u64 = list.iter().filter_map(|r| r["restarts"].as_u64()).sum();
    // A gateway may take two in one life only if somebody else restarted it meanwhile.
    assert!(deaths >= 20, "{deaths} deaths: {list:?}");
    audit(&platform);
    every_picture_is_whole(&platform);
    one_message_id_each(&platform, &mails);
}

/// The places that nobody has passed yet.
fn armed(crashes: &Path) -> Option<Vec<String>> {
    let folders = fs::read_dir(crashes).expect("the folder").flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder").flatten());
    let left: Vec<_> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    (!left.is_empty()).then_some(left)
}

/// Orders for a few seconds. Those that fail with both replicas gone have been asked for in vain.
fn load(platform: &Platform) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.arg("bench").args(["--url", &platform.url()]);
    command.arg("--data").arg(platform.data());
    command.args([
        "--rate",
        "30",
        "--seconds",
        "4",
        "--settle",
        "1s",
        "--settle-holds",
        "1s",
    ]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    child.expect("the bench starts")
}

/// What makes the other places busy: cancellations, jobs, some of which fail once.
fn other_work(platform: &Platform) {
    // Whatever crashes underneath.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let order = json!({"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"});
        let (_, order) = platform.call("POST", "/api/orders", &order);
        if let Some(id) = order["id"].as_str() {
            platform.call("POST", &format!("/api/orders/{id}/cancel"), &Value::Null);
        }
        platform.call(
            "POST",
            "/api/job",
            &json!({"kind": "echo", "payload": {"n": 1}}),
        );
        platform.call(
            "POST",
            "/api/job",
            &json!({"kind": "fail", "payload": {"times": 1}}),
        );
    }));
    thread::sleep(Duration::from_millis(50));
}

fn audit(platform: &Platform) {
    let report = platform.data().join("audit.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command
        .arg("bench")
        .args(["--audit-only", "--url", &platform.url()]);
    command.arg("--data").arg(platform.data());
    command.args(["--settle", "60s"]).arg("--json").arg(&report);
    let output = command.output().expect("it runs");
    let text = fs::read_to_string(&report).unwrap_or_default();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{text}\n{error}\n{}",
        platform.output()
    );
}

/// One was half stored when its process crashed.
fn every_picture_is_whole(platform: &Platform) {
    let (_, products) = platform.call("GET", "/api/products", &Value::Null);
    for product in products["items"].as_array().expect("items") {
        let Some(image) = product["image"].as_str() else {
            continue;
        };
        let id = image.rsplit('/').next().expect("a name");
        let stored = platform.data().join("images").join(id);
        for size in ["full", "256", "800"] {
            let file = stored.join(format!("{size}.jpg"));
            assert!(
                file.metadata().is_ok_and(|m| m.len() > 0),
                "{}",
                file.display()
            );
        }
    }
}

/// The newest mails, once all are sent: one that was claimed by a process that crashed waits for a minute.
fn all_sent(platform: &Platform) -> Vec<Value> {
    let began = Instant::now();
    while let Some(mail) = stored(platform, "status=pending").first() {
        assert!(began.elapsed() < LIMIT, "never sent: {mail}");
        thread::sleep(Duration::from_millis(200));
    }
    let dead = stored(platform, "status=dead");
    assert!(dead.is_empty(), "given up: {dead:?}");
    stored(platform, "limit=500")
}

fn stored(platform: &Platform, query: &str) -> Vec<Value> {
    let (_, page) = platform.call("GET", &format!("/api/notifications?{query}"), &Value::Null);
    page["items"].as_array().expect("items").clone()
}

/// A mail may come twice, but then it is recognised: each event has one Message-ID.
fn one_message_id_each(platform: &Platform, mails: &Taken) {
    let stored = all_sent(platform);
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    for id in mails.lock().expect("not poisoned").iter() {
        *taken.entry(id.clone()).or_default() += 1;
    }
    for mail in &stored {
        let id = mail["id"].as_str().expect("an id");
        let same = taken.keys().any(|taken| taken.contains(id));
        assert!(same, "no mail was sent for {mail}");
    }
    // The crash between sending and recording.
    assert!(
        taken.values().any(|count| *count > 1),
        "nothing was sent twice"
    );
}
