//! The bare servers that Signet is held against.
//!
//! One actix-web server with one worker, one route and no middleware, built with the same features and the same
//! profile as Signet. It answers the same request with the very headers and the very body that Signet gave when it
//! was asked once, so that as many bytes go over the wire; its handler does the work that can't be left out and
//! nothing else: reading the form and signing 430 bytes for a token, one script in Redis before that for a refresh, one
//! argon2id for a login, nothing for the JWKS.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer, Route, web};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::redis_server::{SPREAD, bare_key};

/// What is signed for each token: as many bytes as the header and claims of a typical one.
static MESSAGE: [u8; 430] = [b'e'; 430];

/// The one answer of a limit server and the work before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) work: Work,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What the handler does before it answers. The keys are PKCS#8.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    Nothing,
    SignEs256(Vec<u8>),
    SignRs256(Vec<u8>),
    /// One script in the Redis at `redis`, which reads a record of that many bytes and, where it `writes`, stores one;
    /// then a signature of ES256.
    Refresh {
        pkcs8: Vec<u8>,
        redis: SocketAddr,
        record: usize,
        writes: bool,
    },
    /// One argon2id at that cost, of at most so many `threads` at a time.
    Hash {
        memory: u32,
        passes: u32,
        threads: usize,
    },
}

/// The form of a token request, as far as a bare server reads it.
#[derive(Debug, Deserialize)]
struct TokenForm {
    grant_type: String,
    scope: Option<String>,
    resource: Option<String>,
}

/// The fixed part of every answer.
#[derive(Debug, Clone)]
struct Fixed {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: web::Bytes,
}

impl Fixed {
    fn of(plan: &Plan) -> Result<Self> {
        let mut headers = Vec::new();
        for (name, value) in &plan.headers {
            // For the life of the process, so that a clone costs nothing.
            let value: &'static str = value.clone().leak();
            headers.push((name.parse()?, HeaderValue::from_static(value)));
        }
        let body: &'static str = plan.body.clone().leak();
        Ok(Self { headers, body: web::Bytes::from_static(body.as_bytes()) })
    }

    fn answer(&self) -> HttpResponse {
        let mut response: HttpResponseBuilder = HttpResponse::Ok();
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        response.body(self.body.clone())
    }
}

/// A parsed key and the fixed part of the answer.
#[derive(Debug)]
struct Signing<K> {
    key: K,
    fixed: Fixed,
}

async fn send(fixed: web::Data<Fixed>) -> HttpResponse {
    fixed.answer()
}

async fn sign_es256(form: web::Form<TokenForm>, signing: web::Data<Signing<EcdsaKeyPair>>) -> HttpResponse {
    match signing.key.sign(&SystemRandom::new(), &MESSAGE) {
        Ok(signature) if form.is_read() && signature.as_ref().len() == 64 => signing.fixed.answer(),
        _ => HttpResponse::BadRequest().finish(),
    }
}

async fn sign_rs256(form: web::Form<TokenForm>, signing: web::Data<Signing<RsaKeyPair>>) -> HttpResponse {
    let mut signature = [0; 256];
    let random = SystemRandom::new();
    match signing.key.sign(&RSA_PKCS1_SHA256, &random, &MESSAGE, &mut signature) {
        Ok(()) if form.is_read() => signing.fixed.answer(),
        _ => HttpResponse::BadRequest().finish(),
    }
}

/// The form of a refresh.
#[derive(Debug, Deserialize)]
struct RefreshForm {
    grant_type: String,
    refresh_token: String,
    client_id: Option<String>,
}

/// What a bare refresh works with.
struct Refreshing {
    signing: Signing<EcdsaKeyPair>,
    /// One connection for all, as Signet has one: its reader and writer run on the thread that made it.
    connection: MultiplexedConnection,
    hash: String,
    keys: Vec<String>,
    turn: AtomicUsize,
    /// What is written, where something is.
    record: Option<Vec<u8>>,
}

/// How long a bare record is kept, in milliseconds.
const KEPT: u32 = 86_400_000;

impl Refreshing {
    async fn new(signing: Signing<EcdsaKeyPair>, redis: SocketAddr, record: usize, writes: bool) -> Result<Self> {
        let client = redis::Client::open(format!("redis://{redis}"))?;
        let config = redis::AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let record = vec![b'r'; record];
        let keys: Vec<String> = (0..SPREAD).map(bare_key).collect();
        for key in &keys {
            let stored = redis::cmd("SET").arg(key).arg(&record).arg("PX").arg(KEPT).to_owned();
            stored.exec_async(&mut connection).await?;
        }
        let text = if writes {
            "local record = redis.call('GET', KEYS[1])\n\
             redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n\
             return record"
        } else {
            "return redis.call('GET', KEYS[1])"
        };
        let hash = redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection).await?;
        Ok(Self { signing, connection, hash, keys, turn: AtomicUsize::new(0), record: writes.then_some(record) })
    }

    /// The length of what one script gave; `None` when it failed.
    async fn script(&self) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.keys.len();
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.hash).arg(1).arg(self.keys.get(turn)?);
        if let Some(record) = &self.record {
            call.arg(record).arg(KEPT);
        }
        match self.connection.clone().send_packed_command(&call).await {
            Ok(redis::Value::BulkString(record)) => Some(record.len()),
            _ => None,
        }
    }
}

