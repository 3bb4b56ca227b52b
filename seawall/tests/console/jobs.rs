//! Background jobs.
use crate::{account::api_as_operator, browser::DESKTOP, ops::as_operator, stage::Stage};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_and_looked_at() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "jobs").await;
    browser.see("table", "events-inventory").await;
    browser.write("#submit [name=text]", "ahoy").await;
    browser.click("#submit button", "Submit").await;
    browser.see(".toast", "queued").await;
    browser.see(".order .badge", "done").await;
    browser.click(".order button", "Details of echo").await;
    browser.see("dialog pre", "ahoy").await;
    browser.see("dialog .badge", "done").await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_and_replayed() {
    let stage = Stage::start().await;
    let hopeless = json!({"kind": "fail", "payload": {}, "max_attempts": 1});
    let (status, answer) = api_as_operator(&stage, "POST", "/job", &hopeless);
    assert_eq!(status, 202, "{answer}");
    let browser = as_operator(&stage, DESKTOP, "jobs").await;
    browser.click(".choice label", "dead").await;
    browser.see(".order .badge", "dead").await;
    browser.click("button", "Replay the dead letter").await;
    browser.click("dialog button", "Replay all").await;
    browser.see(".toast", "One job runs again").await;
    // It fails again, in its one new try.
    browser.see(".order .badge", "dead").await;
    browser.close(&[]).await;
}
