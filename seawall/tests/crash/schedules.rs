//! The short form of `seawall crash`, and bugs that it must find.
use crate::support::Sandbox;
use db::testing::PostgresServer;
use queue::testing::RedisServer;

/// Runs `seawall crash` in a sandbox; what it printed, and whether it succeeded.
fn crash(args: &[&str]) -> (String, bool) {
    let sandbox = Sandbox::new();
    let output = sandbox
        .command("crash")
        .args(args)
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let text = text(&output.stdout) + &text(&output.stderr);
    (text, output.status.success())
}

#[test]
fn random_crashes_lose_nothing_on_sqlite() {
    let (text, survived) = crash(&["--schedules", "10", "--seed", "1"]);
    assert!(survived, "{text}");
}

#[test]
fn random_crashes_lose_nothing_on_postgres_and_redis() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let (postgres, redis) = (postgres.url("postgres"), redis.url());
    let servers = ["--postgres", &postgres, "--redis", &redis];
    let (text, survived) = crash(&[&["--schedules", "10", "--seed", "1"], &servers[..]].concat());
    assert!(survived, "{text}");
}

/// Three that are found soon show that the audit looks at all; docs/crash-testing.md has the others.
#[test]
fn seeded_bugs_are_found() {
    for bug in ["idempotency-off", "no-unique-key", "check-then-act"] {
        let args = [
            "--schedules",
            "60",
            "--seed",
            "1",
            "--expect-failure",
            "--bug",
            bug,
        ];
        let (text, found) = crash(&args);
        assert!(found, "{bug}: {text}");
    }
}

#[test]
fn a_bug_is_for_development_alone() {
    let sandbox = Sandbox::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seawall"));
    command
        .arg("image")
        .current_dir(sandbox.data().parent().expect("a folder"));
    command
        .env("SEEDED_BUGS", "relay-off")
        .env("APP_ENV", "production");
    command.env("IDENTITY_SECRET", "0123456789abcdef0123456789abcdef");
    let output = command.output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("SEEDED_BUGS is for development alone"),
        "{error}"
    );
}
