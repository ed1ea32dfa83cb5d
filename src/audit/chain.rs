//! The chain: each row's hash covers the row before it, and its code shows that who wrote it had the master key.
//!
//! Guarantees: two rows that differ anywhere have different bytes under the hash, since each field goes in with its
//! length. The hash needs no key, so that a head noted elsewhere stays good when the master key is replaced; the code
//! is made under a subkey of the master key, and is made anew when that is replaced.

use std::fmt;
use std::str::FromStr;

use signet_verify::base64url;

use super::entry::{Act, Actor, By, Entry};
use crate::ports::Timestamp;
use crate::secret::{MacKey, MasterKey, MasterKeys, SecretError, sha256};

const MAC_PURPOSE: &str = "audit chain";
const ROW_LABEL: &str = "signet audit row 1";
const MAC_LABEL: &[u8] = b"signet audit code 1\0";

/// The end of the log at some moment: the number of its last row, and that row's hash. It covers every row up to there,
/// so whoever notes it down elsewhere can tell later whether any of them was changed or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of the last row; 0 for an empty log.
    pub number: i64,
    /// Its hash; zeroes for an empty log.
    pub hash: [u8; 32],
}

impl Head {
    /// The head of a log without rows.
    pub const EMPTY: Self = Self { number: 0, hash: [0; 32] };
}

/// `42:` and the hash in base64url.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, base64url::encode(self.hash))
    }
}

/// Not the text of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is a number, a colon and 43 characters of base64url, as the log and `signet audit head` print it")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (number, hash) = text.split_once(':').ok_or(HeadError)?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| number.parse().ok()).flatten().ok_or(HeadError)?;
        let hash = base64url::decode(hash).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(HeadError)?;
        Ok(Self { number, hash })
    }
}

/// A row of the log, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place, from 1, without gaps, in the order of commit.
    pub number: i64,
    /// When, by the store's time.
    pub at: Timestamp,
    /// [`Actor::kind`].
    pub actor_kind: String,
    /// [`Actor::name`].
    pub actor: String,
    /// [`Act::name`].
    pub act: String,
    /// To which.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// From where.
    pub origin: String,
    /// By which request.
    pub request_id: Option<String>,
    /// What else, as the text of a JSON object.
    pub detail: String,
    /// SHA-256 over the row before and all of this row above.
    pub hash: [u8; 32],
    /// HMAC-SHA256 of the hash under a subkey of the master key.
    pub mac: [u8; 32],
    /// Which master key.
    pub master_key_id: String,
}

impl Row {
    /// The head of a log that ends with this row.
    pub const fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash }
    }

    /// The hash that this row must have after `previous`.
    pub fn hash_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(256 + self.detail.len());
        let mut field = |content: &[u8]| {
            bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
            bytes.extend_from_slice(content);
        };
        field(ROW_LABEL.as_bytes());
        field(previous);
        field(&self.number.to_be_bytes());
        field(&self.at.millis().to_be_bytes());
        for text in [&self.actor_kind, &self.actor, &self.act, &self.subject, &self.reason, &self.origin] {
            field(text.as_bytes());
        }
        // Absent and empty are two things.
        field(&[u8::from(self.request_id.is_some())]);
        field(self.request_id.as_deref().unwrap_or_default().as_bytes());
        field(self.detail.as_bytes());
        sha256(&bytes)
    }
}

/// Links rows under the master keys at hand.
pub struct Chain {
    /// By the id of their master key, the own one first.
    keys: Vec<(String, MacKey)>,
}

/// The master key that rows are to be written under is not at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is written under the master key {0}, which is not at hand")]
pub struct NotAtHand(pub String);

impl Chain {
    /// The chain under any of `masters`.
    ///
    /// # Errors
    /// [`SecretError::Cryptography`] only.
    pub fn under(masters: &MasterKeys) -> Result<Self, SecretError> {
        let key = |master: &MasterKey| Ok((master.id().to_owned(), master.mac_key(MAC_PURPOSE)?));
        Ok(Self { keys: masters.all().map(key).collect::<Result<_, _>>()? })
    }

    /// The row that `entry` becomes after `previous`, at `at` by the store's time, under the master key `master_key_id`,
    /// or the own one where that is `None`.
    ///
    /// # Errors
    /// When that master key is not at hand.
    pub fn link(
        &self,
        previous: &Head,
        entry: &Entry,
        at: Timestamp,
        master_key_id: Option<&str>,
    ) -> Result<Row, NotAtHand> {
        let (master_key_id, key) = self.key(master_key_id)?;
        let Entry { by: By { actor, origin, request_id, reason }, act, subject, detail } = entry;
        let mut row = Row {
            number: previous.number + 1,
            at,
            actor_kind: actor.kind().to_owned(),
            actor: actor.name().to_owned(),
            act: act.name().to_owned(),
            subject: subject.clone(),
            reason: reason.clone(),
            origin: origin.clone(),
            request_id: request_id.clone(),
            detail: detail.to_string(),
            hash: [0; 32],
            mac: [0; 32],
            master_key_id: master_key_id.clone(),
        };
        row.hash = row.hash_after(&previous.hash);
        row.mac = key.mac(&[MAC_LABEL, row.hash.as_slice()].concat());
        Ok(row)
    }

    /// The same row with a code under the master key `master_key_id`. Its hash stays.
    ///
    /// # Errors
    /// When that master key is not at hand.
    pub fn coded_anew(&self, row: &Row, master_key_id: &str) -> Result<Row, NotAtHand> {
        let (master_key_id, key) = self.key(Some(master_key_id))?;
        let mac = key.mac(&[MAC_LABEL, row.hash.as_slice()].concat());
        Ok(Row { mac, master_key_id: master_key_id.clone(), ..row.clone() })
    }

