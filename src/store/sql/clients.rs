//! Clients, one row each with their secrets' digests and what they may get; and the first of them, whose presence
//! completes an installation.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::changes::{CLIENT, REVOCATIONS};
use super::turns::{append_turns, is_marked, turn_to};
use super::{SqlStore, append_audit, check_text, in_write, note_change, on_pool, read_each, read_rows, store_error};
use crate::audit::Entry;
use crate::clients::{
    Client, ClientAuthentication, ClientId, ClientKeys, ClientStore, GrantType, Insert, Removal, ResourceId, ScopeSet,
    SecretMethod, SecretOrigin, StoredClient, StoredSecret, Swap, WebOrigin,
};
use crate::ports::{StoreError, Timestamp};
use crate::secret::SecretDigest;
use crate::tokens::revocation::Turn;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT client_id, name, auth_method, auth_algorithm, jwks, secrets, grant_types, access, serves, enabled, \
             created_at, updated_at, version, first_party, web_origins, rotation FROM clients ",
            $rest
        )
    };
}

/// The fact that the first start is complete.
const FOUNDED: &str = "founded";

const LOAD: &str = select!("WHERE client_id = $1");
const LIST: &str = select!("WHERE client_id > $1 ORDER BY client_id LIMIT $2");
const INSERT: &str = "INSERT INTO clients (client_id, name, auth_method, auth_algorithm, jwks, secrets, \
    grant_types, access, serves, enabled, updated_at, version, first_party, web_origins, rotation, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (client_id) DO NOTHING";
const UPDATE: &str = "UPDATE clients SET name = $2, auth_method = $3, auth_algorithm = $4, jwks = $5, secrets = $6, \
    grant_types = $7, access = $8, serves = $9, enabled = $10, updated_at = $11, version = $12, \
    first_party = $13, web_origins = $14, rotation = $15 \
    WHERE client_id = $1 AND version = $12 - 1";
const VERSION: &str = "SELECT version FROM clients WHERE client_id = $1";
const ENABLED: &str = "SELECT enabled FROM clients WHERE client_id = $1";
const DELETE: &str = "DELETE FROM clients WHERE client_id = $1";
const UNLINK: &str = "DELETE FROM client_resources WHERE client_id = $1";
const LINK: &str = "INSERT INTO client_resources (client_id, resource) VALUES ($1, $2)";

#[derive(sqlx::FromRow)]
struct ClientRow {
    client_id: String,
    name: String,
    auth_method: String,
    auth_algorithm: Option<String>,
    jwks: Option<String>,
    secrets: String,
    grant_types: String,
    access: String,
    serves: String,
    enabled: bool,
    created_at: i64,
    updated_at: i64,
    version: i64,
    first_party: bool,
    web_origins: String,
    rotation: Option<bool>,
}

/// A secret as it stands in the row.
///
/// [`SqlStore::clients_of_first_start`] looks for the text of its last member.
#[derive(Serialize, Deserialize)]
struct SecretRow {
    sha256: String,
    created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default)]
    first_start: bool,
}

/// Binds the columns of a row in the order of [`INSERT`] and [`UPDATE`], but for the last.
macro_rules! bind_row {
    ($sql:expr, $row:expr) => {
        sqlx::query($sql)
            .bind(&$row.client_id)
            .bind(&$row.name)
            .bind(&$row.auth_method)
            .bind(&$row.auth_algorithm)
            .bind(&$row.jwks)
            .bind(&$row.secrets)
            .bind(&$row.grant_types)
            .bind(&$row.access)
            .bind(&$row.serves)
            .bind($row.enabled)
            .bind($row.updated_at)
            .bind($row.version)
            .bind($row.first_party)
            .bind(&$row.web_origins)
            .bind($row.rotation)
    };
}

/// Inserts a client and its links inside a write transaction; where the identifier is taken, leaves the function with
/// [`Insert::Exists`].
macro_rules! insert_client {
    ($tx:ident, $client:expr) => {{
        let row = ClientRow::of($client)?;
        let done = bind_row!(INSERT, row).bind(row.created_at).execute(&mut *$tx).await.map_err(store_error)?;
        if done.rows_affected() == 0 {
            return Ok(Insert::Exists);
        }
        link_resources!($tx, $client);
    }};
}

