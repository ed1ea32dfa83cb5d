//! The annotated reference against the table of settings, and what `config show` prints.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

#[test]
fn what_is_shown_is_aligned_redacted_and_names_each_source() {
    let environment = [("SIGNET__DATABASE__URL", "postgres://u:hunter2@h/d"), ("SIGNET__KEYS__MASTER_KEY", MASTER_KEY)];
    let loaded = load("keys.lease = 660", &environment).unwrap();
    let shown = show(&loaded);
    assert!(!shown.contains("hunter2"));
    assert!(!shown.contains("AAAA") && !format!("{loaded:?}").contains("AAAA"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let lines: BTreeMap<&str, &str> = shown.lines().map(|line| line.split_once("  ").unwrap()).collect();
    assert_eq!(lines.len(), table().count());
    assert!(
        lines["database.url"].ends_with("postgres://u:***@h/d  environment SIGNET__DATABASE__URL")
            || lines["database.url"].contains("postgres://u:***@h/d ")
    );
    let columns = |line: &str| {
        let (_, end) = line.split_once("  ").unwrap();
        line.len() - end.trim_start().len()
    };
    assert!(shown.lines().all(|line| columns(line) == columns(shown.lines().next().unwrap())));

    let json = show_json(&loaded);
    let row = |key: &str| json.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    assert_eq!(row("keys.lease"), json!({"key": "keys.lease", "value": "11m", "source": "signet.toml"}));
    assert_eq!(row("keys.algorithms")["value"], json!(["ES256", "RS256"]));
    assert_eq!(row("keys.master_key")["value"], json!("***"));
    assert_eq!(row("database.auto_migrate")["value"], json!(true));
    assert!(!json.to_string().contains("hunter2"));
}

const REFERENCE: &str = include_str!("../../../docs/configuration.toml");

#[test]
fn the_reference_is_what_the_table_says() {
    // Where this fails: make docs/configuration.toml what `reference()` gives, and read the difference.
    assert_eq!(REFERENCE, reference());
}

#[test]
fn the_reference_yields_exactly_the_defaults() {
    let folder = folder_with(&[("configuration.toml", REFERENCE, 0o644)]);
    let file = folder.path().join("configuration.toml");
    let of_reference = Settings::load(Some(&file), NO_ENVIRONMENT.into_iter(), Path::new("")).unwrap();
    assert_eq!(format!("{:?}", of_reference.settings), format!("{:?}", defaults().settings));
    let values =
        |loaded: &Loaded| loaded.report.iter().map(|entry| (entry.key, entry.value.clone())).collect::<Vec<_>>();
    assert_eq!(values(&of_reference), values(&defaults()));
}

#[test]
fn the_reference_names_every_setting_and_no_other() {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let (mut named, mut section) = (Vec::new(), String::new());
    for line in REFERENCE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, value)) = line.trim_start_matches("# ").split_once(" = ")
            && is_name(name)
        {
            named.push(format!("{section}{name}"));
            // What is commented out is what may be set as well.
            let value_reads = ::config::Format::parse(&::config::FileFormat::Toml, None, &format!("x = {value}"));
            assert!(value_reads.is_ok(), "{line}");
        }
    }
    let known: Vec<String> = table().flat_map(|row| [Some(row.key.to_owned()), row.file_key()]).flatten().collect();
    assert_eq!(named, known);
}

#[test]
fn every_example_and_bound_of_the_table_is_of_its_type() {
    for row in table().filter(|row| !row.rule.secret) {
        let text = match row.rule.fallback {
            setting::Fallback::Fixed(text) => text,
            setting::Fallback::Computed { example, .. } => example,
            setting::Fallback::Unset { example } => example,
        };
        let (least, most) = row.rule.bounds.unwrap_or((text, text));
        for text in [text, least, most] {
            assert!((row.example)(text).is_some(), "{}: {text}", row.key);
        }
    }
}

#[test]
fn each_bound_is_admitted_and_what_lies_beyond_is_not() {
    for row in table() {
        let Some((least, most)) = row.rule.bounds else { continue };
        let complains = |text: &str| {
            let loaded = load("", &[(source::variable(row.key).as_str(), text)]);
            loaded.is_err_and(|faults| faults.to_string().contains("must be between"))
        };
        assert!(!complains(least) && !complains(most), "{}", row.key);
        let beyond = match duration::parse(most) {
            Some(span) if most.ends_with(|c: char| c.is_ascii_alphabetic()) => {
                duration::write(span + Duration::from_millis(1))
            }
            _ => (most.parse::<u64>().unwrap() + 1).to_string(),
        };
        assert!(complains(&beyond), "{}: {beyond}", row.key);
    }
}
