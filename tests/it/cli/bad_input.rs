//! What can be wrong around the program: one clear sentence, an exit code above 0, nothing changed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::{Home, is_root, sql};

/// What opens the keys of an installation, one way or another.
const OPENERS: [&[&str]; 2] = [&["serve"], &["keys", "create", "--algorithm", "ES256"]];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_wrong_master_key() {
    let home = Home::initialised();
    home.write("keys/master.key", "signet-master-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    for verb in OPENERS {
        let ran = home.changes_nothing(verb).refused(1, &["is sealed under the master key", "at hand is"]);
        assert!(!ran.err.contains("AAAA"), "{}", ran.err);
    }
    home.write("keys/master.key", "rubbish\n");
    for verb in OPENERS {
        home.changes_nothing(verb).refused(1, &["keys/master.key", "this is not a master key"]);
    }
}

#[test]
fn a_missing_master_key() {
    let home = Home::initialised();
    fs::remove_file(home.path("keys/master.key")).unwrap();
    for verb in OPENERS {
        let parts = ["keys/master.key is missing", "sealed under the master key", "backup"];
        home.changes_nothing(verb).refused(1, &parts);
    }
    assert!(!home.path("keys/master.key").exists(), "a new one would be of no use");
}

#[test]
fn a_master_key_that_others_can_read() {
    let home = Home::initialised();
    set_mode(&home.path("keys/master.key"), 0o644);
    for verb in OPENERS {
        home.changes_nothing(verb).refused(1, &["other users can read keys/master.key", "0600"]);
    }
}

#[test]
fn sealed_keys_swapped_between_rows() {
    let home = Home::initialised();
    let swap = "UPDATE keys SET sealed = (SELECT other.sealed FROM keys other WHERE other.algorithm = 'ES256' \
                AND other.kid <> keys.kid) WHERE algorithm = 'ES256'";
    sql(&home.path("data/signet.db"), &[swap]);
    home.hand_over();
    home.changes_nothing(&["serve"]).refused(1, &["was altered, or was moved here from another row"]);
}

#[test]
fn a_database_of_a_newer_version() {
    let home = Home::initialised();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (99999999999999, 'from the future', 1, x'00', 1)";
    sql(&home.path("data/signet.db"), &[newer]);
    home.hand_over();
    for verb in [&["serve"][..], &["migrate"], &["init"], &["clients", "list"], &["keys", "list"], &["backup", "b.db"]]
    {
        home.changes_nothing(verb).refused(1, &["was written by a newer Signet", "restore a backup"]);
    }
}

#[test]
fn a_database_that_can_not_be_reached() {
    let home = Home::empty();
    let url = ("SIGNET__DATABASE__URL", "postgres://signet:hunter2@127.0.0.1:1/signet");
    let settings = [url, ("SIGNET__DATABASE__TIMEOUT", "100ms")];
    for verb in [&["serve"][..], &["init"], &["clients", "list"], &["keys", "list"], &["migrate"]] {
        let ran = home.run_with(verb, &settings, "").refused(4, &["can't be used at the moment"]);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[test]
fn a_port_in_use() {
    for listener in ["public", "admin"] {
        let home = Home::empty();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let variable = format!("SIGNET__{}__BIND", listener.to_uppercase());
        let before = home.contents();
        home.run_with(&["serve"], &[(&variable, &address)], "")
            .refused(1, &[listener, "can't listen on", &address, "address already in use"]);
        assert!(home.contents() == before, "nothing is created when a listener can't be bound");
    }
}

#[test]
fn a_data_directory_that_can_not_be_written() {
    let home = Home::empty();
    fs::create_dir(home.path("data")).unwrap();
    home.hand_over();
    set_mode(&home.path("data"), 0o555);
    for verb in ["serve", "init"] {
        home.changes_nothing(&[verb]).refused(1, &["data/start.lock: permission denied"]);
    }
    let home = Home::initialised();
    home.contents();
    set_mode(&home.path("data/signet.db"), 0o444);
    set_mode(&home.path("data"), 0o555);
    let before = fs::read(home.path("data/signet.db")).unwrap();
    let ran = home.run(&["clients", "create", "--id", "shop"]);
    assert!(ran.code == 1 && ran.err.lines().count() == 1 && ran.err.contains("data/signet.db"), "{}", ran.err);
    assert!(fs::read(home.path("data/signet.db")).unwrap() == before);
}

/// A file system of one megabyte, unmounted with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(&path).status().is_ok_and(|status| status.success());
        assert!(
            is_root() && mounted,
            "a full disk is tried on a tmpfs, which only root may mount: run the tests as root (in a container with \
             CAP_SYS_ADMIN), or skip this one with `-- --skip a_full_disk`"
        );
        Self(path)
    }

    /// Fills it to the last byte, so that `left` bytes are free afterwards.
    fn fill(&self, left: usize) {
        let mut size = 1 << 20;
        let filler = self.0.join("filler");
        while fs::write(&filler, vec![1; size]).is_err() {
            size -= 4096;
        }
        fs::write(&filler, vec![1; size.saturating_sub(left)]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_at_the_first_start() {
    let home = Home::empty();
    let disk = SmallDisk::at(home.path("disk"));
    let settings = [("SIGNET__DATA_DIR", "disk/data"), ("SIGNET__KEYS__MASTER_KEY_FILE", "disk/keys/master.key")];
    for left in [0, 40_000, 100_000] {
        disk.fill(left);
        home.run_with(&["init"], &settings, "").refused(1, &["disk", "full"]);
        assert!(!home.path("disk/data/admin-credentials.json").exists(), "no credentials that never became valid");
        let _ = fs::remove_dir_all(home.path("disk/data"));
    }
}

#[test]
fn a_full_disk_under_an_installation() {
    let home = Home::empty();
    let disk = SmallDisk::at(home.path("disk"));
    let settings = [("SIGNET__DATA_DIR", "disk/data")];
    home.run_with(&["init"], &settings, "").ok();
    let clients = |home: &Home| home.run_with(&["clients", "list", "--json"], &settings, "").json();
    let before = clients(&home);
    // Room for what SQLite needs to read, and none to write.
    disk.fill(40_000);
    home.run_with(&["clients", "create", "--name", "Shop"], &settings, "").refused(1, &["disk is full"]);
    home.run_with(&["backup", "disk/copy.db"], &settings, "").refused(1, &["disk is full"]);
    assert!(!home.path("disk/copy.db").exists(), "half a backup helps no one");
    fs::remove_file(home.path("disk/filler")).unwrap();
    assert_eq!(clients(&home), before);
    home.run_with(&["clients", "create", "--name", "Shop"], &settings, "").ok();
}
