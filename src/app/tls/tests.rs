//! Pairs of every kind, files caught in the middle of a change, and how often something is said about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use p256::pkcs8::DecodePrivateKey;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, date_time_ymd};
use rsa::pkcs1::EncodeRsaPrivateKey;
use tempfile::TempDir;

use super::super::said::said;
use super::certificate::Certificate;
use super::pair::PairFiles;
use crate::ports::Timestamp;

/// 2026-11-22.
const NOW: Timestamp = Timestamp::from_secs(1_795_305_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A certificate and its key, as PEM.
#[derive(Clone)]
struct Made {
    certificate: String,
    key: String,
}

fn made_with(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
    change(&mut parameters);
    Made { certificate: parameters.self_signed(key).unwrap().pem(), key: key.serialize_pem() }
}

fn made() -> Made {
    made_with(&KeyPair::generate().unwrap(), |_| {})
}

/// A folder with a pair in it.
struct Folder {
    folder: TempDir,
    files: PairFiles,
}

impl Folder {
    fn with(pair: &Made) -> Self {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let folder = Self { folder, files: PairFiles { section: "public", certificate, key } };
        folder.hold(pair);
        folder
    }

    fn hold(&self, pair: &Made) {
        self.replace(&self.files.certificate, &pair.certificate);
        self.replace(&self.files.key, &pair.key);
    }

    /// As certbot and editors do it.
    fn replace(&self, path: &Path, text: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn read(&self) -> Certificate {
        Certificate::read(self.files.clone(), NOW).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn refused(&self, sentence: &str) {
        let error = Certificate::read(self.files.clone(), NOW).err().expect("it is refused").to_string();
        let error = error.replace(self.folder.path().to_str().unwrap(), "F");
        assert_eq!(error, sentence);
    }
}

const REPLACED: &str = "the TLS certificate was replaced";
const KEPT: &str = "the new TLS certificate can't be used: the old one stays in use";

/// What is presented, as DER.
fn presented(certificate: &Certificate) -> Vec<u8> {
    certificate.presents().end_entity_cert().unwrap().to_vec()
}

#[test]
fn a_private_key_may_have_any_form_that_is_in_use() {
    let of_rsa = made_with(&KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), |_| {});
    let rsa_pkcs1 = rsa::RsaPrivateKey::from_pkcs8_pem(&of_rsa.key).unwrap();
    let rsa_pkcs1 = rsa_pkcs1.to_pkcs1_pem(rsa::pkcs8::LineEnding::CRLF).unwrap();
    let of_p256 = made();
    let sec1 = p256::SecretKey::from_pkcs8_pem(&of_p256.key).unwrap().to_sec1_pem(Default::default()).unwrap();
    assert!(sec1.contains("BEGIN EC PRIVATE KEY") && rsa_pkcs1.contains("BEGIN RSA PRIVATE KEY"));
    for pair in [
        of_p256.clone(),
        Made { key: sec1.to_string(), ..of_p256.clone() },
        // OpenSSL writes the curve before the key.
        Made {
            key: format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", *sec1),
            ..of_p256
        },
        of_rsa.clone(),
        Made { key: rsa_pkcs1.to_string(), ..of_rsa },
        made_with(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), |_| {}),
        made_with(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), |_| {}),
    ] {
        Folder::with(&pair).read().server_config().unwrap();
    }
}

