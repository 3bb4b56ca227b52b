//! Whether the Prometheus of `seawall up` sees every replica and can work out its rules.
use crate::http;
use anyhow::{Context as _, bail, ensure};
use control::Replica;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Twice the interval of scrapes: who has just been started hasn't been seen yet.
const FIRST_SCRAPE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);

/// Each replica is a target, and the last scrape of each target was good.
pub async fn targets(prometheus: &str, replicas: &[Replica]) -> anyhow::Result<String> {
    let until = Instant::now() + FIRST_SCRAPE;
    loop {
        let answer = ask(prometheus, "targets?state=active").await?;
        let targets = answer["activeTargets"].as_array().context("no targets")?;
        let names = replicas.iter().map(|replica| replica.name.as_str());
        match flaw(targets, names) {
            None => return Ok(format!("{} are up", targets.len())),
            Some(flaw) => ensure!(Instant::now() < until, "{flaw}"),
        }
        sleep(LOOK).await;
    }
}

fn flaw<'a>(targets: &[Value], mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let is_seen = |name: &str| targets.iter().any(|t| t["labels"]["replica"] == name);
    if let Some(unseen) = names.find(|name| !is_seen(name)) {
        return Some(format!("{unseen} is no target"));
    }
    let down = targets.iter().find(|target| target["health"] != "up")?;
    let text = |field: &str| down[field].as_str().unwrap_or_default();
    let (url, health, error) = (text("scrapeUrl"), text("health"), text("lastError"));
    Some(format!("{url} is {health}: {error}"))
}

/// None has failed, and there is an Alertmanager to tell.
pub async fn rules(prometheus: &str) -> anyhow::Result<String> {
    let answer = ask(prometheus, "rules").await?;
    let groups = answer["groups"].as_array().context("no groups")?.iter();
    let rules: Vec<&Value> = groups
        .filter_map(|group| group["rules"].as_array())
        .flatten()
        .collect();
    let bad = rules.iter().find(|rule| rule["health"] == "err");
    if let Some(rule) = bad {
        bail!("{} fails: {}", rule["name"], rule["lastError"]);
    }
    let managers = ask(prometheus, "alertmanagers").await?;
    let managers = managers["activeAlertmanagers"].as_array();
    let told = managers.is_some_and(|managers| !managers.is_empty());
    ensure!(told, "Prometheus knows no Alertmanager");
    let firing = rules.iter().filter(|rule| rule["state"] == "firing");
    let (rules, firing) = (rules.len(), firing.count());
    Ok(format!("{rules} work, {firing} fire"))
}

/// What it has to say, by its HTTP API:
/// <https://prometheus.io/docs/prometheus/latest/querying/api/>.
async fn ask(prometheus: &str, what: &str) -> anyhow::Result<Value> {
    let answer = http::get(&format!("{prometheus}/api/v1/{what}"), &[]).await?;
    ensure!(answer.status == 200, "{prometheus} {answer}");
    let mut answer: Value = serde_json::from_slice(&answer.body).context("not JSON")?;
    Ok(answer["data"].take())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unseen_replica_and_a_failed_scrape_are_named() {
        let target = |name: &str, health: &str| json!({"labels": {"replica": name}, "health": health, "scrapeUrl": "http://a/metrics", "lastError": "refused"});
        let names = ["order-1", "order-2"];
        let flaw = |targets: &[Value]| flaw(targets, names.into_iter());
        let good = [target("order-1", "up"), target("order-2", "up")];
        assert_eq!(flaw(&good), None);
        let unseen = flaw(&good[..1]).expect("a flaw");
        assert!(unseen.contains("order-2"), "{unseen}");
        let down = [target("order-1", "up"), target("order-2", "down")];
        let down = flaw(&down).expect("a flaw");
        assert!(down.contains("http://a/metrics is down: refused"), "{down}");
    }
}
