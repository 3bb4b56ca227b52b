//! The inbox: what Alertmanager tells, who has seen it, and who may tell and read it.
use crate::support::{Commander, Supervisor, eventually};
use chrono::{TimeDelta, Utc};
use commander::MIGRATIONS;
use db::{Db, with_db};
use serde_json::{Value, json};
use service::testing::{OPERATOR, identity};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What Alertmanager sends for one alert that fires; a number tells it from others.
fn firing(n: u32) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": format!("Alert{n}"), "severity": "critical", "team": "platform", "service": "order"},
        "annotations": {
            "summary": format!("number {n}"), "description": "It is on fire.",
            "runbook_url": "https://example.com/runbook", "dashboard_url": "https://example.com/dashboard"
        },
        "startsAt": format!("2026-11-21T18:{:02}:00.123456789Z", n % 60),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": format!("{n:016x}"),
    })
}

fn resolved(n: u32) -> Value {
    let mut alert = firing(n);
    alert["status"] = "resolved".into();
    alert["endsAt"] = "2026-11-21T19:30:00Z".into();
    alert
}

/// All that is in a payload of Alertmanager 0.28.
fn webhook(alerts: &[Value]) -> Value {
    json!({
        "receiver": "inbox", "status": "firing", "alerts": alerts, "groupLabels": {"alertname": "x"},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager:9093",
        "version": "4", "groupKey": "{}:{alertname=\"x\"}", "truncatedAlerts": 0,
    })
}

async fn alone(db: &Db, settings: &[&str]) -> (Supervisor, Commander) {
    let supervisor = Supervisor::of(&["order"]);
    let commander = Commander::new(db, &supervisor, settings);
    (supervisor, commander)
}

async fn tell(commander: &Commander, alerts: &[Value]) {
    commander.tell(&webhook(alerts), &[]).await.expect(204);
}

async fn inbox(commander: &Commander, query: &str) -> Vec<Value> {
    let page = commander.get(&format!("/ops/alerts{query}")).await;
    let page = page.expect(200);
    page["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn an_alert_is_kept_once_and_resolved() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &[]).await;
        for _ in 0..2 {
            tell(&commander, &[firing(1), firing(2)]).await;
        }
        let mut all = inbox(&commander, "").await;
        let names: Vec<_> = all.iter().map(|alert| alert["name"].clone()).collect();
        assert_eq!(names, ["Alert2", "Alert1"]);
        let id = all[1]["id"].take();
        assert_eq!(
            all[1],
            json!({
                "id": null, "name": "Alert1", "severity": "critical", "team": "platform", "state": "firing",
                "summary": "number 1", "description": "It is on fire.",
                "runbook_url": "https://example.com/runbook", "dashboard_url": "https://example.com/dashboard",
                "labels": {"alertname": "Alert1", "severity": "critical", "team": "platform", "service": "order"},
                "starts_at": "2026-11-21T18:01:00.123456Z", "ends_at": null,
                "acknowledged_at": null, "acknowledged_by": null,
            })
        );
        tell(&commander, &[resolved(1)]).await;
        let over = inbox(&commander, "?state=resolved").await;
        assert_eq!((over.len(), &over[0]["id"]), (1, &id));
        assert_eq!(over[0]["ends_at"], "2026-11-21T19:30:00Z");
        assert_eq!(inbox(&commander, "?state=firing").await.len(), 1);
        // The same labels another time are another alert.
        let mut again = firing(1);
        again["startsAt"] = "2026-11-21T20:00:00Z".into();
        tell(&commander, &[again]).await;
        assert_eq!(inbox(&commander, "").await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn who_has_seen_it_is_noted_once_until_it_fires_again() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &[]).await;
        tell(&commander, &[firing(1)]).await;
        let id = inbox(&commander, "").await[0]["id"].clone();
        let path = format!("/ops/alerts/{}/acknowledge", id.as_str().expect("an id"));
        let seen = commander.call("POST", &path, Value::Null).await.expect(200);
        assert_eq!(seen["acknowledged_by"], "operator");
        assert!(seen["acknowledged_at"].is_string(), "{seen}");
        let again = commander.call("POST", &path, Value::Null).await.expect(200);
        assert_eq!(again, seen);
        // A repeat of the webhook forgets nothing.
        tell(&commander, &[firing(1)]).await;
        assert_eq!(inbox(&commander, "").await, [seen]);
        tell(&commander, &[resolved(1)]).await;
        assert!(inbox(&commander, "").await[0]["acknowledged_at"].is_string());
        tell(&commander, &[firing(1)]).await;
        let back = inbox(&commander, "").await.remove(0);
        assert_eq!((&back["state"], &back["id"]), (&json!("firing"), &id));
        assert!(back["acknowledged_at"].is_null(), "{back}");
        let nobody = format!("/ops/alerts/{}/acknowledge", Uuid::now_v7());
        let answer = commander.call("POST", &nobody, Value::Null).await;
        answer.expect_problem(404, "alert_not_found");
    })
    .await;
}

