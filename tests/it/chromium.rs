//! A headless Chromium for the tests, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>): JSON over HTTP.
//!
//! Guarantees: it runs in a temporary folder with an empty profile, and is gone, folder and all, however this process ends
//! ([`keeper`](crate::keeper)).

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::home::is_root;
use crate::keeper::Keeper;

/// What an element is called in answers: <https://www.w3.org/TR/webdriver2/#elements>.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// chromedriver; dropping it ends it and its browsers.
#[derive(Debug)]
pub struct Driver {
    _keeper: Keeper,
    url: String,
    pub folder: PathBuf,
}

impl Driver {
    /// Panics with the reason when there is no Chromium or it does not start.
    pub fn start() -> Self {
        let (keeper, [url, folder]) = Keeper::start("chromium", &[]);
        Self { _keeper: keeper, url, folder: folder.into() }
    }
}

/// A browser with a window.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Driver,
}

impl Browser {
    pub async fn open() -> Self {
        // Another test of this process may have done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let driver = Driver::start();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            // Each tab at its full pace, also while another is in front.
            "--disable-background-timer-throttling".to_owned(),
            "--disable-renderer-backgrounding".to_owned(),
            "--disable-backgrounding-occluded-windows".to_owned(),
            "--window-size=1000,1250".to_owned(),
            format!("--user-data-dir={}", driver.folder.join("profile").display()),
        ];
        if is_root() {
            // Its sandbox is not for root.
            arguments.push("--no-sandbox".to_owned());
        }
        let http = reqwest::Client::builder().timeout(2 * PATIENCE).no_proxy().build().unwrap();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": PATIENCE.as_millis(), "pageLoad": PATIENCE.as_millis()},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let begun = command(&http, Method::POST, &format!("{}/session", driver.url), &wanted).await;
        let begun = begun.unwrap_or_else(|why| panic!("no browser: {why}"));
        let session = format!("{}/session/{}", driver.url, begun["sessionId"].as_str().unwrap());
        Self { http, session, driver }
    }

    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let done = command(&self.http, Method::POST, &format!("{}/{path}", self.session), &body).await;
        done.unwrap_or_else(|why| panic!("{path} {body}: {why}"))
    }

    async fn get(&self, path: &str) -> Value {
        let done = command(&self.http, Method::GET, &format!("{}/{path}", self.session), &Value::Null).await;
        done.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    pub async fn go(&self, url: &str) {
        self.post("url", json!({"url": url})).await;
    }

    pub async fn reload(&self) {
        self.post("refresh", json!({})).await;
    }

    /// What the body of a function gives in the page; a promise is waited for.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", json!({"script": script, "args": []})).await
    }

    /// A command of the DevTools protocol.
    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", json!({"cmd": method, "params": parameters})).await
    }

    async fn find(&self, css: &str) -> String {
        let found = self.post("element", json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// As by the mouse: what is covered or hidden can't be clicked.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("element/{element}/click"), json!({})).await;
    }

    /// As by the keyboard, in the place of what stands there.
    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.post(&format!("element/{element}/clear"), json!({})).await;
        self.post(&format!("element/{element}/value"), json!({"text": text})).await;
    }

    /// What can be read there; nothing where it is hidden.
    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        self.get(&format!("element/{element}/text")).await.as_str().unwrap().to_owned()
    }

    /// Waits until what can be read there has `part` in it.
    #[track_caller]
    pub fn reads<'a>(&'a self, css: &'a str, part: &'a str) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let begun = std::time::Instant::now();
            loop {
                let text = self.text(css).await;
                if text.contains(part) {
                    return;
                }
                assert!(begun.elapsed() < PATIENCE, "{at}: {css} reads {text:?} and not {part:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// The tab in front.
    pub async fn tab(&self) -> String {
        self.get("window").await.as_str().unwrap().to_owned()
    }

    /// Opens another, and goes there.
    pub async fn new_tab(&self) -> String {
        let tab = self.post("window/new", json!({"type": "tab"})).await["handle"].as_str().unwrap().to_owned();
        self.switch(&tab).await;
        tab
    }

    pub async fn switch(&self, tab: &str) {
        self.post("window", json!({"handle": tab})).await;
    }

    /// Keeps what the window shows in `<target>/tmp/screenshots`, for people to look at.
    pub async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let png = self.get("screenshot").await;
        std::fs::write(folder.join(format!("{name}.png")), STANDARD.decode(png.as_str().unwrap()).unwrap()).unwrap();
    }
}

async fn command(http: &reqwest::Client, method: Method, url: &str, body: &Value) -> Result<Value, String> {
    let request = http.request(method.clone(), url).header("Content-Type", "application/json");
    let request = if method == Method::GET { request } else { request.body(body.to_string()) };
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
    let mut read: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if status.is_success() { Ok(read["value"].take()) } else { Err(format!("{status}: {}", read["value"]["message"])) }
}

mod tests {
    use super::*;
    use crate::keeper::{eventually, held_by_another, hold, is_holder};

    /// The processes that have the folder in what they were started with.
    fn of(folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let has = |file: &str| {
                let text = std::fs::read(path.join(file)).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(folder)
            };
            if has("cmdline") || has("environ") {
                found.push(path.display().to_string());
            }
        }
        found
    }

    #[actix_web::test]
    #[ignore = "the process that the next test kills"]
    async fn hold_a_browser() {
        if is_holder() {
            let browser = Browser::open().await;
            hold(&[browser.driver().folder.to_str().unwrap()]);
        }
    }

    #[test]
    fn a_killed_process_leaves_no_browser_behind() {
        let holder = held_by_another("chromium::tests::hold_a_browser");
        let folder = holder.said[0].clone();
        let running = of(&folder).len();
        assert!(running > 2, "a driver, a browser and what that needs: {running}");
        holder.kill();
        eventually("the browser is gone", || of(&folder).is_empty() && !PathBuf::from(&folder).exists());
        println!("{running} processes of a browser were gone after the test that held it was killed");
    }
}
