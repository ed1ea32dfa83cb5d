//! docs/examples/spa, driven by Chromium: a page that signs people in, as a person uses it, in two tabs, and against those
//! who are after its session.

mod service;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::app::{Answer, Installation, Signet};
use crate::chromium::Browser;
use crate::world::{World, eventually};

const BILLS: &str = "https://bills.example";
const RIGHT: &str = "mossy kettle orbit plank";
const FIRST: &str = "gravel brass violin meadow";
const NEXT: &str = "brisk lantern tulip gravel";
const COOKIE: &str = "__Host-signet-login";

/// The example's server, which ends with the test, even when that is killed.
struct Page {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Page {
    fn serve(issuer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/spa");
        let mut described: Value = serde_json::from_slice(&fs::read(example.join("config.json")).unwrap()).unwrap();
        assert_eq!((&described["client_id"], &described["audience"]), (&json!("login"), &json!(BILLS)));
        // Where they are, and nothing else.
        described["issuer"] = json!(issuer);
        described["port"] = json!(0);
        fs::write(&config, described.to_string()).unwrap();
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "node"])
            .args([&example.join("server.mjs"), &config])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|_| panic!("setpriv is missing: install util-linux"));
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim_end().to_owned();
        assert!(
            url.starts_with("http://127.0.0.1:"),
            "node is missing or too old: run scripts/test, which installs it"
        );
        Self { child, url, _folder: folder }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An issuer, a page that is registered, a page that is not, a person and a browser.
struct Stage {
    signet: Signet,
    installation: Installation,
    page: Page,
    foreign: Page,
    browser: Browser,
}

/// An issuer whose clock is `behind` the machine's, which the sample service reads; the page that is registered there, and
/// ann.
async fn front(behind: Duration) -> (Installation, Signet, Page) {
    let installation = Installation::new().with("AUTH__REGISTRATION", "true").with("KEYS__ALGORITHMS", "ES256");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - behind;
    let held = Duration::from_secs(1_800_000_000);
    installation.clock.set_back(held.saturating_sub(now));
    installation.clock.advance(now.saturating_sub(held));
    let signet = installation.start().await;
    let page = Page::serve(&signet.issuer);
    let world = World::of(&installation).await;
    world.resource(BILLS, "bills:read bills:pay").await;
    let login = json!({"token_endpoint_auth_method": "none", "first_party": true, "web_origins": [page.url],
                       "access": {BILLS: "bills:read bills:pay"}});
    world.client("login", login).await;
    world.opened.store.close().await;
    let registered = json!({"username": "ann", "password": RIGHT});
    let answer = post(&signet, "register", &registered).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    eventually(async || (post(&signet, "login", &registered).await.status == 200).then_some(())).await;
    (installation, signet, page)
}

async fn post(signet: &Signet, path: &str, body: &Value) -> Answer {
    let request = signet.http.post(format!("{}/auth/{path}", signet.public));
    Answer::of(request.header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap()).await
}

impl Stage {
    async fn open() -> Self {
        let (installation, signet, page) = front(Duration::ZERO).await;
        let foreign = Page::serve(&signet.issuer);
        Self { browser: Browser::open().await, signet, installation, page, foreign }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        post(&self.signet, path, body).await
    }

    async fn sign_in(&self, password: &str) {
        let browser = &self.browser;
        browser.reads("#sign-in h1", "Sign in").await;
        browser.fill("#username", "ann").await;
        browser.fill("#password", password).await;
        browser.click("#sign-in-form .primary").await;
    }

    async fn at_home(&self) {
        self.browser.reads("#home h1", "Hello, ann").await;
        self.browser.reads("#bills", "Electricity").await;
        self.browser.reads("#sessions", "This device").await;
    }

