//! The keys at hand in this replica, opened.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::token::MacKeyId;
use crate::secret::MacKey;

/// What one look at the ring shows.
#[derive(Default)]
pub struct MacKeys {
    active: Option<MacKeyId>,
    keys: HashMap<MacKeyId, MacKey>,
}

impl MacKeys {
    pub(super) fn new(active: Option<MacKeyId>, keys: HashMap<MacKeyId, MacKey>) -> Self {
        Self { active, keys }
    }

    /// The name of the key that makes tokens; `None` before the first was taken up.
    pub const fn active(&self) -> Option<MacKeyId> {
        self.active
    }

    /// The key of that name.
    pub fn find(&self, id: MacKeyId) -> Option<&MacKey> {
        self.keys.get(&id)
    }
}

/// The keys at hand. Reading takes no lock.
#[derive(Default)]
pub struct MacRing(ArcSwap<MacKeys>);

impl MacRing {
    /// The keys as they are now.
    pub fn current(&self) -> Arc<MacKeys> {
        self.0.load_full()
    }

    /// Keys of these names, one of which makes tokens; each is what its name says.
    #[cfg(test)]
    pub(crate) fn hold(&self, ids: &[u32], active: u32) {
        let key = |id: &u32| {
            let secret = crate::secret::SecretBytes::new(id.to_be_bytes().repeat(8));
            (MacKeyId(*id), MacKey::new(&secret))
        };
        self.replace(MacKeys::new(Some(MacKeyId(active)), ids.iter().map(key).collect()));
    }

    pub(super) fn replace(&self, keys: MacKeys) {
        self.0.store(Arc::new(keys));
    }
}

impl fmt::Debug for MacRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.current();
        f.debug_struct("MacRing").field("active", &keys.active).field("keys", &keys.keys.len()).finish()
    }
}
