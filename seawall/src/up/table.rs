//! The table people see once the platform is up.
use super::Supervisor;
use std::fmt::Write as _;

/// What runs where, and what to try first.
pub fn render(supervisor: &Supervisor) -> String {
    let url = &supervisor.console;
    let data = supervisor.data.path().display();
    let state = match supervisor.fleet.ready() {
        true => "is ready after",
        false => "is not ready yet after",
    };
    let took = supervisor.started.elapsed().as_millis();
    let mut text = format!(
        "\nSeawall {} {state} {took} ms\n\n  console  {url}\n  data     {data}\n  logs     {data}/logs\n",
        telemetry::VERSION
    );
    if let Some(password) = &supervisor.operator {
        text +=
            &format!("  login    operator, password {password} (keep it, it is not shown again)\n");
    }
    for (what, url) in supervisor.monitoring.iter().flat_map(|both| &both.pages) {
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {what:<8} {url}");
    }
    text.push('\n');
    let mut line = |cells: [&str; 5]| {
        let [name, api, ops, pid, state] = cells;
        let _ = writeln!(text, "  {name:<16}{api:<24}{ops:<24}{pid:<9}{state}");
    };
    line(["replica", "api", "ops", "pid", "state"]);
    for replica in &supervisor.fleet.replicas {
        let replica = replica.describe();
        let pid = replica.pid.map_or("-".to_owned(), |pid| pid.to_string());
        let state = replica.state.to_string();
        line([&replica.name, &replica.api, &replica.ops, &pid, &state]);
    }
    text + &format!(
        "\nTry\n  curl {url}/api/products\n  curl {url}/api/orders -H 'content-type: application/json' \\\n    \
         -d '{}'\n  curl {url}/api/status\n\
         Ctrl-C drains and stops everything.\n",
        r#"{"product_id":"PROD-001","quantity":2,"email":"a@example.com"}"#
    )
}
