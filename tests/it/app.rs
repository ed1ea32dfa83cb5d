//! Starts the whole program inside the test, on ports of its own, with a store of its own and a clock that the test
//! holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use signet::app::{Application, Credentials, Opened, Parts, Preparation, StartError, Stopper};
use signet::config::Settings;
use signet::ports::{Clock, SystemClock, SystemEntropy, Timestamp};
use tempfile::TempDir;

/// A clock that stands until the test moves it. The store's time is its time too.
#[derive(Debug, Clone)]
pub struct HeldClock(Arc<AtomicI64>, Arc<AtomicI64>);

impl HeldClock {
    /// At a moment in 2027.
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000)), Arc::default())
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Sets this machine's clock ahead of, or back from, that of a store on another machine.
    pub fn skew_from_the_store(&self, by: Duration, back: bool) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.1.store(if back { -by } else { by }, Ordering::SeqCst);
    }

    /// Runs back.
    pub fn set_back(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst) + self.1.load(Ordering::SeqCst))
    }

    fn held(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.0.load(Ordering::SeqCst)))
    }
}

/// Where tests keep their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A folder, a database and settings, over which any number of issuers may run.
pub struct Installation {
    pub folder: TempDir,
    pub clock: HeldClock,
    environment: Vec<(String, String)>,
    follow_every: Duration,
    real_time: bool,
    authority: Option<reqwest::Certificate>,
}

impl Installation {
    /// An empty one on SQLite.
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let environment = vec![
            ("SIGNET__DATA_DIR".to_owned(), at("data")),
            ("SIGNET__KEYS__MASTER_KEY_FILE".to_owned(), at("keys/master.key")),
            ("SIGNET__PUBLIC__BIND".to_owned(), "127.0.0.1:0".to_owned()),
            ("SIGNET__PUBLIC__WORKERS".to_owned(), "1".to_owned()),
            ("SIGNET__ADMIN__BIND".to_owned(), "127.0.0.1:0".to_owned()),
            // As everywhere, and sooner: tests fail often.
            ("SIGNET__PASSWORDS__FAILURE_TIME".to_owned(), "20ms".to_owned()),
        ];
        let (clock, follow_every) = (HeldClock::new(), Duration::from_millis(20));
        Self { folder, clock, environment, follow_every, real_time: false, authority: None }
    }

    /// With one more setting, such as `KEYS__ALGORITHMS`; a later one of that name counts.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| *known != format!("SIGNET__{name}"));
        self.environment.push((format!("SIGNET__{name}"), value.to_owned()));
        self
    }

    /// Asked by clients that trust that certificate authority (PEM), and no other.
    pub fn trusting(mut self, authority: &str) -> Self {
        self.authority = Some(reqwest::Certificate::from_pem(authority.as_bytes()).unwrap());
        self
    }

    /// Without a setting that was given before.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| *known != format!("SIGNET__{name}"));
        self
    }

    /// On that backend.
    pub fn on(self, backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => self,
            Backend::Postgres => self.with("DATABASE__URL", &crate::postgres::Postgres::shared().database()),
        }
    }

    /// Asks the store for changes as seldom as in production.
    pub fn following_as_in_production(mut self) -> Self {
        self.follow_every = Parts::default().follow_every;
        self
    }

    /// Asks the store for changes as seldom as that.
    pub fn following_every(mut self, span: Duration) -> Self {
        self.follow_every = span;
        self
    }

    /// By this machine's clock, and not the one that the test holds.
    pub fn in_real_time(mut self) -> Self {
        self.real_time = true;
        self
    }

    /// The settings as the program reads them.
    pub fn settings(&self) -> Settings {
        let loaded = Settings::load(None, self.environment.iter().cloned(), self.folder.path());
        loaded.unwrap_or_else(|faults| panic!("{faults}")).settings
    }

    pub fn parts(&self) -> Parts {
        Parts {
            clock: if self.real_time { Arc::new(SystemClock) } else { Arc::new(self.clock.clone()) },
            entropy: Arc::new(SystemEntropy),
            follow_every: self.follow_every,
            access_log: None,
            log_losses: None,
        }
    }

    /// Changes its database as another program would.
    pub async fn execute(&self, statement: &str) {
        match self.environment.iter().find(|(name, _)| name == "SIGNET__DATABASE__URL") {
            Some((_, url)) => drop(crate::postgres::Postgres::shared().psql(url, statement)),
            None => {
                let file =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder.path().join("data/signet.db"));
                let mut connection = sqlx::ConnectOptions::connect(&file).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
                sqlx::Connection::close(connection).await.unwrap();
            }
        }
    }

    /// Opens it as a second process does.
    pub async fn open(&self, preparation: Preparation) -> Opened {
        let settings = self.settings();
        Opened::open(&settings, &settings.issuer, &self.parts(), preparation).await.unwrap()
    }

    /// Starts an issuer over it.
    pub async fn try_start(&self) -> Result<Signet, StartError> {
        // Another test of this process may have done it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let application = Application::build(&self.settings(), self.parts()).await?;
        let credentials = application.credentials().map(|path| std::fs::read(path).unwrap());
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = match &self.authority {
            Some(authority) => http.tls_certs_only([authority.clone()]),
            None => http,
        };
        Ok(Signet {
            public: application.public_url().to_owned(),
            admin: application.admin_url().to_owned(),
            issuer: application.issuer().as_str().to_owned(),
            credentials: credentials.map(|json| serde_json::from_slice(&json).unwrap()),
            stopper: application.stopper(),
            http: http.build().unwrap(),
            served: actix_web::rt::spawn(application.run_until_stopped()),
        })
    }

    /// Starts an issuer over it, which must succeed.
    pub async fn start(&self) -> Signet {
        self.try_start().await.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A running issuer.
pub struct Signet {
    pub public: String,
    pub admin: String,
    pub issuer: String,
    pub credentials: Option<Credentials>,
    pub http: reqwest::Client,
    stopper: Stopper,
    served: JoinHandle<Result<(), StartError>>,
}

impl Signet {
    /// Stops it, and waits until it has closed what it holds.
    pub async fn stop(self) {
        self.stopper.stop().await;
        self.served.await.unwrap().unwrap();
    }

    pub fn admin_client(&self) -> &Credentials {
        self.credentials.as_ref().unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.public)).send().await.unwrap()).await
    }

    pub async fn ready(&self) -> Answer {
        Answer::of(self.http.get(format!("{}/readyz", self.admin)).send().await.unwrap()).await
    }

    pub fn token_request(&self) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/oauth2/token", self.public))
    }

    /// Asks for a token with a form, authenticating by Basic where credentials are given.
    pub async fn token(&self, basic: Option<(&str, &str)>, form: &[(&str, &str)]) -> Answer {
        let request = self.token_request().form(form);
        let request = match basic {
            Some((id, secret)) => request.basic_auth(id, Some(secret)),
            None => request,
        };
        Answer::of(request.send().await.unwrap()).await
    }

    /// A token of the admin client.
    pub async fn admin_token(&self) -> String {
        let admin = self.admin_client();
        let form = [("grant_type", "client_credentials")];
        let answer = self.token(Some((&admin.client_id, &admin.client_secret)), &form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    /// The keys that the issuer publishes, as a verifier takes them.
    pub async fn jwks(&self) -> signet_verify::Jwks {
        signet_verify::Jwks::parse(self.get("/.well-known/jwks.json").await.text.as_bytes()).unwrap()
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    /// The value of a header that stands once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }
}
