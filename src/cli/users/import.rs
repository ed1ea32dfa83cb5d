//! `signet users import`: accounts of another program, with their password hashes.
//!
//! Guarantees: a row that can't be taken is refused with its line and the reason, and the others are taken; nothing of a
//! hash is in what is said about it.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::At;
use crate::cli::output::plain;
use crate::cli::progress::Progress;
use crate::cli::why::Why;
use crate::cli::{Failure, input};
use crate::clients::Request;
use crate::ports::StoreError;
use crate::users::{Import, StoredPassword, User, UserAdministrationError, UserMetadata};

pub(super) const HELP: &str = "\
Examples:
  signet users import users.jsonl
  signet users import users.csv --must-change --reason 'moved from the old shop'
  mysqldump-to-csv users | signet users import - --format csv

JSON lines, one account each; all members but one of the names may be left out:
  {\"username\": \"ann\", \"email\": \"ann@example.com\", \"password_hash\": \"$2b$12$...\", \"roles\": [\"billing\"],
   \"attributes\": {\"department\": \"books\"}, \"enabled\": true, \"must_change_password\": false}
CSV has the same names in its first line, roles separated by spaces, and `attribute.NAME` for attributes. An account
without a username gets one made from its identifier, so that its owner logs in by e-mail address.

Taken are hashes of argon2, bcrypt ($2a$, $2b$, $2y$), scrypt ($scrypt$, $7$) and PBKDF2 (PHC, passlib, Django). The first
login replaces each by argon2id. Rows that are refused are told by line; the exit code is 1 then, and all others are in.";

/// Larger files are to be split.
const MOST_BYTES: usize = 1 << 30;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The file; - for standard input.
    file: String,
    /// What the file is (default: by its name, and JSON lines where that does not tell).
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Everybody is to choose another password at the first login.
    #[arg(long)]
    must_change: bool,
    #[command(flatten)]
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

/// An account in a file. Unknown members are refused: they would be lost.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, Value>,
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password_hash: Option<String>,
    #[serde(default)]
    must_change_password: bool,
}

const fn enabled() -> bool {
    true
}

impl Record {
    /// The record of `user`, as it is exported.
    pub(super) fn of(user: &User, with_hash: bool) -> Self {
        let metadata = UserMetadata::of(user);
        let password = user.password.as_ref();
        Self {
            id: Some(user.id.to_string()),
            username: Some(metadata.username),
            email: metadata.email,
            roles: metadata.roles,
            attributes: metadata.attributes,
            enabled: user.enabled,
            password_hash: password.filter(|_| with_hash).map(|password| password.stored.expose().to_owned()),
            must_change_password: password.is_some_and(|password| password.must_change),
        }
    }

    /// What is to be imported.
    fn import(self, must_change: bool) -> Result<Import, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let id = self.id.as_deref().map(str::parse).transpose().map_err(|error| text(&error))?;
        let password = self.password_hash.as_deref().map(StoredPassword::parse).transpose();
        let password = password.map_err(|error| format!("password_hash: {error}"))?;
        if self.username.is_none() && self.email.is_none() {
            return Err("it has neither a username nor an e-mail address".to_owned());
        }
        let must_change = must_change || self.must_change_password;
        let metadata = UserMetadata {
            username: self.username.unwrap_or_default(),
            email: self.email,
            roles: self.roles,
            attributes: self.attributes,
        };
        Ok(Import { metadata, password, must_change, enabled: self.enabled, id })
    }
}

/// A row of the file: its line, and what it holds or why it holds nothing.
type Row = (u64, Result<Record, String>);

