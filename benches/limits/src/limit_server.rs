//! The bare servers that Signet is held against.
//!
//! One actix-web server with one worker, one route and no middleware, built with the same features and the same
//! profile as Signet. It answers the same request with the very headers and the very body that Signet gave when it
//! was asked once, so that as many bytes go over the wire; its handler does the work that can't be left out and
//! nothing else: reading the form and signing 430 bytes for a token, nothing for the JWKS.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer, web};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use serde::{Deserialize, Serialize};

use crate::Result;

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
    actix_web::rt::System::new().block_on(async move {
        match plan.work {
            Work::Nothing => {
                let data = web::Data::new(fixed);
                HttpServer::new(move || App::new().app_data(data.clone()).route(&path, web::get().to(send)))
                    .workers(1)
                    .bind(address)?
                    .run()
                    .await?;
            }
            Work::SignEs256(pkcs8) => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)?;
                let data = web::Data::new(Signing { key, fixed });
                HttpServer::new(move || App::new().app_data(data.clone()).route(&path, web::post().to(sign_es256)))
                    .workers(1)
                    .bind(address)?
                    .run()
                    .await?;
            }
            Work::SignRs256(pkcs8) => {
                let key = RsaKeyPair::from_pkcs8(&pkcs8)?;
                let data = web::Data::new(Signing { key, fixed });
                HttpServer::new(move || App::new().app_data(data.clone()).route(&path, web::post().to(sign_rs256)))
                    .workers(1)
                    .bind(address)?
                    .run()
                    .await?;
            }
        }
        Ok(())
    })
}
