//! The file with an admin client's credentials.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::PendingSecret;

/// The credentials' file, in `data_dir`.
pub const CREDENTIALS_FILE: &str = "admin-credentials.json";

/// What is in that file: all that it takes to get a first token.
#[derive(Serialize, Deserialize, Clone)]
pub struct Credentials {
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where tokens are to be had.
    pub token_endpoint: String,
    /// The `resource` to ask for.
    pub audience: String,
    /// What the client may get there.
    pub scope: String,
}

impl Credentials {
    /// Writes them beside `path`, the file whose place they are to take.
    ///
    /// # Errors
    /// What the system says; nothing is left behind then.
    pub fn write_beside(&self, path: &Path) -> io::Result<PendingSecret> {
        let json = serde_json::to_string_pretty(self)?;
        PendingSecret::write(path, format!("{json}\n").as_bytes())
    }
}
