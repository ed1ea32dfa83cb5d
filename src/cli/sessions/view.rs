//! A session as people see it in a terminal.

use crate::cli::output::{fields, plain};
use crate::tokens::session::LiveSession;

impl LiveSession {
    /// Its line in the list.
    pub(super) fn row(&self) -> [String; 7] {
        [
            self.session_id.clone(),
            self.user.clone(),
            self.client_id.clone(),
            self.device.as_deref().map(plain).unwrap_or_default(),
            self.address.clone().unwrap_or_default(),
            self.created_at.clone(),
            self.last_used_at.clone(),
        ]
    }

    /// Everything, a line each.
    pub(super) fn text(&self) -> String {
        let scope = if self.scope.is_empty() { "no scopes" } else { &self.scope };
        let mut rows = vec![
            ("session_id", self.session_id.clone()),
            ("user", self.user.clone()),
            ("client", plain(&self.client_id)),
            ("access", format!("{}: {}", plain(&self.resource), plain(scope))),
        ];
        rows.extend(self.device.iter().map(|device| ("device", plain(device))));
        rows.extend(self.address.iter().map(|address| ("from", plain(address))));
        rows.push(("begun", self.created_at.clone()));
        rows.push(("signed in", self.auth_time.clone()));
        rows.push(("last used", self.last_used_at.clone()));
        rows.push(("ends", self.expires_at.clone()));
        rows.push(("delivery", self.delivery.clone()));
        fields(&rows)
    }
}
