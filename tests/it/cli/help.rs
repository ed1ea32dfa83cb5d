//! Help that teaches, and completions.

use super::home::Home;

const VERBS: [&[&str]; 46] = [
    &["serve"],
    &["init"],
    &["migrate"],
    &["config", "check"],
    &["config", "show"],
    &["keys", "list"],
    &["keys", "create"],
    &["keys", "import"],
    &["keys", "rotate"],
    &["keys", "activate"],
    &["keys", "retire"],
    &["keys", "compromise"],
    &["audit", "list"],
    &["clients", "create"],
    &["clients", "list"],
    &["clients", "show"],
    &["clients", "update"],
    &["clients", "roll-secret"],
    &["clients", "disable"],
    &["clients", "enable"],
    &["clients", "delete"],
    &["resources", "create"],
    &["resources", "list"],
    &["resources", "show"],
    &["resources", "update"],
    &["resources", "delete"],
    &["users", "create"],
    &["users", "list"],
    &["users", "show"],
    &["users", "update"],
    &["users", "disable"],
    &["users", "enable"],
    &["users", "delete"],
    &["users", "password-link"],
    &["users", "import"],
    &["users", "export"],
    &["sessions", "list"],
    &["sessions", "show"],
    &["sessions", "end"],
    &["sessions", "end-all"],
    &["token", "get"],
    &["token", "inspect"],
    &["token", "verify"],
    &["health"],
    &["backup"],
    &["completions"],
];

#[test]
fn every_verb_explains_itself_with_examples() {
    let home = Home::empty();
    for verb in VERBS {
        let help = home.run(&[verb, &["--help"]].concat()).ok().out;
        let name = format!("signet {}", verb.join(" "));
        assert!(help.contains(&format!("Usage: {name}")), "{name}: {help}");
        assert!(help.contains("Examples:\n"), "{name}: {help}");
    }
}

#[test]
fn every_verb_of_clients_and_resources_can_go_through_the_api_and_shows_how() {
    let home = Home::empty();
    for verb in VERBS.iter().filter(|verb| matches!(verb[0], "clients" | "resources")) {
        let help = home.run(&[verb, &["--help"][..]].concat()).ok().out;
        let reads = matches!(verb[1], "list" | "show");
        assert!(help.contains("--url <URL>") && help.contains("--credentials <FILE>"), "{verb:?}: {help}");
        assert_eq!(help.contains("--reason <TEXT>"), !reads, "{verb:?}: {help}");
        assert!(help.contains("--url http"), "{verb:?} shows no example: {help}");
    }
}

#[test]
fn the_exit_codes_are_documented() {
    let help = Home::empty().run(&["--help"]).ok().out;
    for line in ["0  done", "1  refused", "2  the command line", "3  the settings", "4  a store or a server"] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn a_mistyped_verb_is_refused_with_the_one_that_was_meant() {
    let ran = Home::empty().run(&["client", "list"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("clients"), "{}", ran.err);
}

#[test]
fn every_shell_gets_completions() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]).ok().out;
        for word in ["signet", "roll-secret", "completions"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
    }
    assert_eq!(home.run(&["completions", "tcsh"]).code, 2);
}
