//! Keys that sign, the ring that holds them, and what it publishes.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use signet_verify::{Algorithm, PRIVATE_MEMBERS, PublicJwk, PublicKey, VerifyingKey, base64url};

use super::fixtures;
use super::import::import_pem;
use super::kind::{KeySpec, Kid, Origin, Purpose, RsaBits};
use super::material::{KeyError, NewKey, generate};
use super::pem_fixtures as pem;
use super::ring::{KeyRing, NotSigning, Ring};
use super::rotation::Policy;
use super::signer::{Ed25519Name, SigningKey};
use super::states::{Key, KeyState};
use super::store::StoredKeys;
use super::table::KeyTable;
use crate::ports::{SystemEntropy, Timestamp};
use crate::secret::{MasterKey, MasterKeys, SecretBytes, SecretError};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LEASE: Duration = Duration::from_secs(600);

fn masters() -> &'static MasterKeys {
    static MASTERS: OnceLock<MasterKeys> = OnceLock::new();
    MASTERS.get_or_init(|| MasterKey::generate(&SystemEntropy).into())
}

fn master() -> &'static MasterKey {
    masters().sealing(None).unwrap()
}

fn policy() -> Policy {
    Policy { rotate_every: Duration::from_secs(86_400), lease: LEASE, ..fixtures::policy(&[KeySpec::Es256]) }
}

/// A snapshot, as the store would give it, of these keys in these states.
fn stored(keys: &[(&NewKey, KeyState)]) -> StoredKeys {
    let mut stored = StoredKeys {
        table: KeyTable { version: 1, acted_at: Some(NOW), keys: Vec::new() },
        sealed: Vec::new(),
        sealed_under: None,
        now: NOW,
    };
    for (new, state) in keys {
        let candidate = new.seal(Purpose::Signing, master(), &SystemEntropy).unwrap();
        stored.sealed.push((new.kid.clone(), candidate.sealed));
        stored.table.keys.push(Key {
            kid: new.kid.clone(),
            algorithm: new.algorithm,
            public: new.public.clone(),
            origin: new.origin,
            state: *state,
            ..fixtures::key(0, new.algorithm, NOW)
        });
    }
    stored
}

const ACTIVE: KeyState = KeyState::Active { since: NOW };

fn open(stored: &StoredKeys, previous: Option<&Ring>) -> Result<Ring, KeyError> {
    Ring::open(stored, masters(), &policy(), Ed25519Name::Ed25519, previous)
}

fn only_signer(new: &NewKey, name: Ed25519Name) -> SigningKey {
    let stored = stored(&[(new, ACTIVE)]);
    SigningKey::open(&stored.table.keys[0], &stored.sealed[0].1, masters(), name).unwrap()
}

fn es256() -> NewKey {
    generate(KeySpec::Es256, &SystemEntropy).unwrap()
}

#[test]
fn every_algorithm_signs_what_its_published_key_verifies() {
    for algorithm in Algorithm::ALL {
        let new = generate(KeySpec::new(algorithm, RsaBits::B2048), &SystemEntropy).unwrap();
        assert_eq!(new.kid.as_str(), new.public.thumbprint());
        let ring = open(&stored(&[(&new, ACTIVE)]), None).unwrap();
        let signer = ring.signer(algorithm).unwrap();
        let signature = signer.sign(b"a.b").unwrap();

        let jwks: Value = serde_json::from_slice(ring.jwks().body()).unwrap();
        let published = PublicJwk::parse(&jwks["keys"][0]).unwrap();
        assert_eq!(published, new.public);
        let verifier = VerifyingKey::new(&published, algorithm).unwrap();
        verifier.verify(b"a.b", &signature).unwrap();
        assert!(verifier.verify(b"a.c", &signature).is_err());
        let lengths = [64, 96, 256, 256, 64];
        assert_eq!(signature.len(), lengths[Algorithm::ALL.iter().position(|at| *at == algorithm).unwrap()]);
    }
}

#[test]
fn the_larger_rsa_sizes_are_made_as_asked() {
    let new = generate(KeySpec::Ps256(RsaBits::B3072), &SystemEntropy).unwrap();
    let PublicKey::Rsa { n, e } = &new.public.key else { panic!("not RSA") };
    assert_eq!((n.len() * 8, n[0] >> 7, e.as_slice()), (3072, 1, &[1, 0, 1][..]));
}

