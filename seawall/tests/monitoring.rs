//! `seawall up --monitoring`: Prometheus sees every replica, and what goes wrong reaches Alertmanager.
mod support;

use db::testing::PostgresServer;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};
use support::{Platform, Sandbox, Signal, alive, eventually, get, http, send};

/// A fault must be with people within this.
const PAGE: Duration = Duration::from_secs(90);

fn start(env: &[(&str, &str)]) -> Platform {
    Platform::start_with(Sandbox::new(), &["--monitoring"], env)
}

fn prometheus(platform: &Platform) -> String {
    format!("http://127.0.0.1:{}", platform.sandbox().base_port() + 4090)
}

fn alertmanager(platform: &Platform) -> String {
    format!("http://127.0.0.1:{}", platform.sandbox().base_port() + 4093)
}

fn ready(url: &str) -> bool {
    std::net::TcpStream::connect(url.trim_start_matches("http://")).is_ok()
        && http("GET", &format!("{url}/-/ready"), &[], "").0 == 200
}

/// What Prometheus answers; nothing while it can't be reached.
fn ask(platform: &Platform, path: &str) -> Option<Value> {
    let url = prometheus(platform);
    let answer = ready(&url).then(|| get(&format!("{url}/api/v1/{path}")).1)?;
    (answer["status"] == "success").then(|| answer["data"].clone())
}

/// The process of this platform whose program's name ends so.
fn process(platform: &Platform, program: &str) -> Option<u32> {
    let data = platform.data().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &u32| {
        let of = |file: &str| std::fs::read(Path::new("/proc").join(pid.to_string()).join(file));
        let command = String::from_utf8_lossy(&of("cmdline").unwrap_or_default()).into_owned();
        let first = command.split('\0').next().unwrap_or_default();
        first.ends_with(program) && command.contains(&data) && alive(*pid)
    })
}

fn wait_for_process(platform: &Platform, program: &str) -> u32 {
    eventually(program, || process(platform, program))
}

/// Pages of this name that are with Alertmanager and not over. A ticket of the same name stays longer:
/// its windows are.
fn pages(platform: &Platform, name: &str) -> Vec<Value> {
    let url = alertmanager(platform);
    let (_, alerts) = get(&format!("{url}/api/v2/alerts"));
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    let page = |labels: &Value| labels["alertname"] == name && labels["severity"] == "critical";
    let pages = alerts.into_iter().filter(|alert| page(&alert["labels"]));
    pages.collect()
}

/// Polls for longer than `eventually`.
fn within<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check() {
            println!("{what}: after {:.1} s", began.elapsed().as_secs_f32());
            return value;
        }
        assert!(began.elapsed() < limit, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A port of a replica that is wrong in targets.json, or a rule that Prometheus can't evaluate.
#[test]
fn every_replica_is_scraped_and_every_rule_works() {
    let platform = start(&[]);
    let output = platform.output();
    for url in [prometheus(&platform), alertmanager(&platform)] {
        assert!(output.contains(&url), "not in the table: {url}\n{output}");
    }
    let replicas = platform.control().list().into_iter();
    let mut expected: BTreeSet<_> = replicas
        .map(|replica| {
            let text = |field: &str| replica[field].as_str().expect("text").to_owned();
            (text("service"), text("name"))
        })
        .collect();
    for tool in ["prometheus", "alertmanager"] {
        expected.insert((tool.to_owned(), String::new()));
    }
    eventually("all targets are up", || {
        let targets = ask(&platform, "targets?state=active")?;
        let targets = targets["activeTargets"].as_array()?.iter();
        let up: BTreeSet<_> = targets
            .filter(|target| target["health"] == "up")
            .map(|target| {
                let label = |name: &str| target["labels"][name].as_str().unwrap_or_default();
                assert_eq!(label("namespace"), "local", "{target}");
                (label("job").to_owned(), label("replica").to_owned())
            })
            .collect();
        (up == expected).then_some(())
    });
    let rules = within(PAGE, "all rules have been evaluated", || {
        let groups = ask(&platform, "rules")?["groups"].as_array()?.clone();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array());
        let rules: Vec<Value> = rules.flatten().cloned().collect();
        let fresh = |rule: &Value| rule["health"] == "unknown";
        (!rules.is_empty() && !rules.iter().any(fresh)).then_some(rules)
    });
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    assert!(rules.len() > 50, "only {} rules", rules.len());
    let managers = ask(&platform, "alertmanagers").expect("an answer");
    let url = format!("{}/api/v2/alerts", alertmanager(&platform));
    assert_eq!(managers["activeAlertmanagers"], json!([{"url": url}]));
    the_doctor_sees_it(&platform);
    platform.stop();
}

