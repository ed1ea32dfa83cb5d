//! The papers, held to the program: tables, examples, settings, commands and links are what they say.

mod gate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gate::Gate;
use serde_json::{Value, json};
use signet::http::{Access, Listener, OAUTH_ERRORS, table};
use signet::issuer::Issuer;
use signet_verify::{Compact, VerifyError};

use crate::app::{Installation, Signet};
use crate::world::{World, eventually};

const ISSUER: &str = "https://login.example.com";

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every paper, by its path.
fn papers() -> BTreeMap<String, String> {
    fn collect(folder: &Path, papers: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                // What others put beside the sources is not ours to judge.
                if !name.starts_with('.') && !["target", "node_modules", "data"].contains(&name) {
                    collect(&path, papers);
                }
            } else if name.ends_with(".md") {
                let relative = path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned();
                papers.insert(relative.clone(), read(&relative));
            }
        }
    }
    let mut papers = BTreeMap::new();
    collect(&workspace(), &mut papers);
    papers
}

/// The fenced blocks of a paper: the language, the text, and the line before the fence.
fn blocks(paper: &str) -> Vec<(&str, String, &str)> {
    let (mut blocks, mut open, mut before) = (Vec::new(), None, "");
    for line in paper.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language, String::new(), before)),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text, _)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => before = line,
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The paper without its fenced blocks.
fn prose(paper: &str) -> String {
    paper.split("```").step_by(2).collect()
}

/// What stands between single backticks in the prose.
fn inline_code(paper: &str) -> Vec<String> {
    prose(paper).split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_table_of_routes_is_the_programs_own() {
    let paper = read("docs/protocol.md");
    let rows = paper.lines().skip_while(|line| *line != "| Listener | Method | Path | Who may call it |");
    let told: Vec<[String; 4]> = rows
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
            cells.try_into().unwrap_or_else(|_| panic!("not four cells: {line}"))
        })
        .collect();
    let routes = table(&Issuer::parse(ISSUER, false).unwrap());
    let built: Vec<[String; 4]> = routes
        .into_iter()
        .map(|route| {
            let listener = match route.listener {
                Listener::Public => "public",
                Listener::Admin => "admin",
            };
            let access = match route.access {
                Access::Anyone => "anyone".to_owned(),
                Access::Client => "a client".to_owned(),
                Access::Person => "a person".to_owned(),
                Access::Scope(scope) => format!("scope {scope}"),
            };
            [listener.to_owned(), route.method.to_owned(), route.path, access]
        })
        .collect();
    let sorted = |mut rows: Vec<[String; 4]>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(told), sorted(built));
}

#[test]
fn every_error_code_is_on_paper_and_no_other() {
    let paper = read("docs/protocol.md");
    let rows = paper.lines().skip_while(|line| !line.starts_with("| `error` |")).skip(2);
    let told: BTreeSet<String> =
        rows.take_while(|line| line.starts_with('|')).map(|line| line.split('`').nth(1).unwrap().to_owned()).collect();
    let source = read("src/http/error.rs");
    // Before the tests of that file, the codes are the words in quotes that stand alone and have an underscore.
    let source = source.split("#[cfg(test)]").next().unwrap();
    let is_code =
        |text: &&str| text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let built: BTreeSet<String> = source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned).collect();
    let not_oauth = ["not_found", "method_not_allowed", "body_too_large", "body_too_slow", "body_broken"];
    let not_oauth = not_oauth.into_iter().chain(["error_description"]).map(str::to_owned).collect();
    assert_eq!(told, &built - &not_oauth);
    assert_eq!(told, OAUTH_ERRORS.into_iter().map(str::to_owned).collect(), "each has a counter");
}

#[test]
fn every_code_of_a_problem_is_on_paper_with_its_status_and_no_other() {
    let paper = read("docs/admin-api.md");
    let rows = paper.lines().skip_while(|line| !line.starts_with("| `code` |")).skip(2);
    let told: BTreeSet<String> =
        rows.take_while(|line| line.starts_with('|')).map(|line| line.split('`').nth(1).unwrap().to_owned()).collect();
    // A code is the first argument of what says it, before its status or its words.
    let built: BTreeSet<String> = ["error.rs", "error/problem.rs", "error/keys.rs", "error/users.rs"]
        .map(|path| format!("src/http/{path}"))
        .into_iter()
        .flat_map(|path| {
            let source = read(&path).replace(char::is_whitespace, "");
            let starts = ["Told::new(\"", "Self::new(\"", "bad(\"", "conflict(\""];
            let codes = starts.map(|start| {
                let rests = source.split(start).skip(1);
                rests.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
            });
            codes.concat()
        })
        .collect();
    let of_tokens_alone = [
        "invalid_client",
        "invalid_grant",
        "unsupported_grant_type",
        "unauthorized_client",
        "invalid_scope",
        "invalid_target",
    ];
    let of_tokens_alone = of_tokens_alone.into_iter().map(str::to_owned).collect();
    assert_eq!(told, &built - &of_tokens_alone);
}