/// Links a client to the registered resources that it names.
macro_rules! link_resources {
    ($tx:ident, $client:expr) => {
        for resource in named_resources($client) {
            sqlx::query(LINK)
                .bind($client.id.as_str())
                .bind(resource.as_stored())
                .execute(&mut *$tx)
                .await
                .map_err(|error| link_error(error, resource))?;
        }
    };
}

fn named_resources(client: &Client) -> BTreeSet<&ResourceId> {
    client.access.keys().chain(&client.serves).filter(|resource| !resource.is_admin()).collect()
}

fn link_error(error: sqlx::Error, resource: &ResourceId) -> StoreError {
    match &error {
        sqlx::Error::Database(database) if database.is_foreign_key_violation() => {
            StoreError::Refused(format!("there is no resource `{}`", resource.as_stored()))
        }
        _ => store_error(error),
    }
}

impl ClientRow {
    fn of(client: &Client) -> Result<Self, StoreError> {
        check_text("the name of a client", &client.name)?;
        let (algorithm, jwks, secrets): (_, _, &[StoredSecret]) = match &client.authentication {
            ClientAuthentication::Secret { secrets, .. } => (None, None, secrets),
            ClientAuthentication::PrivateKeyJwt { keys, algorithm } => {
                (algorithm.map(|known| known.name().to_owned()), Some(keys.to_json().to_string()), &[])
            }
            ClientAuthentication::Public => (None, None, &[]),
        };
        let access: BTreeMap<&str, String> =
            client.access.iter().map(|(id, scopes)| (id.as_stored(), scopes.to_string())).collect();
        let serves: Vec<&str> = client.serves.iter().map(ResourceId::as_stored).collect();
        let grants: Vec<&str> = client.grants.iter().map(|grant| grant.name()).collect();
        Ok(Self {
            client_id: client.id.as_str().to_owned(),
            name: client.name.clone(),
            auth_method: client.authentication.name().to_owned(),
            auth_algorithm: algorithm,
            jwks,
            secrets: json(&secrets.iter().map(SecretRow::of).collect::<Vec<_>>())?,
            grant_types: grants.join(" "),
            access: json(&access)?,
            serves: json(&serves)?,
            enabled: client.enabled,
            created_at: client.created_at.millis(),
            updated_at: client.updated_at.millis(),
            version: client.version,
            first_party: client.first_party,
            web_origins: json(&client.web_origins.iter().map(WebOrigin::as_str).collect::<Vec<_>>())?,
            rotation: client.rotation,
        })
    }

    fn authentication(&self) -> Result<ClientAuthentication, String> {
        let secret = |method| {
            let rows: Vec<SecretRow> = serde_json::from_str(&self.secrets).map_err(|error| error.to_string())?;
            let secrets = rows.into_iter().map(SecretRow::secret).collect::<Result<_, _>>()?;
            Ok(ClientAuthentication::Secret { method, secrets })
        };
        match self.auth_method.as_str() {
            "client_secret_basic" => secret(SecretMethod::Basic),
            "client_secret_post" => secret(SecretMethod::Post),
            "private_key_jwt" => {
                let algorithm = self.auth_algorithm.as_deref().map(str::parse).transpose();
                let algorithm = algorithm.map_err(|_| "unknown algorithm".to_owned())?;
                let jwks = serde_json::from_str(self.jwks.as_deref().unwrap_or_default());
                let keys = ClientKeys::parse(&jwks.map_err(|error| error.to_string())?, algorithm);
                Ok(ClientAuthentication::PrivateKeyJwt { keys: keys.map_err(|error| error.to_string())?, algorithm })
            }
            "none" => Ok(ClientAuthentication::Public),
            other => Err(format!("unknown method {other:?}")),
        }
    }

