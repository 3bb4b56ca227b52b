//! Looking after the platform.
use crate::{
    account::log_in,
    browser::{Browser, DESKTOP, PHONE},
    stage::{OPERATOR, Stage},
};

/// The Ops page of somebody who was asked to log in first.
pub async fn as_operator(stage: &Stage, size: crate::browser::Size, page: &str) -> Browser {
    let browser = Browser::open(stage, size, &format!("#/account/{page}")).await;
    log_in(&browser, OPERATOR.0, OPERATOR.1).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_sent_to_log_in_and_come_back() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, PHONE, "#/ops").await;
    browser.click(".gate a", "Log in").await;
    log_in(&browser, OPERATOR.0, OPERATOR.1).await;
    browser.see("h1", "Ops commander").await;
    browser.see(".live", "live").await;
    browser.close(&[401]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_here_is_seen_to_heal() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "ops").await;
    browser.see(".live", "live").await;
    let row = "[data-replica=order-1]";
    browser.see(row, "ready").await;
    browser.see(row, "0 restarts").await;
    let old = stage.control().pid("order-1");
    browser.click("button", "Kill order-1").await;
    browser.see("dialog h2", "Kill order-1?").await;
    browser.click("dialog button.danger", "Kill order-1").await;
    browser.see(".toast", "order-1 was killed").await;
    let healed = format!("{row}[data-restarts='1']");
    browser.see(&healed, "ready").await;
    browser.see(".journal", "back after").await;
    assert_ne!(stage.control().pid("order-1"), old);
    // The plots have something to show by now, and say it to those who can't see them.
    let said =
        "return document.querySelector('.plot').getAttribute('aria-label').includes('in the last')";
    browser.until("the plots speak", said).await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_red_button_kills_one_of_all() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, PHONE, "ops").await;
    browser.see(".replica", "ready").await;
    browser.click("button", "KILL RANDOM REPLICA").await;
    browser.see(".journal", "kill").await;
    browser.see(".journal", "back after").await;
    let restarts = stage
        .control()
        .list()
        .iter()
        .filter_map(|r| r["restarts"].as_u64())
        .sum::<u64>();
    assert_eq!(restarts, 1);
    browser.see(".replica[data-restarts='1']", "ready").await;
    // The victim may be the gateway that was asked, or that holds the stream.
    browser.close(&[0, 502]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_stream_was_cut_is_seen_afterwards() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "ops").await;
    browser.see(".live", "live").await;
    // Nobody can watch while both gateways, one of which holds the stream, are replaced.
    stage.away(Some("/api/ops/live"));
    for gateway in ["gateway-1", "gateway-2"] {
        let old = stage.control().pid(gateway);
        stage.control().kill(gateway, "KILL");
        stage.control().wait_for_successor(gateway, old);
    }
    browser.see(".live", "taking it up again").await;
    stage.away(None);
    for gateway in ["gateway-1", "gateway-2"] {
        browser.see(".journal .entry", gateway).await;
    }
    browser.see(".journal", "back after").await;
    browser.close(&[0, 502, 503]).await;
}
