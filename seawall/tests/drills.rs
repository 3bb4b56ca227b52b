//! Drills against the real platform, by the command line and by commander.
mod support;

use serde_json::{Value, json};
use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use support::{Platform, Sandbox, Signal, eventually, http, send};

/// `seawall drill …` for this platform.
fn drill(platform: &Platform, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.arg("drill").args(words);
    command.args(["--url", &platform.url()]);
    command.arg("--data").arg(platform.data());
    command.env_remove("OPERATOR_PASSWORD");
    command
}

fn run(platform: &Platform, words: &[&str]) -> Output {
    drill(platform, words).output().expect("it runs")
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Short, so that the whole drill takes seconds.
fn file(folder: &std::path::Path, name: &str, fault: &str, marks: &str) {
    let text = format!(
        "name = \"{name}\"\ntitle = \"A test\"\nstory = \"A test.\"\ngate = true\nhints = [\"look\", \"look again\"]\n\
         [hypothesis]\ntext = \"It holds.\"\nobjective_percent = 99\n\
         [load]\nkind = \"orders\"\nrate = 40\nmix = 0.5\nbefore = 2\nafter = 2\n{fault}\
         [alert]\nnames = [\"APIServiceDown\"]\nwithin = 60\nclear_within = 60\nrunbook = \"docs/runbooks/APIServiceDown.md\"\n\
         [root_cause]\nquestion = \"What?\"\nanswers = [\"a kill\"]\n[pass]\n{marks}\n"
    );
    std::fs::write(folder.join(format!("{name}.toml")), text).expect("written");
}

const SLOW: &str = "[fault.point]\nservice = \"inventory\"\nscope = \"one\"\nseconds = 60\nspec = { fault = \"latency\", latency_ms = 300 }\n";
const KILL: &str = "[fault.kill]\nservices = [\"order\"]\npick = \"each\"\npause = 1\n";

#[test]
fn a_drill_passes_with_junit_and_is_counted() {
    let platform = Platform::start();
    let folder = tempfile::tempdir().expect("a folder");
    file(folder.path(), "kill-one", KILL, "bad = 0\naudit = true");
    let out = |name: &str| folder.path().join(name).display().to_string();
    let (junit, report, json) = (out("junit.xml"), out("report.md"), out("all.json"));
    let drills = folder.path().display().to_string();
    let output = run(
        &platform,
        &[
            "run", "all", "--gate", "--seed", "7", "--drills", &drills, "--junit", &junit,
            "--report", &report, "--json", &json,
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("seed 7"));
    let read = |file: &str| std::fs::read_to_string(file).expect(file);
    let junit = read(&junit);
    assert!(
        junit.contains(r#"<testcase classname="drills" name="kill-one""#),
        "{junit}"
    );
    assert!(
        junit.contains(r#"tests="1" failures="0" errors="0""#),
        "{junit}"
    );
    assert!(read(&report).contains("order-1 is killed"));
    let reports: Value = serde_json::from_str(&read(&json)).expect("JSON");
    assert_eq!(reports[0]["verdict"], "passed");
    assert_eq!(reports[0]["victims"], json!(["order-1", "order-2"]));
    assert!(
        reports[0]["audit"]["orders"].as_u64() > Some(10),
        "{reports}"
    );
    // Commander knows of it, though another process ran it.
    let (_, runs) = platform.call("GET", "/api/ops/drills/runs", &Value::Null);
    assert_eq!(runs["items"][0]["drill"], "kill-one", "{runs}");
    let counted = platform.control().list().iter().any(|replica| {
        let ops = format!("{}/metrics", replica["ops"].as_str().expect("a URL"));
        let (_, metrics) = http("GET", &ops, &[], "");
        metrics.contains("drill_runs_total{drill=\"kill-one\",verdict=\"passed\"} 1")
    });
    assert!(counted, "drill_runs_total does not count it");
    let shown = run(&platform, &["report"]);
    assert!(text(&shown).contains("## Timeline"), "{}", text(&shown));
}

#[test]
fn a_mark_that_is_missed_fails_it_and_another_platform_shows_nothing() {
    let platform = Platform::start();
    let folder = tempfile::tempdir().expect("a folder");
    file(folder.path(), "kill-one", KILL, "ready_ms = 1");
    let drills = folder.path().display().to_string();
    let output = run(&platform, &["run", "kill-one", "--drills", &drills]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("replacement ready"),
        "{}",
        text(&output)
    );
    let sandbox = platform.stop();
    let platform = Platform::start_with(sandbox, &["--no-chaos"], &[]);
    let output = run(&platform, &["run", "kill-one", "--drills", &drills]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("INCONCLUSIVE"), "{}", text(&output));
}

/// The gate can fail: without retries between services the same drill does.
#[test]
fn without_retries_errors_are_noticed_and_fail_the_drill() {
    let folder = tempfile::tempdir().expect("a folder");
    let errs = "[fault.point]\nservice = \"inventory\"\nscope = \"one\"\nseconds = 5\n\
                spec = { fault = \"error\", status = 503, percent = 30 }\n";
    file(folder.path(), "inventory-errors", errs, "bad = 0");
    let drills = folder.path().display().to_string();
    let sandbox = Sandbox::new();
    let platform = Platform::start_in(sandbox, &[("CALL_MAX_RETRIES", "0")]);
    let output = run(&platform, &["run", "inventory-errors", "--drills", &drills]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(" MISS "), "{}", text(&output));
}

/// So it does when what guards an order between its commit and its mail is taken out.
#[cfg(all(feature = "crash-points", feature = "seeded-bugs"))]
#[test]
fn without_relay_or_idempotency_the_audit_fails_the_drill() {
    for (bug, violated) in [("relay-off", "I7"), ("idempotency-off", "I6")] {
        let sandbox = Sandbox::new();
        let crashes = sandbox.data().with_file_name("crashes");
        // One order is stored, and its process gone before it told anybody.
        std::fs::create_dir_all(crashes.join("order")).expect("a folder");
        std::fs::write(crashes.join("order/order.after_commit"), "").expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        file(
            folder.path(),
            "kill-one",
            KILL,
            "bad_percent = 50\naudit = true",
        );
        let drills = folder.path().display().to_string();
        let crashes = crashes.to_str().expect("UTF-8");
        let env = [("SEEDED_BUGS", bug), ("CRASH_DIR", crashes)];
        let platform = Platform::start_in(sandbox, &env);
        let json = folder.path().join("all.json").display().to_string();
        let words = ["run", "kill-one", "--drills", &drills, "--json", &json];
        let output = run(&platform, &words);
        assert_eq!(output.status.code(), Some(1), "{bug}: {}", text(&output));
        let reports = std::fs::read_to_string(&json).expect("the reports");
        let reports: Value = serde_json::from_str(&reports).expect("JSON");
        let checks = reports[0]["audit"]["checks"].as_array().expect("checks");
        let broken = |check: &&Value| check["violations"].as_u64() > Some(0);
        let broken: Vec<_> = checks.iter().filter(broken).collect();
        assert!(
            broken.iter().any(|check| check["invariant"] == violated),
            "{bug}: {broken:?}"
        );
    }
}

/// Without being told where it is.
#[test]
fn the_prometheus_of_the_platform_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    file(folder.path(), "kill-one", KILL, "bad_percent = 50");
    let drills = folder.path().display().to_string();
    let run = |platform: &Platform| {
        let output = run(platform, &["run", "kill-one", "--drills", &drills]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        text(&output)
    };
    let platform = Platform::start_with(Sandbox::new(), &["--monitoring"], &[]);
    let prometheus = format!("http://127.0.0.1:{}", platform.sandbox().base_port() + 4090);
    let address = prometheus.trim_start_matches("http://");
    eventually("Prometheus is ready", || {
        std::net::TcpStream::connect(address).ok()?;
        (http("GET", &format!("{prometheus}/-/ready"), &[], "").0 == 200).then_some(())
    });
    assert!(!run(&platform).contains("no Prometheus or Alertmanager was asked"));
    // Nor is one asked that isn't there any more.
    let platform = Platform::start_in(platform.stop(), &[]);
    assert!(run(&platform).contains("no Prometheus or Alertmanager was asked"));
}

#[test]
fn calling_it_off_leaves_nothing_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    file(folder.path(), "slow-inventory", SLOW, "bad_percent = 50");
    let drills = folder.path().display().to_string();
    let platform = Platform::start();
    let words = ["run", "slow-inventory", "--drills", &drills];
    let mut command = drill(&platform, &words);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let faults = || {
        let (_, faults) = platform.call("GET", "/api/ops/faults", &Value::Null);
        faults["items"].as_array().map_or(0, Vec::len)
    };
    eventually("a fault, or the drill's end", || {
        let ended = child.try_wait().expect("wait").is_some();
        (ended || faults() > 0).then_some(())
    });
    send(child.id(), Signal::INT);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("ABORTED"), "{}", text(&output));
    // Whoever was asked a moment ago may remember it for a second.
    eventually("no fault", || (faults() == 0).then_some(()));
}

#[test]
fn an_exercise_is_broken_hinted_solved_and_restored() {
    let folder = tempfile::tempdir().expect("a folder");
    file(folder.path(), "slow-inventory", SLOW, "bad_percent = 50");
    let drills = folder.path().display().to_string();
    let platform = Platform::start_in(Sandbox::new(), &[("DRILLS", &drills)]);
    let output = run(
        &platform,
        &["break", "slow-inventory", "--hidden", "--seed", "5"],
    );
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        !text(&output).contains("slow-inventory"),
        "it tells its name: {}",
        text(&output)
    );
    let (_, runs) = platform.call("GET", "/api/ops/drills/runs", &Value::Null);
    assert_eq!(runs["items"][0]["drill"], Value::Null, "{runs}");
    let busy = run(&platform, &["break", "--hidden"]);
    assert!(text(&busy).contains("409"), "{}", text(&busy));
    let hint = |platform: &Platform| text(&run(platform, &["hint"]));
    assert!(hint(&platform).starts_with("1 of 2: "));
    assert!(hint(&platform).starts_with("2 of 2: "));
    eventually("it is broken", || {
        let (_, state) = platform.call("GET", "/api/ops/state", &Value::Null);
        (!state["faults"].as_array()?.is_empty()).then_some(())
    });
    let wrong = run(&platform, &["verify", "--answer", "the database"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    // The other commander may have looked at the replicas just before.
    eventually("it is named, and not healthy", || {
        let right = run(&platform, &["verify", "--answer", "A kill"]);
        assert_eq!(right.status.code(), Some(0), "{}", text(&right));
        let right = text(&right);
        (right.contains("slow-inventory") && right.contains("not healthy")).then_some(())
    });
    let restored = run(&platform, &["restore"]);
    assert!(
        text(&restored).contains("slow-inventory"),
        "{}",
        text(&restored)
    );
    eventually("it is whole", || {
        let (_, state) = platform.call("GET", "/api/ops/state", &Value::Null);
        state["faults"].as_array()?.is_empty().then_some(())
    });
}

#[test]
fn load_runs_once_and_can_be_stopped() {
    let platform = Platform::start();
    let call = |method: &str, body: &Value| platform.call(method, "/api/ops/load", body);
    let spec = json!({"rate": 20, "seconds": 60, "kind": "orders", "mix": 0.5, "seed": 3});
    let (status, load) = call("POST", &spec);
    assert_eq!((status, &load["state"]), (202, &json!("running")), "{load}");
    assert_eq!(call("POST", &spec).0, 409);
    let began = Instant::now();
    eventually("requests", || {
        let (_, load) = call("GET", &Value::Null);
        (load["ok"].as_u64()? > 20).then_some(())
    });
    let (_, state) = platform.call("GET", "/api/ops/state", &Value::Null);
    assert_eq!(state["load"]["kind"], "orders", "{state}");
    assert_eq!(call("DELETE", &Value::Null).0, 204);
    let ended = eventually("its end", || {
        let (_, load) = call("GET", &Value::Null);
        (load["state"] == "stopped").then_some(load)
    });
    assert!(began.elapsed() < Duration::from_secs(50));
    assert_eq!(ended["failed"], 0, "{ended}");
    assert_eq!(
        call(
            "POST",
            &json!({"rate": 1e9, "seconds": 5, "kind": "orders"})
        )
        .0,
        422
    );
    let (_, journal) = platform.call("GET", "/api/ops/journal", &Value::Null);
    let entry = journal["items"]
        .as_array()
        .and_then(|i| i.iter().find(|e| e["action"] == "load"));
    assert!(entry.is_some(), "{journal}");
}