    /// Whether the code of `row` fits its hash, under a master key that is at hand. In constant time.
    pub fn vouches_for(&self, row: &Row) -> bool {
        let message = [MAC_LABEL, row.hash.as_slice()].concat();
        self.key(Some(&row.master_key_id)).is_ok_and(|(_, key)| key.verifies(&message, &row.mac))
    }

    /// Whether the master key that `row` names is at hand.
    pub fn is_under(&self, row: &Row) -> bool {
        self.key(Some(&row.master_key_id)).is_ok()
    }

    fn key(&self, id: Option<&str>) -> Result<&(String, MacKey), NotAtHand> {
        let mut keys = self.keys.iter();
        let found = match id {
            Some(wanted) => keys.find(|(id, _)| id == wanted),
            None => keys.next(),
        };
        found.ok_or_else(|| NotAtHand(id.unwrap_or_default().to_owned()))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl Row {
    /// Who acted; `None` for a kind of a newer Signet.
    pub fn actor(&self) -> Option<Actor> {
        Some(match self.actor_kind.as_str() {
            "signet" => Actor::Signet,
            "client" => Actor::Client(self.actor.clone()),
            "user" => Actor::User(self.actor.clone()),
            "operator" => Actor::Operator(self.actor.clone()),
            _ => return None,
        })
    }

    /// What was done; `None` for an act of a newer Signet.
    pub fn act(&self) -> Option<Act> {
        Act::from_name(&self.act)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::ports::SystemEntropy;

    pub(in crate::audit) fn entry(subject: &str) -> Entry {
        By::operator("root", "host").because("a drill").entry(Act::KeysRotate, subject, json!({"algorithm": "ES256"}))
    }

    pub(in crate::audit) fn chain() -> Chain {
        Chain::under(&MasterKey::generate(&SystemEntropy).into()).unwrap()
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = chain().link(&Head::EMPTY, &entry("a"), Timestamp::from_secs(5), None).unwrap().head();
        assert_eq!(head.to_string().parse(), Ok(head));
        let text = head.to_string();
        for wrong in ["", ":", "1", "1:", "-1:AAAA", &text[1..], &format!("+{text}"), &text[..text.len() - 1]] {
            assert_eq!(wrong.parse::<Head>(), Err(HeadError), "{wrong}");
        }
    }

    #[test]
    fn any_changed_field_changes_the_hash() {
        let row = chain().link(&Head::EMPTY, &entry("a"), Timestamp::from_secs(5), None).unwrap();
        let changes: [fn(&mut Row); 10] = [
            |row| row.number += 1,
            |row| row.at = Timestamp::from_secs(6),
            |row| row.actor_kind.push('x'),
            |row| row.actor.push('x'),
            |row| row.act.push('x'),
            |row| row.subject.push('x'),
            |row| row.reason.clear(),
            |row| row.origin.push('x'),
            |row| row.request_id = Some(String::new()),
            |row| row.detail.push(' '),
        ];
        for (place, change) in changes.into_iter().enumerate() {
            let mut changed = row.clone();
            change(&mut changed);
            assert_ne!(changed.hash_after(&[0; 32]), row.hash, "field {place}");
        }
        assert_ne!(row.hash_after(&[1; 32]), row.hash);
    }

    #[test]
    fn what_moves_from_one_field_to_the_next_changes_the_hash() {
        let row = chain().link(&Head::EMPTY, &entry("ab"), Timestamp::from_secs(5), None).unwrap();
        let mut moved = row.clone();
        moved.subject = "a".to_owned();
        moved.reason = format!("b{}", row.reason);
        assert_ne!(moved.hash_after(&[0; 32]), row.hash);
    }

    #[test]
    fn a_code_fits_its_row_and_its_master_key_alone() {
        let (chain, other) = (chain(), chain());
        let row = chain.link(&Head::EMPTY, &entry("a"), Timestamp::from_secs(5), None).unwrap();
        assert!(chain.vouches_for(&row));
        assert!(!other.vouches_for(&row));
        let theirs = other.link(&Head::EMPTY, &entry("a"), Timestamp::from_secs(5), None).unwrap();
        let mut forged = Row { mac: theirs.mac, ..row.clone() };
        assert!(!chain.vouches_for(&forged));
        forged.master_key_id = theirs.master_key_id;
        assert!(!chain.vouches_for(&forged));
    }

    #[test]
    fn a_row_gets_a_new_code_under_the_next_master_key_and_keeps_its_hash() {
        let master = |text: &str| MasterKey::parse(text).unwrap();
        let [own, next] = [(); 2].map(|()| MasterKey::generate(&SystemEntropy).to_text());
        let both = MasterKeys::new(master(own.expose()), Some(master(next.expose())));
        let chain = Chain::under(&both).unwrap();
        let row = chain.link(&Head::EMPTY, &entry("a"), Timestamp::from_secs(5), None).unwrap();
        assert_eq!(row.master_key_id, master(own.expose()).id());
        let anew = chain.coded_anew(&row, master(next.expose()).id()).unwrap();
        assert_eq!((anew.hash, anew.head()), (row.hash, row.head()));
        let only_next = Chain::under(&master(next.expose()).into()).unwrap();
        assert!(only_next.vouches_for(&anew) && !only_next.vouches_for(&row));
        assert_eq!(only_next.coded_anew(&row, &row.master_key_id), Err(NotAtHand(row.master_key_id.clone())));
    }
}
