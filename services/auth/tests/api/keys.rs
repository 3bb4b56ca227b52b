//! Signing keys: shared, changed by age, kept as long as their tokens.
use crate::support::{Replica, read, sql};
use auth::MIGRATIONS;
use db::testing::each;

#[tokio::test]
async fn replicas_that_start_together_share_one_key() {
    each(&MIGRATIONS, async |db| {
        let replicas = (0..8).map(|_| Replica::new(&db));
        let replicas = futures::future::join_all(replicas).await;
        let first = replicas[0].jwks().await;
        assert_eq!(first.keys.len(), 1);
        replicas[0].register("ada").await;
        for replica in &replicas {
            assert_eq!(replica.jwks().await.keys, first.keys);
            read(&replica.login("ada").await.access_token, &first);
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_an_old_one_after() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.register("ada").await;
        let old = auth.login("ada").await.access_token;
        // A month passes.
        sql(
            &db,
            "UPDATE signing_keys SET signs_from = '2020-01-01T00:00:00+00:00'",
        )
        .await;
        let auth = Replica::new(&db).await;
        let both = auth.jwks().await;
        assert_eq!(both.keys.len(), 2);
        let kid = |token: &str| read(token, &both).0.kid;
        assert_eq!(kid(&auth.login("ada").await.access_token), kid(&old));
        let auth = Replica::new(&db).await;
        assert_eq!(auth.jwks().await.keys, both.keys, "one successor is enough");

        // Ten minutes pass, by turning its time back to just now.
        let now = db::now();
        db::with_db!(&db.writer, |pool| sqlx::query(
            "UPDATE signing_keys SET signs_from = $1 WHERE generation = 2"
        )
        .bind(now)
        .execute(pool)
        .await
        .map(drop))
        .expect("updated");
        let auth = Replica::new(&db).await;
        let new = auth.login("ada").await.access_token;
        assert_ne!(kid(&new), kid(&old));
        assert_eq!(
            auth.jwks().await.keys,
            both.keys,
            "old tokens are still good"
        );

        let gone = now - chrono::TimeDelta::minutes(12);
        db::with_db!(&db.writer, |pool| sqlx::query(
            "UPDATE signing_keys SET signs_from = $1 WHERE generation = 2"
        )
        .bind(gone)
        .execute(pool)
        .await
        .map(drop))
        .expect("updated");
        let jwks = Replica::new(&db).await.jwks().await;
        assert_eq!(jwks.keys, [both.keys[1].clone()]);
    })
    .await;
}

#[tokio::test]
async fn private_keys_are_encrypted_under_the_secret() {
    each(&MIGRATIONS, async |db| {
        Replica::with(&db, &["--auth-key-secret=one"]).await;
        let other = Replica::try_with(&db, &["--auth-key-secret=two"]).await;
        let error = other.err().expect("another secret").to_string();
        assert!(error.contains("another AUTH_KEY_SECRET"), "{error}");
        Replica::with(&db, &["--auth-key-secret=one"]).await;
    })
    .await;
}

#[tokio::test]
async fn the_set_of_keys_says_what_it_is() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let jwks = auth
            .get(service::Identity::Anonymous, "/.well-known/jwks.json")
            .await;
        assert_eq!(jwks.headers["cache-control"], "public, max-age=60");
        let key = &jwks.expect(200)["keys"][0];
        let said = ["kty", "crv", "alg", "use"].map(|name| key[name].as_str().expect("a text"));
        assert_eq!(said, ["OKP", "Ed25519", "EdDSA", "sig"]);
        assert!(key["d"].is_null(), "a private key");
    })
    .await;
}
