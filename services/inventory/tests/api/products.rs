//! Reading products: pages, single ones, and ids that can't exist.
use crate::support::Replica;
use db::testing::each;
use inventory::MIGRATIONS;
use serde_json::json;
use uuid::Uuid;

/// Of the first product; the tests of image check that it is there.
const PICTURE: &str =
    "/api/images/960edd2d11e7d0524e42f8db3cb9500d8e10ef07a7a6e65f980fbafb1c9f3ffb";

#[tokio::test]
async fn the_first_products_are_there_from_the_start() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db.clone());
        let page = shop.get("/products").await.expect(200);
        let ids: Vec<_> = page["items"].as_array().expect("items").iter().map(|p| p["id"].clone()).collect();
        assert_eq!(ids, ["PROD-001", "PROD-002", "PROD-003", "PROD-004", "PROD-005"]);
        assert_eq!(page["next"], json!(null));
        assert_eq!(
            shop.get("/products/PROD-001").await.expect(200),
            json!({"id": "PROD-001", "name": "Storm lantern", "price_minor": 2900, "currency": "EUR",
                   "available": 10000, "image": PICTURE})
        );
        // A second start changes nothing.
        shop.set_stock("PROD-001", 7).await;
        db::testing::replica(&db, &MIGRATIONS).await;
        assert_eq!(shop.stock("PROD-001").await.0, 7);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let (mut ids, mut after) = (Vec::new(), String::new());
        loop {
            let page = shop
                .get(&format!("/products?limit=2{after}"))
                .await
                .expect(200);
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= 2);
            ids.extend(
                items
                    .iter()
                    .map(|p| p["id"].as_str().expect("an id").to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(
            ids,
            ["PROD-001", "PROD-002", "PROD-003", "PROD-004", "PROD-005"]
        );
    })
    .await;
}

#[tokio::test]
async fn bad_queries_are_refused() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        for query in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=abc",
            "limit=1&limit=2",
            "page=2",
            "after=%00",
            "after=a%00b",
        ] {
            shop.get(&format!("/products?{query}"))
                .await
                .expect_problem(400, "invalid_query");
        }
        for fine in ["limit=500", "limit=1", "after=ZZZ", ""] {
            shop.get(&format!("/products?{fine}")).await.expect(200);
        }
    })
    .await;
}

#[tokio::test]
async fn ids_that_can_not_exist_are_not_found() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let long = "x".repeat(65);
        for id in [
            "PROD-999",
            "prod-001",
            "%00",
            "PROD-001%00",
            "%2e%2e%2fPROD-001",
            "..%5cPROD-001",
            "%252e",
            "%ff",
            "'%20OR%201=1--",
            "PROD-001';DROP%20TABLE%20products--",
            "%c3%a4",
            "%e2%80%8bPROD-001",
            "PROD%20001",
            &long,
        ] {
            let answer = shop.get(&format!("/products/{id}")).await;
            assert_eq!(answer.status, 404, "{id}: {answer:?}");
            assert_eq!(answer.body["status"], 404, "{id}: not a problem");
            let put = shop
                .call(
                    "PUT",
                    &format!("/products/{id}/stock"),
                    json!({"available": 1}),
                )
                .await;
            assert_eq!(put.status, 404, "{id}: {put:?}");
        }
        for path in [
            "/products//",
            "/products/PROD-001/",
            "/products/PROD-001/stock/x",
        ] {
            assert_eq!(shop.get(path).await.status, 404, "{path}");
        }
        assert_eq!(shop.snapshot().await.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn sql_in_parameters_is_text() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let before = shop.snapshot().await;
        let started = std::time::Instant::now();
        for text in [
            "'%20OR%201=1--",
            "';DROP%20TABLE%20products;--",
            "'%7C%7Cpg_sleep(5)--",
            "1;SELECT%20pg_sleep(5)",
        ] {
            let answer = shop.get(&format!("/products?after={text}")).await;
            assert!(
                matches!(answer.status.as_u16(), 200 | 400),
                "{text}: {answer:?}"
            );
        }
        assert!(started.elapsed().as_secs() < 4, "somebody slept");
        assert_eq!(shop.snapshot().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_product_is_added_and_changed_but_its_stock_stays() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let mut mast = json!({"name": "Mast", "price_minor": 100, "currency": "EUR", "image": null});
        let added = shop.call("PUT", "/products/PROD-006", mast.clone()).await;
        assert_eq!(
            added.expect(200),
            json!({"id": "PROD-006", "name": "Mast", "price_minor": 100, "currency": "EUR", "available": 0, "image": null})
        );
        let order = Uuid::now_v7();
        shop.reserve(order, "PROD-006", 1).await.expect_problem(409, "sold_out");
        shop.set_stock("PROD-006", 3).await;
        let held = Uuid::now_v7();
        shop.reserve(held, "PROD-006", 1).await.expect(200);
        mast["price_minor"] = json!(200);
        mast["image"] = json!("/api/images/mast");
        let changed = shop.call("PUT", "/products/PROD-006", mast).await;
        assert_eq!(changed.expect(200)["available"], 2);
        assert_eq!(shop.get("/products/PROD-006").await.expect(200)["image"], "/api/images/mast");
        assert_eq!(shop.stock("PROD-006").await, (2, 1, 0));
        let again = shop.reserve(held, "PROD-006", 1).await.expect(200);
        assert_eq!(again["unit_price_minor"], 100, "a hold keeps its price");
    })
    .await;
}

#[tokio::test]
async fn a_product_that_can_not_be_is_refused() {
    each(&MIGRATIONS, async |db| {
        let shop = Replica::new(db);
        let good = json!({"name": "Mast", "price_minor": 100, "currency": "EUR", "image": null});
        for (field, bad) in [
            ("name", json!("")),
            ("name", json!(" ")),
            ("name", json!("a\u{0}b")),
            ("name", json!("x".repeat(101))),
            ("price_minor", json!(-1)),
            ("price_minor", json!(1_000_000_001)),
            ("price_minor", json!(1.5)),
            ("currency", json!("eur")),
            ("currency", json!("EURO")),
            ("image", json!("https://example.com/x.jpg")),
            ("image", json!("//example.com/x.jpg")),
            ("image", json!("/x y")),
        ] {
            let mut product = good.clone();
            product[field] = bad.clone();
            let refused = shop.call("PUT", "/products/PROD-006", product).await;
            refused.expect_problem(422, "invalid_field");
            assert_eq!(
                refused.body["errors"][0]["pointer"],
                format!("/{field}"),
                "{bad}"
            );
        }
        for id in ["a_b", "%00"] {
            let refused = shop
                .call("PUT", &format!("/products/{id}"), good.clone())
                .await;
            assert!(
                matches!(refused.status.as_u16(), 400 | 404),
                "{id}: {}",
                refused.status
            );
        }
        shop.get("/products/PROD-006")
            .await
            .expect_problem(404, "product_not_found");
        assert_eq!(shop.snapshot().await.len(), 5);
    })
    .await;
}
