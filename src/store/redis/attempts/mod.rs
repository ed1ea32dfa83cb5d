//! Attempts to log in and to register, counted in Redis for all replicas together.
//!
//! Guarantees: an attempt is decided and counted by one script, in one round trip, by Redis' clock, as the domain decides;
//! all keys bear one hash tag. A key is gone once time has forgiven what is in it.

mod scripts;

use std::time::Duration;

use async_trait::async_trait;
use redis::from_redis_value;
use signet_verify::base64url;

use self::scripts::{ADMIT, ADMIT_REGISTRATION, CLEAR, NOT_MADE, REGISTRATION_NOT_MADE, SUCCEEDED};
use super::{Namespace, RedisStore, unlike};
use crate::ports::StoreError;
use crate::users::attempts::{
    Admission, Attempt, AttemptStore, Counted, DEVICE_KEPT, DeviceTag, Limit, Limits, MOST_DEVICES, MOST_PAIRS, Prefix,
    RegistrationLimits,
};

/// So many bytes of the digest of a name are in its key: that two names share one is as good as impossible.
const NAME_BYTES: usize = 16;

impl Namespace {
    fn name_key(&self, name: &[u8; 32]) -> Vec<u8> {
        format!("{{{self}:login}}:n:{}", base64url::encode(&name[..NAME_BYTES])).into_bytes()
    }

    /// The keys of a prefix and of all, for logins.
    fn address_keys(&self, prefix: Prefix) -> [Vec<u8>; 2] {
        let of = format!("{{{self}:login}}:p:{}", base64url::encode(prefix.to_bits().to_be_bytes()));
        [of.into_bytes(), format!("{{{self}:login}}:all").into_bytes()]
    }

    /// The same for registrations.
    fn registration_keys(&self, prefix: Prefix) -> [Vec<u8>; 2] {
        let of = format!("{{{self}:login}}:r:{}", base64url::encode(prefix.to_bits().to_be_bytes()));
        [of.into_bytes(), format!("{{{self}:login}}:registered").into_bytes()]
    }
}

fn number(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// A limit, as the scripts take it.
fn limit(limit: &Limit) -> [Vec<u8>; 5] {
    [
        number(limit.free),
        number(limit.first_wait.as_millis()),
        number(limit.longest_wait.as_millis()),
        limit.most.map(number).unwrap_or_default(),
        number(limit.forgives_one_in.as_millis().max(1)),
    ]
}

fn as_owner(counted: Counted) -> &'static [u8] {
    if counted == Counted::AsOwner { b"1" } else { b"0" }
}

impl RedisStore {
    /// What every script that knows names is told first.
    fn naming(&self, prefix: Option<Prefix>, device: Option<DeviceTag>) -> Vec<Vec<u8>> {
        let mut arguments = vec![self.held()];
        arguments.extend([&Limits::PAIR, &Limits::STRANGERS, &Limits::OWNER].into_iter().flat_map(limit));
        arguments.extend([number(DEVICE_KEPT.as_millis()), number(MOST_DEVICES), number(MOST_PAIRS)]);
        // Nothing where there is none, which is like no prefix and no tag.
        let bits = [prefix.map(Prefix::to_bits), device.map(DeviceTag::to_bits)];
        arguments.extend(bits.map(|bits| bits.map(|bits| bits.to_be_bytes().to_vec()).unwrap_or_default()));
        arguments
    }
}

#[async_trait]
impl AttemptStore for RedisStore {
    async fn admit(&self, attempt: &Attempt, limits: &Limits) -> Result<Admission, StoreError> {
        let namespace = &self.inner.options.namespace;
        let [prefix, all] = namespace.address_keys(attempt.prefix);
        let mut arguments = self.naming(Some(attempt.prefix), attempt.device);
        arguments.extend([&limits.prefix, &limits.all].into_iter().flat_map(limit));
        self.acting(async {
            let answer = self.change(&ADMIT, &[namespace.name_key(&attempt.name), prefix, all], &arguments).await?;
            let answer: Vec<u64> = from_redis_value(answer).map_err(|_| unlike())?;
            match *answer.as_slice() {
                [0, wait] => Ok(Admission::Wait(Duration::from_millis(wait))),
                [1, as_owner, here, together] => {
                    let counted = if as_owner == 1 { Counted::AsOwner } else { Counted::AsStranger };
                    let [here, together] = [here, together].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
                    Ok(Admission::Admitted { counted, mark: Limits::mark(counted, here, together) })
                }
                _ => Err(unlike()),
            }
        })
        .await
    }

    async fn succeeded(
        &self,
        names: &[[u8; 32]],
        device: Option<DeviceTag>,
        stranger_at: Option<Prefix>,
    ) -> Result<(), StoreError> {
        let namespace = &self.inner.options.namespace;
        let mut keys = stranger_at.map(|prefix| namespace.address_keys(prefix).to_vec()).unwrap_or_default();
        keys.extend(names.iter().map(|name| namespace.name_key(name)));
        if keys.is_empty() {
            return Ok(());
        }
        let arguments = self.naming(stranger_at, device);
        self.acting(async { self.change(&SUCCEEDED, &keys, &arguments).await.map(drop) }).await
    }

    async fn not_made(&self, attempt: &Attempt, counted: Counted) -> Result<(), StoreError> {
        let namespace = &self.inner.options.namespace;
        let [prefix, all] = namespace.address_keys(attempt.prefix);
        let mut arguments = self.naming(Some(attempt.prefix), attempt.device);
        arguments.push(as_owner(counted).to_vec());
        let keys = [namespace.name_key(&attempt.name), prefix, all];
        self.acting(async { self.change(&NOT_MADE, &keys, &arguments).await.map(drop) }).await
    }

    async fn clear(&self, names: &[[u8; 32]]) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = names.iter().map(|name| self.inner.options.namespace.name_key(name)).collect();
        self.acting(async { self.change(&CLEAR, &keys, &[] as &[Vec<u8>]).await.map(drop) }).await
    }

    async fn admit_registration(
        &self,
        prefix: Prefix,
        limits: &RegistrationLimits,
    ) -> Result<Option<Duration>, StoreError> {
        let keys = self.inner.options.namespace.registration_keys(prefix);
        let mut arguments = vec![self.held()];
        arguments.extend([&limits.prefix, &limits.all].into_iter().flat_map(limit));
        self.acting(async {
            let wait = self.change(&ADMIT_REGISTRATION, &keys, &arguments).await?;
            let wait: u64 = from_redis_value(wait).map_err(|_| unlike())?;
            Ok((wait > 0).then(|| Duration::from_millis(wait)))
        })
        .await
    }

    async fn registration_not_made(&self, prefix: Prefix) -> Result<(), StoreError> {
        let keys = self.inner.options.namespace.registration_keys(prefix);
        self.acting(async { self.change(&REGISTRATION_NOT_MADE, &keys, &[self.held()]).await.map(drop) }).await
    }
}
