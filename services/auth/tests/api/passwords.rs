//! Passwords: stored, changed, made stronger.
use crate::support::{PASSWORD, Replica, text};
use auth::MIGRATIONS;
use db::testing::each;
use serde_json::json;
use std::time::{Duration, Instant};

const STORED: &str = "SELECT password FROM users WHERE username = 'ada'";

#[tokio::test]
async fn a_hash_is_made_anew_when_the_parameters_rise() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let before = text(&db, STORED).await;
        assert!(
            before.starts_with("$argon2id$v=19$m=64,t=1,p=1$"),
            "{before}"
        );
        auth.login("ada").await;
        assert_eq!(text(&db, STORED).await, before);
        let stronger = Replica::with(&db, &["--argon2-memory-kib=128", "--argon2-passes=2"]).await;
        stronger
            .try_login("ada", "a wrong password")
            .await
            .expect(401);
        assert_eq!(text(&db, STORED).await, before);
        stronger.login("ada").await;
        let after = text(&db, STORED).await;
        assert!(
            after.starts_with("$argon2id$v=19$m=128,t=2,p=1$"),
            "{after}"
        );
        // A replica with the old parameters takes it, and leaves it.
        auth.login("ada").await;
        assert_eq!(text(&db, STORED).await, after);
    })
    .await;
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_all_sessions() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let ada = auth.register("ada").await;
        let (one, two) = (auth.login("ada").await, auth.login("ada").await);
        let wrong = json!({"password": "a good new password", "current_password": "not it, no"});
        auth.change(ada, wrong)
            .await
            .expect_problem(422, "wrong_password");
        let one = auth.refresh(&one.refresh_token).await;
        let right = json!({"password": "a good new password", "current_password": PASSWORD});
        auth.change(ada, right).await.expect(200);
        for session in [one, two] {
            let answer = auth.try_refresh(&session.refresh_token).await;
            answer.expect_problem(401, "invalid_refresh_token");
        }
        auth.try_login("ada", PASSWORD).await.expect(401);
        auth.try_login("ada", "a good new password")
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn any_unicode_is_a_password_byte_for_byte() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let odd = [
            "🦀🦞🦐🐚🐙🦑🐠🐡".repeat(8),
            "nul\0 and\nnewline".to_owned(),
            "ab".repeat(512),
        ];
        for (n, password) in odd.iter().enumerate() {
            let name = format!("user-{n}");
            let new = json!({"username": name, "password": password});
            auth.post("/auth/register", new).await.expect(201);
            auth.try_login(&name, password).await.expect(200);
            let almost = password.chars().skip(1).collect::<String>();
            auth.try_login(&name, &almost).await.expect(401);
        }
    })
    .await;
}

/// Waiting costs memory and time; what can't be hashed soon is refused at once.
#[tokio::test]
async fn a_full_pool_refuses_with_503() {
    each(&MIGRATIONS, async |db| {
        let settings = [
            "--argon2-memory-kib=8192",
            "--argon2-parallel=1",
            "--argon2-queue=1",
        ];
        let auth = Replica::with(&db, &settings).await;
        let logins = (0..12).map(|n| async move { n });
        let login = async |n: i32| {
            let from = format!("192.0.2.{n}");
            auth.try_login_from(&from, &format!("user-{n}"), PASSWORD)
                .await
        };
        let answers = futures::future::join_all(logins.map(async |n| login(n.await).await)).await;
        let count = |status| {
            answers
                .iter()
                .filter(|a| a.status.as_u16() == status)
                .count()
        };
        assert!(count(503) >= 8 && count(401) >= 2, "{answers:?}");
        for answer in answers.iter().filter(|a| a.status == 503) {
            answer.expect_problem(503, "overloaded");
            assert!(answer.headers.contains_key("retry-after"));
        }
        assert_eq!(auth.logins("busy") as usize, count(503));
        // Those did not count as guesses.
        for _ in 0..3 {
            auth.try_login_from("192.0.2.11", "user-11", "a wrong password")
                .await
                .expect(401);
        }
    })
    .await;
}

/// The time of a login must not tell whether there is such an account.
#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    each(&MIGRATIONS, async |db| {
        let settings = ["--argon2-memory-kib=8192", "--argon2-passes=4"];
        let auth = Replica::with(&db, &settings).await;
        auth.register("ada").await;
        let mut took = [Vec::new(), Vec::new()];
        for n in 0..24_usize {
            let name = ["ada", "nobody"][n % 2];
            let started = Instant::now();
            let answer = auth
                .try_login_from(&format!("192.0.2.{n}"), name, "a wrong password")
                .await;
            took[n % 2].push(started.elapsed());
            answer.expect_problem(401, "invalid_credentials");
            crate::support::sql(&db, "DELETE FROM attempts").await;
        }
        let [known, unknown] = took.map(|mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        });
        // Without the hash of nobody the second would be a hundredth; the rest is for busy machines.
        assert!(
            (0.2..5.0).contains(&(unknown / known)),
            "{known} and {unknown}"
        );
    })
    .await;
}