#[test]
fn what_makes_no_pair_is_refused_with_its_setting_and_its_file_and_nothing_of_the_key() {
    let (good, other) = (made(), made());
    let with =
        |certificate: &str, key: &str| Folder::with(&Made { certificate: certificate.to_owned(), key: key.to_owned() });
    with(&good.certificate, &other.key).refused(
        "`public.tls_key_file`: the private key in F/tls.key is not that of the first certificate in F/tls.crt",
    );
    let certificate = |why: &str| format!("`public.tls_certificate_file`: F/tls.crt {why}");
    let key = |why: &str| format!("`public.tls_key_file`: F/tls.key {why}");
    with("", &good.key).refused(&certificate("is empty"));
    with("tea", &good.key).refused(&certificate("holds no certificate"));
    let half = &good.certificate[..good.certificate.len() / 2];
    with(half, &good.key).refused(&certificate("is cut short or no PEM"));
    let chain_cut = format!("{}{half}", good.certificate);
    with(&chain_cut, &good.key).refused(&certificate("is cut short or no PEM"));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    with(garbage, &good.key).refused(&certificate("begins with a broken certificate"));
    with(&"x".repeat(300_000), &good.key).refused(&certificate("is too large"));
    with(&good.certificate, &good.certificate).refused(&key("holds no private key (PKCS#8, SEC 1 or PKCS#1, as PEM)"));
    with(&good.certificate, &good.key[..good.key.len() / 2]).refused(&key("is cut short or no PEM"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    with(&good.certificate, encrypted).refused(&key(
        "holds an encrypted private key, and nobody is there to type its passphrase: store it decrypted, readable for \
         this user alone",
    ));
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    with(&good.certificate, garbage).refused(&key("holds a key of a kind that TLS can't use"));

    let folder = Folder::with(&good);
    for mode in [0o604, 0o602, 0o644, 0o666] {
        fs::set_permissions(&folder.files.key, fs::Permissions::from_mode(mode)).unwrap();
        folder.refused(&key(
            "can be read by other users: set its mode to 0600 or 0640, and take the key for compromised if they are not \
             trusted",
        ));
    }
    fs::set_permissions(&folder.files.key, fs::Permissions::from_mode(0o640)).unwrap();
    folder.read();
    fs::remove_file(&folder.files.certificate).unwrap();
    fs::create_dir(&folder.files.certificate).unwrap();
    folder.refused(&certificate("is not a file"));
    fs::remove_dir(&folder.files.certificate).unwrap();
    folder.refused(&certificate("can't be read: No such file or directory (os error 2)"));
}

#[test]
fn a_new_pair_is_presented_once_it_was_seen_twice() {
    let (first, second) = (made(), made());
    let folder = Folder::with(&first);
    let mut certificate = folder.read();
    let before = presented(&certificate);
    folder.hold(&second);
    assert!(said(|| certificate.look(NOW)).is_empty());
    assert_eq!(presented(&certificate), before);
    assert_eq!(said(|| certificate.look(NOW)), [REPLACED]);
    assert_ne!(presented(&certificate), before);
    assert!(said(|| (0..5).for_each(|_| certificate.look(NOW))).is_empty());
    // The same bytes in new files are nothing new.
    folder.hold(&second);
    assert!(said(|| (0..5).for_each(|_| certificate.look(NOW))).is_empty());
}

#[test]
fn a_pair_caught_half_written_is_passed_over_without_a_word() {
    let (first, second) = (made(), made());
    let folder = Folder::with(&first);
    let mut certificate = folder.read();
    let before = presented(&certificate);
    let silent = said(|| {
        folder.replace(&folder.files.certificate, &second.certificate[..100]);
        certificate.look(NOW);
        folder.replace(&folder.files.certificate, &second.certificate);
        certificate.look(NOW);
        folder.replace(&folder.files.key, "");
        certificate.look(NOW);
        fs::remove_file(&folder.files.key).unwrap();
        certificate.look(NOW);
        assert_eq!(presented(&certificate), before);
        folder.replace(&folder.files.key, &second.key);
        certificate.look(NOW);
    });
    assert!(silent.is_empty(), "{silent:?}");
    assert_eq!(said(|| certificate.look(NOW)), [REPLACED]);
}

#[test]
fn a_pair_that_stays_broken_is_reported_once_and_the_old_one_kept() {
    let (first, second) = (made(), made());
    let folder = Folder::with(&first);
    let mut certificate = folder.read();
    let before = presented(&certificate);
    let looks = |certificate: &mut Certificate| said(|| (0..6).for_each(|_| certificate.look(NOW)));
    for broken in [
        Made { key: first.key.clone(), certificate: second.certificate.clone() },
        Made { key: "tea".to_owned(), ..second.clone() },
        Made { certificate: String::new(), ..second.clone() },
    ] {
        folder.hold(&broken);
        assert_eq!(looks(&mut certificate), [KEPT]);
        assert_eq!(presented(&certificate), before);
    }
    fs::remove_file(&folder.files.certificate).unwrap();
    assert_eq!(looks(&mut certificate), [KEPT]);
    folder.hold(&second);
    fs::set_permissions(&folder.files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(looks(&mut certificate), [KEPT], "others can read the key");
    folder.hold(&first);
    assert_eq!(looks(&mut certificate), ["the TLS files hold the certificate in use again"]);
    folder.hold(&Made { key: first.key.clone(), certificate: second.certificate.clone() });
    assert_eq!(looks(&mut certificate), [KEPT], "what was mended and broke again is worth saying again");
    folder.hold(&second);
    assert_eq!(looks(&mut certificate), [REPLACED]);
    assert_ne!(presented(&certificate), before);
}

#[test]
fn a_link_that_is_turned_to_another_folder_is_followed() {
    let root = TempDir::new().unwrap();
    let write = |name: &str, pair: &Made| {
        fs::create_dir(root.path().join(name)).unwrap();
        let file = |end: &str| root.path().join(name).join(end);
        fs::write(file("tls.crt"), &pair.certificate).unwrap();
        fs::write(file("tls.key"), &pair.key).unwrap();
        fs::set_permissions(file("tls.key"), fs::Permissions::from_mode(0o440)).unwrap();
    };
    // As Kubernetes mounts a secret: the files are links into `..data`, itself a link that is replaced whole.
    let turn = |to: &str| {
        symlink(to, root.path().join("..data_tmp")).unwrap();
        fs::rename(root.path().join("..data_tmp"), root.path().join("..data")).unwrap();
    };
    write("..first", &made());
    write("..second", &made());
    turn("..first");
    let [link_certificate, link_key] = ["tls.crt", "tls.key"].map(|name| {
        symlink(Path::new("..data").join(name), root.path().join(name)).unwrap();
        root.path().join(name)
    });
    let files = PairFiles { section: "admin", certificate: link_certificate, key: link_key };
    let mut certificate = Certificate::read(files, NOW).unwrap();
    let before = presented(&certificate);
    turn("..second");
    fs::remove_dir_all(root.path().join("..first")).unwrap();
    assert_eq!(said(|| (0..3).for_each(|_| certificate.look(NOW))), [REPLACED]);
    assert_ne!(presented(&certificate), before);
}

#[test]
fn the_end_of_a_certificate_is_announced_and_repeated_daily() {
    let folder = Folder::with(&made());
    let mut certificate = folder.read();
    let until = Timestamp::from_secs(1_798_761_600);
    let mut at = |moment: Timestamp| said(|| certificate.look(moment));
    let soon = "the TLS certificate ends soon and was not renewed";
    let ended = "the TLS certificate has expired: clients refuse it";
    assert!(at(until.minus(DAY * 14)).is_empty());
    assert_eq!(at(until.minus(DAY * 14 - Duration::from_secs(1))), [soon]);
    assert!(at(until.minus(DAY * 13)).is_empty());
    assert_eq!(at(until.minus(DAY * 13 - Duration::from_secs(1))), [soon], "a day later");
    assert_eq!(at(until.plus(Duration::from_secs(1))), [ended]);
    assert!(at(until.plus(Duration::from_secs(2))).is_empty());
    assert_eq!(at(until.plus(DAY * 2)), [ended]);
    assert_eq!(at(Timestamp::from_secs(1_767_225_599)), ["the TLS certificate is not valid yet: clients refuse it"]);
}

#[test]
fn a_short_life_is_not_called_short_from_the_beginning() {
    let week = made_with(&KeyPair::generate().unwrap(), |parameters| {
        (parameters.not_before, parameters.not_after) = (date_time_ymd(2026, 11, 20), date_time_ymd(2026, 11, 30));
    });
    let folder = Folder::with(&week);
    let mut certificate = folder.read();
    assert!(said(|| certificate.look(NOW.plus(DAY * 5))).is_empty());
    assert_eq!(said(|| certificate.look(NOW.plus(DAY * 7))).len(), 1);
}

#[test]
fn years_past_2049_are_read() {
    let long = made_with(&KeyPair::generate().unwrap(), |parameters| parameters.not_after = date_time_ymd(2999, 1, 1));
    assert!(said(|| drop(Folder::with(&long).read())).is_empty());
    let past = made_with(&KeyPair::generate().unwrap(), |parameters| parameters.not_after = date_time_ymd(2026, 2, 1));
    assert_eq!(said(|| drop(Folder::with(&past).read())).len(), 1, "at start it is said too");
}

#[test]
fn a_listener_without_files_speaks_plain_http() {
    assert!(super::certificate("public", (&None, &None), NOW).unwrap().is_none());
    let missing = Some(PathBuf::from("/nowhere/tls.crt"));
    assert!(super::certificate("public", (&missing, &missing), NOW).is_err());
}
