//! The Dockerfile, read line by line: no image is built here.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{default_of, read, workspace};

/// Its instructions: the word and the rest, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| line.split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(instruction).collect()
}

/// The instructions of the last stage.
fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let from = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    all[from..].to_vec()
}

fn only(stage: &[(String, String)], word: &str) -> String {
    let found: Vec<_> = stage.iter().filter(|(known, _)| known == word).map(|(_, rest)| rest.clone()).collect();
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found.into_iter().next().unwrap()
}

fn exec_form(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("needs a shell: {text}"))
}

#[test]
fn every_base_image_is_named_by_a_version() {
    let froms: Vec<_> = instructions().into_iter().filter(|(word, _)| word == "FROM").map(|(_, rest)| rest).collect();
    assert_eq!(froms.len(), 2, "{froms:?}");
    for from in &froms {
        let image = from.split(' ').next().unwrap();
        let (name, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("no version: {image}"));
        let numbered = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
        assert!(tag != "latest" && (numbered(tag) || numbered(name)), "{image}");
    }
    let rust = froms[0].strip_prefix("rust:").unwrap().split('-').next().unwrap().to_owned();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(&rust) >= minor(env!("CARGO_PKG_RUST_VERSION")), "{rust} is older than rust-version");
}

#[test]
fn nothing_is_fetched_but_crates_and_nothing_is_piped_into_a_shell() {
    for (word, rest) in instructions() {
        let fetches = ["curl", "wget", "| sh", "|sh", "| bash", "git clone", "apt-get", "http://"];
        assert!(word != "ADD" && (word == "LABEL" || !fetches.iter().any(|way| rest.contains(way))), "{word} {rest}");
        assert!(!rest.contains("cargo build") || rest.contains("cargo build --locked --release"), "{rest}");
    }
}

#[test]
fn it_runs_as_an_ordinary_user_without_a_shell() {
    let stage = last_stage();
    assert!(stage[0].1.starts_with("gcr.io/distroless/cc-debian12:nonroot"), "{}", stage[0].1);
    // In a stage without a shell these would fail.
    assert!(stage.iter().all(|(word, _)| word != "RUN" && word != "SHELL"));
    let user = only(&stage, "USER");
    let (uid, gid) = user.split_once(':').unwrap();
    assert!([uid, gid].iter().all(|id| id.parse::<u32>().unwrap() > 0), "{user}");
    let program = "/usr/local/bin/signet";
    assert_eq!(exec_form(&only(&stage, "ENTRYPOINT")), [program]);
    assert_eq!(exec_form(&only(&stage, "CMD")), ["serve"]);
    let health = only(&stage, "HEALTHCHECK");
    let (_, check) = health.split_once("CMD ").unwrap();
    assert_eq!(exec_form(check), [program, "health"]);
    // The data folder is the user's, and what stands in a volume is not in the image.
    let data = only(&stage, "WORKDIR");
    assert_eq!(exec_form(&only(&stage, "VOLUME")), [data.as_str()]);
    let owned = format!("--from=build --chown={user} /image{data} {data}");
    assert!(stage.contains(&("COPY".to_owned(), owned.clone())), "no COPY {owned}");
}

#[test]
fn its_ports_settings_and_version_are_the_programs() {
    let stage = last_stage();
    let port = |section: &str| default_of(section, "bind").rsplit(':').next().unwrap().to_owned();
    assert_eq!(only(&stage, "EXPOSE"), format!("{} {}", port("public"), port("admin")));
    let version = env!("CARGO_PKG_VERSION");
    assert!(stage.contains(&("ARG".to_owned(), format!("VERSION={version}"))));
    assert!(read("docker-compose.yml").contains(&format!("image: signet:{version}\n")));
    let labels = only(&stage, "LABEL");
    for label in ["title", "description", "source", "licenses", "version", "revision"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=\"")), "{label}");
    }
    // They are settings, and with the issuer that an operator adds they are in order.
    let environment = only(&stage, "ENV");
    let variables = environment.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    let checked = Command::new(env!("CARGO_BIN_EXE_signet"))
        .args(["config", "check"])
        .env_clear()
        .envs(variables)
        .env("SIGNET__ISSUER", "https://login.example.com")
        .current_dir(tempfile::tempdir().unwrap().path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// What a build stage copies from the project.
fn copied() -> BTreeSet<String> {
    let copies = instructions().into_iter().filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from="));
    copies
        .flat_map(|(_, rest)| {
            let mut words: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
            words.pop();
            words
        })
        .collect()
}

#[test]
fn the_build_sees_what_it_copies_and_nothing_else() {
    let ignored = read(".dockerignore");
    let mut lines = ignored.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "everything is left out first");
    let let_in: BTreeSet<_> = lines.map(|line| line.strip_prefix('!').unwrap().to_owned()).collect();
    let copied = copied();
    for path in copied.iter().chain(&let_in) {
        assert!(workspace().join(path).exists(), "{path}");
    }
    let covers = |set: &BTreeSet<String>, path: &str| {
        set.iter().any(|known| path == known || path.starts_with(&format!("{known}/")))
    };
    assert!(copied.iter().all(|path| covers(&let_in, path)), "{copied:?} of {let_in:?}");
    assert!(let_in.iter().all(|path| covers(&copied, path)), "{let_in:?} for {copied:?}");
}

#[test]
fn the_layer_of_dependencies_is_a_workspace_that_cargo_takes() {
    // Its lines, run as they stand, but for Cargo's compiling.
    let script = instructions().into_iter().find(|(word, _)| word == "RUN").unwrap().1;
    let prepared = script.split("cargo build").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifests: Vec<_> = copied().into_iter().filter(|path| path.ends_with("Cargo.toml")).collect();
    for path in manifests.iter().map(String::as_str).chain(["Cargo.lock"]) {
        let to = folder.path().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(workspace().join(path), to).unwrap();
    }
    let cargo = "cargo metadata --locked --offline --no-deps --format-version 1";
    let ran = Command::new("sh").args(["-c", &format!("{prepared}{cargo}")]).current_dir(folder.path()).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(packages.len(), manifests.len());
    for target in packages.iter().flat_map(|package| package["targets"].as_array().unwrap()) {
        // A crate without its line of documentation would not compile.
        let source = fs::read_to_string(target["src_path"].as_str().unwrap()).unwrap();
        assert!(source.starts_with("//! "), "{target}");
    }
}
