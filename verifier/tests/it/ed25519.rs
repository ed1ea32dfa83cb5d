//! J12: the edges of Ed25519, by published vectors.
//!
//! What is checked is [`signet_verify::VerifyingKey`]: S below L, R compared as its bytes, no multiplication by the
//! cofactor ("cofactorless", RFC 8032 section 5.1.7 allows both), and no keys of small order.

use serde_json::json;
use signet_verify::{Algorithm, JwkError, PublicJwk, VerifyingKey, base64url};

/// What becomes of a vector.
#[derive(Debug, PartialEq)]
enum Outcome {
    Verifies,
    Fails,
    /// The key is none.
    NoKey,
}
use Outcome::{Fails, NoKey, Verifies};

fn octets(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn outcome(key: &str, message: &str, signature: &str) -> Outcome {
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(octets(key)) });
    match PublicJwk::parse(&jwk).and_then(|jwk| VerifyingKey::new(&jwk, Algorithm::Ed25519)) {
        Err(JwkError::InvalidPoint) => NoKey,
        Err(error) => panic!("{error}"),
        Ok(key) if key.verify(&octets(message), &octets(signature)).is_ok() => Verifies,
        Ok(_) => Fails,
    }
}

/// The vectors of K. Chalkias, F. Garillot, V. Nikolaenko, "Taming the many EdDSAs" (<https://eprint.iacr.org/2020/1244>,
/// section 5.1), as they stand in `cases.json` of <https://github.com/novifinancial/ed25519-speccheck> at d2b2ba58.
#[test]
fn j12_points_of_mixed_and_small_order_are_judged_without_the_cofactor() {
    const SMALL: &str = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
    const MIXED: &str = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
    const OTHER: &str = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
    const SOUND: &str = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";
    const NOT_CANONICAL: &str = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    let vectors = [
        (
            "S = 0, A and R of small order",
            SMALL,
            "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
            NoKey,
        ),
        (
            "A of small order, R mixed",
            SMALL,
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
            NoKey,
        ),
        (
            "A mixed, R of small order, sound with the cofactor only",
            MIXED,
            "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa182ef1a5b928da07fec769cc8a12db6bcf70dab3f3227fa315e9d5e3e01a3405",
            Fails,
        ),
        (
            "A mixed, R of small order, sound either way",
            MIXED,
            "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
            Verifies,
        ),
        (
            "A and R mixed, sound either way",
            OTHER,
            "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
            "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
            Verifies,
        ),
        (
            "A and R mixed, sound with the cofactor only",
            OTHER,
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
            Fails,
        ),
        (
            "sound with the cofactor only, and unless 8k is reduced first",
            OTHER,
            "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
            "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
            Fails,
        ),
        (
            "S above L",
            SOUND,
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
            Fails,
        ),
        (
            "S far above L",
            SOUND,
            "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
            "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
            Fails,
        ),
        (
            "R of small order and not canonical, hashed as it stands",
            MIXED,
            "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
            Fails,
        ),
        (
            "R of small order and not canonical, hashed anew",
            MIXED,
            "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
            Fails,
        ),
        (
            "A of small order and not canonical, hashed as it stands",
            NOT_CANONICAL,
            "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
            "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
            NoKey,
        ),
        (
            "A of small order and not canonical, hashed anew",
            NOT_CANONICAL,
            "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
            "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
            NoKey,
        ),
    ];
    for (what, key, message, signature, expected) in vectors {
        assert_eq!(outcome(key, message, signature), expected, "{what}");
    }
}

/// From `testvectors_v1/ed25519_test.json` of <https://github.com/C2SP/wycheproof> at 00de17e3, by `tcId`.
#[test]
fn j12_s_is_below_the_order_and_r_is_compared_whole() {
    const KEY: &str = "7d4d0e7f6153a69b6242b522abbee685fda4420f8834b108c3bdae369ef549fa";
    const TEST: &str = "54657374";
    const DIGITS: &str = "313233343030";
    let bound = "100fdf47fb94f1536a4f7c3fda27383fa03375a8f527c537e6f1703c47f94f86";
    let vectors = [
        (
            3,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab07a9155711ecfaf7f99f277bad0c6ae7e39d4eef676573336a5c51eb6f946b30d",
            Verifies,
        ),
        (
            10,
            KEY,
            "3f",
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
            Fails,
        ),
        (
            18,
            KEY,
            "3f",
            "0100000000000000000000000000000000000000000000000000000000000000edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
            Fails,
        ),
        (
            25,
            KEY,
            "3f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000",
            Fails,
        ),
        (31, KEY, TEST, "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab0", Fails),
        (
            33,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab07a9155711ecfaf7f99f277bad0c6ae7e39d4eef676573336a5c51eb6f946b30d2020",
            Fails,
        ),
        (
            42,
            KEY,
            DIGITS,
            "647c1492402ab5ce03e2c3a7f0384d051b9cf3570f1207fc78c1bcc98c281c2b1d125e5538f38afbcc1c84e489521083041d24bc6240767029da063271a1ff0c",
            Fails,
        ),
        (
            59,
            KEY,
            DIGITS,
            "657c1492402ab5ce03e2c3a7f0384d051b9cf3570f1207fc78c1bcc98c281cab227aedf259f910f0f3a759a335062665217925d019173b88917eae294f75d40f",
            Fails,
        ),
        (
            60,
            KEY,
            DIGITS,
            "0000000000000000000000000000000000000000000000000000000000000000e0b8e7770d51c7a36375d006c5bffd6af43ff54aaf47e4330dc118c71d61ec02",
            Fails,
        ),
        (
            61,
            KEY,
            DIGITS,
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff463a1908382e7eb7693acef9884f7cf931a215e0791876be22c631a59881fd0e",
            Fails,
        ),
        (
            63,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab067654bce3832c2d76f8f6f5dafc08d9339d4eef676573336a5c51eb6f946b31d",
            Fails,
        ),
        (
            66,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab0e2300459f1e742404cd934d2c595a6253ad4eef676573336a5c51eb6f946b38d",
            Fails,
        ),
        (
            67,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab07a9155711ecfaf7f99f277bad0c6ae7e39d4eef676573336a5c51eb6f946b32d",
            Fails,
        ),
        (
            69,
            KEY,
            TEST,
            "7c38e026f29e14aabd059a0f2db8b0cd783040609a8be684db12f82a27774ab07a9155711ecfaf7f99f277bad0c6ae7e39d4eef676573336a5c51eb6f946b38d",
            Fails,
        ),
        (
            84,
            bound,
            "124e583f8b8eca58bb29c271b41d36986bbc45541f8e51f9cb0133eca447601e",
            "dac119d6ca87fc59ae611c157048f4d4fc932a149dbe20ec6effd1436abf83ea05c7df0fef06147241259113909bc71bd3c53ba4464ffcad3c0968f2ffffff0f",
            Verifies,
        ),
    ];
    for (id, key, message, signature, expected) in vectors {
        assert_eq!(outcome(key, message, signature), expected, "tcId {id}");
    }
}
