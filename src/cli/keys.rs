//! `signet keys list|create|import`.

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use signet_verify::Algorithm;

use super::output::{fields, plain, table};
use super::{Context, Failure, input, reseal};
use crate::keys::{Key, KeySpec, KeyState, KeyStore, Purpose, RsaBits};
use crate::ports::Timestamp;

/// Far above any key: a file that is longer is not one.
const MOST_PEM: usize = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the signing keys with their states.
    #[command(after_help = "\
Examples:
  signet keys list
  signet keys list --json | jq -r '.keys[] | select(.state == \"active\") | .kid'

States: a pending key is published and does not sign yet; an active one signs; a retiring one is published until the
last token it signed has expired; retired and compromised ones are no longer published.")]
    List,
    /// Make one more signing key. It is published at once, and signs when its turn comes.
    #[command(after_help = "\
Examples:
  signet keys create --algorithm ES256
  signet keys create --algorithm RS256 --rsa-bits 4096

Signet makes and rotates keys by itself; this is for another size or an extra successor. The algorithm must be one of
`keys.algorithms`. A running server publishes the key within 2 s.")]
    Create {
        /// What it signs with: ES256, ES384, RS256, PS256 or Ed25519.
        #[arg(long, value_parser = algorithm)]
        algorithm: Algorithm,
        /// The size of an RSA key: 2048, 3072 or 4096 (default: `keys.rsa_bits`).
        #[arg(long, value_name = "BITS", value_parser = rsa_bits)]
        rsa_bits: Option<RsaBits>,
    },
    /// Put another master key in the place of the one in use.
    #[command(after_help = reseal::HELP)]
    Reseal(reseal::Arguments),
    /// Bring in a private key in PEM: PKCS#8, SEC1 (EC) or PKCS#1 (RSA), not encrypted.
    #[command(after_help = "\
Examples:
  signet keys import signing-key.pem
  openssl pkey -in encrypted.pem | signet keys import -
  signet keys import rsa.pem --algorithm PS256

Whoever else holds a copy of the key can sign tokens that every verifier takes for Signet's: import only what must be
kept through a migration, and delete the file afterwards. In an installation that never had a key it signs at once;
otherwise it waits its turn behind the successors that are published already.")]
    Import {
        /// The file, or - for standard input.
        #[arg(value_name = "FILE")]
        file: String,
        /// For an RSA key: RS256 (the default) or PS256.
        #[arg(long, value_parser = algorithm)]
        algorithm: Option<Algorithm>,
    },
}

/// Reads the name of an algorithm for clap.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name).ok_or_else(|| format!("known are {}", Algorithm::ALL.map(Algorithm::name).join(", ")))
}

fn rsa_bits(text: &str) -> Result<RsaBits, String> {
    text.parse().ok().and_then(RsaBits::from_bits).ok_or_else(|| "possible are 2048, 3072 and 4096".to_owned())
}

pub(super) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => list(context).await,
        Verb::Create { algorithm, rsa_bits } => create(context, algorithm, rsa_bits).await,
        Verb::Reseal(arguments) => reseal::run(context, &arguments).await,
        Verb::Import { file, algorithm } => import(context, &file, algorithm).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let stored = context.with_store(async |installation| Ok(installation.store.load(Purpose::Signing).await?)).await?;
    let mut keys: Vec<KeyView> = stored.table.keys.iter().map(KeyView::of).collect();
    keys.sort_by(|one, other| {
        (one.rank, &one.algorithm, &one.created_at).cmp(&(other.rank, &other.algorithm, &other.created_at))
    });
    context.output.result(&json!({ "keys": keys }), |_| {
        if keys.is_empty() {
            return "There are no signing keys yet: the first start of `signet serve` or `signet init` makes them."
                .to_owned();
        }
        let row = |key: &KeyView| {
            let created = key.created_at.clone();
            [
                key.kid.clone(),
                key.algorithm.clone(),
                key.state.to_owned(),
                key.when(),
                created,
                key.origin.to_owned(),
                plain(&key.reason),
            ]
        };
        let rows: Vec<_> = keys.iter().map(row).collect();
        table(["KID", "ALGORITHM", "STATE", "WHEN", "CREATED", "ORIGIN", "REASON"], &rows)
    })?;
    Ok(())
}

