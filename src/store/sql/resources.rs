//! Resources, one row each.

use std::time::Duration;

use async_trait::async_trait;

use super::changes::RESOURCES;
use super::{SqlStore, append_audit, check_text, in_write, note_change, on_pool, read_each, store_error};
use crate::audit::Entry;
use crate::clients::{Insert, PersonClaims, Removal, Resource, ResourceId, ResourceStore, ScopeSet, Swap};
use crate::ports::{StoreError, Timestamp};

const LOAD_ALL: &str = "SELECT identifier, name, scopes, token_lifetime, algorithm, claims, created_at, updated_at, \
                        version FROM resources ORDER BY identifier";
const INSERT: &str = "INSERT INTO resources (identifier, name, scopes, token_lifetime, algorithm, updated_at, version, \
                      claims, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
                      ON CONFLICT (identifier) DO NOTHING";
const UPDATE: &str = "UPDATE resources SET name = $2, scopes = $3, token_lifetime = $4, algorithm = $5, updated_at = $6, \
                      version = $7, claims = $8 WHERE identifier = $1 AND version = $7 - 1";
const VERSION: &str = "SELECT version FROM resources WHERE identifier = $1";
const DELETE: &str = "DELETE FROM resources WHERE identifier = $1";

#[derive(sqlx::FromRow)]
struct ResourceRow {
    identifier: String,
    name: String,
    scopes: String,
    token_lifetime: Option<i64>,
    algorithm: Option<String>,
    claims: String,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

/// Binds the columns of a resource in the order of [`INSERT`] and [`UPDATE`], but for the last.
macro_rules! bind_row {
    ($sql:expr, $resource:expr) => {
        sqlx::query($sql)
            .bind($resource.id.as_stored())
            .bind(&$resource.name)
            .bind($resource.scopes.to_string())
            .bind($resource.token_lifetime.map(|life| i64::try_from(life.as_millis()).unwrap_or(i64::MAX)))
            .bind($resource.algorithm.map(|algorithm| algorithm.name()))
            .bind($resource.updated_at.millis())
            .bind($resource.version)
            .bind($resource.claims.texts().join(" "))
    };
}

impl TryFrom<ResourceRow> for Resource {
    type Error = StoreError;

    fn try_from(row: ResourceRow) -> Result<Self, StoreError> {
        let damaged =
            |why: &str| StoreError::Corrupt { what: format!("resource {:?}", row.identifier), why: why.to_owned() };
        let lifetime = row.token_lifetime.map(|millis| u64::try_from(millis).map(Duration::from_millis));
        let algorithm = row.algorithm.as_deref().map(str::parse).transpose();
        Ok(Self {
            id: ResourceId::from_stored(&row.identifier),
            scopes: ScopeSet::parse(&row.scopes).map_err(|_| damaged("its scopes are malformed"))?,
            token_lifetime: lifetime.transpose().map_err(|_| damaged("its lifetime is negative"))?,
            algorithm: algorithm.map_err(|_| damaged("its algorithm is unknown"))?,
            claims: PersonClaims::of(row.claims.split_whitespace()).map_err(|_| damaged("its claims are unknown"))?,
            name: row.name,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            version: row.version,
        })
    }
}

#[async_trait]
impl ResourceStore for SqlStore {
    async fn load_each_resource(&self) -> Result<Vec<Result<Resource, StoreError>>, StoreError> {
        self.bounded(async {
            let rows: Vec<Result<ResourceRow, StoreError>> = on_pool!(self, |pool| {
                read_each(&sqlx::query(LOAD_ALL).fetch_all(pool).await.map_err(store_error)?, "resource")
            });
            Ok(rows.into_iter().map(|row| row.and_then(Resource::try_from)).collect())
        })
        .await
    }

    async fn insert_resource(&self, resource: &Resource, entry: &Entry) -> Result<Insert, StoreError> {
        self.bounded(async {
            check_text("the name of a resource", &resource.name)?;
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, RESOURCES, resource.id.as_stored());
                let insert = bind_row!(INSERT, resource).bind(resource.created_at.millis());
                if insert.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
                    return Ok(Insert::Exists);
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Insert::Inserted)
        })
        .await
    }

    async fn update_resource(&self, resource: &Resource, entry: &Entry) -> Result<Swap, StoreError> {
        self.bounded(async {
            check_text("the name of a resource", &resource.name)?;
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, RESOURCES, resource.id.as_stored());
                let update = bind_row!(UPDATE, resource);
                if update.execute(&mut *tx).await.map_err(store_error)?.rows_affected() == 0 {
                    return Ok(Swap::Raced);
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Swap::Swapped)
        })
        .await
    }

    async fn delete_resource(
        &self,
        id: &ResourceId,
        version: Option<i64>,
        entry: &Entry,
    ) -> Result<Removal, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, RESOURCES, id.as_stored());
                let stored: Option<(i64,)> =
                    sqlx::query_as(VERSION).bind(id.as_stored()).fetch_optional(&mut *tx).await.map_err(store_error)?;
                match (stored, version) {
                    (None, _) => return Ok(Removal::Absent),
                    (Some((stored,)), Some(expected)) if stored != expected => return Ok(Removal::Raced),
                    _ => {}
                }
                match sqlx::query(DELETE).bind(id.as_stored()).execute(&mut *tx).await {
                    Ok(_) => {}
                    Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => return Ok(Removal::InUse),
                    Err(error) => return Err(store_error(error)),
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Removal::Removed)
        })
        .await
    }
}