#[test]
fn ed25519_gives_the_token_of_rfc_8037() {
    // https://www.rfc-editor.org/rfc/rfc8037#appendix-A
    let seed = base64url::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = SecretBytes::new([&head[..], &seed].concat());
    let new = NewKey::from_pkcs8(Algorithm::Ed25519, Origin::Imported, pkcs8).unwrap();
    assert_eq!(new.kid.as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signer = only_signer(&new, Ed25519Name::EdDsa);
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let expected = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(base64url::encode(signer.sign(input).unwrap()), expected);
}

#[test]
fn rs256_gives_the_signature_that_openssl_gives() {
    let new = import_pem(pem::RSA_PKCS8, None).unwrap();
    let signature = only_signer(&new, Ed25519Name::Ed25519).sign(pem::MESSAGE).unwrap();
    assert_eq!(base64url::encode(signature), pem::RSA_SIGNATURE);
    // The other padding salts: the same message never has the same signature twice.
    let new = import_pem(pem::RSA_PKCS8, Some(Algorithm::Ps256)).unwrap();
    let signer = only_signer(&new, Ed25519Name::Ed25519);
    assert_ne!(signer.sign(pem::MESSAGE).unwrap(), signer.sign(pem::MESSAGE).unwrap());
}

#[test]
fn the_header_is_that_of_an_access_token_and_names_ed25519_as_set() {
    let new = generate(KeySpec::Ed25519, &SystemEntropy).unwrap();
    for (name, alg) in [(Ed25519Name::Ed25519, "Ed25519"), (Ed25519Name::EdDsa, "EdDSA")] {
        let signer = only_signer(&new, name);
        let header = base64url::decode(signer.access_token_header()).unwrap();
        let expected = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, new.kid);
        assert_eq!(String::from_utf8(header).unwrap(), expected);
        assert_eq!(signer.alg(), alg);

        let ring = Ring::open(&stored(&[(&new, ACTIVE)]), masters(), &policy(), name, None).unwrap();
        let jwks: Value = serde_json::from_slice(ring.jwks().body()).unwrap();
        assert_eq!(jwks["keys"][0]["alg"], alg);
    }
    assert_eq!(Ed25519Name::EdDsa.of(Algorithm::Es256), "ES256");
}

#[test]
fn a_row_whose_parts_do_not_belong_together_is_refused() {
    let (ours, theirs) = (es256(), es256());
    let whole = stored(&[(&ours, ACTIVE), (&theirs, KeyState::Pending { usable_from: NOW })]);
    assert!(open(&whole, None).is_ok());
    let refusal = |change: &dyn Fn(&mut StoredKeys)| {
        let mut altered = whole.clone();
        change(&mut altered);
        open(&altered, None).map(|_| ()).unwrap_err()
    };
    let kid = ours.kid.clone();

    let swapped = refusal(&|stored| stored.sealed[0].1 = stored.sealed[1].1.clone());
    assert_eq!(swapped, KeyError::Sealed { kid: kid.clone(), why: SecretError::Tampered });

    let public_swapped = refusal(&|stored| stored.table.keys[0].public = theirs.public.clone());
    assert_eq!(public_swapped, KeyError::WrongName(kid.clone()));
    let pending_swapped = refusal(&|stored| stored.table.keys[1].public = ours.public.clone());
    assert_eq!(pending_swapped, KeyError::WrongName(theirs.kid.clone()));

    // Even who holds the master key and seals another key into the row is found out.
    let planted = refusal(&|stored| {
        let mut planted = theirs.seal(Purpose::Signing, master(), &SystemEntropy).unwrap();
        let binding = super::material::binding(Purpose::Signing, &theirs.kid, Algorithm::Es256);
        let private = master().open(&binding, &planted.sealed).unwrap();
        let binding = super::material::binding(Purpose::Signing, &kid, Algorithm::Es256);
        planted.sealed = master().seal(&binding, private.expose(), &SystemEntropy).unwrap();
        stored.sealed[0].1 = planted.sealed;
    });
    assert_eq!(planted, KeyError::WrongPrivateKey(kid.clone()));

    let relabelled = refusal(&|stored| stored.table.keys[0].algorithm = Algorithm::Rs256);
    assert_eq!(relabelled, KeyError::WrongAlgorithm { kid: kid.clone(), algorithm: Algorithm::Rs256 });
    assert_eq!(refusal(&|stored| drop(stored.sealed.remove(0))), KeyError::Missing(kid.clone()));

    let other = MasterKeys::from(MasterKey::generate(&SystemEntropy));
    let refused = Ring::open(&whole, &other, &policy(), Ed25519Name::Ed25519, None).map(|_| ()).unwrap_err();
    let (needed, have) = (master().id().to_owned(), other.sealing(None).unwrap().id().to_owned());
    // Whichever of them is opened first.
    let expected = SecretError::WrongMasterKey { needed, have };
    assert!(matches!(refused, KeyError::Sealed { why, .. } if why == expected));
}

