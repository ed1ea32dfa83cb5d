//! `/admin/v1/keys`: the signing keys.
//!
//! Guarantees: no part of a private key that is sent comes back or is logged; what is asked for twice is done once, as far
//! as the request names the key that it is about.
//!
//! What is kept of such a key is wiped when dropped. On its way it passes through buffers that are not: those of TLS and
//! of the connection, which the server owns and shares between requests, and the texts that the parser of JSON makes. They
//! are freed with the request, and what they held may be in the memory of the process until it is written over.

use actix_web::http::header::LOCATION;
use serde::{Deserialize, Deserializer};
use signet_verify::Algorithm;
use utoipa::ToSchema;

use super::document::{read, read_any};
use super::key_views::{KeyChangeView, KeyList, KeyView};
use super::paging::{PARAMETERS, Wanted, json};
use super::precondition::{IfMatch, etag};
use super::query::Query;
use super::{Admin, Call};
use crate::audit::By;
use crate::http::answer::Answer;
use crate::http::error::{Problem, created};
use crate::keys::{Key, KeyAct, KeySpec, Kid, RsaBits, SweepRefused};
use crate::secret::SecretText;

const ROUTE: &str = "/admin/v1/keys";
/// Far above any key, in bytes: a text that is longer is not one.
const MOST_PEM: usize = 64 * 1024;