/// The names of all settings, from the reference, which is tested against the program.
fn settings() -> BTreeSet<String> {
    let (mut section, mut names) = (String::new(), BTreeSet::new());
    for line in read("docs/configuration.toml").lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ")
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            names.insert(format!("{section}{name}"));
        }
    }
    assert!(names.contains("issuer") && names.contains("database.url_file"), "{names:?}");
    names
}

#[test]
fn every_setting_that_a_paper_names_exists() {
    let known = settings();
    let sections: BTreeSet<&str> =
        known.iter().filter_map(|name| name.split_once('.')).map(|(first, _)| first).collect();
    let mut unknown = BTreeSet::new();
    let mut seen = 0;
    for (path, paper) in papers() {
        let words = |text: &str| -> Vec<String> {
            let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '.';
            text.split(|sign| !is_part(sign)).map(|word| word.trim_end_matches('.').to_owned()).collect()
        };
        let in_code = inline_code(&paper).iter().flat_map(|code| words(code)).collect::<Vec<_>>();
        let dotted = in_code.into_iter().filter(|word| {
            // Acts of the audit log are written like settings.
            let is_act = signet::audit::Act::from_name(word).is_some();
            !is_act
                && word.split_once('.').is_some_and(|(first, rest)| sections.contains(first) && !rest.ends_with("rs"))
        });
        let variables = words(&paper)
            .into_iter()
            .filter_map(|word| Some(word.strip_prefix("SIGNET__")?.to_ascii_lowercase().replace("__", ".")));
        for name in dotted.chain(variables) {
            seen += 1;
            if !known.contains(&name) {
                unknown.insert(format!("{path}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "no such setting: {unknown:?}");
    assert!(seen > 20, "found only {seen}");
}

/// The calls of `signet` in a text: the words after its name.
fn calls(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let mut calls = Vec::new();
    for line in joined.lines().map(|line| line.split(" #").next().unwrap_or_default()) {
        for part in line.split(['|', '(', ')', '&', ';']) {
            let mut words = part.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-'));
            if words.next() == Some("signet") {
                calls.push(words.map(str::to_owned).collect());
            }
        }
    }
    calls
}

#[test]
fn every_command_that_a_paper_shows_exists_with_its_options() {
    let mut shown = BTreeSet::new();
    for (path, paper) in papers() {
        let scripts = blocks(&paper).into_iter().filter(|(language, ..)| *language == "sh").map(|(_, text, _)| text);
        for text in scripts.chain(inline_code(&paper)) {
            shown.extend(calls(&text).into_iter().map(|call| (path.clone(), call)));
        }
    }
    assert!(shown.len() > 5, "found only {shown:?}");
    for (path, call) in shown {
        // The verbs are the first words, up to two, as long as they are words.
        let is_verb = |word: &&String| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let groups = ["config", "keys", "clients", "resources", "token", "audit", "users", "sessions"];
        let most = if call.first().is_some_and(|verb| groups.contains(&verb.as_str())) { 2 } else { 1 };
        let verbs: Vec<_> = call.iter().take(most).take_while(is_verb).filter(|word| !word.starts_with('-')).collect();
        let help = Command::new(env!("CARGO_BIN_EXE_signet")).args(&verbs).arg("--help").output().unwrap();
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(help.status.success(), "{path}: there is no `signet {}`", call.join(" "));
        for option in call.iter().filter(|word| word.starts_with("--")) {
            let known = text.split_whitespace().any(|word| word.trim_end_matches([',', ']']) == option);
            assert!(known, "{path}: `signet {}` has no {option}", call.join(" "));
        }
    }
}

/// The anchor that a heading gets: lower case, spaces as hyphens, punctuation left out.
pub fn anchor(heading: &str) -> String {
    let kept = |sign: &char| sign.is_alphanumeric() || [' ', '-', '_'].contains(sign);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_within_the_papers_leads_somewhere() {
    let papers = papers();
    let (mut broken, mut seen) = (Vec::new(), 0);
    for (path, paper) in &papers {
        let folder = Path::new(path).parent().unwrap();
        for target in prose(paper).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            seen += 1;
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let place = if file.is_empty() { workspace().join(path) } else { workspace().join(folder).join(file) };
            let headings = || {
                let text = fs::read_to_string(&place).unwrap_or_default();
                let headings = prose(&text);
                headings
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|heading| anchor(heading.trim_start_matches('#').trim()) == fragment)
            };
            if !place.exists() || !fragment.is_empty() && !headings() {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
    assert!(seen > 20, "found only {seen}");
}

#[test]
fn the_changelog_begins_with_this_version() {
    let changelog = read("CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    let version = newest.split([',', ' ']).next().unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn exactly_one_block_of_the_readme_is_the_first_token() {
    let readme = read("README.md");
    let marked = blocks(&readme).into_iter().filter(|(.., before)| *before == "<!-- interop: token -->").count();
    assert_eq!((marked, readme.matches("<!-- interop: token -->").count()), (1, 1));
}

#[test]
fn the_rust_sample_is_the_one_that_is_tried_here() {
    let paper = read("docs/verify.md");
    let sample = blocks(&paper).into_iter().find(|(.., before)| *before == "<!-- papers: rust -->").unwrap().1;
    let compiled = include_str!("papers/gate.rs");
    let compiled = compiled.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    assert_eq!(sample.lines().collect::<Vec<_>>(), compiled.collect::<Vec<_>>());
}

#[actix_web::test]
async fn the_rust_sample_takes_good_tokens_and_refuses_others() {
    let installation = Installation::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let held = Duration::from_secs(1_800_000_000);
    // The sample reads the machine's clock, so the issuer keeps to it too.
    installation.clock.set_back(held.saturating_sub(now));
    installation.clock.advance(now.saturating_sub(held));
    let signet = installation.start().await;
    let token = signet.admin_token().await;
    let audience = signet.admin_client().audience.clone();
    let gate = Gate::new(&signet.issuer, &audience);
    assert_eq!(gate.check(&token), Err(VerifyError::UnknownKey));
    gate.refresh(&signet.http).await.unwrap();
    let claims = gate.check(&token).unwrap();
    assert_eq!(claims.client_id, signet.admin_client().client_id);
    assert!(claims.scope.contains("keys:read"));
    let elsewhere = Gate::new(&signet.issuer, "https://elsewhere.example");
    elsewhere.refresh(&signet.http).await.unwrap();
    assert_eq!(elsewhere.check(&token), Err(VerifyError::WrongAudience));
    signet.stop().await;
    assert!(gate.refresh(&reqwest::Client::new()).await.is_err());
    assert!(gate.check(&token).is_ok());
}

/// The JSON blocks of docs/protocol.md that have the member `name`.
fn example(name: &str) -> Value {
    let paper = read("docs/protocol.md");
    let found = blocks(&paper).into_iter().filter(|(language, ..)| *language == "json");
    let mut found =
        found.map(|(_, text, _)| serde_json::from_str::<Value>(&text).unwrap_or_else(|e| panic!("{text}: {e}")));
    found.find(|example| example.get(name).is_some()).unwrap_or_else(|| panic!("no example has `{name}`"))
}

async fn example_issuer() -> (Installation, Signet) {
    let installation = Installation::new().with("ISSUER", ISSUER);
    let signet = installation.start().await;
    (installation, signet)
}

#[actix_web::test]
async fn the_examples_of_documents_are_what_an_issuer_answers() {
    let (_installation, signet) = example_issuer().await;
    let metadata = signet.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.body, example("token_endpoint"));
    let mut openid = signet.get("/.well-known/openid-configuration").await.body;
    assert_eq!(openid.as_object_mut().unwrap().remove("request_uri_parameter_supported"), Some(json!(false)));
    assert_eq!(openid, metadata.body);
    assert_eq!(signet.ready().await.body, example("checks"));
}

#[actix_web::test]
async fn the_example_of_a_token_is_what_an_issuer_issues() {
    let (installation, signet) = example_issuer().await;
    let told = example("jti");
    let text = |name: &str| told[name].as_str().unwrap();
    let world = World::of(&installation).await;
    world.resource(text("aud"), text("scope")).await;
    let secret = world.client(text("client_id"), json!({"access": {text("aud"): text("scope")}})).await;
    let form = [("grant_type", "client_credentials"), ("resource", text("aud"))];
    let answer = eventually(async || {
        let answer = signet.token(Some((text("client_id"), &secret)), &form).await;
        answer.status.is_success().then_some(answer)
    })
    .await;
    let token = answer.body["access_token"].as_str().unwrap();
    let header = signet_verify::base64url::decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let told_header = example("typ");
    assert_eq!(
        header.as_object().unwrap().keys().collect::<Vec<_>>(),
        told_header.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    assert_eq!((&header["alg"], &header["typ"]), (&told_header["alg"], &told_header["typ"]));
    assert!(Compact::parse(token).is_ok());
    let claims = signet_verify::base64url::decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    let life = |claims: &Value| claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life(&claims), life(&told));
    for name in ["exp", "iat", "jti"] {
        assert_eq!(claims[name].to_string().len(), told[name].to_string().len(), "{name}");
        claims[name] = told[name].clone();
    }
    assert_eq!(claims, told);
    let size = format!("ES256 {}", token.len());
    assert!(read("docs/protocol.md").contains(&size), "the table of sizes does not say {size}");
}
