//! A disk that is full.
use crate::{
    servers::{Load, SOON, Watch, alone, expect_prompt, wait},
    support::{Platform, Sandbox, eventually},
};
use serde_json::Value;
use sqlx::Connection as _;
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// A platform whose order database is on a small disk, which only its own processes see.
fn on_a_small_disk() -> (Platform, PathBuf) {
    let sandbox = Sandbox::new();
    let disk = sandbox.data().with_file_name("disk");
    fs::create_dir(&disk).expect("a folder");
    let up = sandbox.command("up");
    let mount = r#"mount -t tmpfs -o size=9m none "$DISK" && exec "$0" "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", mount]);
    command.arg(up.get_program()).args(up.get_args());
    for (name, value) in up.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(SOON).env("DISK", &disk);
    let url = format!("sqlite:{}", disk.join("order.db").display());
    command.env("ORDER_DATABASE_URL", url);
    let platform = Platform::start_as(command, sandbox);
    // What is mounted there shows in the root of a process that has it.
    let root = PathBuf::from(format!("/proc/{}/root", platform.pid()));
    let inside = root.join(disk.strip_prefix("/").expect("an absolute path"));
    (platform, inside)
}

fn fill(ballast: &Path) {
    let mut file = File::create(ballast).expect("a file");
    for size in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_refuses_orders_and_harms_none() {
    let _alone = alone();
    let (platform, disk) = on_a_small_disk();
    let pids = platform.control().pids();
    let load = Load::start(&platform, "--rate 30 --seconds 20");
    let watch = Watch::start(&platform);
    watch.next_order(Instant::now());
    let ballast = disk.join("ballast");
    fill(&ballast);
    // What SQLite has room for already still goes in.
    let orders = format!("{}/api/orders", platform.url());
    let order = r#"{"product_id":"PROD-001","quantity":1,"email":"a@example.com"}"#;
    eventually("an order is refused", || {
        let (status, _) = crate::support::http("POST", &orders, &[], order);
        (status != 201).then_some(())
    });
    let full = Instant::now();
    sleep(Duration::from_secs(6));
    // What was sold before can still be read.
    let (status, _) = platform.call("GET", "/api/orders", &Value::Null);
    assert_eq!(status, 200);
    let room = Instant::now();
    fs::remove_file(&ballast).expect("room again");
    let recovery = watch.next_order(Instant::now());
    assert!(recovery < Duration::from_secs(5), "{recovery:?}");
    let (refused, reads) = watch.end(full, room);
    expect_prompt(&refused);
    assert!(reads.iter().all(|read| read.status == 200));
    let refused = refused.iter().filter(|answer| answer.status != 201);
    let mut codes = std::collections::BTreeMap::new();
    for answer in refused {
        *codes.entry(answer.status).or_insert(0) += 1;
        answer.expect_refused(&[(507, "storage_full"), (503, "unavailable")]);
    }
    println!("refused by status: {codes:?}");
    assert!(codes.contains_key(&507), "{codes:?}");
    load.end();
    assert_eq!(platform.control().pids(), pids, "{}", platform.output());
    // SQLite doesn't find its way through `/proc`. Frozen, so that the copies belong together.
    for replica in ["order-1", "order-2"] {
        platform.control().kill(replica, "STOP");
    }
    let copies = tempfile::tempdir().expect("a folder");
    for file in ["order.db", "order.db-wal"] {
        fs::copy(disk.join(file), copies.path().join(file)).expect("a copy");
    }
    let url = format!("sqlite:{}", copies.path().join("order.db").display());
    let intact: String = wait(async {
        let mut file = sqlx::SqliteConnection::connect(&url).await.expect("opens");
        let check = sqlx::query_scalar("PRAGMA integrity_check");
        check.fetch_one(&mut file).await.expect("an answer")
    });
    assert_eq!(intact, "ok");
}