#[test]
fn the_set_has_pending_active_and_retiring_keys_in_a_fixed_order_and_nothing_private() {
    let states = [
        ACTIVE,
        KeyState::Pending { usable_from: NOW },
        KeyState::Retiring { since: NOW, until: NOW.plus(LEASE) },
        KeyState::Retired { since: NOW },
        KeyState::Compromised { since: NOW },
    ];
    let mut keys: Vec<NewKey> = (0..5).map(|_| es256()).collect();
    keys.push(generate(KeySpec::Ed25519, &SystemEntropy).unwrap());
    keys.push(import_pem(pem::RSA_PKCS8, None).unwrap());
    keys.push(import_pem(pem::P384_PKCS8, None).unwrap());
    let states = states.into_iter().chain([ACTIVE; 3]);
    let mut snapshot = stored(&keys.iter().zip(states).collect::<Vec<_>>());
    let ring = open(&snapshot, None).unwrap();
    let jwks = ring.jwks();
    assert_eq!(jwks.key_count(), 6);
    let set: Value = serde_json::from_slice(jwks.body()).unwrap();
    let published: Vec<_> = set["keys"].as_array().unwrap().iter().map(|jwk| jwk["kid"].as_str().unwrap()).collect();
    let mut expected: Vec<Kid> = keys[..3].iter().map(|key| key.kid.clone()).collect();
    expected.sort();
    expected.extend([&keys[7], &keys[6], &keys[5]].map(|key| key.kid.clone()));
    assert_eq!(published, expected.iter().map(Kid::as_str).collect::<Vec<_>>());
    for jwk in set["keys"].as_array().unwrap() {
        assert!(PRIVATE_MEMBERS.iter().all(|member| jwk.get(member).is_none()));
        assert_eq!(jwk["use"], "sig");
        let members = jwk.as_object().unwrap().len();
        assert_eq!(members, if jwk["kty"] == "EC" { 7 } else { 6 });
    }
    // The order of rows does not matter, the keys do.
    snapshot.table.keys.reverse();
    let again = open(&snapshot, None).unwrap();
    assert_eq!(again.jwks().body(), jwks.body());
    assert_eq!(again.jwks().etag(), jwks.etag());
    assert!(jwks.etag().starts_with('"') && jwks.etag().len() == 24);
    snapshot.table.keys.retain(|key| key.algorithm != Algorithm::Rs256);
    assert_ne!(open(&snapshot, None).unwrap().jwks().etag(), jwks.etag());
}

#[test]
fn a_key_that_is_parsed_already_is_not_opened_again() {
    let new = es256();
    let mut snapshot = stored(&[(&new, ACTIVE), (&es256(), KeyState::Pending { usable_from: NOW })]);
    let ring = open(&snapshot, None).unwrap();
    // With its private half gone it can only come from the ring before.
    snapshot.sealed.clear();
    snapshot.table.keys[0].longest_lifetime = Duration::from_secs(900);
    assert!(open(&snapshot, None).is_err());
    let renewed = open(&snapshot, Some(&ring)).unwrap();
    let signer = renewed.signer(Algorithm::Es256).unwrap();
    assert_eq!(signer.kid(), &new.kid);
    assert_eq!(signer.longest_lifetime(), Duration::from_secs(900));
    // The successor takes over as it was parsed too.
    snapshot.table.keys.swap(0, 1);
    snapshot.table.keys[0].state = ACTIVE;
    snapshot.table.keys[1].state = KeyState::Retired { since: NOW };
    let promoted = open(&snapshot, Some(&ring)).unwrap();
    assert_eq!(promoted.signer(Algorithm::Es256).unwrap().kid(), &snapshot.table.keys[0].kid);
    // Another key of the same algorithm does not pass for it.
    let other = es256();
    let mut stranger = stored(&[(&other, ACTIVE)]);
    stranger.sealed.clear();
    assert_eq!(open(&stranger, Some(&ring)).map(|_| ()).unwrap_err(), KeyError::Missing(other.kid));
}

