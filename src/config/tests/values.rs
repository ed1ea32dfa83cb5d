//! Values that no setting takes, alone or beside others.

use super::*;

#[test]
fn a_value_of_the_wrong_type_or_out_of_bounds_is_refused_with_its_key_and_source() {
    for (toml, sentence) in [
        (
            "public.bind = \"8080\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `8080`",
        ),
        (
            "public.bind = \"h:99999\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `h:99999`",
        ),
        (
            "public.bind = \"::1:80\"",
            "`public.bind` (signet.toml) must be host:port, such as 127.0.0.1:8080 or [::1]:8080, not `::1:80`",
        ),
        ("public.workers = 0", "`public.workers` (signet.toml) must be between 1 and 512"),
        ("public.workers = \"4\"", "`public.workers` (signet.toml) must be a whole number, without quotes"),
        ("public.workers = -1", "`public.workers` (signet.toml) must be a whole number, not -1"),
        ("public.workers = 1.5", "`public.workers` (signet.toml) must be a whole number, not 1.5"),
        (
            "database.auto_migrate = \"yes\"",
            "`database.auto_migrate` (signet.toml) must be true or false, without quotes",
        ),
        ("database.auto_migrate = 1", "`database.auto_migrate` (signet.toml) must be true or false, not 1"),
        (
            "keys.lease = \"5 min\"",
            "`keys.lease` (signet.toml) must be a span of time such as 300s, 15m, 1h30m or 30d, not `5 min`",
        ),
        ("keys.lease = 1", "`keys.lease` (signet.toml) must be between 3s and 1d"),
        ("keys.rsa_bits = 1024", "`keys.rsa_bits` (signet.toml) must be 2048, 3072 or 4096, not 1024"),
        (
            "keys.eddsa_name = \"eddsa\"",
            "`keys.eddsa_name` (signet.toml) must be \"Ed25519\" or \"EdDSA\", not `eddsa`",
        ),
        ("keys.algorithms = \"ES256\"", "`keys.algorithms` (signet.toml) must be a list, such as [\"ES256\"]"),
        ("keys.algorithms = []", "`keys.algorithms` (signet.toml) must name at least one algorithm"),
        ("keys.algorithms = [\"ES256\", \"ES256\"]", "`keys.algorithms` (signet.toml) names ES256 twice"),
        (
            "keys.algorithms = [\"ES256\", \"es384\"]",
            "`keys.algorithms` (signet.toml) must be of ES256, ES384, RS256, PS256, Ed25519, not `es384` (did you mean `ES384`?)",
        ),
        (
            "keys.algorithms = [\"ES256\", \"HS256\"]",
            "`keys.algorithms` (signet.toml) must be of ES256, ES384, RS256, PS256, Ed25519, not `HS256` (did you mean `ES256`?)",
        ),
        (
            "keys.algorithms = [\"ES256\", \"EdDSA\"]",
            "`keys.algorithms` (signet.toml) says `EdDSA`, which is called `Ed25519` here (RFC 9864); what tokens call it is keys.eddsa_name",
        ),
        (
            "telemetry.format = \"xml\"",
            "`telemetry.format` (signet.toml) must be \"auto\", \"text\" or \"json\", not `xml`",
        ),
        (
            "telemetry.level = \"inof\"",
            "`telemetry.level` (signet.toml) must be a level (off, error, warn, info, debug, trace) or such as signet=debug,info, not `inof`",
        ),
        (
            "telemetry.otlp_endpoint = \"http://user:hunter2@collector\"",
            "`telemetry.otlp_endpoint` (signet.toml) must not have a user or a password: those belong into `telemetry.otlp_headers`",
        ),
        (
            "telemetry.otlp_sample_ratio = 1.5",
            "`telemetry.otlp_sample_ratio` (signet.toml) must be a number from 0 to 1, not 1.5",
        ),
        (
            "telemetry.otlp_sample_ratio = \"0.5\"",
            "`telemetry.otlp_sample_ratio` (signet.toml) must be a number from 0 to 1, without quotes",
        ),
        (
            "telemetry.otlp_headers = \"hunter2\"",
            "`telemetry.otlp_headers` (signet.toml) must be headers of the form name=value, separated by commas",
        ),
        (
            "telemetry.otlp_service_name = \"\"",
            "`telemetry.otlp_service_name` (signet.toml) must be a name of 1 to 255 bytes",
        ),
        ("public.workers = 1.5", "`public.workers` (signet.toml) must be a whole number, not 1.5"),
        (
            "clients.assertion_max_lifetime = \"61m\"",
            "`clients.assertion_max_lifetime` (signet.toml) must be between 10s and 60m",
        ),
        ("data_dir = \"\"", "`data_dir` (signet.toml) must be a path: it is empty"),
        ("data_dir = 5", "`data_dir` (signet.toml) must be a path, as text, not 5"),
        ("issuer = \"https://example.com/\"", "`issuer` (signet.toml) must not end with a slash: write it without"),
        (
            "issuer = \"http://signet\"",
            "`issuer` (signet.toml) must begin with `https://`: plain http is for loopback hosts only, unless `allow_insecure_issuer = true`",
        ),
        ("database.url = 5", "`database.url` (signet.toml) must be text: sqlite:PATH or postgres://…"),
        ("keys.master_key = \"\"", "`keys.master_key` (signet.toml) is empty"),
        (
            "keys.master_key = \"hunter2\"",
            "`keys.master_key` (signet.toml) is not a master key: it does not begin with \"signet-master-1:\"",
        ),
        ("keys.master_key = []", "`keys.master_key` (signet.toml) must be text"),
    ] {
        refused(toml, &[], sentence);
    }
    refused(
        "",
        &[("SIGNET__PUBLIC__WORKERS", "")],
        "`public.workers` (environment SIGNET__PUBLIC__WORKERS) must be a whole number, not ``",
    );
    refused(
        "",
        &[("SIGNET__KEYS__ALGORITHMS", "")],
        "`keys.algorithms` (environment SIGNET__KEYS__ALGORITHMS) must name at least one algorithm",
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (toml, sentence) in [
        (
            "keys.lease = \"4m\"\nkeys.propagation = \"7m1s\"",
            "`keys.propagation` (signet.toml) must be at least 7m2s (`keys.jwks_max_age` + 60s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.jwks_max_age = \"1h\"",
            "`keys.propagation` (default) must be at least 1h2m2s (`keys.jwks_max_age` + 60s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.lease = \"4s\"\nkeys.jwks_max_age = \"10s\"\nkeys.propagation = \"81s\"",
            "`keys.propagation` (signet.toml) must be at least 1m22s (`keys.jwks_max_age` + 10s stale-while-revalidate + 2s to follow + `keys.skew`), or a key would sign before every verifier has it",
        ),
        (
            "keys.skew = \"5s\"\nclock.max_skew = \"2s\"",
            "`keys.skew` (signet.toml) must be at least 6s (twice `clock.max_skew` + 2s to store a change), or keys would leave while tokens of theirs live",
        ),
        (
            "keys.lease = \"774s\"",
            "`keys.lease` (signet.toml) must be at most 12m53s (`keys.propagation` - `keys.skew` - 1m7s in which caches keep the JWKS at least), or a replica that can't reach the database would give verifiers a JWKS that lacks a key which signs",
        ),
        (
            "keys.rotate_every = \"1h\"\nkeys.propagation = \"2h\"",
            "`keys.rotate_every` (signet.toml) must be at least 2h (`keys.propagation`), or no successor would be ready in time",
        ),
        (
            "keys.rotate_every = \"1h\"\ntokens.max_access_lifetime = \"1d\"\nkeys.algorithms = [\"ES256\", \"ES384\", \"RS256\", \"PS256\", \"Ed25519\"]",
            "`keys.rotate_every` (signet.toml) would keep 135 keys published, and 40 may be: each of 5 algorithms has an active key, its successor, and those that signed within the last 1d11m (`keys.lease` + `tokens.max_access_lifetime` + `keys.skew`)",
        ),
        (
            "tokens.default_algorithm = \"PS256\"",
            "`tokens.default_algorithm` (signet.toml) is PS256, for which `keys.algorithms` keeps no keys ready",
        ),
        (
            "tokens.access_lifetime = \"2h\"",
            "`tokens.access_lifetime` (signet.toml) must be at most 1h (`tokens.max_access_lifetime`)",
        ),
        (
            "admin.bind = \"127.0.0.1:8080\"",
            "`admin.bind` (signet.toml) is 127.0.0.1:8080, where `public.bind` listens already: they must differ",
        ),
        (
            "keys.master_key = \"signet-master-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\nkeys.master_key_file = \"f\"",
            "`keys.master_key` (signet.toml) and `keys.master_key_file` (signet.toml) exclude each other: keep one",
        ),
        (
            "public.bind = \"10.0.0.1:80\"",
            "`issuer` (default) must be set, as `public.bind` is not a loopback address: the https URL by which services reach Signet",
        ),
    ] {
        refused(toml, &[], sentence);
    }
    assert!(load("keys.propagation = \"7m2s\"\nkeys.lease = \"4m55s\"", &[]).is_ok());
    assert!(load("public.bind = \"[::1]:0\"\nadmin.bind = \"[::1]:0\"", &[]).is_ok());
}

#[test]
fn passwords_are_never_hashed_with_too_little_or_too_much_and_a_pepper_is_no_word() {
    let settings = load("", &[]).unwrap().settings.passwords;
    assert_eq!((settings.hash_memory, settings.hash_passes, settings.hash_lanes), (19_456, 2, 1));
    for fine in ["hash_memory = 7168\nhash_passes = 5", "hash_memory = 47104\nhash_passes = 1"] {
        assert!(load(&format!("[passwords]\n{fine}"), &[]).is_ok(), "{fine}");
    }
    for (wrong, part) in [
        ("hash_memory = 7168", "must be at least 17920 with 2 passes"),
        ("hash_memory = 131072\nhash_passes = 16", "more than 1 GiB"),
        ("min_length = 7", "must be between 8 and 128"),
        ("pepper = \"canary\"", "at least 32 characters"),
        ("former_pepper = \"canary\"", "at least 32 characters"),
    ] {
        let faults = load(&format!("[passwords]\n{wrong}"), &[]).unwrap_err().to_string();
        assert!(faults.contains(part) && !faults.contains("canary"), "{wrong}: {faults}");
    }
}

#[test]
fn no_session_is_set_to_live_longer_than_the_journal_remembers() {
    let days = crate::tokens::revocation::LONGEST_SESSION.as_secs() / 86_400;
    assert!(load(&format!("[sessions]\nlifetime = \"{days}d\""), &[]).is_ok());
    assert!(load(&format!("[sessions]\nlifetime = \"{}d\"", days + 1), &[]).is_err());
}
