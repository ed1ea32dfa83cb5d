//! docs/operations/signet.service, judged by systemd's own tools: no service is started here.

use std::fs;

use super::{default_of, printed, read};

/// The unit in a folder of its own, with the built program in place of the installed one, which must exist.
fn installed() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signet.service");
    let unit = read("docs/operations/signet.service");
    fs::write(&path, unit.replace("/usr/local/bin/signet", env!("CARGO_BIN_EXE_signet"))).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

#[test]
fn systemd_takes_the_unit_without_a_warning() {
    let (_folder, path) = installed();
    printed("systemd-analyze", "systemd", &["verify", "--man=no", &path]);
}

#[test]
fn systemd_finds_little_that_the_service_may_do() {
    let (_folder, path) = installed();
    // In tenths, 0 to 100: what is left is the network, which a server needs.
    let told =
        printed("systemd-analyze", "systemd", &["security", "--offline=true", "--threshold=12", "--no-pager", &path]);
    assert!(told.contains("Overall exposure level"), "{told}");
}

#[test]
fn secrets_come_as_credentials_and_stopping_takes_as_long_as_it_may() {
    let unit = read("docs/operations/signet.service");
    let values =
        |name: &str| unit.lines().filter_map(|line| line.strip_prefix(&format!("{name}="))).collect::<Vec<_>>();
    let credentials: Vec<_> = values("LoadCredential").iter().map(|text| text.split(':').next().unwrap()).collect();
    let environment = values("Environment");
    for (credential, variable) in credentials.iter().zip(["KEYS__MASTER_KEY_FILE", "DATABASE__URL_FILE"]) {
        let expected = format!("SIGNET__{variable}=%d/{credential}");
        assert!(environment.contains(&expected.as_str()), "{environment:?}");
    }
    assert_eq!(credentials, ["master-key", "database-url"]);
    let grace: u32 = default_of("public", "shutdown_grace").trim_end_matches('s').parse().unwrap();
    assert!(values("TimeoutStopSec")[0].parse::<u32>().unwrap() > grace);
    // A core file or swap would hold the keys.
    assert_eq!((values("LimitCORE"), values("MemorySwapMax")), (vec!["0"], vec!["0"]));
}
