//! `signet users import`: accounts of another program, with their password hashes.
//!
//! Guarantees: a row that can't be taken is refused with its line and the reason, and the others are taken; nothing of a
//! hash is in what is said about it.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Accounts, Context, Failure, input};
use crate::cli::output::plain;
use crate::cli::people::Taken;
use crate::cli::progress::Progress;
use crate::cli::why::How;
use crate::clients::ADMIN_SCOPES;
use crate::users::UserRecord;

pub(super) const HELP: &str = "\
Examples:
  signet users import users.jsonl
  signet users import users.csv --must-change --reason 'moved from the old shop'
  mysqldump-to-csv users | signet users import - --format csv
  signet users import users.jsonl --url https://signet-admin.example

JSON lines, one account each; all members but one of the names may be left out:
  {\"username\": \"ann\", \"email\": \"ann@example.com\", \"password_hash\": \"$2b$12$...\", \"roles\": [\"billing\"],
   \"attributes\": {\"department\": \"books\"}, \"enabled\": true, \"must_change_password\": false}
CSV has the same names in its first line, roles separated by spaces, and `attribute.NAME` for attributes. An account
without a username gets one made from its identifier, so that its owner logs in by e-mail address.

Taken are hashes of argon2, bcrypt ($2a$, $2b$, $2y$), scrypt ($scrypt$, $7$) and PBKDF2 (PHC, passlib, Django). The first
login replaces each by argon2id. Rows that are refused are told by line; the exit code is 1 then, and all others are in.";

/// Larger files are to be split.
const MOST_BYTES: usize = 1 << 30;
/// Longer than any account that is accepted, and so short that the admin API takes as many as are sent at once.
const MOST_ROW: usize = 16 * 1024;

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
    pub(super) how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

/// A row of the file: its line, and what it holds or why it holds nothing.
type Row = (u64, Result<UserRecord, String>);

/// Reads the file, before the database is opened.
pub(super) fn read(arguments: &Arguments) -> Result<Vec<Row>, Failure> {
    let by_name = if arguments.file.to_ascii_lowercase().ends_with(".csv") { Format::Csv } else { Format::Jsonl };
    let text = input::text(&arguments.file, MOST_BYTES)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let rows = match arguments.format.unwrap_or(by_name) {
        Format::Jsonl => json_lines(text),
        Format::Csv => csv_rows(text).map_err(|why| {
            Failure::Refused(format!("{} is no CSV of accounts: {why}", input::shown(&arguments.file)))
        })?,
    };
    Ok(rows.into_iter().map(|(line, row)| (line, row.and_then(bounded))).collect())
}

/// The record, where it is no longer than one that is accepted.
fn bounded(record: UserRecord) -> Result<UserRecord, String> {
    let length = serde_json::to_vec(&record).map_or(usize::MAX, |text| text.len());
    if length > MOST_ROW { Err(format!("it is longer than {MOST_ROW} bytes")) } else { Ok(record) }
}

fn json_lines(text: &str) -> Vec<Row> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let record = |line: &str| {
        serde_json::from_str(line).map_err(|error: serde_json::Error| {
            // Its own message may repeat what it read, and counts lines within the line.
            let known = if error.is_data() { "it does not fit" } else { "it is no JSON" };
            format!("{known}, at character {}: {}", error.column(), UserRecord::what_is_wrong(&error))
        })
    };
    lines.map(|(number, line)| (number, record(line))).collect()
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

fn csv_record(names: &csv::StringRecord, fields: &csv::StringRecord) -> Result<UserRecord, String> {
    if names.len() != fields.len() {
        return Err(format!("it has {} fields, and the first line {}", fields.len(), names.len()));
    }
    let mut record = UserRecord { enabled: true, ..UserRecord::default() };
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

/// Scopes beside that of importing which a token is to have where they are to be had: nobody takes an account over that
/// may do more in the admin API than they themselves.
pub(super) fn liked(rows: &[Row]) -> String {
    let of_admin =
        |(_, row): &Row| row.as_ref().is_ok_and(|row| row.roles.iter().any(|role| role.starts_with("signet:")));
    let others = ADMIN_SCOPES.split(' ').filter(|scope| *scope != "users:import");
    if rows.iter().any(of_admin) { others.collect::<Vec<_>>().join(" ") } else { String::new() }
}

pub(super) async fn run(
    context: &Context,
    accounts: &dyn Accounts,
    arguments: &Arguments,
    rows: Vec<Row>,
) -> Result<(), Failure> {
    let total = rows.len() as u64;
    let mut progress = Progress::new("accounts", context.output.is_json());
    let (mut imported, mut refused, mut done) = (0_u64, Vec::new(), 0);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut lines, mut records) = (Vec::new(), Vec::new());
        for (line, row) in rows.by_ref().take(accounts.rows_at_once()) {
            done += 1;
            match row {
                Ok(record) => {
                    lines.push(line);
                    records.push(record);
                }
                Err(why) => refused.push((line, why)),
            }
        }
        let taken = if records.is_empty() {
            Taken { rows: Vec::new(), ended: None }
        } else {
            accounts.import(records, arguments.must_change).await?
        };
        let at = lines.get(taken.rows.len()).copied().unwrap_or_default();
        for (line, row) in lines.into_iter().zip(taken.rows) {
            match row {
                Ok(()) => imported += 1,
                Err(why) => refused.push((line, why)),
            }
        }
        if let Some(why) = taken.ended {
            drop(progress);
            return Err(Failure::Unavailable(format!(
                "{imported} accounts are imported, and at line {at} it ended: {why}. What is imported is refused as taken \
                 when you try again"
            )));
        }
        progress.update(done, total);
    }
    drop(progress);
    refused.sort_by_key(|(line, _)| *line);
    report(context, imported, &refused)
}

fn report(context: &Context, imported: u64, refused: &[(u64, String)]) -> Result<(), Failure> {
    let told: Vec<_> = refused.iter().map(|(line, why)| json!({ "line": line, "why": why })).collect();
    context.output.result(&json!({ "imported": imported, "refused": told }), |_| {
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
    }
}
