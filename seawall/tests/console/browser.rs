//! A headless Chromium of its own for each test, and the things people do with it.
use crate::stage::{LIMIT, Stage};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use thirtyfour::{
    LoggingPrefsLogLevel,
    common::capabilities::chromium::ChromiumLikeCapabilities as _,
    prelude::*,
    session::http::{Body, HttpClient},
};

/// Width and height of what shows the page.
#[derive(Clone, Copy)]
pub struct Size(pub u32, pub u32);

pub const PHONE: Size = Size(390, 844);
pub const DESKTOP: Size = Size(1280, 800);

/// Own profile, nothing asked of the outside, the sandbox off since tests run as root in containers.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

pub struct Browser {
    pub driver: WebDriver,
    url: String,
    _chromedriver: Chromedriver,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Else it waits for an answer of what is being killed.
        let _ = self.driver.clone().leak();
    }
}

/// Ends with all that it started; a test that went well has closed the browser before.
struct Chromedriver(Child);

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let group = self.0.id().try_into().ok();
        if let Some(group) = group.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

impl Browser {
    /// A window of this size that shows `page` of the stage, such as `#/shop`.
    pub async fn open(stage: &Stage, size: Size, page: &str) -> Self {
        let (chromedriver, port) = chromedriver();
        let profile = tempfile::tempdir().expect("temp dir");
        let mut wanted = DesiredCapabilities::chrome();
        let own = format!("--user-data-dir={}", profile.path().display());
        let window = format!("--window-size={},{}", size.0, size.1);
        for flag in FLAGS.into_iter().chain([own.as_str(), window.as_str()]) {
            wanted.add_arg(flag).expect("a flag");
        }
        wanted
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .expect("a level");
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted)
            .client(Http::default())
            .connect()
            .await
            .expect("a browser");
        let browser = Self {
            driver,
            url: stage.url(),
            _chromedriver: chromedriver,
            _profile: profile,
        };
        // Exactly: a window has a frame, and is never as narrow as a phone.
        let metrics = json!({"width": size.0, "height": size.1, "deviceScaleFactor": 1, "mobile": size.0 < 600});
        browser
            .cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        browser.go(page).await;
        browser
    }

    /// Loads a page anew.
    pub async fn go(&self, page: &str) {
        let url = format!("{}/{page}", self.url);
        self.driver.goto("about:blank").await.expect("leaves");
        self.driver.goto(url).await.expect("loads");
    }

    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        let answer = self.driver.cdp().send_raw(method, parameters).await;
        answer.unwrap_or_else(|e| panic!("{method}: {e}"))
    }

    /// What a script returns.
    pub async fn run(&self, script: &str) -> Value {
        let done = self.driver.execute(script.to_owned(), vec![]).await;
        let done = done.unwrap_or_else(|e| panic!("{script}: {e}"));
        done.json().clone()
    }

    /// Waits for a visible element that matches `css` and holds `text`.
    pub async fn see(&self, css: &str, text: &str) -> WebElement {
        let script = "const [css, text] = arguments;
            return [...document.querySelectorAll(css)].find((e) => e.checkVisibility()
                && (e.innerText.includes(text) || (e.getAttribute('aria-label') ?? '').includes(text))) ?? null";
        let began = Instant::now();
        loop {
            let arguments = vec![json!(css), json!(text)];
            let found = self.driver.execute(script.to_owned(), arguments).await;
            if let Ok(found) = found
                && let Ok(element) = found.element()
            {
                return element;
            }
            if began.elapsed() > LIMIT {
                let page = self.run("return document.body.innerText").await;
                panic!(
                    "in vain: {css} with {text:?} in\n{}",
                    page.as_str().unwrap_or_default()
                );
            }
            pause().await;
        }
    }

    /// Waits until a script returns true.
    pub async fn until(&self, what: &str, script: &str) {
        let began = Instant::now();
        while self.run(script).await != json!(true) {
            assert!(began.elapsed() < LIMIT, "in vain: {what}");
            pause().await;
        }
    }

    /// Clicks what it sees, as soon as it can be clicked.
    pub async fn click(&self, css: &str, text: &str) {
        let began = Instant::now();
        loop {
            let element = self.see(css, text).await;
            // Away from what lies over the edges.
            let middle = "arguments[0].scrollIntoView({block: 'center'})";
            let target = element.to_json().expect("an element");
            let _ = self.driver.execute(middle, vec![target]).await;
            match element.click().await {
                Ok(()) => return,
                Err(e) => assert!(began.elapsed() < LIMIT, "can't click {css}: {e}"),
            }
            pause().await;
        }
    }

    /// Replaces what is in a field.
    pub async fn write(&self, css: &str, text: &str) {
        let field = self.see(css, "").await;
        field.clear().await.expect("an empty field");
        field.send_keys(text).await.expect("typed");
    }

    /// Presses keys on whatever has the focus.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        let focused = self.driver.active_element().await.expect("focus");
        focused.send_keys(keys).await.expect("pressed");
    }

    /// What the browser complains about: scripts that failed, blocked content, failed requests.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the log");
        let severe = log.into_iter().filter(|entry| entry.level == "SEVERE");
        severe.map(|entry| entry.message).collect()
    }

    /// Closes it; it must have had nothing to complain about but requests answered with `expected`.
    pub async fn close(self, expected: &[u16]) {
        for complaint in self.complaints().await {
            let known =
                |status| complaint.contains(&format!("responded with a status of {status}"));
            let offline = expected.contains(&0) && complaint.contains("net::ERR");
            assert!(offline || expected.iter().any(known), "{complaint}");
        }
        self.driver.clone().quit().await.expect("it ends");
    }
}

pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// On a port that it picks itself.
fn chromedriver() -> (Chromedriver, u16) {
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // So that what it starts can be ended with it.
        .process_group(0)
        .spawn()
        .expect("chromedriver is there: ci/test installs it, or apt-get install chromium-driver");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let port = line.split("successfully on port ").nth(1)?;
        port.trim_end_matches('.').parse().ok()
    });
    // It must never wait for somebody to read on.
    thread::spawn(move || lines.for_each(drop));
    (
        Chromedriver(child),
        port.expect("chromedriver says its port"),
    )
}

/// The client for chromedriver: plain HTTP on this machine.
struct Http(Client<hyper_util::client::legacy::connect::HttpConnector, Full<bytes::Bytes>>);

impl Default for Http {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

#[async_trait::async_trait]
impl HttpClient for Http {
    async fn send(
        &self,
        request: http::Request<Body<'_>>,
    ) -> WebDriverResult<http::Response<bytes::Bytes>> {
        let request = request.map(|body| match body {
            Body::Empty => Full::default(),
            Body::Json(json) => Full::from(json.to_string()),
        });
        let failed = |e: &dyn std::error::Error| WebDriverError::FatalError(format!("{e:?}"));
        let answer = self.0.request(request).await.map_err(|e| failed(&e))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|e| failed(&e))?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self::default())
    }
}
