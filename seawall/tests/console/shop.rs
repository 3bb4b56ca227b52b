//! Buying.
use crate::{
    account::{api_as_operator, sign_up},
    browser::{Browser, DESKTOP, PHONE},
    stage::Stage,
};
use serde_json::json;
use thirtyfour::Key;

#[tokio::test(flavor = "multi_thread")]
async fn products_show_with_pictures_and_nothing_to_complain_about() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "").await;
    for name in [
        "Storm lantern",
        "Oilskin jacket",
        "Brass barometer",
        "Tarred hemp rope",
        "Enamel mug",
    ] {
        browser.see(".product h2", name).await;
    }
    let drawn = "return [...document.querySelectorAll('.product img')].every((i) => i.complete && i.naturalWidth > 0)";
    browser.until("all pictures", drawn).await;
    browser.see(".price", "€29.00").await;
    browser.see(".stock", "In stock").await;
    browser.see(".empty-title", "Nothing yet").await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_shows_its_state_as_it_changes() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "#/account").await;
    sign_up(&browser, "ada").await;
    browser.click(".pages a", "Shop").await;
    browser.click("button", "Buy: Brass barometer").await;
    browser.write("dialog [name=quantity]", "3").await;
    browser.see("dialog .total", "€267.00").await;
    browser
        .write("dialog [name=email]", "ada@example.com")
        .await;
    browser.click("dialog button", "Buy now").await;
    browser.see(".receipt .badge", "confirmed").await;
    let receipt = browser.see(".receipt", "3 × Brass barometer").await;
    let id = receipt
        .attr("data-id")
        .await
        .expect("a receipt")
        .expect("an id");
    // Somebody else cancels it: the open receipt follows.
    let (status, answer) =
        api_as_operator(&stage, "POST", &format!("/orders/{id}/cancel"), &json!({}));
    assert_eq!(status, 200, "{answer}");
    browser.see(".receipt .badge", "cancelled").await;
    browser.click("dialog button", "Keep shopping").await;
    browser
        .see(&format!(".order[data-id='{id}'] .badge"), "cancelled")
        .await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_cancelled() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, PHONE, "#/account").await;
    sign_up(&browser, "grace").await;
    browser.click(".pages a", "Shop").await;
    browser.click("button", "Buy: Enamel mug").await;
    browser
        .write("dialog [name=email]", "grace@example.com")
        .await;
    browser.click("dialog button", "Buy now").await;
    browser.click("dialog button", "Keep shopping").await;
    browser
        .click(".order button", "Cancel the order of Enamel mug")
        .await;
    browser.click("dialog button", "Cancel the order").await;
    browser.see(".order .badge", "cancelled").await;
    browser
        .until(
            "no second try",
            "return !document.querySelector('.order button')",
        )
        .await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_is_told_and_sees_the_empty_shelf() {
    let stage = Stage::start().await;
    let (status, answer) = api_as_operator(
        &stage,
        "PUT",
        "/products/PROD-002/stock",
        &json!({"available": 2}),
    );
    assert_eq!(status, 200, "{answer}");
    let browser = Browser::open(&stage, PHONE, "#/shop").await;
    browser.see(".product .stock", "Only 2 left").await;
    browser.click("button", "Buy: Oilskin jacket").await;
    browser
        .write("dialog [name=email]", "late@example.com")
        .await;
    stage.buy("PROD-002", 2);
    browser.click("dialog button", "Buy now").await;
    let told = browser.see("dialog .problem", "Choose fewer pieces").await;
    assert!(
        told.text().await.expect("text").contains("Request"),
        "no request id"
    );
    let kept = browser
        .see("dialog [name=email]", "")
        .await
        .value()
        .await
        .expect("a value");
    assert_eq!(kept.as_deref(), Some("late@example.com"));
    browser.click("dialog button", "Close").await;
    browser.see(".product .stock", "Sold out").await;
    let dead =
        "return document.querySelector('[aria-label=\"Sold out: Oilskin jacket\"]').disabled";
    browser.until("no buying what isn't there", dead).await;
    browser.close(&[409]).await;
}

/// Tab until the element with the focus fulfils a condition.
async fn tab_to(browser: &Browser, what: &str) {
    for _ in 0..40 {
        browser.press(Key::Tab).await;
        if browser
            .run(&format!("return document.activeElement.matches('{what}')"))
            .await
            == true
        {
            return;
        }
    }
    panic!("{what} can't be reached by Tab");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_mouse_can_buy() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "#/shop").await;
    let lantern = "[aria-label=\"Buy: Storm lantern\"]";
    browser.see(lantern, "").await;
    tab_to(&browser, lantern).await;
    let outlined = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(
        browser.run(outlined).await,
        "solid",
        "the focus can't be seen"
    );
    browser.press(Key::Enter).await;
    browser.see("dialog", "Storm lantern").await;
    tab_to(&browser, "[name=quantity]").await;
    browser.press(Key::Up).await;
    tab_to(&browser, "[name=email]").await;
    browser.press("keys@example.com").await;
    browser.press(Key::Enter).await;
    browser.see(".receipt", "2 × Storm lantern").await;
    browser
        .until(
            "the way on has the focus",
            "return document.activeElement.textContent === 'Keep shopping'",
        )
        .await;
    browser.press(Key::Enter).await;
    let back = format!(
        "return !document.querySelector('dialog') && document.activeElement.matches('{lantern}')"
    );
    browser.until("the focus is where it was", &back).await;
    browser.see(".order", "2 × Storm lantern").await;
    browser.close(&[]).await;
}
