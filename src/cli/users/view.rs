//! An account as people see it in a terminal.

use crate::cli::output::{fields, plain};
use crate::users::UserView;

impl UserView {
    const fn state(&self) -> &'static str {
        if self.enabled { "enabled" } else { "disabled" }
    }

    fn password_kind(&self) -> String {
        match &self.password {
            None => "none".to_owned(),
            Some(password) if password.must_change => format!("{}, to be changed", password.hash),
            Some(password) => password.hash.clone(),
        }
    }

    /// Its line in the list.
    pub(super) fn row(&self) -> [String; 5] {
        [
            plain(&self.metadata.username),
            self.metadata.email.as_deref().map(plain).unwrap_or_default(),
            self.state().to_owned(),
            self.password_kind(),
            plain(&self.metadata.roles.join(" ")),
        ]
    }

    /// Everything, a line each.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![("id", self.id.clone()), ("username", plain(&self.metadata.username))];
        rows.extend(self.metadata.email.iter().map(|email| ("email", plain(email))));
        rows.push(("state", self.state().to_owned()));
        let since = self.password.as_ref().map(|password| format!(", since {}", password.changed_at));
        rows.push(("password", format!("{}{}", self.password_kind(), since.unwrap_or_default())));
        rows.extend(self.metadata.roles.iter().map(|role| ("role", plain(role))));
        let attributes = self.metadata.attributes.iter();
        rows.extend(
            attributes.map(|(name, value)| ("attribute", format!("{}: {}", plain(name), plain(&value.to_string())))),
        );
        rows.push(("created", self.created_at.clone()));
        rows.push(("updated", self.updated_at.clone()));
        fields(&rows)
    }
}
