//! `signet token verify`: the checks of the verifier library, by hand.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use signet_verify::jws::Compact;
use signet_verify::{Jwks, MAX_JWKS, Policy, VerifyError, base64url, json as strict_json, verify};

use super::{Context, Failure, claims, read};
use crate::cli::output::plain;
use crate::cli::{fetch, input, span};

pub(super) const HELP: &str = "\
Examples:
  signet token verify --jwks https://login.example.com/.well-known/jwks.json \\
      --issuer https://login.example.com --audience https://orders.example eyJ…
  signet token get | signet token verify --jwks http://127.0.0.1:8080/.well-known/jwks.json \\
      --issuer http://127.0.0.1:8080 --audience http://127.0.0.1:8080/admin -

The checks are those of the library `signet-verify`, in this order; the first that fails decides and is named by its
code: form, header, key, signature, issuer, audience, times, claims (RFC 9068). Revocation is not checked.
Exits with 0 when the token is good, 1 when it is not, 4 when the keys can't be had.";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The issuer's public keys: a URL (https:// or http://) or a file.
    #[arg(long, value_name = "URL|FILE")]
    jwks: String,
    /// What `iss` must be, exactly.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// What `aud` must be or contain, exactly.
    #[arg(long, value_name = "URI")]
    audience: String,
    /// How far the issuer's clock may differ from this one; at most 60s.
    #[arg(long, value_name = "SPAN", value_parser = span::parse, default_value = "10s")]
    leeway: Duration,
    /// Take the deprecated name EdDSA for Ed25519, too.
    #[arg(long)]
    accept_eddsa: bool,
    /// The token, or - for standard input.
    token: String,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let policy = Policy::new(&arguments.issuer, &arguments.audience)
        .accept_eddsa_name(arguments.accept_eddsa)
        .leeway(arguments.leeway)
        .map_err(Failure::refused)?;
    let token = read(&arguments.token)?;
    let token = token.expose();
    let jwks = jwks(&arguments.jwks).await?;
    let now = context.parts.clock.now();
    let since_epoch = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
    if let Err(error) = verify(&jwks, &policy, token, since_epoch) {
        let message = format!("the token is refused: {error}{}", detail(&error, token, &jwks));
        return Err(Failure::Coded { code: error.code().to_owned(), message });
    }
    // Verified by now: the claims may be believed.
    let verified = payload(token).unwrap_or_default();
    let result = json!({ "verified": true, "claims": verified, "dates": claims::dates(&verified) });
    context.output.result(&result, |_| format!("The token is good.\n\n{}", claims::text(&verified, now)))?;
    Ok(())
}

async fn jwks(source: &str) -> Result<Jwks, Failure> {
    let is_url = source.split_once("://").is_some();
    let json = if is_url {
        let refused = |why| Failure::Refused(format!("--jwks {}: {why}", plain(source)));
        fetch::get(&fetch::parse(source).map_err(refused)?, MAX_JWKS).await?
    } else {
        input::text(source, MAX_JWKS)?.into_bytes()
    };
    Jwks::parse(&json).map_err(|error| Failure::Refused(format!("{}: {error}", input::shown(source))))
}

/// What helps to find out why, beyond the check that failed. The library itself repeats nothing of a token; here
/// whoever asks has it in hand.
fn detail(error: &VerifyError, token: &str, jwks: &Jwks) -> String {
    let claim = |name: &str| payload(token).and_then(|claims| claims.get(name).cloned());
    let says = |name: &str| claim(name).map(|value| format!("; it says {}", plain(&value.to_string())));
    let date = |name: &str| {
        let claims = payload(token).map(|claims| claims::dates(&claims));
        claims.and_then(|dates| Some(format!(", {}", dates.get(name)?.as_str()?)))
    };
    let detail = match error {
        VerifyError::WrongIssuer => says("iss"),
        VerifyError::WrongAudience => says("aud"),
        VerifyError::Expired => date("exp"),
        VerifyError::NotYetValid => date("nbf"),
        VerifyError::IssuedInTheFuture => date("iat"),
        VerifyError::UnknownKey => {
            let kid = Compact::parse(token).ok().and_then(|token| token.unverified_kid().map(plain));
            let count = jwks.keys().len();
            kid.map(|kid| format!("; it names {kid}, and the JWKS has {count} usable keys without that one"))
        }
        _ => None,
    };
    detail.unwrap_or_default()
}

fn payload(token: &str) -> Option<Map<String, Value>> {
    let bytes = base64url::decode(token.split('.').nth(1)?).ok()?;
    strict_json::parse_object(&bytes).ok()
}
