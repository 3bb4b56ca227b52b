//! New accounts: who gets one, and under which name.
use crate::support::{PASSWORD, Replica, id, role};
use auth::MIGRATIONS;
use contracts::auth::Role;
use db::testing::each;
use serde_json::{Value, json};
use service::testing::call_with;

#[tokio::test]
async fn a_new_account_has_a_profile_and_can_log_in() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let new = json!({"username": "ada", "password": PASSWORD});
        let profile = auth.post("/auth/register", new).await.expect(201);
        assert_eq!(
            (&profile["username"], &profile["display_name"]),
            (&json!("ada"), &json!("ada"))
        );
        assert_eq!(role(&profile), Role::User);
        assert!(profile["email"].is_null() && profile["avatar"].is_null());
        assert!(!profile.to_string().contains("argon2"), "{profile}");
        let tokens = auth.login("ada").await;
        assert_eq!(
            (tokens.token_type.as_str(), tokens.expires_in),
            ("Bearer", 600)
        );
        // Names have no case.
        auth.try_login("ADA", PASSWORD).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn names_that_look_alike_are_taken() {
    each(&MIGRATIONS, async |db| {
        let settings = ["--operator-password", PASSWORD];
        let auth = Replica::with(&db, &settings).await;
        auth.register("paypal").await;
        for twin in [
            "paypal", "PayPal", "paypa1", "operator", "0perator", "Operator",
        ] {
            let new = json!({"username": twin, "password": PASSWORD});
            let answer = auth.post("/auth/register", new).await;
            answer.expect_problem(409, "username_taken");
        }
        auth.register("paypol").await;
    })
    .await;
}

#[tokio::test]
async fn fifty_at_once_make_one_account() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::with(&db, &["--argon2-queue=100"]).await;
        let new = || {
            auth.post(
                "/auth/register",
                json!({"username": "ada", "password": PASSWORD}),
            )
        };
        let answers = futures::future::join_all((0..50).map(|_| new())).await;
        let count = |status| {
            answers
                .iter()
                .filter(|a| a.status.as_u16() == status)
                .count()
        };
        // 503: the database of a busy machine is behind.
        assert_eq!(count(201), 1, "{answers:?}");
        assert_eq!(count(409) + count(503), 49, "{answers:?}");
    })
    .await;
}

/// The gateway repeats a request whose answer was lost, under the same key.
#[tokio::test]
async fn a_key_makes_a_repeat_the_same_account() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let register = async |key: &str, name: &str| {
            let body = json!({"username": name, "password": PASSWORD}).to_string();
            let key = [("idempotency-key", key)];
            call_with(&auth.router, "POST", "/auth/register", &body, &key).await
        };
        let first = register("k1", "ada").await.expect(201);
        assert_eq!(register("k1", "ada").await.expect(201), first);
        register("k2", "ada")
            .await
            .expect_problem(409, "username_taken");
        register("k1", "eve")
            .await
            .expect_problem(422, "idempotency_key_reused");
        register("a b", "eve")
            .await
            .expect_problem(400, "invalid_idempotency_key");
        assert_ne!(register("k3", "eve").await.expect(201)["id"], first["id"]);
    })
    .await;
}

#[tokio::test]
async fn bad_fields_are_named_and_change_nothing() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let good = json!({"username": "ada", "password": PASSWORD});
        for (field, value) in [
            ("username", json!("ab")),
            ("username", json!("аdmin")),
            ("username", json!("ad\u{200b}min")),
            ("username", json!("ada\u{0}")),
            ("username", json!("x".repeat(100_000))),
            ("username", json!(7)),
            ("password", json!("")),
            ("password", json!("12345678")),
            ("password", json!("x".repeat(500_000))),
            ("password", Value::Null),
            ("role", json!("operator")),
            ("id", json!("018f0000-0000-7000-8000-000000000000")),
        ] {
            let mut new = good.clone();
            new[field] = value;
            let answer = auth.post("/auth/register", new).await;
            answer.expect_problem(422, "invalid_field");
            let pointer = answer.body["errors"][0]["pointer"]
                .as_str()
                .expect("a pointer");
            assert!(pointer == format!("/{field}"), "{field}: {answer:?}");
        }
        let who = auth.register("ada").await;
        let people = auth.get(who, "/auth/users").await.expect(200);
        assert_eq!(people["items"].as_array().map(Vec::len), Some(1));
    })
    .await;
}

#[tokio::test]
async fn the_operator_is_made_once_by_any_number_of_replicas() {
    each(&MIGRATIONS, async |db| {
        let settings = ["--operator-password", "made at the first start"];
        let (one, two) =
            futures::join!(Replica::with(&db, &settings), Replica::with(&db, &settings));
        for auth in [&one, &two] {
            auth.try_login("operator", "made at the first start")
                .await
                .expect(200);
        }
        // Later it is the account's own business.
        let late = Replica::with(&db, &["--operator-password", "another password"]).await;
        late.try_login("operator", "another password")
            .await
            .expect(401);
        late.try_login("operator", "made at the first start")
            .await
            .expect(200);
        let refused = Replica::try_with(&db, &["--operator-password", "short"]).await;
        assert!(refused.is_ok(), "there is an account, so nobody looks");
    })
    .await;
}

#[tokio::test]
async fn without_a_password_there_is_no_operator_and_a_bad_one_stops_the_start() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        auth.try_login("operator", PASSWORD).await.expect(401);
        let refused = Replica::try_with(&db, &["--operator-password", "operator1"]).await;
        let error = refused.err().expect("too easy").to_string();
        assert!(error.contains("OPERATOR_PASSWORD is too easy"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_owner_of_the_secret_gets_an_operators_token() {
    each(&MIGRATIONS, async |db| {
        let settings = ["--operator-password", PASSWORD];
        let auth = Replica::with(&db, &settings).await;
        let ask = async |headers: &[(&str, &str)]| {
            call_with(&auth.router, "POST", "/auth/token", "", headers).await
        };
        let tokens = ask(&[("authorization", "Bearer development")])
            .await
            .expect(200);
        let token = tokens["access_token"].as_str().expect("a token");
        let (_, claims) = crate::support::read(token, &auth.jwks().await);
        assert_eq!(claims.role, "operator");
        for wrong in [
            "Bearer developmen",
            "Bearer ",
            "development",
            "Basic development",
        ] {
            ask(&[("authorization", wrong)])
                .await
                .expect_problem(401, "unauthorized");
        }
        ask(&[]).await.expect_problem(401, "unauthorized");
        assert_ne!(claims.sub, id(auth.register("ada").await));
    })
    .await;
}
