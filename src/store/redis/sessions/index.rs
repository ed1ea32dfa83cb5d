//! Which sessions a person has, and which there are at a client: hashes that some 64 sessions share at a million of them, as
//! a key for each person would cost more than the session itself.
//!
//! An entry is the session's name, and eight bytes: four of a digest of the person or the client, then the second at which
//! the session ends, whatever happens. Persons are found by a bucket of their own digest; for clients, all sessions lie
//! in buckets by the first bits of their name, so that they are listed in order.

use uuid::Uuid;

use crate::clients::ClientId;
use crate::ports::Timestamp;
use crate::secret::sha256;
use crate::store::redis::Namespace;
use crate::tokens::session::{Session, SessionId};

/// How many buckets there are of each kind, and by how many bits of a digest or a name they are told apart.
pub(super) const BUCKETS: u16 = 1 << BITS;
const BITS: u32 = 14;

/// Four bytes by which most entries of others are passed over without a look at their sessions.
pub(super) type Mark = [u8; 4];

/// Where sessions of a person are entered, and by which mark.
pub(super) fn of_user(namespace: &Namespace, user: Uuid) -> (Vec<u8>, Mark) {
    let digest = sha256(user.as_bytes());
    let [first, second, mark @ ..] = digest;
    (key(namespace, 'u', bucket([first, second])), first_four(&mark))
}

/// By which mark sessions at a client are entered.
pub(super) fn mark_of_client(client: &ClientId) -> Mark {
    first_four(&sha256(client.as_str().as_bytes()))
}

/// The bucket that a session lies in by its name.
pub(super) fn bucket_of(id: SessionId) -> u16 {
    let [first, second, ..] = *id.as_bytes();
    bucket([first, second])
}

/// The last name of a bucket.
pub(super) fn last_of(bucket: u16) -> SessionId {
    let mut id = [0xff; SessionId::LEN];
    let first = (bucket << (16 - BITS)) | ((1 << (16 - BITS)) - 1);
    id[..2].copy_from_slice(&first.to_be_bytes());
    SessionId::from_bytes(id)
}

/// The key of a bucket of names.
pub(super) fn of_names(namespace: &Namespace, bucket: u16) -> Vec<u8> {
    key(namespace, 'n', bucket)
}

/// The two entries of a session: the key of a bucket, and what stands there under its name.
pub(super) fn entries(namespace: &Namespace, session: &Session) -> [(Vec<u8>, [u8; 8]); 2] {
    let (user_key, user) = of_user(namespace, session.user);
    let name_key = of_names(namespace, bucket_of(session.id));
    let ends = end(session.expires_at).to_be_bytes();
    [(user_key, user), (name_key, mark_of_client(&session.client))].map(|(key, mark)| {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&mark);
        value[4..].copy_from_slice(&ends);
        (key, value)
    })
}

/// The second by whose beginning it is over.
fn end(at: Timestamp) -> u32 {
    u32::try_from(at.secs().saturating_add(1)).unwrap_or(u32::MAX)
}

fn bucket(bytes: [u8; 2]) -> u16 {
    u16::from_be_bytes(bytes) >> (16 - BITS)
}

fn first_four(bytes: &[u8]) -> Mark {
    bytes.first_chunk().copied().unwrap_or_default()
}

fn key(namespace: &Namespace, kind: char, bucket: u16) -> Vec<u8> {
    format!("{{{namespace}:{kind}:{bucket:04x}}}").into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tokens::session::fixtures::session;

    #[test]
    fn buckets_of_names_are_in_the_order_of_names() {
        let mut before = None;
        for bucket in 0..BUCKETS {
            let last = last_of(bucket);
            assert_eq!(bucket_of(last), bucket);
            assert!(before < Some(last));
            before = Some(last);
        }
        assert_eq!(last_of(BUCKETS - 1), SessionId::from_bytes([0xff; 16]));
        assert_eq!(bucket_of(SessionId::from_bytes([0; 16])), 0);
    }

    #[test]
    fn a_session_has_one_entry_by_its_person_and_one_by_its_name() {
        let namespace = Namespace::parse("signet").unwrap();
        let session = session();
        let [(user_key, user), (name_key, client)] = entries(&namespace, &session);
        assert_eq!(of_user(&namespace, session.user), (user_key.clone(), user[..4].try_into().unwrap()));
        assert_eq!(name_key, b"{signet:n:0c0c}", "`01` of its name, without two bits");
        assert_eq!(client[..4], mark_of_client(&session.client));
        assert_eq!(user[4..], u32::try_from(session.expires_at.secs() + 1).unwrap().to_be_bytes());
        assert!(user_key.starts_with(b"{signet:u:") && user_key.len() == name_key.len());
    }
}