    fn client(self) -> Result<Client, String> {
        let scopes = |(id, scopes): (String, String)| {
            let scopes = ScopeSet::parse(&scopes).map_err(|error| error.to_string())?;
            Ok::<_, String>((ResourceId::from_stored(&id), scopes))
        };
        let access: BTreeMap<String, String> = serde_json::from_str(&self.access).map_err(|error| error.to_string())?;
        let serves: Vec<String> = serde_json::from_str(&self.serves).map_err(|error| error.to_string())?;
        let origins: Vec<String> = serde_json::from_str(&self.web_origins).map_err(|error| error.to_string())?;
        let origin = |text: &String| WebOrigin::parse(text).map_err(|error| error.to_string());
        let grant = |name| GrantType::from_name(name).ok_or_else(|| format!("unknown grant {name:?}"));
        Ok(Client {
            id: ClientId::parse(&self.client_id).map_err(|error| error.to_string())?,
            authentication: self.authentication()?,
            grants: self.grant_types.split_whitespace().map(grant).collect::<Result<_, _>>()?,
            access: access.into_iter().map(scopes).collect::<Result<_, _>>()?,
            serves: serves.iter().map(|id| ResourceId::from_stored(id)).collect(),
            first_party: self.first_party,
            web_origins: origins.iter().map(origin).collect::<Result<_, _>>()?,
            rotation: self.rotation,
            name: self.name,
            enabled: self.enabled,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            version: self.version,
        })
    }
}

impl TryFrom<ClientRow> for Client {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let what = format!("client {:?}", row.client_id);
        row.client().map_err(|why| StoreError::Corrupt { what, why })
    }
}

impl SecretRow {
    fn of(secret: &StoredSecret) -> Self {
        Self {
            sha256: URL_SAFE_NO_PAD.encode(secret.digest.as_bytes()),
            created_at: secret.created_at.millis(),
            expires_at: secret.expires_at.map(Timestamp::millis),
            first_start: secret.origin == SecretOrigin::FirstStart,
        }
    }

    fn secret(self) -> Result<StoredSecret, String> {
        let digest = URL_SAFE_NO_PAD.decode(&self.sha256).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        Ok(StoredSecret {
            digest: SecretDigest::from_bytes(digest.ok_or("a secret's digest is not 32 bytes of base64url")?),
            created_at: Timestamp::from_millis(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_millis),
            origin: if self.first_start { SecretOrigin::FirstStart } else { SecretOrigin::Issued },
        })
    }
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.to_string()))
}

impl SqlStore {
    /// Whether the first start (or `signet init`) is complete.
    pub async fn is_founded(&self) -> Result<bool, StoreError> {
        self.bounded(async {
            const FOUND: &str = "SELECT value FROM facts WHERE name = $1";
            let found: Option<(String,)> =
                on_pool!(self, |pool| sqlx::query_as(FOUND).bind(FOUNDED).fetch_optional(pool).await)
                    .map_err(store_error)?;
            Ok(found.is_some())
        })
        .await
    }

    /// The clients that still have a secret of the first start, valid or not.
    pub async fn clients_of_first_start(&self) -> Result<Vec<ClientId>, StoreError> {
        self.bounded(async {
            const FIND: &str = "SELECT client_id FROM clients WHERE secrets LIKE '%\"first_start\":true%'";
            let rows: Vec<(String,)> =
                on_pool!(self, |pool| sqlx::query_as(FIND).fetch_all(pool).await).map_err(store_error)?;
            Ok(rows.iter().filter_map(|(id,)| ClientId::parse(id).ok()).collect())
        })
        .await
    }

    /// Completes the first start: stores the first clients, and that this is done, together.
    /// [`Insert::Exists`] when another process was first, or one of the identifiers is taken; nothing changed then.
    pub async fn found(&self, clients: &[Client], entry: &Entry) -> Result<Insert, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                for client in clients {
                    note_change!(tx, now, CLIENT, client.id.as_str());
                }
                let done = sqlx::query("INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                    .bind(FOUNDED)
                    .bind(now.millis().to_string())
                    .execute(&mut *tx)
                    .await
                    .map_err(store_error)?;
                if done.rows_affected() == 0 {
                    return Ok(Insert::Exists);
                }
                for client in clients {
                    insert_client!(tx, client);
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Insert::Inserted)
        })
        .await
    }
}

#[async_trait]
impl ClientStore for SqlStore {
    async fn store_time(&self) -> Result<Timestamp, StoreError> {
        self.now().await
    }

