//! Orders that can't be meant: refused by name, and nothing happens.
use crate::support::{Replica, inventory, lanterns};
use db::testing::each;
use order::MIGRATIONS;
use service::testing::{Answer, call_with};

/// Sends each body; afterwards nothing is stored and inventory was never asked.
async fn refused(bodies: &[(String, u16, &str, Option<&str>)]) {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        for (body, status, code, pointer) in bodies {
            let answer = call_with(&shop.router, "POST", "/orders", body, &[]).await;
            let shown: String = body.chars().take(80).collect();
            assert_eq!(answer.status, *status, "{shown}: {answer:?}");
            answer.expect_problem(*status, code);
            if let Some(pointer) = pointer {
                assert_eq!(answer.body["errors"][0]["pointer"], *pointer, "{shown}");
            }
            assert_short(&answer);
        }
        assert_eq!((shop.rows().await, inventory.stock().calls), ((0, 0), 0));
        shop.post("/orders", lanterns(1)).await.expect(201);
    })
    .await;
}

/// What a caller sends is not sent back at length.
fn assert_short(answer: &Answer) {
    assert!(answer.body.to_string().len() < 1000, "{answer:?}");
}

/// A good order with one field as given.
fn with(field: &str, value: &str) -> String {
    let fields = [
        ("product_id", r#""PROD-001""#),
        ("quantity", "1"),
        ("email", r#""a@example.com""#),
    ];
    let fields = fields.map(|(name, good)| {
        let value = if name == field { value } else { good };
        format!(r#""{name}": {value}"#)
    });
    format!("{{{}}}", fields.join(", "))
}

#[tokio::test]
async fn quantities_are_1_to_1000() {
    let bad = [
        "0",
        "-1",
        "1001",
        "1e3",
        "1.5",
        "1.0",
        "9007199254740992",
        "9223372036854775808",
        "1e20",
        "-9223372036854775808",
        r#""1""#,
        "null",
        "true",
        "[1]",
        "{}",
    ];
    refused(&bad.map(|value| {
        (
            with("quantity", value),
            422,
            "invalid_field",
            Some("/quantity"),
        )
    }))
    .await;
}

#[tokio::test]
async fn emails_are_plain_addresses() {
    let long = format!(r#""{}@example.com""#, "x".repeat(320));
    let bad = [
        r#""""#,
        r#""a""#,
        r#""a@b""#,
        r#""a@b@example.com""#,
        r#""a@b.c\r\nBcc: x@y.z""#,
        r#""a@b.c\nBcc: x@y.z""#,
        r#""\"a\nb\" <a@example.com>""#,
        r#""a <a@example.com>""#,
        r#""a@example.com, b@example.com""#,
        r#""a@example.com\u0000""#,
        r#""ä@example.com""#,
        r#""a@exämple.com""#,
        r#""а@example.com""#,
        r#""a@example.com ""#,
        r#""%0d%0aBcc:x@example.com""#,
        "null",
        "7",
        "[]",
        &long,
    ];
    let bad: Vec<_> = bad
        .iter()
        .map(|v| (with("email", v), 422, "invalid_field", Some("/email")))
        .collect();
    refused(&bad).await;
}

#[tokio::test]
async fn product_ids_are_letters_digits_and_hyphens() {
    let long = format!(r#""{}""#, "x".repeat(65));
    let huge = format!(r#""{}""#, "x".repeat(100_000));
    let bad = [
        r#""""#,
        r#""PROD 001""#,
        r#""PROD-001\u0000""#,
        r#""../PROD-001""#,
        r#""PROD-001'--""#,
        r#""' OR 1=1--""#,
        r#""PROD-001;DROP TABLE orders""#,
        r#""PRОD-001""#,
        r#""\u200bPROD-001""#,
        "null",
        "1",
        r#"{"$ne": null}"#,
        &long,
        &huge,
    ];
    let bad: Vec<_> = bad
        .iter()
        .map(|v| {
            (
                with("product_id", v),
                422,
                "invalid_field",
                Some("/product_id"),
            )
        })
        .collect();
    refused(&bad).await;
}

#[tokio::test]
async fn fields_are_the_three_and_each_once() {
    let good = lanterns(1).to_string();
    let plus = |extra: &str| format!("{}, {extra}}}", &good[..good.len() - 1]);
    let mut bodies: Vec<_> = ["price", "total_minor", "status", "role", "id", "user_id"]
        .iter()
        .map(|field| {
            (
                plus(&format!(r#""{field}": 1"#)),
                422,
                "invalid_field",
                None,
            )
        })
        .collect();
    bodies.push((plus(r#""quantity": 1"#), 422, "invalid_field", None));
    bodies.push((
        plus(&format!(r#""{}": 1"#, "x".repeat(100_000))),
        422,
        "invalid_field",
        None,
    ));
    for missing in [
        r#"{"quantity": 1, "email": "a@example.com"}"#,
        r#"{"product_id": "PROD-001", "email": "a@example.com"}"#,
        r#"{"product_id": "PROD-001", "quantity": 1}"#,
        "{}",
        "[]",
        r#"["PROD-001", 1, "a@example.com"]"#,
        "null",
        "1",
        r#""PROD-001""#,
    ] {
        bodies.push((missing.to_owned(), 422, "invalid_field", None));
    }
    refused(&bodies).await;
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let good = lanterns(1).to_string();
    let deep = with(
        "product_id",
        &format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)),
    );
    let objects = r#"{"product_id":"#.repeat(20_000);
    let bodies = [
        String::new(),
        "{".to_owned(),
        format!("{good}{good}"),
        format!("{good} x"),
        format!("\u{feff}{good}"),
        with("email", r#""\ud800@example.com""#),
        with("email", "\"a\0@example.com\""),
        with("quantity", "01"),
        with("quantity", "NaN"),
        with("quantity", "+1"),
        good.replace('"', "'"),
    ];
    let mut bodies = bodies
        .map(|body| (body, 400, "malformed_json", None))
        .to_vec();
    // Deep where a text was expected: refused before it is followed down.
    for deep in [deep, objects] {
        bodies.push((deep, 422, "invalid_field", Some("/product_id")));
    }
    refused(&bodies).await;
}

#[tokio::test]
async fn other_content_types_are_refused() {
    each(&MIGRATIONS, async |db| {
        let inventory = inventory().await;
        let shop = Replica::new(&db, &inventory.url).await;
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "",
        ] {
            let request = axum::http::Request::post("/orders")
                .header("host", "test")
                .header("content-type", kind)
                .body(lanterns(1).to_string().into())
                .expect("a request");
            service::testing::send(&shop.router, request)
                .await
                .expect_problem(415, "not_json");
        }
        assert_eq!((shop.rows().await, inventory.stock().calls), ((0, 0), 0));
    })
    .await;
}