#[test]
fn a_successor_that_can_not_be_opened_is_noticed_before_it_is_needed() {
    let mut snapshot = stored(&[
        (&es256(), ACTIVE),
        (&es256(), KeyState::Pending { usable_from: NOW }),
        (&es256(), KeyState::Pending { usable_from: NOW }),
    ]);
    let (one, other) = (snapshot.sealed[1].1.clone(), snapshot.sealed[2].1.clone());
    (snapshot.sealed[1].1, snapshot.sealed[2].1) = (other, one);
    assert!(matches!(open(&snapshot, None).map(|_| ()), Err(KeyError::Sealed { .. })));
}

#[test]
fn a_key_that_a_writer_of_the_database_put_in_is_never_published() {
    let stranger = es256();
    for state in
        [ACTIVE, KeyState::Pending { usable_from: NOW }, KeyState::Retiring { since: NOW, until: NOW.plus(LEASE) }]
    {
        let mut snapshot = stored(&[(&es256(), ACTIVE), (&stranger, state)]);
        assert!(open(&snapshot, None).is_ok());
        // The public half alone, and a private half that was sealed for another row.
        let (ours, theirs) = (snapshot.sealed[0].1.clone(), snapshot.sealed.pop().unwrap());
        assert_eq!(open(&snapshot, None).map(|_| ()).unwrap_err(), KeyError::Missing(stranger.kid.clone()));
        snapshot.sealed.push((theirs.0, ours));
        assert!(matches!(open(&snapshot, None).map(|_| ()), Err(KeyError::Sealed { .. })));
    }
}

#[test]
fn the_ring_signs_within_its_lease_only_and_publishes_always() {
    let ring = KeyRing::new(&policy());
    let signer = |now| ring.signer(Algorithm::Es256, now).map(|key| key.kid().clone());
    assert_eq!(signer(NOW), Err(NotSigning::LeaseExpired));
    assert_eq!(&ring.jwks().body()[..], br#"{"keys":[]}"#);

    let new = es256();
    ring.replace(open(&stored(&[(&new, ACTIVE)]), None).unwrap(), NOW);
    let end = NOW.plus(LEASE);
    let milli = Duration::from_millis(1);
    assert_eq!(signer(NOW), Ok(new.kid.clone()));
    assert_eq!(signer(end), Ok(new.kid.clone()));
    assert_eq!(signer(end.plus(milli)), Err(NotSigning::LeaseExpired));
    assert!(!ring.is_confirmed(end.plus(milli)));
    assert_eq!(ring.jwks().key_count(), 1, "published still");
    assert_eq!(ring.signer(Algorithm::Rs256, NOW).map(|_| ()), Err(NotSigning::NoKey(Algorithm::Rs256)));

    ring.confirm(end);
    assert_eq!(signer(end.plus(milli)), Ok(new.kid.clone()));
    // A clock set back does not stretch the lease; one that lags a little is no reason to stop.
    assert_eq!(signer(end.minus(Duration::from_secs(1))), Ok(new.kid.clone()));
    assert_eq!(signer(end.minus(Duration::from_secs(3))), Err(NotSigning::LeaseExpired));
}

#[test]
fn the_next_change_of_the_set_is_known() {
    let (active, successor) = (es256(), es256());
    let snapshot = stored(&[(&active, ACTIVE), (&successor, KeyState::Pending { usable_from: NOW })]);
    let ring = open(&snapshot, None).unwrap();
    assert_eq!(ring.jwks().next_change(), Some(NOW.plus(policy().rotate_every)));
    assert_eq!(ring.version(), 1);
}

#[test]
fn threads_sign_while_the_ring_is_replaced() {
    let new = es256();
    let snapshot = stored(&[(&new, ACTIVE)]);
    let ring = Arc::new(KeyRing::new(&policy()));
    ring.replace(open(&snapshot, None).unwrap(), NOW);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let ring = Arc::clone(&ring);
            scope.spawn(move || {
                for _ in 0..200 {
                    ring.signer(Algorithm::Es256, NOW).unwrap().sign(b"x").unwrap();
                }
            });
        }
        for _ in 0..50 {
            ring.replace(open(&snapshot, Some(&ring.current())).unwrap(), NOW);
        }
    });
}