fn the_doctor_sees_it(platform: &Platform) {
    let doctor = |name: &str| {
        let (output, ..) = platform.sandbox().run("doctor", &[]);
        let line = output.lines().find(|line| line.contains(name));
        line.unwrap_or_else(|| panic!("no {name} in {output}"))
            .to_owned()
    };
    assert!(doctor("scrape targets").starts_with("ok"));
    assert!(doctor("alert rules").starts_with("ok"));
    let prometheus = wait_for_process(platform, "prometheus");
    send(prometheus, Signal::STOP);
    for check in ["scrape targets", "alert rules"] {
        assert!(doctor(check).starts_with("FAIL"), "{check}");
    }
    send(prometheus, Signal::CONT);
}

/// A supervisor that starts them once and forgets them.
#[test]
fn what_dies_comes_back_and_nothing_outlives_the_platform() {
    let platform = start(&[]);
    for program in ["prometheus", "alertmanager"] {
        let old = wait_for_process(&platform, program);
        send(old, Signal::KILL);
        platform.wait_for(&format!("{program:<14} died: SIGKILL"));
        eventually("another process", || {
            process(&platform, program).filter(|&pid| pid != old)
        });
    }
    eventually("both answer", || {
        (ready(&prometheus(&platform)) && ready(&alertmanager(&platform))).then_some(())
    });
    let pids = ["prometheus", "alertmanager"].map(|name| wait_for_process(&platform, name));
    let sandbox = platform.stop();
    assert!(!pids.into_iter().any(alive), "left behind after the end");

    let mut platform = Platform::start_with(sandbox, &["--monitoring"], &[]);
    let pids = ["prometheus", "alertmanager"].map(|name| wait_for_process(&platform, name));
    platform.signal(Signal::KILL);
    platform.end();
    eventually("they go with their supervisor", || {
        (!pids.into_iter().any(alive)).then_some(())
    });
}

/// A platform without monitoring that was asked for, and looks as if it had some.
#[test]
fn what_is_asked_for_and_cannot_be_stops_the_start() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("up");
    command.arg("--monitoring").env("PATH", sandbox.data());
    let output = command.output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        error.contains("there is no prometheus on the PATH"),
        "{error}"
    );

    let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("address").port().to_string();
    let mut command = sandbox.command("up");
    command.args(["--monitoring", "--alertmanager-port", &port]);
    let output = command.output().expect("run");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(error.contains(&format!("port {port} is taken")), "{error}");
    assert!(error.contains("--alertmanager-port"), "{error}");
}

/// Tests, scripts and benchmarks don't get what they didn't ask for.
#[test]
fn without_monitoring_there_is_none() {
    let platform = Platform::start();
    assert!(!platform.data().join("prometheus").exists());
    assert!(!ready(&prometheus(&platform)));
    let output = platform.output();
    assert!(!output.contains("alerts"), "{output}");
    platform.stop();
}

/// Rules that don't fit the metrics, a route that leads nowhere, an alert that never clears.
#[test]
fn a_dead_database_calls_somebody_and_its_return_is_told_too() {
    const ALERT: &str = "GatewayAvailabilityBudgetBurn";
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut postgres = PostgresServer::start();
    runtime.block_on(postgres.execute("CREATE DATABASE \"order\""));
    let platform = start(&[("ORDER_DATABASE_URL", &postgres.url("order"))]);
    let order = || {
        let body = json!({"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"});
        platform.call_as(None, "POST", "/api/orders", &body).0
    };
    eventually("an order is served", || (order() == 201).then_some(()));
    within(PAGE, "Prometheus has seen served orders", || {
        order();
        let query = "query?query=sum(slo:sli_error:ratio_rate30s)";
        let found = ask(&platform, query)?;
        (!found["result"].as_array()?.is_empty()).then_some(())
    });
    let quiet = pages(&platform, ALERT);
    assert!(quiet.is_empty(), "{quiet:?}");

    postgres.stop_at_once();
    let page = within(PAGE, "the page arrives", || {
        assert_ne!(order(), 201, "without its database");
        pages(&platform, ALERT).into_iter().next()
    });
    assert_eq!(page["labels"]["namespace"], "local", "{page}");
    let receivers = page["receivers"].as_array().expect("receivers");
    assert!(receivers.contains(&json!({"name": "inbox"})), "{page}");
    let runbook = page["annotations"]["runbook_url"].as_str();
    assert!(
        runbook.is_some_and(|url| url.ends_with(&format!("{ALERT}.md"))),
        "{page}"
    );

    postgres.run();
    within(2 * PAGE, "the page clears", || {
        order();
        pages(&platform, ALERT).is_empty().then_some(())
    });
    platform.stop();
}
