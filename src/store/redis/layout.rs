//! What keys are called, and by which version of `docs/redis.md`.

use redis::from_redis_value;

use super::error::Failure;
use super::script::Lua;
use super::{Namespace, RedisStore};
use crate::ports::StoreError;

/// The version of the layout that this program reads and writes.
const VERSION: &str = "1";

/// Notes the version where there is none; answers the one that is there.
static TAKE_UP: Lua = Lua::new(
    "local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]",
);

impl Namespace {
    /// Where the version of the layout stands.
    pub(super) fn layout_key(&self) -> Vec<u8> {
        format!("{{{self}}}:layout").into_bytes()
    }
}

impl RedisStore {
    /// Checks that what is there is of the layout that this program knows, and notes the layout where nothing is.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it is of another one.
    pub async fn take_up_layout(&self) -> Result<(), StoreError> {
        self.acting(async {
            let found = self.change(&TAKE_UP, &[self.inner.options.namespace.layout_key()], &VERSION).await?;
            let found: String = from_redis_value(found).map_err(|_| super::unlike())?;
            if found == VERSION {
                return Ok(());
            }
            Err(Failure::Refused(format!(
                "what it holds under `{}` is of layout {found}, and this program knows layout {VERSION}: another version \
                 of Signet wrote it, or another program has taken the name",
                self.inner.options.namespace
            )))
        })
        .await
    }
}
