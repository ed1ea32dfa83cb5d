//! Each breach that the house test must catch, shown on small sources, and what it must let pass.

use std::collections::BTreeSet;

use super::faults::faults;
use super::source::Source;

/// The faults of these files, one a line.
fn found(files: &[(&str, &str)]) -> String {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    faults(&sources).join("\n")
}

#[track_caller]
fn refused(path: &str, text: &str, line: usize, why: &str) {
    let found = found(&[(path, text)]);
    assert!(found.contains(&format!("{path}:{line}: ")), "no fault on line {line} of {text}\nfound: {found}");
    assert!(found.contains(why), "{text}\nfound: {found}");
    let distinct: BTreeSet<&str> = found.lines().collect();
    assert_eq!(distinct.len(), found.lines().count(), "told twice: {found}");
}

#[track_caller]
fn passes(path: &str, text: &str) {
    assert_eq!(found(&[(path, text)]), "", "{text}");
}

const RIGHT_OF_KEYS: &str = "`http` stands right of `keys`, and the left never names the right";

#[test]
fn a_plain_import_of_the_right_is_refused() {
    refused("src/keys/ring.rs", "\nuse crate::http::Jwks;", 2, RIGHT_OF_KEYS);
    refused("src/keys.rs", "pub use crate::http::Jwks;", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "pub(crate) use signet::http::Jwks;", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "use crate::http;", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "use crate::http::*;", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "fn sign() { if true { use crate::http::Jwks; } }", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "mod ring { mod inner { use crate::http::Jwks; } }", 1, RIGHT_OF_KEYS);
}

#[test]
fn a_braced_import_of_the_right_is_refused() {
    refused("src/keys.rs", "use crate::{\n ports::Clock,\n http::{self, oauth},\n};", 3, "crate::http");
    refused("src/keys.rs", "use crate::{ports, http::{discovery::{Jwks}}};", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "use {crate::ports, crate::http::Jwks};", 1, RIGHT_OF_KEYS);
}

#[test]
fn a_renamed_import_of_the_right_is_refused() {
    refused("src/keys.rs", "use crate::http as web;\nfn f() { web::serve() }", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "use crate::{http as _};", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "use crate::http::{self as web};", 1, RIGHT_OF_KEYS);
}

#[test]
fn a_relative_path_to_the_right_is_refused() {
    refused("src/keys/ring.rs", "use super::super::http::Jwks;", 1, RIGHT_OF_KEYS);
    refused("src/keys/mod.rs", "use super::http::Jwks;", 1, RIGHT_OF_KEYS);
    refused("src/keys/ring.rs", "use self::super::super::http::Jwks;", 1, RIGHT_OF_KEYS);
    refused("src/keys/ring.rs", "fn f() { super::super::http::serve() }", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "mod ring { use super::super::{ports, http::Jwks}; }", 1, RIGHT_OF_KEYS);
}

#[test]
fn an_inline_path_to_the_right_is_refused() {
    let why = "`store` stands right of `keys`";
    refused("src/keys.rs", "fn f() {\n let s = crate::store::Sql::new();\n}", 2, why);
    refused("src/keys.rs", "struct Ring { store: Vec<crate::store::Sql> }", 1, why);
    refused("src/keys.rs", "fn f(x: &dyn crate::store::Keys) {}", 1, why);
    refused("src/keys.rs", "impl crate::store::Keys for u8 {}", 1, why);
    refused("src/keys.rs", "fn f<T: crate::store::Keys>() {}", 1, why);
    refused("src/keys.rs", "type A = <u8 as crate::store::Keys>::Row;", 1, why);
    refused("src/keys.rs", "fn f() { match 1 { crate::store::ONE => {}, _ => {} } }", 1, why);
    refused("src/keys.rs", "const F: fn() = crate::store::open::<u8>;", 1, why);
}

#[test]
fn a_name_within_a_macro_is_refused() {
    let why = "`store` stands right of `keys`";
    refused("src/keys.rs", "fn f() { println!(\"{}\", [1, crate::store::one()][0]); }", 1, why);
    refused("src/keys.rs", "macro_rules! m { ($x:expr) => {\n { $crate::store::put($x) } }; }", 2, why);
    refused("src/keys.rs", "m! { use crate::{ports, store::{Sql}}; }", 1, why);
    refused("src/keys.rs", "m! { Vec::<u8>::new(); return super::store::one() }", 1, why);
    refused("src/keys.rs", "fn f() { crate::store::query!(1) }", 1, why);
    refused("src/keys.rs", "m! { x => ::sqlx::query(1) }", 1, "the crate `sqlx`");
    refused("src/keys.rs", "m! { fn f() -> ::sqlx::Row; }", 1, "the crate `sqlx`");
    refused("src/keys.rs", "m! { use ::sqlx; }", 1, "the crate `sqlx`");
    refused("src/keys.rs", "m! { use sqlx::{Row, Pool as P}; }", 1, "the crate `sqlx`");
    refused("src/keys.rs", "m! { extern crate sqlx as q; }", 1, "the crate `sqlx`");
}