    async fn load_client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.bounded(async {
            let rows: Vec<ClientRow> = on_pool!(self, |pool| {
                read_rows(&sqlx::query(LOAD).bind(id.as_str()).fetch_all(pool).await.map_err(store_error)?, "client")?
            });
            rows.into_iter().next().map(Client::try_from).transpose()
        })
        .await
    }

    async fn list_each_client(&self, after: &str, limit: u32) -> Result<Vec<StoredClient>, StoreError> {
        self.bounded(async {
            on_pool!(self, |pool| {
                let rows = sqlx::query(LIST).bind(after).bind(i64::from(limit)).fetch_all(pool).await;
                let rows = rows.map_err(store_error)?;
                let clients = read_each(&rows, "client")
                    .into_iter()
                    .map(|row| row.and_then(<Client as TryFrom<ClientRow>>::try_from));
                rows.iter()
                    .zip(clients)
                    .map(|(row, client)| Ok((row.try_get(0).map_err(store_error)?, client)))
                    .collect()
            })
        })
        .await
    }

    async fn load_web_origins(&self) -> Result<Vec<WebOrigin>, StoreError> {
        self.bounded(async {
            const FIND: &str = "SELECT web_origins FROM clients WHERE first_party AND enabled AND web_origins <> '[]'";
            let rows: Vec<(String,)> =
                on_pool!(self, |pool| sqlx::query_as(FIND).fetch_all(pool).await).map_err(store_error)?;
            // A damaged row takes its own pages away, and no others; it is told of when its client is asked for.
            let origins =
                rows.iter().filter_map(|(origins,)| serde_json::from_str::<Vec<String>>(origins).ok()).flatten();
            Ok(origins.filter_map(|origin| WebOrigin::parse(&origin).ok()).collect())
        })
        .await
    }

    async fn insert_client(&self, client: &Client, entry: &Entry) -> Result<Insert, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, CLIENT, client.id.as_str());
                insert_client!(tx, client);
                // One of this identifier was here, and its sessions stay dead; those of the new one live.
                if client.enabled && is_marked!(tx, "client_id", client.id.as_str()) {
                    note_change!(tx, now, REVOCATIONS, "");
                    append_turns!(tx, self, vec![Turn::ClientEnabled(client.id.clone())]);
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Insert::Inserted)
        })
        .await
    }

    async fn update_client(&self, client: &Client, entry: &Entry) -> Result<Swap, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = ClientRow::of(client)?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, CLIENT, client.id.as_str());
                let stored: Option<(bool,)> = sqlx::query_as(ENABLED)
                    .bind(client.id.as_str())
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(store_error)?;
                let done = bind_row!(UPDATE, row).execute(&mut *tx).await.map_err(store_error)?;
                if done.rows_affected() == 0 {
                    return Ok(Swap::Raced);
                }
                sqlx::query(UNLINK).bind(client.id.as_str()).execute(&mut *tx).await.map_err(store_error)?;
                link_resources!(tx, client);
                let turn = stored.and_then(|(enabled,)| turn_to(client, enabled));
                if turn.is_some() {
                    note_change!(tx, now, REVOCATIONS, "");
                    append_turns!(tx, self, turn.into_iter().collect());
                }
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Swap::Swapped)
        })
        .await
    }

    async fn delete_client(&self, id: &ClientId, version: Option<i64>, entry: &Entry) -> Result<Removal, StoreError> {
        self.bounded(async {
            let now = self.now().await?;
            let row = in_write!(self, |tx| {
                note_change!(tx, now, CLIENT, id.as_str());
                let stored: Option<(i64,)> =
                    sqlx::query_as(VERSION).bind(id.as_str()).fetch_optional(&mut *tx).await.map_err(store_error)?;
                match (stored, version) {
                    (None, _) => return Ok(Removal::Absent),
                    (Some((stored,)), Some(expected)) if stored != expected => return Ok(Removal::Raced),
                    _ => {}
                }
                sqlx::query(DELETE).bind(id.as_str()).execute(&mut *tx).await.map_err(store_error)?;
                note_change!(tx, now, REVOCATIONS, "");
                append_turns!(tx, self, vec![Turn::ClientDeleted(id.clone())]);
                append_audit!(tx, self, now, entry)
            });
            self.appended(&row);
            Ok(Removal::Removed)
        })
        .await
    }
}
