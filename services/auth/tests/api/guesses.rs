//! Guessing passwords: how far one gets.
use crate::support::{PASSWORD, Replica, sql};
use auth::MIGRATIONS;
use db::testing::{each, replica};
use service::testing::Answer;

/// More come through than this only if time passes meanwhile.
const MOST: u64 = 10;

fn retry_after(answer: &Answer) -> u64 {
    let value = answer.headers["retry-after"].to_str().expect("ASCII");
    value.parse().expect("seconds")
}

#[tokio::test]
async fn a_thousand_guesses_at_one_account_reach_the_hash_ten_times() {
    each(&MIGRATIONS, async |db| {
        let one = Replica::new(&db).await;
        let other = replica(&db, &MIGRATIONS).await;
        let two = Replica::new(&other).await;
        one.register("ada").await;
        for batch in 0..20_usize {
            let guess = |n: usize| {
                // From everywhere, at both replicas.
                let from = format!("198.51.{}.{n}", batch + 1);
                let auth = [&one, &two][n % 2];
                async move { auth.try_login_from(&from, "ada", "a wrong password").await }
            };
            let answers = futures::future::join_all((0..50).map(guess)).await;
            for answer in answers {
                // 503: the database of a busy machine is behind, and nothing was hashed.
                assert!(
                    matches!(answer.status.as_u16(), 401 | 429 | 503),
                    "{answer:?}"
                );
            }
        }
        let hashed = one.logins("refused") + two.logins("refused");
        assert!((5..=MOST).contains(&hashed), "{hashed} guesses were hashed");
        // However long all that took: whoever guesses once more waits again.
        let more = async || {
            one.try_login_from("198.51.100.7", "ada", "a wrong password")
                .await
        };
        while more().await.status != 429 {}
        let blocked = one.try_login("ada", PASSWORD).await;
        blocked.expect_problem(429, "too_many_attempts");
        assert!(retry_after(&blocked) <= 900);
        // Whether there is an account makes no difference.
        for n in 0..6 {
            one.try_login_from(&format!("203.0.113.{n}"), "nobody", PASSWORD)
                .await;
        }
        let unknown = one.try_login("nobody", PASSWORD).await;
        unknown.expect_problem(429, "too_many_attempts");
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_wait_grows_and_ends() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let guess = async |n: u64| {
            let from = format!("192.0.2.{n}");
            auth.try_login_from(&from, "ada", "a wrong password").await
        };
        for n in 0..5 {
            guess(n).await.expect_problem(401, "invalid_credentials");
        }
        let mut waits = Vec::new();
        for n in 5..13 {
            let blocked = guess(n).await;
            blocked.expect_problem(429, "too_many_attempts");
            waits.push(retry_after(&blocked));
            // The wait passes.
            let now = db::now().timestamp_millis();
            db::with_db!(&db.writer, |pool| sqlx::query(
                "UPDATE attempts SET blocked_until = $1"
            )
            .bind(now)
            .execute(pool)
            .await
            .map(drop))
            .expect("updated");
            guess(n).await.expect_problem(401, "invalid_credentials");
        }
        assert_eq!(waits, [1, 4, 16, 64, 256, 900, 900, 900]);
    })
    .await;
}

#[tokio::test]
async fn the_right_password_clears_the_account() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        for _ in 0..4 {
            for _ in 0..4 {
                auth.try_login("ada", "a wrong password").await.expect(401);
            }
            auth.login("ada").await;
        }
    })
    .await;
}

/// Known passwords tried on many accounts.
#[tokio::test]
async fn one_address_can_not_try_many_accounts() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        for n in 0..200 {
            auth.try_login_from("192.0.2.1", &format!("user-{n}"), PASSWORD)
                .await;
        }
        let hashed = auth.logins("refused");
        assert!((20..=30).contains(&hashed), "{hashed} guesses were hashed");
        auth.try_login_from("192.0.2.1", "ada", PASSWORD)
            .await
            .expect(429);
        // Others are not locked out.
        auth.try_login_from("192.0.2.2", "ada", PASSWORD)
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn successes_do_not_use_up_an_address() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        for _ in 0..40 {
            auth.try_login_from("192.0.2.1", "ada", PASSWORD)
                .await
                .expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_keeps_the_count() {
    each(&MIGRATIONS, async |db| {
        let before = Replica::new(&db).await;
        before.register("ada").await;
        for n in 0..5 {
            before
                .try_login_from(&format!("192.0.2.{n}"), "ada", "a wrong password")
                .await
                .expect(401);
        }
        // So that the wait outlasts any start.
        sql(
            &db,
            "UPDATE attempts SET blocked_until = blocked_until + 60000",
        )
        .await;
        drop(before);
        let after = Replica::new(&db).await;
        after.try_login("ada", PASSWORD).await.expect(429);
    })
    .await;
}