async fn create(context: &Context, algorithm: Algorithm, rsa_bits: Option<RsaBits>) -> Result<(), Failure> {
    if rsa_bits.is_some() && !matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
        return Err(Failure::Refused(format!(
            "--rsa-bits is for RS256 and PS256, and a key for {algorithm} has one size"
        )));
    }
    let key = context
        .with_keys(async |settings, opened| {
            kept(algorithm, &settings.keys.algorithms)?;
            let bits = rsa_bits.unwrap_or(settings.keys.rsa_bits);
            Ok(opened.keeper.create(KeySpec::new(algorithm, bits), &context.by()).await?)
        })
        .await?;
    told(context, &key, "is made")
}

async fn import(context: &Context, file: &str, wanted: Option<Algorithm>) -> Result<(), Failure> {
    // Kept in a buffer that is wiped: it is a private key.
    let pem = crate::secret::SecretText::new(input::text(file, MOST_PEM)?);
    let shown = input::shown(file);
    // Refused before anything is opened.
    let checked = crate::keys::import_pem(pem.expose(), wanted);
    let algorithm = checked.map_err(|why| Failure::Refused(format!("{shown}: {why}")))?.algorithm;
    let key = context
        .with_keys(async |settings, opened| {
            kept(algorithm, &settings.keys.algorithms)?;
            Ok(opened.keeper.import(pem.expose(), wanted, &context.by()).await?)
        })
        .await?;
    told(context, &key, "is imported")?;
    if file != "-" {
        context
            .output
            .note(&format!("{shown} still holds the private key: delete it, or keep it as safe as the master key"));
    }
    Ok(())
}

/// The next sweep would withdraw a key that no one keeps, so it is refused with what to do.
fn kept(algorithm: Algorithm, kept: &[Algorithm]) -> Result<(), Failure> {
    if kept.contains(&algorithm) {
        return Ok(());
    }
    let kept: Vec<_> = kept.iter().map(|algorithm| algorithm.name()).collect();
    Err(Failure::Refused(format!(
        "{algorithm} is not among the algorithms that are kept ready ({}): add it to `keys.algorithms` first",
        kept.join(", ")
    )))
}

fn told(context: &Context, key: &Key, done: &str) -> Result<(), Failure> {
    let view = KeyView::of(key);
    context.output.result(&view, |view| {
        let rows = [
            ("kid", view.kid.clone()),
            ("algorithm", view.algorithm.clone()),
            ("state", format!("{}, {}", view.state, view.when())),
            ("origin", view.origin.to_owned()),
        ];
        format!("The key {done} and published.\n\n{}", fields(&rows))
    })?;
    Ok(())
}

/// A key as people and programs see it. Times are RFC 3339.
#[derive(Serialize)]
struct KeyView {
    kid: String,
    algorithm: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usable_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    created_at: String,
    published_at: String,
    origin: &'static str,
    reason: String,
    #[serde(skip)]
    rank: u8,
}

impl KeyView {
    fn of(key: &Key) -> Self {
        let text = |moment: Timestamp| Some(moment.to_string());
        let (usable_from, since, until, rank) = match key.state {
            KeyState::Active { since } => (None, text(since), None, 0),
            KeyState::Pending { usable_from } => (text(usable_from), None, None, 1),
            KeyState::Retiring { since, until } => (None, text(since), text(until), 2),
            KeyState::Retired { since } => (None, text(since), None, 3),
            KeyState::Compromised { since } => (None, text(since), None, 4),
        };
        Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.name().to_owned(),
            state: key.state.name(),
            usable_from,
            since,
            until,
            created_at: key.created_at.to_string(),
            published_at: key.published_at.to_string(),
            origin: key.origin.name(),
            reason: key.reason.clone(),
            rank,
        }
    }

    /// The one moment of its state that matters.
    fn when(&self) -> String {
        match (&self.usable_from, &self.until, &self.since) {
            (Some(from), _, _) => format!("usable from {from}"),
            (_, Some(until), _) => format!("until {until}"),
            (_, _, Some(since)) => format!("since {since}"),
            (None, None, None) => String::new(),
        }
    }
}
