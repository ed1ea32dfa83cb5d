//! docker-compose.yml, as Debian's docker-compose understands it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use super::{default_of, printed, read, workspace};

/// The services with what each has, from the file as docker-compose writes it out: two spaces a level, sorted.
fn services() -> &'static BTreeMap<String, String> {
    static SERVICES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    SERVICES.get_or_init(written_out)
}

fn written_out() -> BTreeMap<String, String> {
    let written = printed("docker-compose", "docker-compose", &["--file", "docker-compose.yml", "config"]);
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    let (mut within, mut current) = (false, String::new());
    for line in written.lines() {
        if !line.starts_with(' ') {
            within = line == "services:";
        } else if within && !line.starts_with("   ") {
            current = line.trim().trim_end_matches(':').to_owned();
        } else if within {
            let text = services.entry(current.clone()).or_default();
            text.push_str(line.strip_prefix("    ").unwrap());
            text.push('\n');
        }
    }
    services
}

/// What stands under `key` of a service.
fn under<'a>(service: &'a str, key: &str) -> Vec<&'a str> {
    let lines = service.lines().skip_while(|line| *line != format!("{key}:")).skip(1);
    let entry = |line: &'a str| {
        let line = line.trim_start();
        line.strip_prefix("- ").unwrap_or(line)
    };
    lines.take_while(|line| line.starts_with(['-', ' '])).map(entry).collect()
}

