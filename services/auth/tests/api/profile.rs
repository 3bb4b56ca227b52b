//! Profiles: one's own, and those of others.
use crate::support::{PASSWORD, Replica, id};
use auth::MIGRATIONS;
use db::testing::each;
use serde_json::{Value, json};
use service::Identity;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_profile_is_changed_field_by_field() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let (ada, eve) = (auth.register("ada").await, auth.register("eve").await);
        let change =
            json!({"display_name": "Ada L.", "email": "ada@example.com", "avatar": "018f-1"});
        let changed = auth.change(ada, change).await.expect(200);
        assert_eq!(auth.get(ada, "/auth/me").await.expect(200), changed);
        assert_eq!(
            (
                &changed["display_name"],
                &changed["email"],
                &changed["avatar"]
            ),
            (
                &json!("Ada L."),
                &json!("ada@example.com"),
                &json!("018f-1")
            )
        );
        let removed = auth.change(ada, json!({"email": null})).await.expect(200);
        assert_eq!(
            (&removed["email"], &removed["avatar"]),
            (&Value::Null, &json!("018f-1"))
        );
        assert_eq!(auth.change(ada, json!({})).await.expect(200), removed);
        assert_eq!(
            auth.get(eve, "/auth/me").await.expect(200)["display_name"],
            "eve"
        );
    })
    .await;
}

#[tokio::test]
async fn bad_changes_are_refused() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let ada = auth.register("ada").await;
        let before = auth.get(ada, "/auth/me").await.expect(200);
        for change in [
            json!({"display_name": ""}),
            json!({"display_name": "a\u{202e}b"}),
            json!({"display_name": null, "username": "eve"}),
            json!({"email": "a@b.c\r\nBcc: x@y.z"}),
            json!({"avatar": "../../etc/passwd"}),
            json!({"role": "operator"}),
            json!({"id": id(ada)}),
            json!({"password": "a good new password"}),
            json!({"password": "short", "current_password": PASSWORD}),
        ] {
            let answer = auth.change(ada, change).await;
            answer.expect_problem(422, "invalid_field");
        }
        assert_eq!(auth.get(ada, "/auth/me").await.expect(200), before);
    })
    .await;
}

#[tokio::test]
async fn only_people_with_an_account_see_people() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let names: BTreeSet<String> = (0..12).map(|n| format!("user-{n:02}")).collect();
        let mut who = Identity::Anonymous;
        for name in &names {
            who = auth.register(name).await;
        }
        for path in ["/auth/users", "/auth/me"] {
            let answer = auth.get(Identity::Anonymous, path).await;
            answer.expect_problem(401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
        auth.change(who, json!({"email": "hidden@example.com"}))
            .await
            .expect(200);
        let (mut seen, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = auth
                .get(who, &format!("/auth/users?limit=5{after}"))
                .await
                .expect(200);
            assert!(!page.to_string().contains("hidden"), "{page}");
            for item in page["items"].as_array().expect("items") {
                let fields: BTreeSet<_> = item.as_object().expect("an object").keys().collect();
                let public = ["avatar", "display_name", "id", "username"].map(str::to_owned);
                assert_eq!(fields, public.iter().collect());
                let name = item["username"].as_str().expect("a name").to_owned();
                assert!(seen.insert(name), "listed twice: {item}");
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen, names);
        for query in ["limit=0", "limit=501", "after=x", "name=ada"] {
            let answer = auth.get(who, &format!("/auth/users?{query}")).await;
            answer.expect_problem(400, "invalid_query");
        }
    })
    .await;
}

/// An account that is gone has tokens that are still good for some minutes.
#[tokio::test]
async fn nobody_is_not_somebody() {
    each(&MIGRATIONS, async |db| {
        let auth = Replica::new(&db).await;
        let gone = Identity::User(uuid::Uuid::from_u128(9));
        auth.get(gone, "/auth/me")
            .await
            .expect_problem(401, "unauthorized");
        let change = auth.change(gone, json!({"display_name": "x"})).await;
        change.expect_problem(401, "unauthorized");
    })
    .await;
}
