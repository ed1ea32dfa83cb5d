//! Puts together what people's accounts need: the rules for passwords, the threads that hash them, limits on attempts.

use std::sync::Arc;

use super::{Opened, Parts, StartError};
use crate::audit::AuditLog;
use crate::config::Settings;
use crate::issuer::Issuer;
use crate::store::sql::SqlStore;
use crate::users::attempts::{Limits, RegistrationLimits};
use crate::users::password::{Argon2Cost, HashMeter, HashPool, Hasher, PasswordPolicy, Pepper, Peppers, PoolLimits};
use crate::users::{AccountLimits, Accounts, AttemptStore, Heeded, Passwords, UserAdministration, UserStore};

/// Accounts, for their owners and for those who look after them.
pub struct People {
    /// As their owners use them.
    pub accounts: Accounts,
    /// As others change them.
    pub administration: UserAdministration,
}

/// Puts accounts together as the settings have them, on `store`, with attempts counted in `attempts` and hashes in
/// `meter`.
///
/// # Errors
/// When the system gives no threads.
pub fn people(
    settings: &Settings,
    issuer: &Issuer,
    store: &SqlStore,
    attempts: Arc<dyn AttemptStore>,
    parts: &Parts,
    meter: Arc<dyn HashMeter>,
) -> Result<People, StartError> {
    let kept = Kept { users: Arc::new(store.clone()), attempts, audit: Arc::new(store.clone()) };
    put_together(settings, issuer, kept, parts, meter)
}

/// The same where an issuer runs: whoever is changed through it is known to it anew at once.
pub(super) fn people_of(
    settings: &Settings,
    opened: &Opened,
    parts: &Parts,
    meter: Arc<dyn HashMeter>,
) -> Result<People, StartError> {
    let store = Arc::new(opened.store.clone());
    let users = Arc::new(Heeded::new(Arc::clone(&store) as _, Arc::clone(&opened.profiles)));
    put_together(settings, &opened.issuer, Kept { users, attempts: opened.attempts(), audit: store }, parts, meter)
}

/// Where accounts, attempts at them and acts on them are kept.
struct Kept {
    users: Arc<dyn UserStore>,
    attempts: Arc<dyn AttemptStore>,
    audit: Arc<dyn AuditLog>,
}

fn put_together(
    settings: &Settings,
    issuer: &Issuer,
    kept: Kept,
    parts: &Parts,
    meter: Arc<dyn HashMeter>,
) -> Result<People, StartError> {
    let passwords = passwords(settings, issuer, parts, meter)?;
    let (rules, auth) = (&settings.passwords, &settings.auth);
    let limits = AccountLimits {
        logins: Limits::new(rules.failures_per_address, rules.failures_a_minute),
        registrations: RegistrationLimits::new(auth.registrations_per_address, auth.registrations_an_hour),
        failure_time: rules.failure_time,
    };
    let Kept { users, attempts, audit } = kept;
    let accounts = Accounts::new(Arc::clone(&users), Arc::clone(&attempts), audit, passwords.clone(), limits);
    let entropy = Arc::clone(&parts.entropy);
    let administration = UserAdministration::new(users, attempts, passwords, entropy, rules.link_lifetime);
    Ok(People { accounts, administration })
}

fn passwords(
    settings: &Settings,
    issuer: &Issuer,
    parts: &Parts,
    meter: Arc<dyn HashMeter>,
) -> Result<Passwords, StartError> {
    let rules = &settings.passwords;
    // Both have passed the checks of the settings.
    let pepper =
        |text: &Option<crate::secret::SecretText>| text.as_ref().and_then(|text| Pepper::parse(text.expose()).ok());
    let peppers =
        Peppers { current: pepper(&rules.pepper), former: pepper(&rules.former_pepper).into_iter().collect() };
    let cost = Argon2Cost { memory: rules.hash_memory, passes: rules.hash_passes, lanes: rules.hash_lanes };
    let hasher = Hasher::new(cost, peppers, Arc::clone(&parts.entropy));
    let limits = PoolLimits { threads: rules.hash_threads, queue: rules.hash_queue, deadline: rules.hash_deadline };
    let pool = HashPool::start(limits, meter).map_err(StartError::Threads)?;
    Ok(Passwords::new(PasswordPolicy::new(rules.min_length, context_words(issuer)), hasher, pool))
}

/// What everybody knows the service by: the host of the issuer, and its labels.
fn context_words(issuer: &Issuer) -> Vec<String> {
    let host =
        url::Url::parse(issuer.as_str()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let labels = host.split('.').map(str::to_owned);
    labels.chain([host.clone(), "signet".to_owned()]).collect()
}
