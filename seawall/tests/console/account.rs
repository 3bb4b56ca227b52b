//! Accounts, pictures, sessions.
use crate::{
    browser::{Browser, DESKTOP, PHONE},
    stage::{OPERATOR, Stage},
    support,
};
use serde_json::{Value, json};

pub const PASSWORD: &str = "rope-lantern-barometer";

/// Makes an account on the Account page and is logged in.
pub async fn sign_up(browser: &Browser, name: &str) {
    browser.write("#register [name=username]", name).await;
    browser.write("#register [name=password]", PASSWORD).await;
    browser.click("#register button", "Make an account").await;
    browser.see("#profile", name).await;
}

pub async fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.write("#login [name=username]", name).await;
    browser.write("#login [name=password]", password).await;
    browser.click("#login button", "Log in").await;
}

/// A call of the operator past the browser.
pub fn api_as_operator(stage: &Stage, method: &str, path: &str, body: &Value) -> (u16, String) {
    let url = format!("{}/api", stage.url());
    let who = json!({"username": OPERATOR.0, "password": OPERATOR.1});
    let (status, tokens) = support::post(&format!("{url}/auth/login"), &[], &who);
    assert_eq!(status, 200, "{tokens}");
    let bearer = format!(
        "Bearer {}",
        tokens["access_token"].as_str().expect("a token")
    );
    let headers = [("authorization", bearer.as_str())];
    support::http(method, &format!("{url}{path}"), &headers, &body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_changed_left_and_found_again() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, PHONE, "#/account").await;
    sign_up(&browser, "ada").await;
    browser
        .write("#profile [name=display_name]", "Ada Lovelace")
        .await;
    browser
        .write("#profile [name=email]", "ada@example.com")
        .await;
    browser.click("#profile button", "Save").await;
    browser.see(".toast", "saved").await;
    browser.see(".people", "Ada Lovelace").await;
    browser.go("#/account").await;
    browser.see("#profile", "ada").await;
    let kept = browser
        .see("#profile [name=email]", "")
        .await
        .value()
        .await
        .expect("a value");
    assert_eq!(
        kept.as_deref(),
        Some("ada@example.com"),
        "a reload ends no session"
    );
    browser.click("button", "Log out").await;
    browser.see("#login", "Password").await;
    browser.go("#/account").await;
    log_in(&browser, "ada", PASSWORD).await;
    browser.see("#profile", "ada").await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_refused_name_are_told_where_they_are() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "#/account").await;
    log_in(&browser, "operator", "let-me-in-please").await;
    let told = browser
        .see("#login .problem", "no account with this name and password")
        .await;
    assert!(
        told.text().await.expect("text").contains("Check both"),
        "no advice"
    );
    browser.write("#register [name=username]", "x").await;
    browser.write("#register [name=password]", PASSWORD).await;
    browser.click("#register button", "Make an account").await;
    browser
        .see("#register .field-error", "must be 3 to 32 characters")
        .await;
    let marked =
        "return document.activeElement.matches('#register [name=username][aria-invalid=true]')";
    browser.until("the field has the focus", marked).await;
    browser.close(&[401, 422]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_chosen_sent_and_seen() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "#/account").await;
    sign_up(&browser, "ada").await;
    let folder = tempfile::tempdir().expect("temp dir");
    let file = folder.path().join("me.png");
    let picture = browser.driver.screenshot_as_png().await.expect("a picture");
    std::fs::write(&file, picture).expect("write");
    let choose = browser.see("#picture [type=file]", "").await;
    choose
        .send_keys(file.to_str().expect("UTF-8"))
        .await
        .expect("chosen");
    let seen = |css: &str| format!("return document.querySelector('{css}')?.naturalWidth > 0");
    browser
        .until("the preview", &seen("#picture img[src^=blob]"))
        .await;
    browser.click("#picture button", "Use this picture").await;
    browser
        .until("the picture in the head", &seen(".who img"))
        .await;
    browser
        .until("the picture among people", &seen(".people img"))
        .await;
    // Not a picture: told before it is sent.
    let file = folder.path().join("me.txt");
    std::fs::write(&file, "not a picture").expect("write");
    let choose = browser.see("#picture [type=file]", "").await;
    choose
        .send_keys(file.to_str().expect("UTF-8"))
        .await
        .expect("chosen");
    browser
        .see("#picture .problem", "Only JPEG, PNG and WebP")
        .await;
    browser.close(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_session_ends_nothing_that_was_typed_is_lost() {
    let stage = Stage::start().await;
    let browser = Browser::open(&stage, DESKTOP, "#/account").await;
    sign_up(&browser, "ada").await;
    let field = "#profile [name=display_name]";
    browser.write(field, "Countess of Lovelace").await;
    // Nothing asks by itself any more, time passes, and the session is gone.
    browser
        .run(
            "Object.defineProperty(document, 'hidden', { get: () => true });
            const now = Date.now;
            Date.now = () => now() + 3600_000;
            sessionStorage.setItem('seawall.refresh', 'long-gone')",
        )
        .await;
    browser.click("#profile button", "Save").await;
    browser.see("dialog", "Your session has ended").await;
    browser.write("dialog [name=password]", PASSWORD).await;
    browser.click("dialog button", "Log in").await;
    // What was asked for is done now, without asking again.
    browser.see(".who", "Countess of Lovelace").await;
    browser.close(&[401]).await;
}