    /// The cookie, as the browser keeps it.
    async fn cookie(&self) -> Option<Value> {
        let all = self.browser.devtools("Storage.getCookies", json!({})).await;
        let mut ours = all["cookies"].as_array().unwrap().iter().filter(|cookie| cookie["name"] == COOKIE).cloned();
        let cookie = ours.next();
        assert!(ours.next().is_none(), "{all}");
        cookie
    }

    /// How often refreshing came to `decision`.
    async fn refreshes(&self, decision: &str) -> u64 {
        let metrics = self.signet.http.get(format!("{}/metrics", self.signet.admin)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let line = format!("signet_refreshes_total{{decision=\"{decision}\"}} ");
        metrics.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
    }

    async fn close(self) {
        drop(self.browser);
        self.signet.stop().await;
    }
}

#[actix_web::test]
async fn a_person_signs_in_calls_the_api_reloads_and_is_signed_out_in_every_tab() {
    let stage = Stage::open().await;
    let browser = &stage.browser;
    browser.go(&stage.page.url).await;
    browser.reads("#sign-in h1", "Sign in").await;
    browser.picture("1-signed-out").await;
    // Somebody else chose the password: it is replaced first.
    let first = "UPDATE users SET password_must_change = TRUE, version = version + 1";
    stage.installation.execute(first).await;
    // What is missing is said, and where.
    browser.click("#sign-in-form .primary").await;
    browser.reads("#sign-in-error", "Please fill in “Username or e-mail address”.").await;
    stage.sign_in("not the password at all").await;
    browser.reads("#sign-in-error", "That username and password don’t go together.").await;
    let marked = "return document.querySelectorAll('#sign-in-form [aria-invalid=true]').length";
    assert_eq!(browser.run(marked).await, 2);
    browser.picture("2-wrong-password").await;
    // The password can be looked at, and pasted.
    browser.fill("#password", RIGHT).await;
    browser.click("#sign-in-form .reveal").await;
    assert_eq!(browser.run("return [password.type, password.value]").await, json!(["text", RIGHT]));
    browser.click("#sign-in-form .primary").await;
    browser.reads("#new-password h1", "Choose a new password").await;
    browser.fill("#first-next", RIGHT).await;
    browser.click("#new-password-form .primary").await;
    browser.reads("#new-password-error", "can’t be chosen").await;
    browser.fill("#first-next", FIRST).await;
    browser.click("#new-password-form .primary").await;
    stage.at_home().await;
    assert!(browser.text("#bills").await.contains("Library"), "the API was called");
    browser.picture("3-signed-in").await;
    browser
        .devtools(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}),
        )
        .await;
    browser.picture("4-signed-in-dark").await;
    browser.devtools("Emulation.setEmulatedMedia", json!({"features": []})).await;

    // The page is gone with its access token, and the session goes on by the cookie.
    browser.reload().await;
    stage.at_home().await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.go(&stage.page.url).await;
    stage.at_home().await;

    // Another session, which began outside of the browser, is ended by hand, and there is none any more.
    let elsewhere = stage.post("login", &json!({"username": "ann", "password": FIRST})).await;
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.text);
    browser.click("#load-sessions").await;
    browser.reads("#sessions", "An unknown device").await;
    browser.click("#sessions button").await;
    browser.reads("#sessions", "You are signed in nowhere else.").await;

    // A changed password: this tab goes on, and so does the other, by the cookie that they share.
    browser.fill("#current", FIRST).await;
    browser.fill("#next", "password").await;
    browser.click("#password-form .primary").await;
    browser.reads("#password-error", "too short").await;
    browser.fill("#next", NEXT).await;
    browser.click("#password-form .primary").await;
    browser.reads("#password-done", "Your password is changed").await;
    browser.picture("5-password-changed").await;
    browser.switch(&first).await;
    browser.click("#load-sessions").await;
    browser.reads("#sessions", "You are signed in nowhere else.").await;

    // Signed out in one, the other is told.
    browser.click("#sign-out").await;
    browser.reads("#sign-in-notice", "You are signed out.").await;
    assert_eq!(stage.cookie().await, None);
    browser.switch(&second).await;
    browser.reads("#sign-in-notice", "You signed out in another tab.").await;

    // One that nobody told finds out at its next call.
    stage.sign_in(NEXT).await;
    stage.at_home().await;
    let answer = stage.post("login", &json!({"username": "ann", "password": NEXT})).await;
    let elsewhere = answer.body["access_token"].as_str().unwrap();
    let others = stage.signet.http.delete(format!("{}/auth/sessions", stage.signet.public)).bearer_auth(elsewhere);
    assert_eq!(others.send().await.unwrap().status(), 204);
    browser.click("#load-sessions").await;
    browser.reads("#sign-in-notice", "Your session has ended. Please sign in again.").await;
    browser.reload().await;
    browser.reads("#sign-in h1", "Sign in").await;

    // And where nobody answers, that is said.
    stage.sign_in(NEXT).await;
    stage.at_home().await;
    let Stage { signet, browser, page, .. } = stage;
    signet.stop().await;
    browser.click("#load-sessions").await;
    browser.reads("#sessions-message", "The service can’t be reached at the moment.").await;
    // The service that verifies by keys needs nobody for it.
    browser.click("#load-bills").await;
    browser.reads("#bills", "Electricity").await;
    assert_eq!(browser.text("#bills-message").await, "");
    drop((browser, page));
}

