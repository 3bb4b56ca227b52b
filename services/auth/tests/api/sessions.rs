//! Tokens: what they say, and how one follows another.
use crate::support::{Replica, id, read, sql};
use auth::MIGRATIONS;
use db::testing::{each, replica};
use serde_json::json;
use std::collections::HashSet;

#[tokio::test]
async fn an_access_token_says_who_for_whom_and_how_long() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::with(&db, &["--access-token-seconds=300"]).await;
        let ada = auth.register("ada").await;
        let tokens = auth.login("ada").await;
        let (header, claims) = read(&tokens.access_token, &auth.jwks().await);
        assert_eq!(
            (header.alg.as_str(), header.typ.as_str()),
            ("EdDSA", "at+jwt")
        );
        assert_eq!((claims.sub, claims.role.as_str()), (id(ada), "user"));
        assert_eq!(
            (claims.iss.as_str(), claims.aud.as_str()),
            ("seawall-auth", "seawall")
        );
        assert_eq!((claims.exp - claims.iat, claims.nbf), (300, claims.iat));
        assert!((db::now().timestamp() - claims.iat).abs() <= 5);
        let answer = auth.try_refresh(&tokens.refresh_token).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
    })
    .await;
}

#[tokio::test]
async fn each_refresh_token_gives_the_next() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let mut token = auth.login("ada").await.refresh_token;
        let mut seen = HashSet::from([token.clone()]);
        for _ in 0..5 {
            token = auth.refresh(&token).await.refresh_token;
            assert!(seen.insert(token.clone()), "a token came again");
        }
        for bad in ["", "x", &token[1..], &"A".repeat(43), &"x".repeat(100_000)] {
            let answer = auth.try_refresh(bad).await;
            answer.expect_problem(401, "invalid_refresh_token");
        }
        auth.refresh(&token).await;
    })
    .await;
}

#[tokio::test]
async fn fifty_at_once_get_one_successor() {
    each(&MIGRATIONS, async |db| {
        let one = Replica::new(&db).await;
        let other = replica(&db, &MIGRATIONS).await;
        let two = Replica::new(&other).await;
        one.register("ada").await;
        let token = one.login("ada").await.refresh_token;
        let refresh = |n: usize| [&one, &two][n % 2].refresh(&token);
        let answers = futures::future::join_all((0..50).map(refresh)).await;
        let successors: HashSet<_> = answers.into_iter().map(|t| t.refresh_token).collect();
        assert_eq!(successors.len(), 1);
        let live: i64 = db::with_db!(&db.reader, |pool| sqlx::query_scalar(
            "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL"
        )
        .fetch_one(pool)
        .await)
        .expect("a count");
        assert_eq!(live, 1);
        assert_eq!(one.count("auth_refresh_reuse_detected_total", ""), 0);
        other.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_used_token_that_comes_late_ends_the_session() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let stolen = auth.login("ada").await.refresh_token;
        let elsewhere = auth.login("ada").await.refresh_token;
        let newest = auth.refresh(&stolen).await.refresh_token;
        sql(&db, "UPDATE refresh_tokens SET used_at = '2020-01-01T00:00:00+00:00' WHERE used_at IS NOT NULL").await;
        for token in [&stolen, &newest, &stolen] {
            let answer = auth.try_refresh(token).await;
            answer.expect_problem(401, "invalid_refresh_token");
        }
        assert_eq!(auth.count("auth_refresh_reuse_detected_total", ""), 1);
        auth.refresh(&elsewhere).await;
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_one_session() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let first = auth.login("ada").await.refresh_token;
        let other = auth.login("ada").await.refresh_token;
        let newest = auth.refresh(&first).await.refresh_token;
        // An old token of the session does it as well.
        for token in [first.as_str(), &first, "nonsense", ""] {
            let body = json!({"refresh_token": token});
            auth.post("/auth/logout", body).await.expect(204);
        }
        let answer = auth.try_refresh(&newest).await;
        answer.expect_problem(401, "invalid_refresh_token");
        assert_eq!(auth.count("auth_refresh_reuse_detected_total", ""), 0);
        auth.refresh(&other).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_after_its_time() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let token = auth.login("ada").await.refresh_token;
        sql(
            &db,
            "UPDATE families SET expires_at = '2020-01-01T00:00:00+00:00'",
        )
        .await;
        let answer = auth.try_refresh(&token).await;
        answer.expect_problem(401, "invalid_refresh_token");
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_no_token() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let token = auth.login("ada").await.refresh_token;
        let stored: Vec<u8> = db::with_db!(&db.reader, |pool| sqlx::query_scalar(
            "SELECT hash FROM refresh_tokens"
        )
        .fetch_one(pool)
        .await)
        .expect("one token");
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let stored_text = URL_SAFE_NO_PAD.encode(&stored);
        assert_ne!(stored_text, token);
        auth.try_refresh(&stored_text).await.expect(401);
    })
    .await;
}
