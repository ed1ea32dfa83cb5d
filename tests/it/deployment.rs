//! What Signet is deployed with: the image, the compose file, nginx's configuration and the systemd unit, each read as
//! it is committed, and the layout of the compose file run as processes.
//!
//! Neither Docker nor systemd runs here. What their files say is checked by the programs that read them, where a system
//! has those (Debian's docker-compose, systemd-analyze, nginx), and held to the project otherwise.

mod compose;
mod image;
mod layout;
mod nginx;
mod people;
mod restore;
mod runbooks;
mod unit;

use std::fs;
use std::path::PathBuf;

/// The project's folder.
fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project.
fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The block of docs/operations.md that is marked so.
fn block(mark: &str) -> String {
    let paper = read("docs/operations.md");
    let (_, rest) = paper.split_once(&format!("<!-- deployment: {mark} -->\n```sh\n")).expect(mark);
    rest.split("```").next().unwrap().to_owned()
}

/// The default of a setting, as the reference has it.
fn default_of(section: &str, name: &str) -> String {
    let reference = read("docs/configuration.toml");
    let lines = reference.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
    let value =
        lines.take_while(|line| !line.starts_with('[')).find_map(|line| line.strip_prefix(&format!("{name} = ")));
    value.unwrap_or_else(|| panic!("no default of {section}.{name}")).trim_matches('"').to_owned()
}

/// What a program that Debian has prints; a missing one is a failure that says how to get it.
#[track_caller]
fn printed(program: &str, package: &str, arguments: &[&str]) -> String {
    let run = std::process::Command::new(program).args(arguments).current_dir(workspace()).output();
    let output =
        run.unwrap_or_else(|_| panic!("{program} is missing: install {package}, or run scripts/test, which does"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    // What it warns of counts as well.
    assert_eq!(err, "", "{program} {arguments:?}");
    out.into_owned()
}