/// Reads the file, before the database is opened.
pub(super) fn read(arguments: &Arguments) -> Result<Vec<Row>, Failure> {
    let by_name = if arguments.file.to_ascii_lowercase().ends_with(".csv") { Format::Csv } else { Format::Jsonl };
    let text = input::text(&arguments.file, MOST_BYTES)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match arguments.format.unwrap_or(by_name) {
        Format::Jsonl => Ok(json_lines(text)),
        Format::Csv => csv_rows(text)
            .map_err(|why| Failure::Refused(format!("{} is no CSV of accounts: {why}", input::shown(&arguments.file)))),
    }
}

fn json_lines(text: &str) -> Vec<Row> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let record = |line: &str| {
        serde_json::from_str(line).map_err(|error| {
            // Its own message may repeat what it read, and counts lines within the line.
            let known = if error.is_data() { "it does not fit" } else { "it is no JSON" };
            format!("{known}, at character {}: {}", error.column(), kind_of(&error))
        })
    };
    lines.map(|(number, line)| (number, record(line))).collect()
}

/// What is wrong with a line, without any of its values.
fn kind_of(error: &serde_json::Error) -> String {
    let message = error.to_string();
    // The names of members are said, values are not.
    match message.split(" at line ").next().unwrap_or_default() {
        told if ["unknown field", "missing field", "duplicate field"].iter().any(|known| told.starts_with(known)) => {
            plain(told)
        }
        told if told.starts_with("invalid type") => "a member is of another type than it should be".to_owned(),
        _ if error.is_eof() => "it ends too early".to_owned(),
        _ => "it is malformed there".to_owned(),
    }
}

fn csv_rows(text: &str) -> Result<Vec<Row>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|_| "its first line can't be read".to_owned())?.clone();
    const KNOWN: [&str; 7] = ["id", "username", "email", "roles", "enabled", "password_hash", "must_change_password"];
    for name in &names {
        if !KNOWN.contains(&name) && name.strip_prefix("attribute.").is_none_or(str::is_empty) {
            return Err(format!("its first line has the unknown name `{}`", plain(name)));
        }
    }
    let mut rows = Vec::new();
    // The reader begins a row before the line break of the one above it, where that is of two characters.
    let (mut seen, mut line) = (0, 1);
    let mut line_at = |position: Option<&csv::Position>| {
        let begun = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(seen).max(seen);
        let rest = text.as_bytes().get(begun..).unwrap_or_default();
        let begun = begun + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = text.as_bytes().get(seen..begun).unwrap_or_default();
        line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        seen = begun;
        line
    };
    for record in reader.records() {
        match record {
            Ok(record) => rows.push((line_at(record.position()), csv_record(&names, &record))),
            Err(error) => rows.push((line_at(error.position()), Err("it can't be read".to_owned()))),
        }
    }
    Ok(rows)
}

fn csv_record(names: &csv::StringRecord, fields: &csv::StringRecord) -> Result<Record, String> {
    if names.len() != fields.len() {
        return Err(format!("it has {} fields, and the first line {}", fields.len(), names.len()));
    }
    let mut record = Record { enabled: true, ..Record::default() };
    // An empty field is one that is left out.
    for (name, field) in names.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
        let text = || Some(field.to_owned());
        match name {
            "id" => record.id = text(),
            "username" => record.username = text(),
            "email" => record.email = text(),
            "password_hash" => record.password_hash = text(),
            "roles" => record.roles = field.split_whitespace().map(str::to_owned).collect(),
            "enabled" => record.enabled = yes_or_no(name, field)?,
            "must_change_password" => record.must_change_password = yes_or_no(name, field)?,
            other => {
                let name = other.strip_prefix("attribute.").unwrap_or(other);
                record.attributes.insert(name.to_owned(), Value::String(field.to_owned()));
            }
        }
    }
    Ok(record)
}

fn yes_or_no(name: &str, field: &str) -> Result<bool, String> {
    match field.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "t" => Ok(true),
        "false" | "0" | "no" | "f" => Ok(false),
        _ => Err(format!("{name} is neither true nor false")),
    }
}