#[actix_web::test]
async fn tabs_that_refresh_at_the_same_moment_stay_one_session_with_one_successor_each_time() {
    const ROUNDS: u64 = 20;
    /// In both tabs: whoever hears the word refreshes, at once; what became of it is kept.
    const LISTEN: &str = "const { Session } = await import('/session.js');
        const config = await (await fetch('/config.json')).json();
        window.ended = [];
        window.session = new Session(config, (why) => ended.push(why));
        window.done = 0;
        window.word?.close();
        window.word = new BroadcastChannel('now');
        word.onmessage = () => session.refresh().then(() => { done += 1; }, (error) => ended.push(String(error)));
        await session.refresh();";
    let stage = Stage::open().await;
    let browser = &stage.browser;
    browser.go(&stage.page.url).await;
    stage.sign_in(RIGHT).await;
    stage.at_home().await;
    let mut tabs = vec![browser.tab().await, browser.new_tab().await];
    browser.go(&stage.page.url).await;
    stage.at_home().await;
    // In one tab two at once, too: sessions of their own, that share nothing but the cookie.
    tabs.push(browser.new_tab().await);
    browser.go(&stage.page.url).await;
    for locks in [true, false] {
        for tab in &tabs {
            browser.switch(tab).await;
            if !locks {
                browser.run("Object.defineProperty(navigator, 'locks', { value: undefined })").await;
            }
            browser.run(LISTEN).await;
        }
        let (mut successors, mut before) = (0, stage.refreshes("rotate").await);
        let mut answered = 0;
        for round in 1..=ROUNDS {
            // Later than the grace window: the next refresh rotates.
            stage.installation.clock.advance(Duration::from_secs(11));
            let old = stage.cookie().await.unwrap()["value"].clone();
            browser.run("new BroadcastChannel('now').postMessage('')").await;
            for tab in &tabs {
                browser.switch(tab).await;
                eventually(async || {
                    let [done, ended] = [browser.run("return done").await, browser.run("return ended").await];
                    assert_eq!(ended, json!([]), "round {round}, locks: {locks}");
                    (done == round).then_some(())
                })
                .await;
                answered += 1;
            }
            let rotated = stage.refreshes("rotate").await;
            assert_eq!(rotated - before, 1, "successors in round {round}, locks: {locks}");
            assert_ne!(stage.cookie().await.unwrap()["value"], old);
            (successors, before) = (successors + 1, rotated);
        }
        println!(
            "{ROUNDS} rounds of {} tabs at once, {}: {answered} refreshes, {successors} successors, 0 signed out",
            tabs.len(),
            if locks { "in turn by locks" } else { "without locks" }
        );
    }
    assert_eq!(stage.refreshes("reuse").await, 0);
    browser.switch(&tabs[0]).await;
    browser.reload().await;
    browser.reads("#home h1", "Hello, ann").await;
    stage.close().await;
}

