//! `signet keys …`: what signs the tokens. On the database, or with `--url` through the admin API.

mod by_hand;
mod drawing;

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use signet_verify::Algorithm;

use by_hand::Wanted;

use super::remote::{Api, Through};
use super::why::{Why, said};
use super::{Context, Failure, input, reseal};
use crate::app;
use crate::http::{KeyList, KeyView};
use crate::keys::{Key, KeyKeeper, KeySpec, KeyStore, Purpose, RsaBits, StoredKeys, Survey, timeline};

/// Far above any key: a file that is longer is not one.
const MOST_PEM: usize = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the signing keys with what they went through and what comes.
    #[command(after_help = "\
Examples:
  signet keys list
  signet keys list --url http://127.0.0.1:8081
  signet keys list --json | jq -r '.keys[] | select(.state == \"active\") | .kid'

States: a pending key is published and does not sign yet; an active one signs; a retiring one is published until the
last token it signed has expired; retired and compromised ones are no longer published.")]
    List {
        #[command(flatten)]
        through: Through,
    },
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
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        through: Through,
    },
    /// Let the successors take over now, whatever the age of the keys that sign.
    #[command(after_help = "\
Examples:
  signet keys rotate --dry-run
  signet keys rotate --algorithm ES256 --reason 'drill of November'
  signet keys rotate --if-active vLuk8m                 does nothing when it was done already: exit code 1
  signet keys rotate --url http://127.0.0.1:8081

No verifier that honours the cache headers notices: the successor has been published for long. When it has not, this is
refused with the moment from which on it is possible; --force does it all the same and says who may fail until when.")]
    Rotate {
        /// Only for this algorithm (default: all that are in use, or none of them).
        #[arg(long, value_parser = algorithm)]
        algorithm: Option<Algorithm>,
        /// Only while this key is active: its kid, or the beginning of it.
        #[arg(long, value_name = "KID", allow_hyphen_values = true)]
        if_active: Option<String>,
        /// Let keys sign before every verifier has them.
        #[arg(long)]
        force: bool,
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        through: Through,
    },
    /// Let a pending key sign now, in the place of the one that does.
    #[command(after_help = "\
Examples:
  signet keys activate vLuk8m8OA2L4
  signet keys activate vLuk8m8OA2L4 --force --reason 'no other key is left'

Before every verifier has it, only --force does it, and says who may fail until when. Nothing happens where it is active.")]
    Activate {
        /// Its kid, or at least the first 6 characters.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Let it sign before every verifier has it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        through: Through,
    },
    /// Take a key out of use in good order.
    #[command(after_help = "\
Examples:
  signet keys retire vLuk8m8OA2L4 --reason 'imported by mistake'
  signet keys retire vLuk8m8OA2L4 --yes --url https://signet-admin.example

It asks first; where nobody can answer, --yes must be given. An active key makes
room for its successor and stays published until the last token it signed has expired; a pending one is withdrawn at once.
Nothing happens where it is retiring or retired.")]
    Retire {
        /// Its kid, or at least the first 6 characters.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        through: Through,
    },
    /// Take a key out of the JWKS at once, because another may hold it. It can't be taken back.
    #[command(after_help = "\
Examples:
  signet keys compromise vLuk8m8OA2L4 --reason 'found in a core dump, ticket 4711'
  signet keys compromise vLuk8m8OA2L4 --reason 'ticket 4711' --yes --url https://signet-admin.example

Its successor signs from now on, whether every verifier has that one or not: the answer says until when good tokens may
fail. Verifiers go on taking tokens of the lost key until they fetch the JWKS anew, within `keys.jwks_max_age`.")]
    Compromise {
        /// Its kid, or at least the first 6 characters.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// What happened, for the audit log and for whoever looks at the key later.
        #[arg(long, value_name = "TEXT", value_parser = said)]
        reason: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        through: Through,
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
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        through: Through,
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
    let (through, why, wanted) = match verb {
        Verb::List { through } => return list(context, &through).await,
        Verb::Create { algorithm, rsa_bits, why, through } => {
            return create(context, &through, algorithm, rsa_bits, &why.reason).await;
        }
        Verb::Reseal(arguments) => return reseal::run(context, &arguments).await,
        Verb::Import { file, algorithm, why, through } => {
            return import(context, &through, &file, algorithm, &why.reason).await;
        }
        Verb::Rotate { algorithm, if_active, force, dry_run, why, through } => {
            (through, why.reason, Wanted::Rotate { algorithm, if_active, force, dry_run })
        }
        Verb::Activate { kid, force, why, through } => (through, why.reason, Wanted::Activate { kid, force }),
        Verb::Retire { kid, yes, why, through } => (through, why.reason, Wanted::Retire { kid, yes }),
        Verb::Compromise { kid, reason, yes, through } => (through, reason, Wanted::Compromise { kid, yes }),
    };
    by_hand::run(context, &through, &wanted, &why).await
}