pub(super) async fn run(at: &At<'_>, arguments: &Arguments, rows: Vec<Row>) -> Result<(), Failure> {
    let total = rows.len() as u64;
    let mut progress = Progress::new("accounts", at.context.output.is_json());
    let (mut imported, mut refused) = (0_u64, Vec::new());
    for (done, (line, row)) in (1..).zip(rows) {
        match row.and_then(|record| record.import(arguments.must_change)) {
            Ok(import) => {
                let importing = async |request: Request<'_>| at.administration.import(request, &import).await;
                match at.requesting(&arguments.why, importing).await {
                    Ok(_) => imported += 1,
                    // The next row would fare no better.
                    Err(UserAdministrationError::Store(error @ StoreError::Unavailable(_))) => {
                        drop(progress);
                        return Err(Failure::Unavailable(format!(
                            "{imported} accounts are imported, and at line {line} it ended: {error}. What is imported \
                             is refused as taken when you try again"
                        )));
                    }
                    Err(error) => refused.push((line, error.to_string())),
                }
            }
            Err(why) => refused.push((line, why)),
        }
        progress.update(done, total);
    }
    drop(progress);
    report(at, imported, &refused)
}

fn report(at: &At<'_>, imported: u64, refused: &[(u64, String)]) -> Result<(), Failure> {
    let told: Vec<_> = refused.iter().map(|(line, why)| json!({ "line": line, "why": why })).collect();
    at.context.output.result(&json!({ "imported": imported, "refused": told }), |_| {
        let lines: String = refused.iter().map(|(line, why)| format!("line {line}: {}\n", plain(why))).collect();
        let accounts = if imported == 1 { "account is" } else { "accounts are" };
        format!("{lines}{imported} {accounts} imported.")
    })?;
    match refused.len() {
        0 => Ok(()),
        1 => Err(Failure::Refused("1 row was refused".to_owned())),
        rows => Err(Failure::Refused(format!("{rows} rows were refused"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_read_as_spreadsheets_write_it() {
        let text = "username,email,roles,enabled,password_hash,attribute.department\r\n\
                    ann,ann@example.com,a b,TRUE,$2b$x,\"books, \"\"old\"\"\nand new\"\r\n\
                    bob,,,0,,\r\n\
                    eve,x\r\n";
        let rows = csv_rows(text).unwrap();
        let lines: Vec<_> = rows.iter().map(|(line, row)| (*line, row.is_ok())).collect();
        assert_eq!(lines, [(2, true), (4, true), (5, false)]);
        let ann = rows[0].1.as_ref().unwrap();
        assert_eq!((ann.roles.len(), ann.enabled), (2, true));
        assert_eq!(ann.attributes["department"], "books, \"old\"\nand new");
        let bob = rows[1].1.as_ref().unwrap();
        assert_eq!((&bob.email, bob.enabled, &bob.password_hash), (&None, false, &None));
        assert!(csv_rows("username,passwort\n").unwrap_err().contains("passwort"));
    }

    #[test]
    fn what_is_said_of_a_line_holds_none_of_its_values() {
        for line in [
            r#"{"username": "ann", "password_hash": ["canary"]}"#,
            r#"{"username": "ann", "password_hash": "canary"#,
            r#"{"username": "ann", "enabled": "canary"}"#,
            r#""canary""#,
        ] {
            let rows = json_lines(line);
            let why = rows[0].1.as_ref().unwrap_err();
            assert!(!why.contains("canary"), "{why}");
        }
        let rows = json_lines("\n{\"username\": \"ann\", \"passwort\": \"x\"}\n\n{\"username\": \"bob\"}");
        assert_eq!((rows[0].0, rows[1].0), (2, 4));
        assert!(rows[0].1.as_ref().unwrap_err().contains("unknown field `passwort`"));
        let why =
            Record { password_hash: Some("$9$canary".to_owned()), ..Record::default() }.import(false).unwrap_err();
        assert!(!why.contains("canary"), "{why}");
    }
}