/// Makes one more key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it signs with, one of `keys.algorithms`.
    pub algorithm: String,
    /// The size of an RSA key, in bits: 2048, 3072 or 4096; `keys.rsa_bits` when absent.
    #[serde(default)]
    pub rsa_bits: Option<usize>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Brings in a private key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKey {
    /// The key in PEM: PKCS#8, SEC1 (EC) or PKCS#1 (RSA), not encrypted; at most 64 kB.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    pub pem: SecretText,
    /// For an RSA key: `RS256` (when absent) or `PS256`.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Lets successors take over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// For which algorithm; all that are in use when absent.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// The `kid` that must be active still: a request that is sent again then does not rotate again.
    #[serde(default)]
    pub if_active: Option<String>,
    /// Whether a key may sign before every verifier has it.
    #[serde(default)]
    pub force: bool,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Lets a pending key sign.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateKey {
    /// Whether it may sign before every verifier has it.
    #[serde(default)]
    pub force: bool,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Takes a key out of use in an orderly way.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireKey {
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Takes a key out of the JWKS at once, because another may hold it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompromiseKey {
    /// What happened, for the audit log and for whoever looks at the key later.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretText, D::Error> {
    String::deserialize(from).map(SecretText::new)
}

fn invalid(name: &'static str, why: impl Into<String>) -> Problem {
    Problem::InvalidMember { name: Some(name.to_owned()), why: why.into() }
}

fn algorithm(name: &str) -> Result<Algorithm, Problem> {
    let known = || format!("known are {}", Algorithm::ALL.map(Algorithm::name).join(", "));
    Algorithm::from_name(name).ok_or_else(|| invalid("algorithm", known()))
}

/// The key that the path names.
fn kid(call: &Call<'_>) -> Result<Kid, Problem> {
    Kid::parse(call.parameter()).ok_or(Problem::NoSuchKey)
}

pub(super) async fn list(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    let query = Query::read(call.head, &PARAMETERS)?;
    let wanted = Wanted::read(admin, ROUTE, &query, &[])?;
    let survey = admin.keeper.survey().await?;
    let mut keys = KeyList::of(&survey);
    if let Some(after) = &wanted.after {
        // No key is ever removed from the table, and a new one stands before all others.
        let place = keys.items.iter().position(|key| key.kid == *after).ok_or(Problem::InvalidCursor)?;
        keys.items.drain(..=place);
    }
    let page = wanted.page(admin, keys.items.drain(..).map(|key| (key.kid.clone(), key)).collect());
    let keys = KeyList { items: page.items, next_cursor: page.next_cursor, ..keys };
    Ok(Answer { etag: etag(survey.table.version), ..json(&keys) })
}

pub(super) async fn show(admin: &Admin, call: &Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    shown(admin, &kid(call)?).await
}

/// The key as it is now.
async fn shown(admin: &Admin, kid: &Kid) -> Result<Answer, Problem> {
    let survey = admin.keeper.survey().await?;
    let key = survey.table.find(kid).ok_or(Problem::NoSuchKey)?;
    Ok(Answer { etag: etag(survey.table.version), ..json(&KeyView::of(key, &survey.timeline)) })
}

pub(super) async fn create(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let CreateKey { algorithm: name, rsa_bits, reason } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let algorithm = algorithm(&name)?;
    let kept = admin.keeper.policy().spec(algorithm).ok_or(SweepRefused::NotKept(algorithm))?;
    let spec = match rsa_bits {
        None => kept,
        Some(_) if !matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) => {
            return Err(invalid("rsa_bits", "it is for RS256 and PS256"));
        }
        Some(bits) => {
            let bits = RsaBits::from_bits(bits).ok_or_else(|| invalid("rsa_bits", "possible are 2048, 3072 and 4096"));
            KeySpec::new(algorithm, bits?)
        }
    };
    made(admin, &admin.keeper.create(spec, &by).await?).await
}

pub(super) async fn import(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let ImportKey { pem, algorithm: name, reason } = read(admin, call).await?;
    let by = call.caller.because(reason)?;
    let wanted = name.as_deref().map(algorithm).transpose()?;
    if pem.expose().len() > MOST_PEM {
        return Err(invalid("pem", format!("it is longer than {MOST_PEM} bytes")));
    }
    made(admin, &admin.keeper.import(pem.expose(), wanted, &by).await?).await
}

async fn made(admin: &Admin, key: &Key) -> Result<Answer, Problem> {
    let answer = created(shown(admin, &key.kid).await?);
    Ok(answer.with_text(LOCATION, format!("{ROUTE}/{}", key.kid)))
}

pub(super) async fn rotate(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let RotateKeys { algorithm: name, if_active, force, dry_run, reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    let algorithm = name.as_deref().map(algorithm).transpose()?;
    let named = |kid: &str| Kid::parse(kid).ok_or_else(|| invalid("if_active", "it is no kid"));
    let if_active = if_active.as_deref().map(named).transpose()?;
    let act = KeyAct::Rotate { algorithm, if_active, force };
    if dry_run {
        return Ok(json(&KeyChangeView::foreseen(&admin.keeper.dry_run(&act).await?)));
    }
    perform(admin, &act, &by).await
}

pub(super) async fn activate(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let ActivateKey { force, reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    perform(admin, &KeyAct::Activate { kid: kid(call)?, force }, &by).await
}

pub(super) async fn retire(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let RetireKey { reason } = read_any(admin, call).await?;
    let by = call.caller.because(reason)?;
    perform(admin, &KeyAct::Retire { kid: kid(call)? }, &by).await
}

pub(super) async fn compromise(admin: &Admin, call: &mut Call<'_>) -> Result<Answer, Problem> {
    Query::none(call.head)?;
    IfMatch::none(&call.head.headers)?;
    let CompromiseKey { reason } = read(admin, call).await?;
    if reason.trim().is_empty() {
        return Err(invalid("reason", "it says nothing"));
    }
    let by = call.caller.because(Some(reason.clone()))?;
    perform(admin, &KeyAct::Compromise { kid: kid(call)?, reason }, &by).await
}

/// Does it. The keeper takes the change up on this replica at once.
async fn perform(admin: &Admin, act: &KeyAct, by: &By) -> Result<Answer, Problem> {
    let done = admin.keeper.act(act, by).await?;
    Ok(Answer { etag: etag(done.table.version), ..json(&KeyChangeView::done(&done, admin.keeper.policy())) })
}