#[test]
fn a_name_within_an_attribute_is_refused() {
    refused("src/keys.rs", "#[derive(Debug, sqlx::FromRow)] struct Row;", 1, "the crate `sqlx`");
    refused("src/keys.rs", "#[actix_web::get(\"/\")] async fn f() {}", 1, "the crate `actix_web`");
    let why = "`http` stands right of `keys`";
    refused("src/keys.rs", "struct S { #[serde(with = \"crate::http::time\")] x: u8 }", 1, why);
    passes("src/keys.rs", "/// See [`crate::http::Jwks`].\n#[doc = \"crate::http\"] struct S;");
}

#[test]
fn a_foreign_crate_away_from_home_is_refused() {
    refused("src/grants/code.rs", "use actix_web::web;", 1, "the crate `actix_web` is named only in http and app");
    refused("src/tokens.rs", "fn f(h: actix_http::Method) {}", 1, "the crate `actix_http`");
    refused("src/http/oauth.rs", "use sqlx::Row;", 1, "the crate `sqlx` is named only in store and app");
    refused("src/cli/keys.rs", "use ::sqlx::Row;", 1, "the crate `sqlx`");
    refused("src/cli/keys.rs", "use sqlx;", 1, "the crate `sqlx`");
    refused("src/tokens.rs", "use {redis::{self}};", 1, "the crate `redis`");
    refused("src/config.rs", "use clap::Parser;", 1, "the crate `clap` is named only in cli and main");
    refused("src/app.rs", "use config::Config;", 1, "the crate `config` is named only in config");
    refused("src/app.rs", "fn f() { ::config::Config::builder() }", 1, "the crate `config`");
    refused("src/http.rs", "use reqwest::Client;", 1, "the crate `reqwest` is named only in telemetry and cli and app");
    passes("src/app.rs", "use actix_web::App; use sqlx::Pool; use reqwest::Client; use redis::Client as R;");
    passes("src/main.rs", "use clap::Parser; fn main() { signet::app::run() }");
    passes("src/cli/complete.rs", "use clap_complete::Shell;");
    passes("src/config/sources.rs", "use config::{Config, File}; use ::config::Value;");
}

#[test]
fn a_renamed_foreign_crate_is_refused() {
    refused("src/tokens.rs", "extern crate sqlx as q;\nfn f() { q::query() }", 1, "the crate `sqlx`");
    refused("src/tokens.rs", "use sqlx as q;", 1, "the crate `sqlx`");
    refused("src/tokens.rs", "use ::sqlx::{Row as R};", 1, "the crate `sqlx`");
}

#[test]
fn a_module_may_bear_the_name_of_a_foreign_crate() {
    passes("src/app.rs", "use crate::config; fn f() { config::Settings::load() }");
    passes("src/app.rs", "fn f() { use crate::config; { config::Settings::load() } }");
    passes("src/cli/mod.rs", "mod config; fn f() { config::run() }");
    passes("src/http/mod.rs", "mod redis { } fn f() { self::redis::run(); redis::run() }");
    refused("src/app.rs", "fn g() { use crate::config; } fn f() { config::File::x() }", 1, "the crate `config`");
}

#[test]
fn a_foreign_crate_handed_on_by_its_home_is_refused() {
    let files = [
        ("src/store/mod.rs", "pub use sqlx::Row; pub use sqlx as sql;"),
        ("src/telemetry.rs", "\nuse crate::store::Row;\nfn f() { crate::store::sql::query() }"),
    ];
    let found = found(&files);
    assert!(found.contains("src/telemetry.rs:2: ") && found.contains("src/telemetry.rs:3: "), "{found}");
}

#[test]
fn the_store_and_http_never_meet() {
    refused("src/store/sql.rs", "use crate::http::Reply;", 1, "`store` and `http` never meet");
    refused("src/http/oauth.rs", "use crate::store::Sql;", 1, "`http` and `store` never meet");
    passes("src/app.rs", "use crate::{http::Routes, store::Sql};");
}

#[test]
fn the_left_may_be_named_and_a_module_may_name_itself() {
    passes("src/grants/code.rs", "use crate::{ports, secret, issuer, keys::Kid, clients, users, tokens, grants::x};");
    passes("src/app.rs", "use crate::cli::Verb;");
    passes("src/keys.rs", "use signet_verify::Algorithm; use ::signet_verify::Jwks;");
    refused("src/ports.rs", "use crate::main::x;", 1, "`main` stands right of `ports`");
}

#[test]
fn the_verifier_knows_nothing_of_the_issuer() {
    refused("verifier/src/lib.rs", "use signet::ports::Clock;", 1, "nothing may name the crate `signet`");
    refused("verifier/src/jwks.rs", "use reqwest::Client;", 1, "the crate `reqwest`");
    refused("verifier/src/jwks.rs", "fn f() { ::actix_web::x() }", 1, "the crate `actix_web`");
    passes("verifier/src/lib.rs", "mod jwks; pub use jwks::Jwks; pub use crate::jwks::*;");
}