/// The environment that the file gives a service.
pub(super) fn environment(service: &str) -> Vec<(String, String)> {
    let pairs = under(&services()[service], "environment").into_iter().map(|line| line.split_once(": ").unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The arguments that the file gives a service.
pub(super) fn command(service: &str) -> Vec<String> {
    let plain = |text: &str| text.trim_matches('"').to_owned();
    under(&services()[service], "command").into_iter().map(plain).collect()
}

#[test]
fn debians_docker_compose_takes_it_and_it_has_two_replicas() {
    let services = services();
    let names: Vec<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, ["init", "nginx", "postgres", "redis", "signet-1", "signet-2"]);
    let without_address = |name: &str| {
        let lines = services[name].lines().filter(|line| !line.contains("ipv4_address"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_address("signet-1"), without_address("signet-2"), "replicas differ in their address only");
}

#[test]
fn every_service_is_an_ordinary_user_that_may_do_and_write_nothing() {
    for (name, service) in services() {
        assert!(service.lines().any(|line| line == "read_only: true"), "{name}");
        assert_eq!(under(service, "cap_drop"), ["ALL"], "{name}");
        assert_eq!(under(service, "security_opt"), ["no-new-privileges:true"], "{name}");
        assert!(under(service, "tmpfs").iter().any(|line| line.starts_with("/tmp:")), "{name}");
        for never in ["cap_add", "privileged", "network_mode", "pid:", "docker.sock"] {
            assert!(!service.contains(never), "{name}: {never}");
        }
        let user =
            service.lines().find_map(|line| line.strip_prefix("user: ")).unwrap_or_else(|| panic!("{name}: root"));
        assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{name}: {user}");
        let image = service.lines().find_map(|line| line.strip_prefix("image: ")).unwrap();
        let tag = image.rsplit_once(':').unwrap().1;
        assert!(tag.split('.').count() >= 2, "{name}: {image} is named by no exact version");
    }
}

#[test]
fn only_nginx_is_reachable_and_only_on_this_machine_unless_asked() {
    let public = default_of("public", "bind").rsplit(':').next().unwrap().to_owned();
    let admin = default_of("admin", "bind").rsplit(':').next().unwrap().to_owned();
    for (name, service) in services() {
        let ports = under(service, "ports");
        let expected = if name == "nginx" { vec![format!("127.0.0.1:{public}:{public}/tcp")] } else { Vec::new() };
        assert_eq!(ports, expected, "{name}");
        assert!(!service.contains(&admin), "{name} names the admin listener");
        // The database is in a network that has no way out, and nginx is not in it.
        let in_database = under(service, "networks").iter().any(|line| line.starts_with("database"));
        assert_eq!(in_database, name != "nginx", "{name}");
    }
    let file = read("docker-compose.yml");
    assert!(file.contains("database: {internal: true}"));
    // Neither does the proxy of the public listeners.
    assert!(!read("docs/operations/nginx.conf").contains(&admin));
}

#[test]
fn secrets_are_files_that_are_not_committed() {
    let services = services();
    let secrets = |name: &str| {
        let mut names = under(&services[name], "secrets");
        names.iter_mut().for_each(|name| *name = name.trim_start_matches("source: "));
        names
    };
    for name in ["init", "signet-1", "signet-2"] {
        assert_eq!(secrets(name), ["database-url", "redis-url", "master-key"], "{name}");
        let environment = under(&services[name], "environment").join("\n");
        assert!(environment.contains("SIGNET__DATABASE__URL_FILE: /run/secrets/database-url"), "{environment}");
        assert!(environment.contains("SIGNET__KEYS__MASTER_KEY_FILE: /run/secrets/master-key"), "{environment}");
        assert!(environment.contains("SIGNET__REDIS__URL_FILE: /run/secrets/redis-url"), "{environment}");
        // By a file, and by no variable that a child process or an inspection would show.
        assert!(!environment.contains("MASTER_KEY:") && !environment.contains("URL:"), "{environment}");
    }
    assert_eq!(secrets("postgres"), ["database-password"]);
    assert_eq!(secrets("redis"), ["redis-users"]);
    assert!(services["postgres"].contains("POSTGRES_PASSWORD_FILE: /run/secrets/database-password"));
    assert!(read(".gitignore").lines().any(|line| line == "/secrets"));
    if workspace().join(".git").exists() {
        assert_eq!(printed("git", "git", &["ls-files", "secrets"]), "");
    }
}

#[test]
fn postgres_keeps_what_it_acknowledges_and_everybody_waits_for_whom_they_need() {
    let services = services();
    let postgres = &services["postgres"];
    let command = under(postgres, "command");
    assert!(command.contains(&"fsync=on") && command.contains(&"synchronous_commit=on"), "{command:?}");
    assert!(postgres.contains("pg_isready") && under(postgres, "volumes") == ["database:/var/lib/postgresql/data:rw"]);
    assert_eq!(under(&services["init"], "depends_on"), ["postgres:", "condition: service_healthy"]);
    for name in ["signet-1", "signet-2"] {
        let awaited = ["init:", "condition: service_completed_successfully", "redis:", "condition: service_healthy"];
        assert_eq!(under(&services[name], "depends_on"), awaited);
        let check = under(&services[name], "healthcheck");
        assert!(check.ends_with(&["test:", "CMD", "/usr/local/bin/signet", "health", "timeout: 6s"]), "{check:?}");
    }
    // A second `up` runs it again.
    assert_eq!(under(&services["init"], "command"), ["init", "--if-needed"]);
}

#[test]
fn redis_forgets_nothing_and_lets_strangers_ask_whether_it_lives() {
    let redis = &services()["redis"];
    let command = command("redis").join(" ");
    for option in ["--appendonly yes", "--maxmemory-policy noeviction", "--aclfile /run/secrets/redis-users"] {
        assert!(command.contains(option), "{command}");
    }
    assert_eq!(under(redis, "volumes"), ["sessions:/data:rw"]);
    assert!(under(redis, "healthcheck").ends_with(&["test:", "CMD", "redis-cli", "-e", "ping", "timeout: 3s"]));
    let bytes = redis.lines().find_map(|line| line.strip_prefix("mem_limit: ")).unwrap();
    assert!(
        ["1g", "1073741824", "\"1073741824\""].contains(&bytes) && command.contains("--maxmemory 512mb"),
        "{bytes}"
    );
}

#[test]
fn only_nginx_is_believed_about_who_asks_and_it_passes_nothing_on_that_strangers_sent() {
    let services = services();
    let networks = under(&services["nginx"], "networks");
    let address = networks.iter().find_map(|line| line.strip_prefix("ipv4_address: ")).unwrap();
    for name in ["signet-1", "signet-2"] {
        let trusted = environment(name).into_iter().find(|(name, _)| name == "SIGNET__PUBLIC__TRUSTED_PROXIES");
        assert_eq!(trusted.unwrap().1, address, "{name}");
    }
    let nginx = read("docs/operations/nginx.conf");
    let set: Vec<Vec<&str>> = nginx
        .lines()
        .filter_map(|line| {
            Some(line.trim().strip_prefix("proxy_set_header")?.trim_end_matches(';').split_whitespace().collect())
        })
        .collect();
    assert!(
        set.contains(&vec!["X-Forwarded-For", "$remote_addr"]) && set.contains(&vec!["Forwarded", "\"\""]),
        "{set:?}"
    );
    assert!(!nginx.contains("proxy_add_x_forwarded_for"));
}

#[test]
fn nginx_is_given_the_file_that_is_tested_and_finds_each_replica_though_it_be_away() {
    let services = services();
    let mount = format!("{}/docs/operations/nginx.conf:/etc/nginx/nginx.conf:ro", workspace().display());
    assert_eq!(under(&services["nginx"], "volumes"), [mount]);
    let hosts = under(&services["nginx"], "extra_hosts");
    for name in ["signet-1", "signet-2"] {
        let networks = under(&services[name], "networks");
        let address = networks.iter().find_map(|line| line.strip_prefix("ipv4_address: ")).unwrap();
        assert!(hosts.contains(&format!("{name}:{address}").as_str()), "{hosts:?}");
    }
    let nginx = read("docs/operations/nginx.conf");
    let upstream = nginx.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split([':', ' ']).next());
    assert_eq!(upstream.filter(|word| *word != "{").collect::<Vec<_>>(), ["signet-1", "signet-2"]);
}

#[test]
fn nginx_repeats_no_post_keeps_no_answer_and_is_as_strict_as_signet() {
    let nginx = read("docs/operations/nginx.conf");
    let lines = nginx.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let directives: Vec<Vec<&str>> =
        lines.map(|line| line.trim_end_matches(';').split_whitespace().collect()).collect();
    let values =
        |name: &str| directives.iter().filter(|words| words[0] == name).map(|words| &words[1..]).collect::<Vec<_>>();
    assert_eq!(values("proxy_next_upstream"), [["error", "timeout", "http_502", "http_504"]]);
    // A key set kept here as well would be older than rotation allows for.
    assert!(directives.iter().all(|words| !words[0].starts_with("proxy_cache")));
    let kilobytes: u32 = values("client_max_body_size")[0][0].strip_suffix('k').unwrap().parse().unwrap();
    assert_eq!(kilobytes * 1024, default_of("public", "body_limit").parse::<u32>().unwrap());
    // The first is for clients; towards Signet it is nginx that closes first.
    let idle: u64 = values("keepalive_timeout")[1][0].strip_suffix('s').unwrap().parse().unwrap();
    assert!(Duration::from_secs(idle) < signet::config::parse_span(&default_of("public", "keep_alive")).unwrap());
    assert_eq!(values("client_header_timeout"), [[default_of("public", "header_timeout").as_str()]]);
    assert!(!values("limit_conn").is_empty());
}