#[tokio::test]
async fn the_inbox_comes_in_pages() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &[]).await;
        let mut alerts: Vec<_> = (0..5).map(firing).collect();
        // One time for all: then the ids are the order.
        for alert in &mut alerts {
            alert["startsAt"] = "2026-11-21T18:00:00Z".into();
        }
        tell(&commander, &alerts).await;
        let all = inbox(&commander, "").await;
        let (mut pages, mut path) = (Vec::new(), "/ops/alerts?limit=2&state=firing".to_owned());
        loop {
            let page = commander.get(&path).await.expect(200);
            pages.extend(page["items"].as_array().expect("items").clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("/ops/alerts?limit=2&state=firing&after={next}");
        }
        assert_eq!((pages.len(), &pages), (5, &all));
        for bad in ["limit=0", "after=x", "state=on", "before=1"] {
            let answer = commander.get(&format!("/ops/alerts?{bad}")).await;
            answer.expect_problem(400, "invalid_query");
        }
    })
    .await;
}

#[tokio::test]
async fn only_alertmanager_tells_where_there_is_a_token() {
    db::testing::sqlite(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &["--alert-token=s3cret"]).await;
        let body = webhook(&[firing(1)]);
        let (name, operator) = identity(OPERATOR);
        for headers in [
            &[] as &[(&str, &str)],
            &[("authorization", "Bearer wrong")],
            &[("authorization", "s3cret")],
            &[(name, operator.as_str())],
        ] {
            let answer = commander.tell(&body, headers).await;
            answer.expect_problem(401, "unauthorized");
        }
        let known = [("authorization", "Bearer s3cret")];
        commander.tell(&body, &known).await.expect(204);
        assert_eq!(inbox(&commander, "").await.len(), 1);
    })
    .await;
}

/// None of a payload is stored when one of it can't be.
#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &["--max-body-bytes=20000"]).await;
        let with = |field: &str, value: Value| {
            let mut bad = firing(2);
            bad[field] = value;
            webhook(&[firing(1), bad])
        };
        let mut old = webhook(&[firing(1)]);
        old["version"] = "3".into();
        for (body, pointer) in [
            (old, "/version"),
            (with("fingerprint", "".into()), "/alerts/1/fingerprint"),
            (
                with("fingerprint", "x".repeat(129).into()),
                "/alerts/1/fingerprint",
            ),
            (
                with("startsAt", "0001-01-01T00:00:00Z".into()),
                "/alerts/1/startsAt",
            ),
            (
                with("startsAt", "+12026-01-01T00:00:00Z".into()),
                "/alerts/1/startsAt",
            ),
            (with("status", "on fire".into()), "/alerts/1/status"),
            (with("labels", json!({"n": 1})), "/alerts/1/labels/n"),
        ] {
            let answer = commander.tell(&body, &[]).await;
            answer.expect_problem(422, "invalid_field");
            assert_eq!(answer.body["errors"][0]["pointer"], pointer, "{answer:?}");
        }
        let flood: Vec<_> = (0..100).map(firing).collect();
        let answer = commander.tell(&webhook(&flood), &[]).await;
        answer.expect_problem(413, "body_too_large");
        assert!(inbox(&commander, "").await.is_empty());
        // What is too long is cut, and what a database can't hold is left out.
        let mut long = firing(3);
        long["annotations"]["summary"] = format!("{}é\0", "x".repeat(999)).into();
        long["labels"] = json!({"alertname": "a\0b"});
        tell(&commander, &[long]).await;
        let kept = inbox(&commander, "").await.remove(0);
        assert_eq!(kept["summary"], "x".repeat(999));
        assert_eq!(
            (&kept["name"], &kept["severity"]),
            (&json!("ab"), &json!("unknown"))
        );
    })
    .await;
}

#[tokio::test]
async fn alerts_are_news_for_those_who_watch() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &[]).await;
        let changes = async |after: &str| {
            let path = format!("/ops/changes?after={after}");
            commander.get(&path).await.expect(200)
        };
        let version = |answer: &Value| answer["version"].as_str().expect("a version").to_owned();
        tell(&commander, &[firing(9), firing(1)]).await;
        // The watcher's first look at the replicas is news, too.
        let started = Instant::now();
        let mut known = changes("").await;
        loop {
            let next = changes(&version(&known)).await;
            let quiet = next["version"] == known["version"];
            known = next;
            if quiet {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "never quiet");
        }
        assert_eq!(known["alerts"].as_array().map(Vec::len), Some(2));
        // The oldest of all, but the latest news.
        tell(&commander, &[resolved(1)]).await;
        let next = changes(&version(&known)).await;
        assert_ne!(next["version"], known["version"]);
        assert_eq!(next["alerts"][0]["name"], "Alert1");
        let id = next["alerts"][0]["id"].as_str().expect("an id");
        let path = format!("/ops/alerts/{id}/acknowledge");
        commander.call("POST", &path, Value::Null).await.expect(200);
        let last = changes(&version(&next)).await;
        assert_ne!(last["version"], next["version"]);
        assert_eq!(last["alerts"][0]["acknowledged_by"], "operator");
    })
    .await;
}

#[tokio::test]
async fn what_is_long_over_is_forgotten() {
    db::testing::each(&MIGRATIONS, async |db| {
        let (_supervisor, commander) = alone(&db, &[]).await;
        tell(&commander, &[firing(1), firing(2)]).await;
        with_db!(&db.writer, |pool| {
            sqlx::query("UPDATE alerts SET changed_at = $1 WHERE name = 'Alert1'")
                .bind(Utc::now() - TimeDelta::days(91))
                .execute(pool)
                .await
                .map(drop)
        })
        .expect("a row");
        let (_supervisor, next) = alone(&db, &[]).await;
        eventually("it is forgotten", async || {
            inbox(&next, "").await.len() == 1
        })
        .await;
        assert_eq!(inbox(&next, "").await[0]["name"], "Alert2");
    })
    .await;
}