#[test]
fn a_circle_of_rooms_on_one_level_is_refused() {
    let one_way = ("src/clients/client.rs", "use crate::keys::Kid;");
    assert_eq!(found(&[one_way]), "");
    let circle = [
        one_way,
        ("src/keys.rs", "fn f() { crate::users::g() }"),
        ("src/users/mod.rs", "\nuse crate::{ports, clients::Client};"),
    ];
    assert_eq!(
        found(&circle),
        "a circle of modules: `clients` names `keys` (src/clients/client.rs:1), `keys` names `users` \
         (src/keys.rs:1), `users` names `clients` (src/users/mod.rs:2)"
    );
    let circle = [("src/cli/mod.rs", "use crate::app;"), ("src/app.rs", "m!(crate::cli::x());")];
    assert!(found(&circle).starts_with("a circle of modules: `app` names `cli`"));
}

#[test]
fn a_circle_of_siblings_within_a_room_is_refused() {
    let direct = [
        ("src/keys/mod.rs", "mod ring; mod sweep;"),
        ("src/keys/ring.rs", "use super::sweep::Plan;"),
        ("src/keys/sweep.rs", "fn f(r: crate::keys::ring::Ring) {}"),
    ];
    assert_eq!(
        found(&direct),
        "a circle of modules: `keys::ring` names `keys::sweep` (src/keys/ring.rs:1), `keys::sweep` names \
         `keys::ring` (src/keys/sweep.rs:1)"
    );
    let through_the_parent = [
        ("src/keys/mod.rs", "mod ring; mod sweep; pub use ring::Ring as R; pub use sweep::*;"),
        ("src/keys/ring.rs", "use super::Plan; pub struct Ring;"),
        ("src/keys/sweep.rs", "use super::{self as keys}; fn f(r: keys::R) {} pub struct Plan;"),
    ];
    assert!(found(&through_the_parent).starts_with("a circle of modules: `keys::ring` names `keys::sweep`"));
    let in_the_verifier = [
        ("verifier/src/lib.rs", "mod jwk; mod verify; pub use jwk::Jwk;"),
        ("verifier/src/jwk.rs", "use crate::verify::verify; pub struct Jwk;"),
        ("verifier/src/verify.rs", "use crate::Jwk;"),
    ];
    assert!(found(&in_the_verifier).starts_with("a circle of modules: `jwk` names `verify`"));
}

#[test]
fn a_parent_and_its_children_may_name_each_other() {
    let files = [
        ("src/keys/mod.rs", "mod ring; mod sweep; pub use ring::Ring; pub struct Kid; fn f() { sweep::plan() }"),
        ("src/keys/ring.rs", "use super::Kid;"),
        ("src/keys/sweep.rs", "use super::{Kid, Ring};"),
    ];
    assert_eq!(found(&files), "");
}

#[test]
fn a_room_without_a_place_is_refused() {
    refused("src/app.rs", "use crate::utils::x;", 1, "`utils` has no place in the table");
    refused("src/utils.rs", "use crate::ports::Clock;", 1, "`utils` has no place in the table");
}

#[test]
fn a_way_around_the_test_is_refused() {
    refused("src/keys.rs", "use crate as root;", 1, "importing the crate's root");
    refused("src/keys.rs", "use crate::*;", 1, "importing the crate's root");
    refused("src/keys.rs", "use super::{self as root};", 1, "importing the crate's root");
    refused("src/keys.rs", "extern crate self as root;", 1, "a second name");
    refused("src/keys.rs", "#[path = \"http.rs\"] mod web;", 1, "`#[path]` hides");
    refused("src/keys.rs", "include!(\"http.rs\");", 1, "`include!` brings in");
    refused("src/http.rs", "#[macro_export] macro_rules! m { () => {} }", 1, "`#[macro_export]`");
    refused("src/lib.rs", "pub mod http; pub use http::Jwks;", 1, "`lib.rs` declares the rooms");
    refused("src/lib.rs", "#[macro_use] mod http;", 1, "`#[macro_use]`");
    refused("src/main.rs", "mod http;", 1, "`main` has no modules");
}

#[test]
fn test_only_code_is_exempt() {
    passes("src/keys.rs", "#[cfg(test)] mod tests { use super::*; use crate::http::x; use sqlx::Row; }");
    passes("src/keys.rs", "#[cfg(all(test, unix))] use crate::http::x;");
    passes("src/keys.rs", "impl K { #[cfg(test)] fn f() { crate::http::x() } }");
    assert_eq!(
        found(&[
            ("src/keys/mod.rs", "#[cfg(test)] mod tests;"),
            ("src/keys/tests.rs", "mod inner;"),
            ("src/keys/tests/inner.rs", "use crate::http::x;"),
        ]),
        ""
    );
    refused("src/keys.rs", "#[cfg(not(test))] use crate::http::x;", 1, RIGHT_OF_KEYS);
    refused("src/keys.rs", "#[cfg(any(test, unix))] use crate::http::x;", 1, RIGHT_OF_KEYS);
}
