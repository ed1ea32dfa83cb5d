//! What holds between settings, and the defaults that derive from others.
//!
//! Guarantees: a rule is judged whenever the settings it names are sound, whatever else is wrong.

use std::path::PathBuf;
use std::time::Duration;

use signet_verify::Algorithm;

use super::setting::Reader;
use super::source;
use super::value::BindAddress;
use crate::issuer::Issuer;
use crate::keys::{COMMIT_WITHIN, MOST_STEADY, SHORTEST_MAX_AGE, stale_while_revalidate, steady};
use crate::secret::{MasterKey, SecretError, SecretText};
use crate::telemetry::parse_headers;
use crate::users::password::{Argon2Cost, Pepper, PoolLimits};

/// Within what time a replica sees what another process changed.
pub const FOLLOW_BOUND: Duration = Duration::from_secs(2);

/// The issuer of a listener that nobody named one for: the way to it from this machine. Nothing for a listener on an
/// address that others use, as only the operator knows its name.
pub(super) fn followed(bind: &BindAddress, port: u16, tls: bool) -> Option<String> {
    let host = match bind.ip() {
        Some(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        Some(std::net::IpAddr::V6(ip)) if ip.is_loopback() => "[::1]".to_owned(),
        Some(ip) if ip.is_loopback() => ip.to_string(),
        None if bind.host().eq_ignore_ascii_case("localhost") => "localhost".to_owned(),
        _ => return None,
    };
    let (scheme, default_port) = if tls { ("https", 443) } else { ("http", 80) };
    // The scheme's own port is not written in an issuer's normal form.
    Some(if port == default_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
}

pub(super) fn issuer_of_bind(reader: &Reader<'_>) -> Option<String> {
    let bind = reader.peek::<BindAddress>("public.bind")?;
    followed(&bind, bind.port(), reader.is_set("public.tls_certificate_file"))
}

pub(super) fn processors(_: &Reader<'_>) -> Option<String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Some(processors.min(512).to_string())
}

pub(super) fn half_the_processors(_: &Reader<'_>) -> Option<String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Some(PoolLimits::threads_for(processors).min(256).to_string())
}

pub(super) fn sqlite_in_data_dir(reader: &Reader<'_>) -> Option<String> {
    let data_dir = reader.peek::<PathBuf>("data_dir")?;
    Some(format!("sqlite:{}", data_dir.join("signet.db").display()))
}

/// The issuer, judged with `allow_insecure_issuer`.
pub(super) fn issuer(reader: &mut Reader<'_>) -> Option<Issuer> {
    let allow_insecure = reader.peek("allow_insecure_issuer").unwrap_or(true);
    let Some(text) = reader.peek::<String>("issuer") else {
        if reader.peek::<BindAddress>("public.bind").is_some() && !reader.is_set("issuer") {
            let problem =
                "must be set, as `public.bind` is not a loopback address: the https URL by which services reach Signet";
            reader.fault("issuer", problem.to_owned());
        }
        return None;
    };
    match Issuer::parse(&text, allow_insecure) {
        Ok(issuer) => Some(issuer),
        Err(error) => {
            reader.fault("issuer", error.to_string());
            None
        }
    }
}

/// Checks what holds between settings.
pub(super) fn check(reader: &mut Reader<'_>) {
    listeners_differ(reader);
    passwords_cost_enough(reader);
    peppers_are_long_enough(reader);
    certificates_have_keys(reader);
    master_key_has_one_source(reader);
    master_key_is_one(reader);
    keys_propagate_before_they_sign(reader);
    lease_ends_before_unknown_keys_sign(reader);
    skew_leaves_room_for_our_own(reader);
    published_keys_are_few(reader);
    default_algorithm_is_ready(reader);
    lifetimes_are_ordered(reader);
    collector_takes_headers(reader);
    super::redis::check(reader);
}

fn collector_takes_headers(reader: &mut Reader<'_>) {
    let key = "telemetry.otlp_headers";
    if let Some(Some(text)) = reader.peek::<Option<SecretText>>(key)
        && let Err(why) = parse_headers(text.expose())
    {
        reader.fault(key, why.to_owned());
    }
    let name = "telemetry.otlp_service_name";
    if reader.peek::<String>(name).is_some_and(|name| name.trim().is_empty() || name.len() > 255) {
        reader.fault(name, "must be a name of 1 to 255 bytes".to_owned());
    }
}

fn listeners_differ(reader: &mut Reader<'_>) {
    let public = reader.peek::<BindAddress>("public.bind");
    let admin = reader.peek::<BindAddress>("admin.bind");
    if let (Some(public), Some(admin)) = (public, admin)
        && public == admin
        && public.port() != 0
    {
        let problem = format!("is {admin}, where `public.bind` listens already: they must differ");
        reader.fault("admin.bind", problem);
    }
}

/// The parameters that OWASP holds equal reach from 46 MiB in one pass to 7 MiB in five.
const LEAST_WORK: u64 = 35_840;

fn passwords_cost_enough(reader: &mut Reader<'_>) {
    let [memory, passes, lanes] =
        ["memory", "passes", "lanes"].map(|name| reader.peek::<u32>(&format!("passwords.hash_{name}")));
    let (Some(memory), Some(passes), Some(lanes)) = (memory, passes, lanes) else { return };
    if u64::from(memory) * u64::from(passes) < LEAST_WORK {
        let problem = format!(
            "must be at least {} with {passes} passes, or passwords would be hashed with too little",
            LEAST_WORK.div_ceil(passes.into())
        );
        reader.fault("passwords.hash_memory", problem);
    } else if let Err(why) = (Argon2Cost { memory, passes, lanes }).check() {
        reader.fault("passwords.hash_memory", format!("can't be with these passes and lanes: {why}"));
    }
}

fn peppers_are_long_enough(reader: &mut Reader<'_>) {
    for key in ["passwords.pepper", "passwords.former_pepper"] {
        if let Some(Some(text)) = reader.peek::<Option<SecretText>>(key)
            && let Err(error) = Pepper::parse(text.expose())
        {
            reader.fault(key, error.to_string());
        }
    }
}

fn certificates_have_keys(reader: &mut Reader<'_>) {
    for (certificate, key) in
        [("public.tls_certificate_file", "public.tls_key_file"), ("admin.tls_certificate_file", "admin.tls_key_file")]
    {
        for (given, missing) in [(certificate, key), (key, certificate)] {
            if reader.is_set(given) && !reader.is_set(missing) {
                reader
                    .fault(given, format!("needs `{missing}` beside it: TLS takes a certificate and its private key"));
            }
        }
    }
}

fn master_key_has_one_source(reader: &mut Reader<'_>) {
    let (key, file) = ("keys.master_key", "keys.master_key_file");
    if reader.is_set(key) && reader.is_set(file) {
        let fault = source::both(key, &reader.source_of(key), file, &reader.source_of(file));
        reader.faults.push(fault);
    }
}

fn master_key_is_one(reader: &mut Reader<'_>) {
    let key = "keys.master_key";
    if let Some(Some(text)) = reader.peek::<Option<SecretText>>(key) {
        match MasterKey::parse(text.expose()) {
            Ok(_) => {}
            Err(SecretError::NotAMasterKey(why)) => reader.fault(key, format!("is not a master key: {why}")),
            Err(error) => reader.fault(key, error.to_string()),
        }
    }
}

fn keys_propagate_before_they_sign(reader: &mut Reader<'_>) {
    let propagation = reader.peek::<Duration>("keys.propagation");
    let max_age = reader.peek::<Duration>("keys.jwks_max_age");
    let skew = reader.peek::<Duration>("keys.skew");
    if let (Some(propagation), Some(max_age), Some(skew)) = (propagation, max_age, skew) {
        let stale = stale_while_revalidate(max_age);
        let least = max_age + stale + FOLLOW_BOUND + skew;
        if propagation < least {
            let (least, shown) = (super::duration::write(least), stale.as_secs());
            let problem = format!(
                "must be at least {least} (`keys.jwks_max_age` + {shown}s stale-while-revalidate + 2s to follow + \
                 `keys.skew`), or a key would sign before every verifier has it"
            );
            reader.fault("keys.propagation", problem);
        }
    }
    let rotate_every = reader.peek::<Duration>("keys.rotate_every");
    if let (Some(rotate_every), Some(propagation)) = (rotate_every, propagation)
        && rotate_every < propagation
    {
        let least = super::duration::write(propagation);
        let problem = format!("must be at least {least} (`keys.propagation`), or no successor would be ready in time");
        reader.fault("keys.rotate_every", problem);
    }
}

/// Until its lease ends, a replica that is cut off from the database is sent verifiers. What it gives them lacks the keys
/// that were published since, and none of those may sign while such a JWKS is kept.
fn lease_ends_before_unknown_keys_sign(reader: &mut Reader<'_>) {
    let propagation = reader.peek::<Duration>("keys.propagation");
    let max_age = reader.peek::<Duration>("keys.jwks_max_age");
    let skew = reader.peek::<Duration>("keys.skew");
    let lease = reader.peek::<Duration>("keys.lease");
    let max_skew = reader.peek::<Duration>("clock.max_skew");
    if let (Some(propagation), Some(max_age), Some(skew), Some(lease), Some(max_skew)) =
        (propagation, max_age, skew, lease, max_skew)
    {
        let kept = SHORTEST_MAX_AGE.min(max_age) + stale_while_revalidate(max_age) + max_skew * 2;
        let most = propagation.saturating_sub(kept + skew);
        if lease > most {
            let (most, kept) = (super::duration::write(most), super::duration::write(kept));
            let problem = format!(
                "must be at most {most} (`keys.propagation` - `keys.skew` - {kept} in which caches keep the JWKS at \
                 least), or a replica that can't reach the database would give verifiers a JWKS that lacks a key which \
                 signs"
            );
            reader.fault("keys.lease", problem);
        }
    }
}

/// Of what clocks may differ by, a part is used up here: a replica's clock may be set from as far ahead as is allowed to as
/// far behind, and a change of the keys is stored a while after the moment from which its times count.
fn skew_leaves_room_for_our_own(reader: &mut Reader<'_>) {
    let skew = reader.peek::<Duration>("keys.skew");
    let max_skew = reader.peek::<Duration>("clock.max_skew");
    if let (Some(skew), Some(max_skew)) = (skew, max_skew) {
        let least = max_skew * 2 + COMMIT_WITHIN;
        if skew < least {
            let least = super::duration::write(least);
            let problem = format!(
                "must be at least {least} (twice `clock.max_skew` + 2s to store a change), or keys would leave while \
                 tokens of theirs live"
            );
            reader.fault("keys.skew", problem);
        }
    }
}

/// Verifiers refuse a JWKS of too many keys whole.
fn published_keys_are_few(reader: &mut Reader<'_>) {
    let algorithms = reader.peek::<Vec<Algorithm>>("keys.algorithms");
    let [rotate_every, lease, longest, skew] =
        ["keys.rotate_every", "keys.lease", "tokens.max_access_lifetime", "keys.skew"]
            .map(|key| reader.peek::<Duration>(key));
    if let (Some(algorithms), Some(rotate_every), Some(lease), Some(longest), Some(skew)) =
        (algorithms, rotate_every, lease, longest, skew)
    {
        let retirement = lease + longest + skew;
        let published = steady(algorithms.len(), rotate_every, retirement);
        if published > MOST_STEADY {
            let retirement = super::duration::write(retirement);
            let problem = format!(
                "would keep {published} keys published, and {MOST_STEADY} may be: each of {} algorithms has an active \
                 key, its successor, and those that signed within the last {retirement} (`keys.lease` + \
                 `tokens.max_access_lifetime` + `keys.skew`)",
                algorithms.len()
            );
            reader.fault("keys.rotate_every", problem);
        }
    }
}

fn default_algorithm_is_ready(reader: &mut Reader<'_>) {
    let algorithms = reader.peek::<Vec<Algorithm>>("keys.algorithms");
    let default = reader.peek::<Algorithm>("tokens.default_algorithm");
    if let (Some(algorithms), Some(default)) = (algorithms, default)
        && !algorithms.contains(&default)
    {
        let problem = format!("is {default}, for which `keys.algorithms` keeps no keys ready");
        reader.fault("tokens.default_algorithm", problem);
    }
}

fn lifetimes_are_ordered(reader: &mut Reader<'_>) {
    let lifetime = reader.peek::<Duration>("tokens.access_lifetime");
    let longest = reader.peek::<Duration>("tokens.max_access_lifetime");
    if let (Some(lifetime), Some(longest)) = (lifetime, longest)
        && lifetime > longest
    {
        let longest = super::duration::write(longest);
        let problem = format!("must be at most {longest} (`tokens.max_access_lifetime`)");
        reader.fault("tokens.access_lifetime", problem);
    }
}