async fn list(context: &Context, through: &Through) -> Result<(), Failure> {
    let mut keys = match through.api(context, "keys:read").await? {
        Some(api) => {
            let first: KeyList = api.get("keys", &[("page_size", "1")]).await?;
            KeyList { items: api.pages("keys", &[], usize::MAX).await?.items, ..first }
        }
        None => {
            let read = async |at: &super::Installation| {
                let StoredKeys { table, now: at_store, .. } = at.store.load(Purpose::Signing).await?;
                let timeline = timeline(&table, &app::policy(&at.settings), at_store);
                Ok(KeyList::of(&Survey { table, at: at_store, timeline }))
            };
            context.with_store(read).await?
        }
    };
    // The oldest first among those of one state.
    keys.items.reverse();
    keys.items.sort_by_key(|key| (rank(&key.state), key.algorithm.clone()));
    let told = json!({
        "keys": keys.items,
        "ring_version": keys.ring_version,
        "at": keys.at,
        "next_rotation": keys.next_rotation,
    });
    context.output.result(&told, |_| {
        if keys.items.is_empty() {
            return "There are no signing keys yet: the first start of `signet serve` or `signet init` makes them."
                .to_owned();
        }
        drawing::list(&keys)
    })?;
    Ok(())
}

/// What matters most stands first.
fn rank(state: &str) -> usize {
    ["active", "pending", "retiring", "retired", "compromised"].iter().position(|known| *known == state).unwrap_or(9)
}

async fn create(
    context: &Context,
    through: &Through,
    algorithm: Algorithm,
    rsa_bits: Option<RsaBits>,
    reason: &str,
) -> Result<(), Failure> {
    if rsa_bits.is_some() && !matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
        return Err(Failure::Refused(format!(
            "--rsa-bits is for RS256 and PS256, and a key for {algorithm} has one size"
        )));
    }
    if let Some(api) = through.api(context, "keys:write").await?.map(Api::patient) {
        let mut body = json!({ "algorithm": algorithm.name(), "reason": reason });
        if let Some(bits) = rsa_bits {
            body["rsa_bits"] = bits.bits().into();
        }
        return told(context, &api.post("keys", &body).await?, "is made");
    }
    let view = context
        .with_keys(async |settings, opened| {
            kept(algorithm, &settings.keys.algorithms)?;
            let bits = rsa_bits.unwrap_or(settings.keys.rsa_bits);
            let by = context.by().because(reason);
            let key = opened.keeper.create(KeySpec::new(algorithm, bits), &by).await?;
            viewed(&opened.keeper, &key).await
        })
        .await?;
    told(context, &view, "is made")
}

async fn import(
    context: &Context,
    through: &Through,
    file: &str,
    wanted: Option<Algorithm>,
    reason: &str,
) -> Result<(), Failure> {
    // Kept in a buffer that is wiped: it is a private key.
    let pem = crate::secret::SecretText::new(input::text(file, MOST_PEM)?);
    let shown = input::shown(file);
    // Refused before anything is opened.
    let checked = crate::keys::import_pem(pem.expose(), wanted);
    let algorithm = checked.map_err(|why| Failure::Refused(format!("{shown}: {why}")))?.algorithm;
    let view = match through.api(context, "keys:import").await?.map(Api::patient) {
        Some(api) => imported(&api, pem.expose(), algorithm, reason).await?,
        None => {
            let act = async |settings: &crate::config::Settings, opened: &app::Opened| {
                kept(algorithm, &settings.keys.algorithms)?;
                let by = context.by().because(reason);
                let key = opened.keeper.import(pem.expose(), wanted, &by).await?;
                viewed(&opened.keeper, &key).await
            };
            context.with_keys(act).await?
        }
    };
    told(context, &view, "is imported")?;
    if file != "-" {
        context
            .output
            .note(&format!("{shown} still holds the private key: delete it, or keep it as safe as the master key"));
    }
    Ok(())
}

async fn imported(api: &Api, pem: &str, algorithm: Algorithm, reason: &str) -> Result<KeyView, Failure> {
    api.post("keys/import", &Importing { pem, algorithm: algorithm.name(), reason }).await
}

/// The body of an import.
#[derive(Serialize)]
struct Importing<'a> {
    pem: &'a str,
    algorithm: &'static str,
    reason: &'a str,
}

/// The key with its life.
async fn viewed(keeper: &KeyKeeper, key: &Key) -> Result<KeyView, Failure> {
    Ok(KeyView::of(key, &keeper.survey().await?.timeline))
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

fn told(context: &Context, key: &KeyView, done: &str) -> Result<(), Failure> {
    context.output.result(key, |key| format!("The key {done} and published.\n\n{}", drawing::one(key)))?;
    Ok(())
}
