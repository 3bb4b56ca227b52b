//! When the platform, or a part of it, doesn't answer.
use crate::{
    browser::{Browser, DESKTOP, PHONE},
    stage::Stage,
};
use serde_json::json;

async fn offline(browser: &Browser, offline: bool) {
    let conditions =
        json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.cdp("Network.enable", json!({})).await;
    browser
        .cdp("Network.emulateNetworkConditions", conditions)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_it_says_so_keeps_what_was_typed_and_goes_on() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, PHONE, "#/shop").await;
    browser.click("button", "Buy: Storm lantern").await;
    browser
        .write("dialog [name=email]", "sea@example.com")
        .await;
    offline(&browser, true).await;
    browser.click("dialog button", "Buy now").await;
    browser.see("dialog .problem", "can’t be reached").await;
    browser.see("#banner", "Trying again in").await;
    offline(&browser, false).await;
    browser
        .until(
            "the banner goes",
            "return document.getElementById('banner').hidden",
        )
        .await;
    let kept = browser
        .see("dialog [name=email]", "")
        .await
        .value()
        .await
        .expect("a value");
    assert_eq!(kept.as_deref(), Some("sea@example.com"));
    browser.click("dialog button", "Buy now").await;
    browser.see(".receipt .badge", "confirmed").await;
    browser.close(&[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_tried_again_when_it_said() {
    let stage = Stage::start().await;
    stage.away(Some("/api/products"));
    let browser = Browser::open(&stage, DESKTOP, "#/shop").await;
    browser.see("#banner", "Not available right now").await;
    browser.see("#banner", "Trying again in 2 s").await;
    stage.away(None);
    browser.see(".product h2", "Storm lantern").await;
    browser
        .until(
            "the banner goes",
            "return document.getElementById('banner').hidden",
        )
        .await;
    browser.close(&[503]).await;
}
