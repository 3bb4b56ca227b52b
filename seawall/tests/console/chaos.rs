//! Breaking on purpose from the page: load, faults, drills.
use crate::{browser::DESKTOP, ops::as_operator, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn load_is_seen_to_run_and_stops_when_told() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "ops").await;
    browser.see(".live", "live").await;
    browser.see(".stress", "No load").await;
    browser.click("button", "ACTIVATE LOAD").await;
    browser.write("#load [name=rate]", "20").await;
    browser.click("#load button", "Start").await;
    browser.see(".stress.is-on", "Load: Orders, 20/s").await;
    let sent = "return /[1-9]\\d* sent/.test(document.querySelector('.stress').innerText)";
    browser.until("orders on their way", sent).await;
    browser.see(".journal .entry", "load").await;
    browser.click("button", "Stop the load").await;
    browser.see(".stress", "No load").await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_injected_shown_and_taken_back() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "ops").await;
    browser.see(".live", "live").await;
    browser.click("button", "INJECT FAULT").await;
    browser
        .run("document.querySelector('#fault [name=service]').value = 'inventory'")
        .await;
    browser.write("#fault [name=latency_ms]", "300").await;
    browser.write("#fault [name=seconds]", "120").await;
    browser.click("#fault button", "Inject").await;
    browser.see("[data-fault=latency]", "inventory-").await;
    browser.see("[data-fault=latency]", "delay 300 ms").await;
    browser.see(".journal .entry", "fault").await;
    browser
        .click("[data-fault=latency] button", "Take back")
        .await;
    browser.see(".empty", "Nothing is broken").await;
    // What makes no sense is refused where it was asked for, and breaks nothing.
    browser.click("button", "INJECT FAULT").await;
    let choose = "const s = document.querySelector('#fault [name=fault]'); s.value = 'expired_key'; s.dispatchEvent(new Event('change'))";
    browser.run(choose).await;
    browser.click("#fault button", "Inject").await;
    browser.see("#fault .problem", "").await;
    browser.close(&[422]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_finds_out_what_is_broken() {
    let stage = Stage::start().await;
    let browser = as_operator(&stage, DESKTOP, "drills").await;
    browser.see("h2", "drills").await;
    let card = "[data-drill=poisoned-job]";
    browser.click(&format!("{card} button"), "Break it").await;
    browser.see(".run .timeline", "s").await;
    browser.click(".run button", "Give me a hint").await;
    browser.see(".run .hints li", "").await;
    browser.write("#verify [name=answer]", "the moon").await;
    browser.click("#verify button", "Verify").await;
    browser.see("#verify .notice", "That is not it").await;
    browser.write("#verify [name=answer]", "fail").await;
    browser.click("#verify button", "Verify").await;
    browser.see("#verify .notice", "Right!").await;
    browser.click(".run button", "Give up and restore").await;
    browser.see(".order", "poisoned-job").await;
    browser
        .click(".order button", "Report of poisoned-job")
        .await;
    browser.see("dialog .scroll", "Pass marks").await;
    browser.see("dialog .events", "").await;
    browser.close(&[]).await;
}