async fn refresh(form: web::Form<RefreshForm>, refreshing: web::Data<Refreshing>) -> HttpResponse {
    let is_read = form.grant_type == "refresh_token"
        && form.refresh_token.len() > 64
        && form.client_id.as_ref().is_none_or(|id| !id.is_empty());
    if !is_read || refreshing.script().await.is_none_or(|length| length == 0) {
        return HttpResponse::BadRequest().finish();
    }
    match refreshing.signing.key.sign(&SystemRandom::new(), &MESSAGE) {
        Ok(signature) if signature.as_ref().len() == 64 => refreshing.signing.fixed.answer(),
        _ => HttpResponse::BadRequest().finish(),
    }
}

/// The body of a login.
#[derive(Debug, Deserialize)]
struct LoginBody {
    password: String,
}

/// What a bare login works with.
struct Hashing {
    argon2: Argon2<'static>,
    fixed: Fixed,
}

thread_local! {
    /// What a hash is made in: kept, so that no limit is held back by taking memory from the system and giving it back.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

impl Hashing {
    fn hash(&self, password: &str) -> Option<[u8; 32]> {
        MEMORY.with_borrow_mut(|memory| {
            memory.resize_with(self.argon2.params().block_count(), Block::default);
            let mut hash = [0; 32];
            let hashed = self.argon2.hash_password_into_with_memory(password.as_bytes(), &[7; 16], &mut hash, memory);
            hashed.is_ok().then_some(hash)
        })
    }
}

async fn hash(body: web::Json<LoginBody>, hashing: web::Data<Hashing>) -> HttpResponse {
    let (body, on_thread) = (body.into_inner(), hashing.clone());
    match web::block(move || on_thread.hash(&body.password)).await {
        Ok(Some(hash)) if hash != [0; 32] => hashing.fixed.answer(),
        _ => HttpResponse::BadRequest().finish(),
    }
}

impl TokenForm {
    fn is_read(&self) -> bool {
        self.grant_type == "client_credentials" && (self.scope.is_some() || self.resource.is_some())
    }
}

/// Serves until it is stopped.
pub(crate) fn serve(plan: &Path) -> Result<()> {
    let plan: Plan = serde_json::from_slice(&fs::read(plan)?)?;
    let fixed = Fixed::of(&plan)?;
    let (address, path) = (plan.address, plan.path);
    let es256 = |pkcs8: &[u8]| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
    actix_web::rt::System::new().block_on(async move {
        match plan.work {
            Work::Nothing => listen(address, path, fixed, 1, || web::get().to(send)).await,
            Work::SignEs256(pkcs8) => {
                let signing = Signing { key: es256(&pkcs8)?, fixed };
                listen(address, path, signing, 1, || web::post().to(sign_es256)).await
            }
            Work::SignRs256(pkcs8) => {
                let signing = Signing { key: RsaKeyPair::from_pkcs8(&pkcs8)?, fixed };
                listen(address, path, signing, 1, || web::post().to(sign_rs256)).await
            }
            Work::Refresh { pkcs8, redis, record, writes } => {
                let signing = Signing { key: es256(&pkcs8)?, fixed };
                let refreshing = Refreshing::new(signing, redis, record, writes).await?;
                listen(address, path, refreshing, 1, || web::post().to(refresh)).await
            }
            Work::Hash { memory, passes, threads } => {
                let parameters = Params::new(memory, passes, 1, Some(32)).map_err(|e| e.to_string())?;
                let hashing = Hashing { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters), fixed };
                listen(address, path, hashing, threads, || web::post().to(hash)).await
            }
        }
    })
}

/// One worker, with at most so many threads for what blocks, that answers `path` by one `route` with `data`.
async fn listen<D: Send + Sync + 'static>(
    address: SocketAddr,
    path: String,
    data: D,
    blocking: usize,
    route: impl Fn() -> Route + Clone + Send + 'static,
) -> Result<()> {
    let data = web::Data::new(data);
    let app = move || App::new().app_data(data.clone()).route(&path, route());
    Ok(HttpServer::new(app).workers(1).worker_max_blocking_threads(blocking.max(1)).bind(address)?.run().await?)
}
