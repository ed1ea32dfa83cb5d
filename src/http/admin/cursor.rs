//! Cursors: where the next page of a list begins.
//!
//! Guarantees: a cursor is good for exactly the list that it was given out for, its route and its filters, on every
//! replica; whatever else is presented as one is refused, and no part of it is used before that is known. It tells
//! nothing that the page before did not.

use signet_verify::base64url;

use crate::http::error::Problem;
use crate::secret::{MacKey, MasterKey, MasterKeys, SecretError};

const PURPOSE: &str = "admin cursor";
const LABEL: &str = "signet cursor 1";
/// The length of a code.
const CODE: usize = 32;
/// The longest position is a resource's identifier, of 512 characters.
const LONGEST: usize = 1024;

/// Makes cursors and reads them.
#[derive(Debug)]
pub struct Cursors {
    /// One a master key, the own one first.
    keys: Vec<MacKey>,
}

/// A list: the path of its route, and the filters that were asked for.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    pub(super) route: &'static str,
    pub(super) filters: Vec<(&'static str, &'a str)>,
}

impl Cursors {
    /// Cursors under `masters`. While a master key is replaced, each replica takes those of the others.
    ///
    /// # Errors
    /// [`SecretError::Cryptography`] only.
    pub fn under(masters: &MasterKeys) -> Result<Self, SecretError> {
        let key = |master: &MasterKey| master.mac_key(PURPOSE);
        Ok(Self { keys: masters.all().map(key).collect::<Result<_, _>>()? })
    }

    /// The cursor for what comes after `position` in `listing`.
    pub(super) fn seal(&self, listing: &Listing<'_>, position: &str) -> String {
        let code = self.keys.first().map(|key| key.mac(&listing.bytes(position))).unwrap_or_default();
        base64url::encode([&code[..], position.as_bytes()].concat())
    }

    /// The position that `cursor` holds, if it was given out for `listing`.
    pub(super) fn open(&self, listing: &Listing<'_>, cursor: &str) -> Result<String, Problem> {
        let invalid = || Problem::InvalidCursor;
        if cursor.len() > LONGEST {
            return Err(invalid());
        }
        let bytes = base64url::decode(cursor).map_err(|_| invalid())?;
        let (code, position) = bytes.split_at_checked(CODE).ok_or_else(invalid)?;
        let position = str::from_utf8(position).map_err(|_| invalid())?;
        let bytes = listing.bytes(position);
        let is_ours = self.keys.iter().any(|key| key.verifies(&bytes, code));
        if is_ours { Ok(position.to_owned()) } else { Err(invalid()) }
    }
}

impl Listing<'_> {
    /// All that a cursor is bound to: each part with its length, so that no two lists read the same.
    fn bytes(&self, position: &str) -> Vec<u8> {
        let filters = self.filters.iter().flat_map(|(name, value)| [*name, *value]);
        let mut bytes = Vec::with_capacity(256);
        for part in [LABEL, self.route, position].into_iter().chain(filters) {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ports::SystemEntropy;
    use crate::secret::MasterKey;

    fn master() -> MasterKey {
        MasterKey::generate(&SystemEntropy)
    }

    fn cursors(own: &MasterKey, next: Option<&MasterKey>) -> Cursors {
        let copy = |master: &MasterKey| MasterKey::parse(master.to_text().expose()).unwrap();
        Cursors::under(&MasterKeys::new(copy(own), next.map(copy))).unwrap()
    }

    fn listing<'a>(route: &'static str, filters: &[(&'static str, &'a str)]) -> Listing<'a> {
        Listing { route, filters: filters.to_vec() }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_on_every_replica_and_for_no_other() {
        let master = master();
        let (ours, another_replicas) = (cursors(&master, None), cursors(&master, None));
        let filters = [("act", "keys.rotate"), ("actor", "root")];
        let cursor = ours.seal(&listing("/a", &filters), "42");
        assert_eq!(another_replicas.open(&listing("/a", &filters), &cursor).unwrap(), "42");
        for other in [
            listing("/b", &filters),
            listing("/a", &[]),
            listing("/a", &filters[..1]),
            listing("/a", &[("actor", "keys.rotate"), ("act", "root")]),
            listing("/a", &[("act", "keys.rotate"), ("subject", "root")]),
            listing("/a", &[("act", "keys.rotateactor"), ("root", "")]),
        ] {
            assert!(ours.open(&other, &cursor).is_err(), "{other:?}");
        }
        let another_installations = cursors(&super::tests::master(), None);
        assert!(another_installations.open(&listing("/a", &filters), &cursor).is_err());
    }

    #[test]
    fn while_a_master_key_is_replaced_replicas_take_the_cursors_of_one_another() {
        let (old, new) = (master(), master());
        let replicas = [cursors(&old, Some(&new)), cursors(&new, Some(&old))];
        let listing = listing("/a", &[]);
        for replica in &replicas {
            let cursor = replica.seal(&listing, "42");
            assert!(replicas.iter().all(|other| other.open(&listing, &cursor).is_ok_and(|position| position == "42")));
        }
    }

    #[test]
    fn whatever_is_changed_or_cut_off_is_refused() {
        let cursors = cursors(&master(), None);
        let listing = listing("/a", &[]);
        let cursor = cursors.seal(&listing, "c_0190");
        let bytes = base64url::decode(&cursor).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(cursors.open(&listing, &base64url::encode(&changed)).is_err(), "byte {place}");
            assert!(cursors.open(&listing, &base64url::encode(&bytes[..place])).is_err(), "cut at {place}");
        }
        for forged in ["", "0", "c_0190", &format!("{cursor}A"), &format!("{cursor}="), &"A".repeat(5000)] {
            assert!(cursors.open(&listing, forged).is_err(), "{forged}");
        }
    }

    proptest! {
        #[test]
        fn no_text_that_was_not_given_out_is_a_cursor(text in ".{0,60}") {
            let cursors = cursors(&master(), None);
            prop_assert!(cursors.open(&listing("/a", &[]), &text).is_err());
        }
    }
}
