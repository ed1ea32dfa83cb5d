//! Whatever is set: no panic, no broken line, no secret repeated.

use proptest::prelude::*;

use super::*;

fn any_variable() -> impl Strategy<Value = String> {
    let known: Vec<String> = table()
        .flat_map(|row| [Some(row.key.to_owned()), row.file_key()])
        .flatten()
        .map(|key| source::variable(&key))
        .collect();
    prop_oneof![
        8 => prop::sample::select(known),
        1 => "SIGNET__[A-Z_]{0,12}",
        1 => "[sS]IGNET__.{0,8}",
        1 => ".{0,12}",
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,20}",
        "[0-9]{1,20}[a-z]{0,2}",
        "(https?|postgres|sqlite)://[a-z:@/.0-9]{0,20}",
        "[a-z0-9.\\[\\]:]{0,12}:[0-9]{0,6}",
        Just("true".to_owned()),
        Just("ES256,Ed25519".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_environment_makes_loading_panic_or_breaks_a_line(
        environment in prop::collection::vec((any_variable(), any_value()), 0..8),
    ) {
        match Settings::load(None, environment.into_iter(), Path::new("/nonexistent")) {
            Ok(loaded) => prop_assert_eq!(show(&loaded).lines().count(), table().count()),
            Err(faults) => for fault in faults.iter() {
                prop_assert!(!fault.to_string().chars().any(char::is_control), "{:?}", fault);
            },
        }
    }

    #[test]
    fn no_output_ever_repeats_a_secret(
        environment in prop::collection::vec((any_variable(), any_value()), 0..4),
        key in prop::sample::select(vec![
            "SIGNET__DATABASE__URL", "SIGNET__DATABASE__URL_FILE", "SIGNET__KEYS__MASTER_KEY", "SIGNET__DATABASE__ULR",
            "SIGNET__REDIS__URL", "SIGNET__REDIS__SENTINELS", "SIGNET__REDIS__URL_FILE",
        ]),
        before in "[ -~]{0,4}",
        after in "[ -~]{0,4}",
        scheme in prop::sample::select(vec!["postgres://u:", "postgresql://u:", "postgers://u:", "redis://u:", "rediss://", "u:", ""]),
    ) {
        let secret = format!("{scheme}{before}CANARY{after}@host/db");
        let environment = environment
            .into_iter()
            .map(|(key, value)| (key, value.replace("CANARY", "")))
            .chain([(key.to_owned(), secret)]);
        let said = match Settings::load(None, environment, Path::new("/nonexistent")) {
            Ok(loaded) => format!("{loaded:?}{}{}", show(&loaded), show_json(&loaded)),
            Err(faults) => format!("{faults:?}{faults}"),
        };
        prop_assert!(!said.contains("CANARY"), "{}", said);
    }

    #[test]
    fn no_file_makes_loading_panic(toml in "(.{0,40}\n){0,4}") {
        let _ = load(&toml, &[]);
    }
}
