//! `seawall up` from outside: start, failures, end.
mod support;

use serde_json::json;
use std::{
    fs::OpenOptions,
    io::Write as _,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};
use support::{Platform, Sandbox, Signal, alive, eventually, get, http, post, send};

const SERVICES: [&str; 8] = [
    "gateway",
    "order",
    "inventory",
    "notification",
    "auth",
    "image",
    "worker",
    "commander",
];

#[test]
fn it_becomes_ready_and_says_what_runs_where() {
    let platform = Platform::start();
    let replicas = platform.control().list();
    assert_eq!(replicas.len(), 2 * SERVICES.len());
    platform.wait_for("Ctrl-C drains");
    let table = platform.output();
    for replica in &replicas {
        assert_eq!(replica["state"], "ready");
        for cell in ["name", "api", "ops"] {
            let cell = replica[cell].as_str().expect(cell);
            assert!(table.contains(cell), "{cell} is missing in\n{table}");
        }
        let ready = format!("{}/readyz", replica["ops"].as_str().expect("URL"));
        assert_eq!(http("GET", &ready, &[], "").0, 200);
    }
    let port = platform.sandbox().port();
    assert!(
        table.contains(&format!("http://localhost:{port}")),
        "{table}"
    );
    let data = platform.data().canonicalize().expect("data folder");
    assert!(table.contains(data.to_str().expect("UTF-8")), "{table}");
    assert!(!table.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn a_killed_replica_is_replaced() {
    let platform = Platform::start();
    let control = platform.control();
    for service in SERVICES {
        let name = format!("{service}-2");
        let old = control.pid(&name);
        let answer = control.kill(&name, "KILL");
        assert_eq!(answer["pid"], old, "{answer}");
        let new = control.wait_for_successor(&name, old);
        assert_eq!(new["restarts"], 1);
        assert!(!alive(old));
        platform.wait_for(&format!("{name:<14} died: SIGKILL"));
    }
    // Their partners have not noticed.
    for service in SERVICES {
        assert_eq!(control.replica(&format!("{service}-1"))["restarts"], 0);
    }
}

#[test]
fn a_replica_somebody_terminates_is_replaced() {
    let platform = Platform::start();
    let control = platform.control();
    let old = control.pid("order-1");
    send(old, Signal::TERM);
    control.wait_for_successor("order-1", old);
}

/// A frozen process still accepts connections, so only the probe's time limit finds it.
#[test]
fn a_frozen_replica_is_replaced() {
    let platform = Platform::start();
    let control = platform.control();
    let old = control.pid("inventory-2");
    control.kill("inventory-2", "STOP");
    control.wait_for_successor("inventory-2", old);
    platform.wait_for("inventory-2    does not answer any more");
}

#[test]
fn a_replica_nobody_knows_is_not_killed() {
    let platform = Platform::start();
    let answer = platform.control().kill("order-3", "KILL");
    assert_eq!(answer["error"], "no replica is called order-3");
}

#[test]
fn warnings_of_replicas_are_shown() {
    let platform = Platform::start();
    let log = platform.data().join("logs/order-2.log");
    let mut log = OpenOptions::new().append(true).open(log).expect("its log");
    for (level, message) in [("info", "all is calm"), ("warn", "the tide rises")] {
        writeln!(log, r#"{{"level":"{level}","message":"{message}"}}"#).expect("write");
    }
    platform.wait_for("order-2        the tide rises");
    assert!(!platform.output().contains("all is calm"));
}

#[test]
fn a_second_instance_is_refused() {
    let platform = Platform::start();
    let (_, error, status) = platform.sandbox().run("up", &[]);
    assert_eq!(status.code(), Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    let holder = format!("(pid {})", platform.pid());
    assert!(error.contains(&holder), "{error}");
    assert_eq!(platform.control().list().len(), 2 * SERVICES.len());
}

#[test]
fn a_taken_port_is_named() {
    let sandbox = Sandbox::new();
    let port = sandbox.base_port() + 101; // inventory-2
    let _taken = TcpListener::bind(("127.0.0.1", port)).expect("bind");
    let (output, error, status) = sandbox.run("up", &[]);
    assert_eq!(status.code(), Some(1));
    assert_eq!(output, "", "something started");
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in [
        format!("port {port} "),
        format!("pid {} ", std::process::id()),
        "--base-port".to_owned(),
    ] {
        assert!(error.contains(&part), "{part:?} is missing in {error}");
    }
}

/// As Ctrl-C in a terminal does it: to every process of the foreground group at once.
#[test]
fn ctrl_c_drains_callers_before_those_they_call() {
    let mut platform = Platform::start();
    let pids = platform.control().pids();
    let group = i32::try_from(platform.pid()).ok();
    let group = group.and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process_group(group.expect("a pid"), Signal::INT).expect("it exists");
    assert_eq!(platform.end().code(), Some(0));
    assert_eq!(pids.into_iter().find(|&pid| alive(pid)), None);
    platform.wait_for("stopped in");
    let output = platform.output();
    let left = output
        .lines()
        .filter(|line| line.ends_with("drained and left"));
    let names: Vec<&str> = left
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    let stage = |name: &&str| match name.split('-').next() {
        Some("gateway") => 0,
        Some("worker" | "notification" | "commander" | "auth") => 1,
        Some("order") => 2,
        _ => 3,
    };
    assert_eq!(names.len(), 2 * SERVICES.len(), "{output}");
    assert!(names.is_sorted_by_key(stage), "{names:?}");
}

/// Some tools send a signal to the process and to its group, too.
#[test]
fn the_same_signal_twice_at_once_still_drains() {
    let mut platform = Platform::start();
    platform.signal(Signal::TERM);
    platform.wait_for("stopping");
    platform.signal(Signal::TERM);
    assert_eq!(platform.end().code(), Some(0));
    platform.wait_for("stopped in");
    let drained = platform.output().matches("drained and left").count();
    assert_eq!(drained, 2 * SERVICES.len());
}

#[test]
fn a_second_signal_kills_at_once() {
    let mut platform = Platform::start_in(Sandbox::new(), &[("DRAIN_TIME", "9s")]);
    let pids = platform.control().pids();
    let began = Instant::now();
    platform.signal(Signal::TERM);
    let end = eventually("the supervisor's end", || {
        thread::sleep(Duration::from_millis(100));
        platform.signal(Signal::TERM);
        platform.ended()
    });
    assert_eq!(end.code(), Some(0));
    assert!(began.elapsed().as_secs() < 9, "it drained");
    assert_eq!(pids.into_iter().find(|&pid| alive(pid)), None);
}

#[test]
fn no_replica_outlives_a_killed_supervisor() {
    let mut platform = Platform::start();
    let pids = platform.control().pids();
    assert_eq!(pids.len(), 2 * SERVICES.len());
    platform.signal(Signal::KILL);
    platform.end();
    for pid in pids {
        eventually("the end of every replica", || (!alive(pid)).then_some(()));
    }
}

/// Right after a crash, with the stale socket, lock and dying children still around.
#[test]
fn it_starts_again_after_a_crash_with_its_secrets() {
    let sandbox = Sandbox::new();
    let mut platform = Platform::start_in(sandbox, &[]);
    let secret = platform.data().join("secrets/order_id");
    let first = std::fs::read_to_string(&secret).expect("secret");
    platform.signal(Signal::KILL);
    platform.end();
    let platform = platform.restart();
    assert_eq!(platform.control().list().len(), 2 * SERVICES.len());
    assert_eq!(std::fs::read_to_string(&secret).expect("secret"), first);
}

/// With SIGKILL and with a clean stop: the order is on disk before the answer is given.
#[test]
fn orders_survive_a_restart() {
    let order = json!({"product_id": "PROD-001", "quantity": 2, "email": "a@example.com"});
    let place = |platform: &Platform, key| {
        let url = format!("{}/api/orders", platform.url());
        let (status, order) = post(&url, &[("idempotency-key", key)], &order);
        assert_eq!(status, 201, "{order}");
        order
    };
    let mut platform = Platform::start();
    let first = place(&platform, "first");
    platform.signal(Signal::KILL);
    platform.end();
    let platform = platform.restart();
    let second = place(&platform, "second");
    let platform = Platform::start_in(platform.stop(), &[]);
    for order in [&first, &second] {
        let id = order["id"].as_str().expect("an id");
        let (status, stored) = get(&format!("{}/api/orders/{id}", platform.url()));
        assert_eq!((status, &stored), (200, order));
    }
    // The same key finds the same order, so the secret that ids come from is the same, too.
    assert_eq!(place(&platform, "first"), first);
}

#[test]
fn a_service_can_have_its_database_elsewhere() {
    let sandbox = Sandbox::new();
    let file = sandbox.data().with_file_name("elsewhere.db");
    let url = format!("sqlite:{}", file.display());
    let platform = Platform::start_in(sandbox, &[("ORDER_DATABASE_URL", &url)]);
    assert!(file.exists());
    assert!(!platform.data().join("order.db").exists());
    assert!(platform.data().join("inventory.db").exists());
}

#[test]
fn a_folder_too_deep_for_the_socket_is_refused() {
    let sandbox = Sandbox::new();
    let deep = sandbox.data().join("x".repeat(100));
    let deep = deep.to_str().expect("UTF-8").to_owned();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"));
    let command = command.args(["--port", &sandbox.port().to_string()]);
    let command = command.args(["--base-port", &sandbox.base_port().to_string()]);
    let output = command.env("SEAWALL_DATA", deep).output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(error.contains("choose a shorter --data"), "{error}");
}

#[test]
fn a_bad_setting_stops_the_start_and_is_named() {
    let sandbox = Sandbox::new();
    let (_, error, status) = sandbox.run("up", &[("MAX_CONNECTIONS", "plenty")]);
    assert_eq!(status.code(), Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in ["MAX_CONNECTIONS", "plenty"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn help_and_version() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"));
        let output = command
            .args(args)
            .current_dir(sandbox.data().parent().expect("dir"));
        let output = output.output().expect("run");
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let help = run(&["--help"]);
    for word in SERVICES
        .into_iter()
        .chain(["doctor", "--replicas", "SEAWALL_DATA"])
    {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    for service in SERVICES {
        let help = run(&[service, "--help"]);
        assert!(
            help.contains(&format!("Usage: seawall {service}")),
            "{help}"
        );
        assert!(help.contains("OPS_LISTEN"), "{help}");
    }
    assert!(run(&["--version"]).starts_with("seawall 0."));
}
