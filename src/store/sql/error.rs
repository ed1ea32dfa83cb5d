//! What went wrong in the database, as the domain sees it.

use sqlx::{ColumnIndex, Decode, Error, FromRow, Row, Type};

use crate::ports::StoreError;

const DISK_FULL: &str = "its disk is full";

/// Sorts a database's error by what can be done about it. Statements and values are never repeated.
pub(super) fn store_error(error: Error) -> StoreError {
    match &error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Protocol(_) => StoreError::Unavailable(error.to_string()),
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) | Error::RowNotFound => {
            StoreError::Corrupt { what: "a row".to_owned(), why: error.to_string() }
        }
        Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                sqlite_error(code.parse().unwrap_or(0), database.message())
            } else {
                postgres_error(&code, database.message())
            }
        }
        _ => StoreError::Refused(error.to_string()),
    }
}

/// Reads `rows`, whose first column is their key. One that can't be read is damaged: the error names it, as `kind` and
/// its key.
pub(super) fn read_rows<'r, R, T>(rows: &'r [R], kind: &str) -> Result<Vec<T>, StoreError>
where
    R: Row,
    T: FromRow<'r, R>,
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    read_each(rows, kind).into_iter().collect()
}

/// The same, one by one: what can be read, and an error for what can't.
pub(super) fn read_each<'r, R, T>(rows: &'r [R], kind: &str) -> Vec<Result<T, StoreError>>
where
    R: Row,
    T: FromRow<'r, R>,
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let read = |row: &'r R| {
        T::from_row(row).map_err(|error| {
            let key: Option<String> = row.try_get(0).ok();
            let what = key.map_or_else(|| format!("a {kind}"), |key| format!("{kind} {key:?}"));
            StoreError::Corrupt { what, why: error.to_string() }
        })
    };
    rows.iter().map(read).collect()
}

/// Refuses text with NUL, which Postgres can't keep and SQLite would.
pub(super) fn check_text(field: &str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        return Err(StoreError::Refused(format!("{field} has the character NUL in it")));
    }
    Ok(())
}

/// By primary result code, the low byte (<https://www.sqlite.org/rescode.html>).
fn sqlite_error(code: i32, message: &str) -> StoreError {
    /// `SQLITE_IOERR_SHMSIZE`: the shared index of the write-ahead log found no room.
    const NO_ROOM_FOR_INDEX: i32 = 4874;
    if code == NO_ROOM_FOR_INDEX {
        return StoreError::Refused(DISK_FULL.to_owned());
    }
    match code & 0xff {
        5 | 6 => StoreError::Unavailable("it is busy".to_owned()),
        8 => StoreError::Refused("it can't be written to".to_owned()),
        10 => StoreError::Unavailable(format!("its disk fails: {message}")),
        11 | 26 => StoreError::Corrupt { what: "the database file".to_owned(), why: message.to_owned() },
        13 => StoreError::Refused(DISK_FULL.to_owned()),
        14 => StoreError::Refused("its file can't be opened or created".to_owned()),
        _ => StoreError::Refused(message.to_owned()),
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn postgres_error(code: &str, message: &str) -> StoreError {
    match code {
        "53100" => StoreError::Refused(DISK_FULL.to_owned()),
        "28P01" | "28000" | "3D000" | "42501" => StoreError::Refused(message.to_owned()),
        "25006" => StoreError::Unavailable("it is read-only at the moment".to_owned()),
        _ if ["08", "40", "53", "55", "57", "58"].contains(&code.get(..2).unwrap_or_default()) => {
            StoreError::Unavailable(message.to_owned())
        }
        _ => StoreError::Refused(message.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_sorted_by_what_can_be_done_about_it() {
        for (error, unavailable) in [
            (sqlite_error(5, ""), true),
            (sqlite_error(261, ""), true),
            (sqlite_error(13, ""), false),
            (sqlite_error(4874, ""), false),
            (sqlite_error(10, ""), true),
            (postgres_error("40001", ""), true),
            (postgres_error("57P01", ""), true),
            (postgres_error("23505", ""), false),
            (postgres_error("28P01", ""), false),
            (postgres_error("", ""), false),
        ] {
            assert_eq!(matches!(error, StoreError::Unavailable(_)), unavailable, "{error}");
        }
    }
}
