//! Who may do what, through the front door of the whole platform.
mod support;

use gateway::{Access, TABLE};
use serde_json::{Value, json};
use support::{Platform, post};

const ID: &str = "018f0000-0000-7000-8000-000000000000";

/// Logs in through the gateway; the `Authorization` of that account.
fn log_in(platform: &Platform, username: &str, password: &str) -> String {
    let login = json!({"username": username, "password": password});
    let url = format!("{}/api/auth/login", platform.url());
    // On a busy machine a hash may take longer than the gateway waits.
    let (status, tokens) = support::eventually("a login", || {
        Some(post(&url, &[], &login)).filter(|(status, _)| *status < 500)
    });
    assert_eq!(status, 200, "{tokens}");
    format!(
        "Bearer {}",
        tokens["access_token"].as_str().expect("a token")
    )
}

fn register(platform: &Platform, username: &str) -> String {
    let new = json!({"username": username, "password": "correct horse battery"});
    let (status, profile) = platform.call_as(None, "POST", "/api/auth/register", &new);
    assert_eq!(status, 201, "{profile}");
    log_in(platform, username, "correct horse battery")
}

/// The password in the table that people see.
fn printed_password(platform: &Platform) -> Option<String> {
    let output = platform.output();
    let (_, rest) = output.split_once("operator, password ")?;
    rest.split(' ').next().map(str::to_owned)
}

/// Every route there is, in every role. A service that forgets to ask for a role fails here, and a new
/// route can't be without an entry.
#[test]
fn every_route_asks_for_its_role() {
    let platform = Platform::start();
    let user = register(&platform, "ada");
    let roles = [
        (Access::Anyone, None),
        (Access::User, Some(user.as_str())),
        (Access::Operator, Some(platform.operator())),
    ];
    for (method, path, _, access) in TABLE {
        let path = path.replace("{id}", ID).replace("{name}", "nothing");
        for (role, authorization) in roles {
            let body = match method.as_str() {
                "GET" => Value::Null,
                // Nobody is to die of this.
                _ if path == "/api/ops/kill" => json!({"replica": "nobody-1"}),
                _ => json!({}),
            };
            let (status, answer) = platform.call_as(authorization, method.as_str(), &path, &body);
            let allowed = !matches!(status, 401 | 403) && status < 500;
            let what = format!("{method} {path} as {role:?}: {status} {answer}");
            assert_eq!(allowed, role >= access, "{what}");
            if !allowed {
                let expected = if role == Access::Anyone { 401 } else { 403 };
                assert_eq!(status, expected, "{what}");
            }
        }
    }
}

#[test]
fn people_see_their_own_orders_and_mails() {
    let platform = Platform::start();
    let (ada, eve) = (register(&platform, "ada"), register(&platform, "eve"));
    let order = json!({"product_id": "PROD-001", "quantity": 1, "email": "a@example.com"});
    let (status, hers) = platform.call_as(Some(&ada), "POST", "/api/orders", &order);
    assert_eq!(status, 201, "{hers}");
    let list = |who: &str, path: &str| {
        let (status, page) = platform.call_as(Some(who), "GET", path, &Value::Null);
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().expect("items").clone()
    };
    assert_eq!(list(&ada, "/api/orders"), std::slice::from_ref(&hers));
    assert!(list(&eve, "/api/orders").is_empty());
    let mail = support::eventually("her mail", || list(&ada, "/api/notifications").pop());
    assert_eq!(mail["order_id"], hers["id"]);
    assert!(list(&eve, "/api/notifications").is_empty());
    let cancel = format!("/api/orders/{}/cancel", hers["id"].as_str().expect("an id"));
    assert_eq!(
        platform
            .call_as(Some(&eve), "POST", &cancel, &Value::Null)
            .0,
        404
    );
    assert_eq!(
        platform
            .call_as(Some(&ada), "POST", &cancel, &Value::Null)
            .0,
        200
    );
}

#[test]
fn the_operators_password_is_printed_once() {
    let platform = Platform::start();
    let password = printed_password(&platform).expect("printed at the first start");
    let operator = log_in(&platform, "operator", &password);
    let (status, me) = platform.call_as(Some(&operator), "GET", "/api/auth/me", &Value::Null);
    assert_eq!((status, &me["role"]), (200, &json!("operator")));
    let secrets = platform.data().join("secrets");
    assert!(!secrets.join("operator_password").exists(), "it is kept");
    let platform = Platform::start_in(platform.stop(), &[]);
    assert_eq!(printed_password(&platform), None);
    log_in(&platform, "operator", &password);
    // The token of before is still good: the keys are in the database.
    let (status, _) = platform.call_as(Some(&operator), "GET", "/api/stock", &Value::Null);
    assert_eq!(status, 200);
}

#[test]
fn a_password_that_was_given_is_not_printed() {
    let given = [("OPERATOR_PASSWORD", "chosen by somebody")];
    let platform = Platform::start_in(support::Sandbox::new(), &given);
    assert_eq!(printed_password(&platform), None);
    log_in(&platform, "operator", "chosen by somebody");
    let (output, _, status) = platform.sandbox().run("doctor", &given);
    assert!(status.success(), "{output}");
    let platform = Platform::start_in(platform.stop(), &[]);
    assert_eq!(printed_password(&platform), None);
}