#[actix_web::test]
async fn no_script_sees_the_refresh_token_and_no_foreign_page_can_use_it() {
    /// Keeps every answer that a script of the page gets to read.
    const WATCH: &str = "window.seen = [];
        const real = window.fetch;
        window.fetch = async (...asked) => {
            const answer = await real(...asked);
            const headers = JSON.stringify([...answer.headers]);
            seen.push(headers + await answer.clone().text());
            return answer;
        };";
    const REACH: &str = "const { Session } = await import('/session.js');
        return [document.cookie, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }),
            JSON.stringify(await indexedDB.databases()), document.documentElement.outerHTML, location.href, ...window.seen];";
    let stage = Stage::open().await;
    let browser = &stage.browser;
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await;
    browser.go(&stage.page.url).await;
    let mut tokens = Vec::new();
    let mut reached = Vec::new();
    let mut looks = async || {
        let cookie = stage.cookie().await.unwrap();
        let flags = (&cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"], &cookie["path"]);
        assert_eq!(flags, (&json!(true), &json!(true), &json!("Strict"), &json!("/")));
        tokens.push(cookie["value"].as_str().unwrap().to_owned());
        reached
            .extend(browser.run(REACH).await.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()));
    };
    stage.sign_in(RIGHT).await;
    stage.at_home().await;
    looks().await;
    stage.installation.clock.advance(Duration::from_secs(11));
    browser.reload().await;
    stage.at_home().await;
    looks().await;
    browser.fill("#current", RIGHT).await;
    browser.fill("#next", NEXT).await;
    browser.click("#password-form .primary").await;
    browser.reads("#password-done", "Your password is changed").await;
    looks().await;
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "by login, refresh and a changed password");
    assert!(reached.iter().any(|text| text.contains("\"access_token\"")), "the answers were watched: {reached:?}");
    for text in &reached {
        assert!(!text.contains("srt_") && tokens.iter().all(|token| !text.contains(token.as_str())), "{text}");
    }
    println!("{} texts within reach of scripts, and none of {} refresh tokens in them", reached.len(), tokens.len());

    // One origin more on the same site, from where the cookie is sent; and another site.
    let before = stage.cookie().await;
    let counted = [stage.refreshes("rotate").await, stage.refreshes("settling").await];
    stage.installation.clock.advance(Duration::from_secs(11));
    let elsewhere = stage.foreign.url.replace("127.0.0.1", "localhost");
    for page in [stage.foreign.url.as_str(), &elsewhere] {
        browser.go(page).await;
        browser.reads("#sign-in-error", "can’t be reached").await;
        for call in ["refresh", "logout"] {
            let script = format!(
                "const tried = [];
                for (const mode of ['cors', 'no-cors']) {{
                    const headers = mode === 'cors' ? {{ 'Content-Type': 'application/json', 'X-Signet-CSRF': '1' }} : {{}};
                    const options = {{ method: 'POST', mode, credentials: 'include', headers, body: '{{}}' }};
                    tried.push(await fetch('{}/auth/{call}', options).then((a) => a.type + a.status, (e) => e.name));
                }}
                return tried;",
                stage.signet.issuer
            );
            // Refused before it is sent, or sent without what makes it count, and unreadable.
            assert_eq!(browser.run(&script).await, json!(["TypeError", "opaque0"]), "{page} {call}");
        }
    }
    assert_eq!(stage.cookie().await, before);
    assert_eq!([stage.refreshes("rotate").await, stage.refreshes("settling").await], counted);
    browser.go(&stage.page.url).await;
    stage.at_home().await;
    stage.close().await;
}
